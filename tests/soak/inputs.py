"""Thousands of damaged and hostile files, each of which is read in a process that is watched.

    python -m soak.inputs --count 60     60 of each kind, but for those that the table has already
    python -m soak.inputs --kind head    of one kind

None may hang, crash the process, take memory without bound, write beside its folder, raise anything
but an error that is a sentence, or be read as something else where the format has checksums. What
was seen goes into the table of faults (`soak.table`); a case is found again by its number.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import resource
import select
import sys
import tempfile
import time
import traceback

from helpers.processes import start_python

SECONDS = 60  # without an answer
MEMORY_BYTES = 1 << 30  # more than before, for files of a few kilobytes
ADDRESS_BYTES = 6 << 30
GOOD = ("same", "named", "other")  # other: of content that is wrong, or has no checksum


# -------------------------------------------------------------------------------- the child process


def child(kind, seed, numbers):
    """Reads cases of a kind, and prints a line of JSON before and after each."""
    with tempfile.TemporaryDirectory() as scratch:
        cases = read_cases(kind, seed, numbers, pathlib.Path(scratch))
        next(cases)  # the good file is read
        soft = _status("VmSize") + ADDRESS_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
        for number in numbers:
            print(json.dumps({"begun": number}), flush=True)
            pathlib.Path("/proc/self/clear_refs").write_text("5")  # the highest memory from here on
            before = _status("VmHWM")
            outcome, told = next(cases)
            if _status("VmHWM") - before > MEMORY_BYTES:
                outcome = "memory"
            print(json.dumps({"number": number, "outcome": outcome, "told": told}), flush=True)


def read_cases(kind, seed, numbers, scratch):
    """Reads a good file of a kind, yields None, and then the outcome of each case."""
    from soak.kinds import KINDS

    chosen, folder = KINDS[kind], scratch / "good"
    folder.mkdir()
    path = chosen.make(folder)
    good = path.read_bytes()
    expected = repr(chosen.read(path))
    yield
    for number in numbers:
        is_damage, content = case(chosen, good, random.Random(f"{kind} {seed} {number}"))
        path.write_bytes(content)
        outcome = judged(chosen, path, expected, is_damage and chosen.checked)
        if stray := [name for name in os.listdir(scratch) if name != "good"]:
            outcome = "outside", str(stray)
        yield outcome


def case(kind, good, rng):
    """Whether it is mere damage, and the content of a case."""
    from soak.mutations import damaged

    is_damage = not kind.wrong or rng.random() < 0.5
    if is_damage:
        return True, damaged(good, rng)
    return False, rng.choice(kind.wrong)(good, rng)


def judged(kind, path, expected, must_be_same):
    """The outcome of reading a case, and what was told."""
    from mar.errors import ConfigError, InputError

    try:
        read = repr(kind.read(path))
    except (InputError, ConfigError) as error:
        return "named", str(error)[:300]
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/mar/" in f.filename]
        where = f"{pathlib.Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return "defect", f"{where} {type(error).__name__}: {str(error)[:200]}"
    if read == expected:
        return "same", ""
    return ("silent" if must_be_same else "other"), ""


def _status(name):
    """A line of this process's status, bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


# --------------------------------------------------------------------------------------- the parent


def survey(kind, count, seed="0", first=0):
    """Reads `count` cases of a kind; yields `{"number", "outcome", "told"}` of each."""
    numbers = collections.deque(range(first, first + count))
    while numbers:
        flags = ("--child", kind, "--seed", seed, "--first", numbers[0], "--count", len(numbers))
        with start_python("-m", "soak.inputs", *flags) as process:
            for answer in _answers(process):
                if "number" in answer:
                    numbers.popleft()
                    yield answer
            ended = process.poll()
            process.kill()
            said = process.stderr.read()[-2000:]
        if ended and ended > 0:
            raise RuntimeError(f"{kind}: the child has a defect: {said}")
        if numbers:
            number = numbers.popleft()
            outcome = "hang" if ended is None else "crash"
            yield {"number": number, "outcome": outcome, "told": f"status {ended}: {said}"}


def _answers(process):
    """The lines that a child prints, until it ends or says nothing for too long."""
    deadline = time.monotonic() + 4 * SECONDS
    buffer = b""
    while True:
        ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return
        more = os.read(process.stdout.fileno(), 1 << 16)
        if not more:
            process.wait()
            return
        *lines, buffer = (buffer + more).split(b"\n")
        yield from map(json.loads, lines)
        deadline = time.monotonic() + SECONDS


def main():
    """Reads cases of all kinds, or of one."""
    from soak import table
    from soak.kinds import KINDS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--child", choices=KINDS)
    flags = parser.parse_args()
    if flags.child:
        child(flags.child, flags.seed, range(flags.first, flags.first + flags.count))
        return 0
    bad = 0
    for kind in flags.kind or KINDS:
        if not flags.kind and sum(table.read()["inputs"].get(kind, {}).values()) >= flags.count:
            continue
        counts = collections.Counter()
        for answer in survey(kind, flags.count, flags.seed, flags.first):
            counts[answer["outcome"]] += 1
            if answer["outcome"] not in GOOD:
                bad += 1
                print(f"  {kind} {answer['number']}: {answer['outcome']}: {answer['told']}")
        print(f"{kind}: {dict(counts)}", flush=True)
        table.note("inputs", kind, dict(sorted(counts.items())))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
