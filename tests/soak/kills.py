"""Kills of real commands at random moments: what they leave is what an undisturbed run leaves.

    python -m soak.kills --kills 50               50 of each command; `make soak-kills`
    python -m soak.kills --kills 50 --kind tags   of one

A command is started, ended by a signal at a random moment, and started again, up to six times in a
row; then it may finish. What was seen goes into the table of faults (`soak.table`), after each run;
one that was interrupted resumes.
"""

import argparse
import collections
import contextlib
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from helpers.processes import start_python
from soak import commands, table

IN_A_ROW = 6
SIGNALS = ("SIGKILL",) * 8 + ("SIGTERM", "SIGINT twice")
ENDED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGTERM}
ENDED |= {128 + signal.SIGINT, 0}


def finished(command, output, inputs):
    """Runs a command to its end; returns what it printed where it failed, and else nothing."""
    process = start_python(*command.arguments(inputs, output), stderr=subprocess.STDOUT)
    printed, _ = process.communicate()
    return "" if process.returncode == 0 else f"exit code {process.returncode}: {printed[-2000:]}"


class BadEndError(Exception):
    """A command that was sent a signal did not end as it should."""


def interrupted(command, output, inputs, seconds, how):
    """Starts a command and ends it after so many seconds; returns whether it was still at work."""
    process = start_python(*command.arguments(inputs, output), stderr=subprocess.STDOUT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
    was_at_work = process.poll() is None
    if how == "SIGINT twice":
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
    else:
        process.send_signal(getattr(signal, how))
    printed, _ = process.communicate()
    if process.returncode not in ENDED:
        raise BadEndError(f"{how}: exit code {process.returncode}: {printed[-2000:]}")
    return was_at_work


def disturbed(command, inputs, folder, seconds, rng, most):
    """One run with kills; returns the signals that met it, and what was lost, or nothing."""
    output, met = folder / f"run {rng.random()}", collections.Counter()
    for _ in range(min(IN_A_ROW, most)):
        how = rng.choice(SIGNALS)
        try:
            if interrupted(command, output, inputs, rng.uniform(0, seconds), how):
                met[how] += 1
        except BadEndError as error:
            return met, str(error)
    return met, finished(command, output, inputs) or command.difference(output)


def survey(kind, kills, folder, seed=0):
    """Kills a command so often, with what was done before; yields the entry for the table."""
    command = commands.COMMANDS[kind]
    inputs, expected = folder / "inputs", folder / "expected"
    inputs.mkdir(parents=True)
    command.make(inputs)
    finished(command, folder / "first", inputs)  # what is compiled and cached once
    started = time.monotonic()
    if failure := finished(command, expected, inputs):
        raise RuntimeError(f"{kind}: does not even work undisturbed: {failure}")
    seconds = time.monotonic() - started
    command.expected = command.state(expected)
    entry = table.read()["kills"].get(kind) or {"signals": {}, "runs": 0, "lost": 0}
    rng = random.Random(f"{kind} {seed} {entry['runs']}")
    while entry["signals"].get("SIGKILL", 0) < kills:
        met, lost = disturbed(command, inputs, folder, seconds, rng, kills)
        signals = collections.Counter(entry["signals"]) + met
        entry = {
            "signals": dict(sorted(signals.items())),
            "runs": entry["runs"] + 1,
            "lost": entry["lost"] + bool(lost),
            "command": command.name,
            "compared": command.compared,
        }
        yield entry, lost


def main():
    """Kills all commands, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", action="append", choices=commands.COMMANDS)
    parser.add_argument("--kills", type=int, default=50)
    flags = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    bad = 0
    for kind in flags.kind or commands.COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            for entry, lost in survey(kind, flags.kills, pathlib.Path(folder)):
                table.note("kills", kind, entry)
                bad += bool(lost)
                print(
                    f"{kind}: {entry['signals']}" + (f": LOST: {lost}" if lost else ""), flush=True
                )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
