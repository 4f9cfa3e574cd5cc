"""Writes docs/design/speed.md, its charts and README's ratios from benchmarks/results.

python -m benchmarks.page
"""

import json
import statistics
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks import contest
from mar.reporting.figures import save_figure

FOLDER, README = contest.ROOT / "docs" / "design", contest.ROOT / "README.md"
OURS, THEIRS = "#1b6ca8", "#9aa5b1"

HEAD = """\
<!-- Written by benchmarks/page.py -->
# How fast it is

`make benchmarks` measures every row again. Contestants take turns in one run, so that other work
on the machine slows all of them alike; a ratio is the median over the turns, with its range.
Above 1, the other one takes longer than `mar`. Where a limit is named, the share says how near
`mar` comes to what the machine can do: products of matrices of that type, of as many operations.
Memory is the peak of a process that does nothing else. The weights are those of the tests, in the
published format; what they are does not change how long anything takes.
"""
WITHOUT_AIMS = """\
## What is beside nothing else

| What | Contestant | Takes | Memory |
|---|---|--:|--:|
"""
MISSED = """\
## Where an aim is missed

"""
SCALES = """\
## How it scales

What ten million tracks of three minutes take, computed from the rows above, with a window every two
seconds.

| What | Takes |
|---|--:|
"""
LONGER = """\
## How it grows

Seconds and peak memory of a process for each size (`python -m benchmarks.growth`); of replicas,
seconds of a step, whose pairs they divide. Two cores have no use for more than two workers, and
none for replicas, all of which already compute on both.

![Seconds and memory by size](growth.svg)
"""
ARITHMETIC = (
    "Its products of matrices alone take the share of our time that the row of the limit says: "
    "nothing could be faster than they are."
)
BARE = (
    "The rows of a batch, two products and Adam's update alone take the part of our time that "
    "their row says: nothing could be faster than they are."
)
# Why an aim is missed, of a row and a contestant; shown where it is missed.
REASONS: dict[tuple[str, str], str] = {
    ("forward-float32", "matrix products"): (
        "With AVX-512, and by the processor's time of one thread, it is 70 %: nine tenths go into "
        "convolutions, which themselves come to four fifths of the limit; the exact GELU takes "
        "6 %, standardising the weights 3 %. Weights as constants would gain 5 % of the time, and "
        "take 2.3 GB more memory. On the clock the share is less, and less still on a machine that "
        "does other work: each of the 700 operations waits for the later of the threads."
    ),
    ("one-file", "mule-torch"): (
        "9 of the 33 s are TensorFlow's own import. The exported model, without it, takes less "
        "than half of them, and mule-torch 1.5 times as long as that."
    ),
    ("folder", "mule-torch"): (
        "15 of the 81 s are TensorFlow's start, as long as a file of 3 s takes from start to end; "
        "in a larger folder they count for less, and the exported model is without. With AVX-512 "
        "it was 1.5."
    ),
    ("gradient-cache", "whole batch"): (
        "Outputs are computed twice, which makes 4/3 of the time at least. Chunks of 64 pairs take "
        "1.3 times as long as the whole batch, in 70 % of its memory; chunks of 16 pairs take 1.5 "
        "times as long, in 44 %."
    ),
    ("probe-MTT", "Model.fit"): ARITHMETIC,
    ("probe-MTT", "PyTorch"): ARITHMETIC,
    ("probe-MTT", "scikit-learn"): ARITHMETIC,
    ("probe-NSynth_P", "Model.fit"): BARE,
    ("probe-NSynth_P", "PyTorch"): BARE,
    ("snippets", "NumPy memory map"): (
        "All of its pages are mapped already, and it does not look at the values. Ours are read by "
        "positioned reads, which cost as much in a data set that no memory holds, and are looked "
        "at for NaN."
    ),
    ("forward-bfloat16", "matrix products"): (
        "Products in bfloat16 are twice as fast and more, and what is beside them is not: "
        "activations are computed in float32 (in bfloat16 their erf took seven times as long), and "
        "maps are read and written between the operations. By the processor's time of one thread "
        "it is 56 %."
    ),
}
TRACKS, SECONDS, WINDOWS = 10_000_000, 180, 90
BYTES = {  # of a track: `benchmarks/store.py`, docs/design/search.md, and the formats themselves
    "Means of embeddings": 5_859,
    "Embeddings of all windows": 90 * 5_859,
    "Index for searching": 7_257,
    "Records for training, log-mel in float16": 18_000 * 96 * 2,
}
# Of a row: what it is called in README, and beside whom.
IN_README = {
    "one-file": "One file of 3 minutes, start to end (an exported model takes half as long)",
    "folder": "A folder of 100 files",
    "load-model": "Loading the weights",
    "log-mel": "Log-mel spectrograms",
    "snippets": "Random snippets from TFRecords",
    "training-step-supervised-8": "A training step",
    "probe-MTT": "Training a probe",
    "search": "A query among stored tracks",
}
README_HEAD = "| What | Times as fast as |"


def rows() -> dict[str, contest.Row]:
    """All kept rows, by name."""
    paths = sorted(contest.RESULTS.glob("*.json"))
    return {path.stem: contest.Row.load_from(path) for path in paths if path.stem != "growth"}


def table(measured: dict[str, contest.Row]) -> list[str]:
    """A line of Markdown for each contestant beside ours, of rows that have aims."""
    lines = ["| What | `mar` | Beside it | Ratio | Aim |", "|---|--:|---|--:|--:|"]
    for row in measured.values():
        if not row.aims:
            continue
        what, ours = row.what, _seconds(statistics.median(row.seconds[row.ours]))
        if row.ours != "mar":
            what += f" ({row.ours})"
        if row.ours in row.megabytes:
            ours += f", {row.megabytes[row.ours]:,.0f} MB"
        for name in row.seconds:
            if name == row.ours:
                continue
            ratio, aim = row.ratios(name), f"{row.aims[name]:.3g}" if name in row.aims else ""
            text = f"{statistics.median(ratio):.3g} ({min(ratio):.3g}–{max(ratio):.3g})"
            if name == row.limit:
                text, aim = f"{statistics.median(ratio):.0%} of it", _share(row.aims.get(name))
                name = f"the limit: {name}"
            if {name, row.ours} <= {*row.megabytes}:
                name += f", {row.megabytes[name]:,.0f} MB"
            lines.append(f"| {what} | {ours} | {name} | {text} | {aim} |")
            what = ours = ""
    return lines


def _share(aim: float | None) -> str:
    return "" if aim is None else f"{aim:.0%}"


def without_aims(measured: dict[str, contest.Row]) -> list[str]:
    """A line of Markdown for each contestant of the other rows."""
    lines = []
    for row in measured.values():
        what = row.what
        for name, seconds in row.seconds.items() if not row.aims else ():
            memory = f"{row.megabytes[name]:,.0f} MB" if name in row.megabytes else ""
            taken = _seconds(statistics.median(seconds))
            lines.append(f"| {what} | {name} | {taken} | {memory} |")
            what = ""
    return lines


def missed(measured: dict[str, contest.Row]) -> list[str]:
    """A line for each aim that is missed: by how much, and why."""
    lines = []
    for key, row in measured.items():
        for name, aim in row.aims.items():
            found = statistics.median(row.ratios(name))
            if found < aim:
                reason = REASONS.get((key, name), "The reason is not known.")
                lines.append(f"* *{row.what}, {name}*: {found:.2g}, aim {aim:.2g}. {reason}")
    return lines


def readme(measured: dict[str, contest.Row]) -> list[str]:
    """README's table of ratios."""
    lines = [README_HEAD, "|---|---|"]
    for key, what in IN_README.items():
        if key in measured:
            row = measured[key]
            others = (
                f"{name.partition(',')[0]} {_times(row.ratios(name))}"
                for name in row.aims
                if name != row.limit
            )
            lines.append(f"| {what} | {', '.join(others)} |")
    return lines


def machines(measured: dict[str, contest.Row]) -> list[str]:
    """A sentence for each machine and its rows' loads, that of most rows first."""
    of_machine: dict[str, list[contest.Row]] = {}
    for row in measured.values():
        of_machine.setdefault(row.machine, []).append(row)
    lines = []
    for machine, its in sorted(of_machine.items(), key=lambda pair: -len(pair[1])):
        loads = [load for row in its for load in row.load]
        line = f"Machine: {machine}. Load while measured: {min(loads):.0f} to {max(loads):.0f}."
        lines.append(
            f"{line} It measured: {', '.join(row.what for row in its)}." if lines else line
        )
    return lines


def _times(ratios: list[float]) -> str:
    middle = statistics.median(ratios)
    return f"{middle:,.0f}" if middle >= 10 else f"{middle:.2g}"


def scales(measured: dict[str, contest.Row], growth: dict | None) -> list[str]:
    """What a large catalogue takes: a line of Markdown for each thing, with what it comes from."""

    def hours(row: str, contestant: str, of_a_track: float) -> str:
        found = measured[row]
        rate = (found.work or 0) / statistics.median(found.seconds[contestant])
        return f"{TRACKS * of_a_track / rate / 3600:,.0f}"

    lines = []
    for row in ("forward-float32", "forward-bfloat16"):
        if row in measured:
            ours = measured[row].ours
            lines.append(
                f"| Hours of this machine: network ({ours}) | {hours(row, ours, WINDOWS)} |"
            )
    if "folder" in measured:
        for name in measured["folder"].seconds:
            lines.append(
                f"| Hours of this machine: files to embeddings ({name}) | "
                f"{hours('folder', name, SECONDS)} |"
            )
    for what, rate in (("the paper's rate, 167 snippets/s", 167), ("the aim, 2,000", 2000)):
        taken = TRACKS * WINDOWS / rate / 3600
        lines.append(f"| Hours of a GPU at {what} (not measured) | {taken:,.0f} |")
    if "tag" in measured:
        lines.append(f"| Hours of this machine: a head's labels | {hours('tag', 'mar', 1)} |")
    for what, size in BYTES.items():
        lines.append(f"| {what}, GB | {TRACKS * size / 1e9:,.0f} |")
    if growth is not None and (points := growth.get("tracks in a manifest")):
        for key, unit in (("seconds", "seconds"), ("megabytes", "MB")):
            (size, value), (larger, its) = ((p["size"], p[key]) for p in points[-2:])
            taken = its + (TRACKS - larger) * (its - value) / (larger - size)
            lines.append(f"| Opening the records' manifest, {unit} | {taken:,.0f} |")
    return lines


def ratios_chart(measured: dict[str, contest.Row]) -> Figure:
    """Ratios as bars, each with its range and a mark at its aim."""
    bars = [
        (f"{_wrapped(row.what)}\n{name}", row.ratios(name), row.aims[name])
        for row in measured.values()
        for name in row.seconds
        if name not in (row.ours, row.limit) and name in row.aims
    ]
    figure = Figure((8, 0.7 * len(bars) + 0.8), layout="constrained")
    axes = figure.subplots()
    for place, (_, ratios, aim) in enumerate(bars):
        middle = statistics.median(ratios)
        axes.barh(place, middle, 0.55, color=OURS if middle >= aim else THEIRS)
        axes.plot([min(ratios), max(ratios)], [place, place], color="black", linewidth=1)
        axes.plot(aim, place, "|", color="crimson", markersize=18, markeredgewidth=2)
    axes.set_yticks(range(len(bars)), [text for text, *_ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.6)
    axes.set_xlabel("times as long as mar; red: the aim")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _wrapped(what: str) -> str:
    return "\n".join(textwrap.wrap(what, 50))


def growth_chart(growth: dict[str, list[dict[str, float]]]) -> Figure:
    """Seconds and memory by size, two small plots for each."""
    figure = Figure((1.8 * len(growth), 4.6), layout="constrained")
    all_axes = figure.subplots(2, len(growth), squeeze=False)
    for column, (what, points) in enumerate(growth.items()):
        sizes = [point["size"] for point in points]
        for axes, key, unit in zip(
            all_axes[:, column], ("seconds", "megabytes"), ("s", "MB"), strict=True
        ):
            _growth(axes, sizes, [point[key] for point in points], unit if column == 0 else "")
        all_axes[1, column].set_xlabel(what, fontsize=9)
    return figure


def _growth(axes: Axes, sizes: list[float], values: list[float], unit: str) -> None:
    axes.plot(sizes, values, "o-", color=OURS)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.15 * max(values))
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=7)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.set_ylabel(unit)
    axes.spines[["top", "right"]].set_visible(False)


def _seconds(seconds: float) -> str:
    if seconds >= 1000:
        return f"{seconds:,.0f} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def main() -> None:
    """Writes the page, its charts, and README's table."""
    measured, kept = rows(), contest.RESULTS / "growth.json"
    growth = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
    text = [HEAD, *machines(measured), "", "![Ratios](speed.svg)", "", *table(measured), ""]
    if lines := missed(measured):
        text += [MISSED + "\n".join(lines), ""]
    if lines := without_aims(measured):
        text += [WITHOUT_AIMS + "\n".join(lines), ""]
    text += [SCALES + "\n".join(scales(measured, growth and growth["growth"])), ""]
    save_figure(ratios_chart(measured), FOLDER / "speed.svg")
    if growth is not None:
        text += [LONGER, f"Machine: {growth['machine']}.", ""]
        save_figure(growth_chart(growth["growth"]), FOLDER / "growth.svg")
    (FOLDER / "speed.md").write_text("\n".join(text), encoding="utf-8")
    before, _, after = README.read_text(encoding="utf-8").partition(README_HEAD)
    after = after.partition("\n\n")[2]
    README.write_text(f"{before}{chr(10).join(readme(measured))}\n\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
