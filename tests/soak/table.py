"""The table of faults: what was done, how often, and what was lost.

The scripts of `make soak` add to `docs/design/faults.json` as they go, and those that were
interrupted go on from there; `docs/design/faults.md` is written from it.
"""

import json
import os
import platform

from helpers.resources import ROOT

JSON, PAGE = ROOT / "docs" / "design" / "faults.json", ROOT / "docs" / "design" / "faults.md"
HEAD = """\
<!-- Written by tests/soak/table.py from faults.json -->
# What it survives

What was done to it, how often, and what was lost. `make soak` does all of it again, in parts:
`make soak-inputs`, `soak-kills`, `soak-surroundings`, `soak-embed`, `soak-train`, `soak-explore`,
each of which resumes where it was interrupted. `make soak-fuzz` is apart, as it needs atheris. To
begin anew, delete `docs/design/faults.json`.
`make test` has one of each kind.
"""
KILLS = """\
## Kills

Real processes were ended at random moments, and the same command was run again, until it was done;
then its output was compared with that of a run that nobody disturbed. Lost means that they
differed, or that the command did not go on.

| Command | SIGKILL | SIGTERM | SIGINT twice | Runs | Lost | Compared |
|---|---|---|---|---|---|---|
"""
SURROUNDINGS = """\
## A disk that fails

An output on a read-only disk, on one that filled up after a tenth, a half and nine tenths, one that
was removed under way, and two runs at once. *Bad*: not told in a sentence that names the output, or
the same command, run again where nothing was in its way, did not end as an undisturbed one.

| Command | Read-only | Full | Removed | Two at once | Bad |
|---|---|---|---|---|---|
"""
INPUTS = """\
## Broken and hostile input

A good file was truncated, got other bits, huge declared lengths, runs that are missing, doubled or
zero, or content that is wrong while its checksums are right; each was read in a process that was
watched. *Named*: an error in a sentence. *Same*: it was read as the good one, as the damage lay
where nothing is read, or the content was equal. *Other*: something else was read: the content is
valid and says so, or the format has no checksums. *Bad*: it crashed, hung, took more than 1 GiB,
wrote elsewhere, ended in a traceback, or, where the format has checksums, was read as something
else without a word.

| File | Read | Named | Same | Other | Bad |
|---|---|---|---|---|---|
"""
GROWTH = """\
## Memory and descriptors

One process worked for the time that is given. The figures are those after its start, a tenth of
the time, and at its end; the plot shows all. A step of a page that is explored is a decoder more,
which two files that are wanted at once start; as many as there are cores stay.

| What | Minutes | Rounds | MiB, then and at the end | Open files, then and at the end |
|---|---|---|---|---|
"""


FUZZ = """\
## Coverage-guided fuzzing

Of the parsers that are ours, by atheris, which changes what it tries by the lines of code that it
reaches.

| Parser | Seconds | Inputs | Bad |
|---|---|---|---|
"""


def read():
    """All that was seen so far."""
    empty: dict = {"kills": {}, "surroundings": {}, "inputs": {}, "fuzz": {}, "growth": {}}
    return {**empty, **json.loads(JSON.read_text())} if JSON.exists() else empty


def note(part, name, entry):
    """Replaces an entry, and writes the page."""
    seen = read()
    seen[part][name] = entry
    seen["machine"] = (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )
    unfinished = JSON.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(seen, indent=1) + "\n")
    os.replace(unfinished, JSON)
    PAGE.write_text(page(seen))


def page(seen):
    """The page as Markdown."""
    parts = [HEAD]
    if "machine" in seen:
        parts.append(f"On {seen['machine']}.\n")
    if seen["kills"]:
        parts.append(
            KILLS + "\n".join(map(_kills, *zip(*seen["kills"].items(), strict=True))) + "\n"
        )
    if seen["surroundings"]:
        rows = [
            f"| `{entry['command']}` | {entry['read_only']} | {entry['full']} | {entry['removed']} "
            f"| {entry['together']} | {entry['bad']} |"
            for entry in seen["surroundings"].values()
        ]
        parts.append(SURROUNDINGS + "\n".join(rows) + "\n")
    if seen["inputs"]:
        rows = [_inputs(name, counts) for name, counts in seen["inputs"].items()]
        total = {o: sum(c.get(o, 0) for c in seen["inputs"].values()) for o in _outcomes(seen)}
        parts.append(INPUTS + "\n".join([*rows, _inputs("**All**", total)]) + "\n")
    if seen["fuzz"]:
        rows = [
            f"| {name} | {entry['seconds']} | {entry['inputs']:,} | {entry['bad']} |"
            for name, entry in seen["fuzz"].items()
        ]
        parts.append(FUZZ + "\n".join(rows) + "\n")
    if seen["growth"]:
        rows = [_growth(name, entry) for name, entry in seen["growth"].items()]
        plots = [f"![{name}](faults-{name}.svg)" for name in seen["growth"]]
        parts.append(GROWTH + "\n".join(rows) + "\n\n" + "\n\n".join(plots) + "\n")
    return "\n".join(parts)


def _kills(name, entry):
    counts = [entry["signals"].get(how, 0) for how in ("SIGKILL", "SIGTERM", "SIGINT twice")]
    cells = [f"`{entry['command']}`", *counts, entry["runs"], entry["lost"], entry["compared"]]
    return f"| {' | '.join(map(str, cells))} |"


def _outcomes(seen):
    return {outcome for counts in seen["inputs"].values() for outcome in counts}


def _inputs(name, counts):
    known = [counts.get(outcome, 0) for outcome in ("named", "same", "other")]
    total = sum(counts.values())
    return f"| {' | '.join(map(str, [name, total, *known, total - sum(known)]))} |"


def _growth(name, entry):
    memory, files = (" → ".join(map(str, entry[what])) for what in ("memory_mib", "open_files"))
    cells = (f"`{entry['command']}`", entry["minutes"], entry["rounds"], memory, files)
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    PAGE.write_text(page(read()))
