"""Outputs that fail the commands that write them, and what these say and leave.

    python -m soak.surroundings               `make soak-surroundings`; as root, who may mount
    python -m soak.surroundings --kind embed  of one

A disk that is read-only, one that fills up, an output that is removed under way, and two runs at
once. A command says so in a sentence that names its output. Run again where nothing is in its way,
it ends as an undisturbed one.
"""

import argparse
import contextlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from helpers.processes import start_python
from soak import commands, kills, table

LARGE = 2**30
PARTS = (0.1, 0.5, 0.9)  # of what an output takes, after which the disk is full
MOMENTS = (0.0, 0.2, 1.0)  # seconds after an output appears, at which it is removed


@contextlib.contextmanager
def mounted(folder):
    """A disk of its own; raises CalledProcessError for who may not mount one."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True, stderr=subprocess.PIPE)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # an index may be mapped


def remount(disk, option):
    """Changes an option of a disk: `ro`, `rw`, `size=…`."""
    subprocess.run(["mount", "-o", f"remount,{option}", disk], check=True)


def used(disk):
    """Bytes that are on a disk."""
    return shutil.disk_usage(disk).used


def ran(command, inputs, output):
    """Runs a command; returns its exit code and what it printed."""
    process = start_python(*command.arguments(inputs, output), stderr=subprocess.STDOUT)
    printed, _ = process.communicate()
    return process.returncode, printed


def judged(command, inputs, output, code, printed):
    """What is wrong with how a command ended and with what is there when it ran again, or ""."""
    if code == 0:
        return command.difference(output) and f"says that it succeeded: {printed[-500:]}"
    sentence = printed.rstrip().rpartition("\n")[2]
    if "Traceback" in printed or output.name not in sentence:
        return f"exit code {code}: {printed[-1500:]}"
    return kills.finished(command, output, inputs) or command.difference(output)


def read_only(command, inputs, disk):
    """On a disk that nothing can be written to."""
    output = disk / "unwritable"
    command.arguments(inputs, output)  # which copies what is changed in its place
    remount(disk, "ro")
    ended = ran(command, inputs, output)
    remount(disk, "rw")
    yield judged(command, inputs, output, *ended)


def full(command, inputs, disk):
    """On a disk that fills up after a part of what is written."""
    output = disk / "needed"
    command.arguments(inputs, output)
    before = used(disk)
    kills.finished(command, output, inputs)
    needed = used(disk) - before
    for part in PARTS:
        output = disk / f"filled {part}"
        command.arguments(inputs, output)
        remount(disk, f"size={used(disk) + round(part * needed)}")
        ended = ran(command, inputs, output)
        remount(disk, f"size={LARGE}")
        yield judged(command, inputs, output, *ended)


def removed(command, inputs, disk):
    """An output that somebody removes while it is written."""
    for moment in MOMENTS:
        output = disk / f"removed {moment}"
        process = start_python(*command.arguments(inputs, output), stderr=subprocess.STDOUT)
        while process.poll() is None and not _parts(output):
            time.sleep(0.01)
        time.sleep(moment)
        was_at_work = process.poll() is None
        for part in _parts(output):
            shutil.rmtree(part, ignore_errors=True)
            part.unlink(missing_ok=True)
        printed, _ = process.communicate()
        if was_at_work:
            yield judged(command, inputs, output, process.returncode, printed)


def _parts(output):
    """What is there of an output, be it hidden."""
    return [
        path for path in output.parent.iterdir() if path.name.lstrip(".").startswith(output.name)
    ]


def together(command, inputs, disk):
    """Two at once on one output: the second one is refused, or both end as one."""
    output = disk / "both"
    arguments = command.arguments(inputs, output)
    pair = [start_python(*arguments, stderr=subprocess.STDOUT) for _ in range(2)]
    ends = [(process.communicate()[0], process.returncode) for process in pair]
    refused = [printed for printed, code in ends if code]
    if len(refused) > 1 or any("Traceback" in printed for printed in refused):
        yield f"of two {len(refused)} failed: {refused}"
    else:
        yield command.difference(output)


SURROUNDINGS = {"read_only": read_only, "full": full, "removed": removed, "together": together}


def survey(kind, folder):
    """Runs a command in all surroundings; yields `(name, what is wrong or "")` of each run."""
    command = commands.COMMANDS[kind]
    inputs, expected = folder / "inputs", folder / "expected"
    inputs.mkdir(parents=True)
    command.make(inputs)
    if failure := kills.finished(command, expected, inputs):
        raise RuntimeError(f"{kind}: does not even work undisturbed: {failure}")
    command.expected = command.state(expected)
    for name, runs in SURROUNDINGS.items():
        with mounted(folder / name) as disk:
            for wrong in runs(command, inputs, disk):
                yield name, wrong


def main():
    """Runs all commands, or one; the exit code is 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", action="append", choices=commands.COMMANDS)
    flags = parser.parse_args()
    bad = 0
    for kind in flags.kind or commands.COMMANDS:
        entry = {
            "command": commands.COMMANDS[kind].name,
            "bad": 0,
            **dict.fromkeys(SURROUNDINGS, 0),
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, wrong in survey(kind, pathlib.Path(folder)):
                entry[name] += 1
                entry["bad"] += bool(wrong)
                if wrong:
                    print(f"{kind}, {name}: {wrong}", flush=True)
        table.note("surroundings", kind, entry)
        print(entry, flush=True)
        bad += entry["bad"]
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
