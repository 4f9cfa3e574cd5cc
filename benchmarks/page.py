"""Writes docs/design/speed.md and its charts from what benchmarks kept in benchmarks/results.

python -m benchmarks.page
"""

import json
import pathlib
import statistics

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from benchmarks import contest

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "design"
OURS, THEIRS = "#1b6ca8", "#9aa5b1"
TRACKS, WINDOWS, BYTES = 10_000_000, 90, 5_859  # of three minutes, every 2 s; a row of means

HEAD = """\
<!-- Written by benchmarks/page.py -->
# How fast it is

`make benchmarks` measures every row again. Contestants take turns in one run, so that other work
on the machine slows all of them alike; a ratio is the median over the turns, with its range.
Above 1, the other one takes longer than `mar`. Where a limit is named, the share says how near
`mar` comes to what the machine can do: products of matrices of that type, of as many operations.
"""
SCALES = """\
## How it scales

What ten million tracks of three minutes take, computed from the rows above, with a window every two
seconds. Decoding and log-mel are less than the network, and not in it.

| What | Takes |
|---|--:|
"""
LONGER = """\
## How it grows

Seconds and peak memory of a process for each size (`python -m benchmarks.growth`).

![Seconds grow linearly with each size; memory stays](growth.svg)
"""


def rows() -> dict[str, contest.Row]:
    """All kept rows, by name."""
    paths = sorted(contest.RESULTS.glob("*.json"))
    return {path.stem: contest.Row.load_from(path) for path in paths if path.stem != "growth"}


def table(measured: dict[str, contest.Row]) -> list[str]:
    """A line of Markdown for each contestant beside ours."""
    lines = [
        "| What | `mar` | Beside it | Ratio | Aim |",
        "|---|--:|---|--:|--:|",
    ]
    for row in measured.values():
        what, ours = row.what, _seconds(statistics.median(row.seconds[row.ours]))
        if row.ours != "mar":
            what += f" ({row.ours})"
        if row.megabytes:
            ours += f", {row.megabytes[row.ours]:,.0f} MB"
        if row.limit:
            share = statistics.median(row.ratios(row.limit))
            what += f"; {share:.0%} of the limit ({row.limit})"
        for name in row.seconds:
            if name in (row.ours, row.limit):
                continue
            ratios = row.ratios(name)
            memory = f", {row.megabytes[name]:,.0f} MB" if name in row.megabytes else ""
            ratio = f"{statistics.median(ratios):.3g} ({min(ratios):.3g}–{max(ratios):.3g})"
            aim = f"{row.aims[name]:.3g}" if name in row.aims else ""
            lines.append(f"| {what} | {ours} | {name}{memory} | {ratio} | {aim} |")
            what = ours = ""
    return lines


def machines(measured: dict[str, contest.Row]) -> list[str]:
    """A sentence for each machine and its rows' loads."""
    lines = []
    for machine in sorted({row.machine for row in measured.values()}):
        loads = [load for row in measured.values() if row.machine == machine for load in row.load]
        lines.append(
            f"Machine: {machine}. Load while measured: {min(loads):.0f} to {max(loads):.0f}."
        )
    return lines


def scales(measured: dict[str, contest.Row]) -> list[str]:
    """What a large catalogue takes."""
    lines = []
    for name in ("forward-float32", "forward-bfloat16"):
        row = measured[name]
        rate = (row.work or 0) / statistics.median(row.seconds[row.ours])
        hours = TRACKS * WINDOWS / rate / 3600
        lines.append(f"| Embedding, hours of this machine ({row.ours}) | {hours:,.0f} |")
    lines.append(f"| Mean embeddings on disk, GB | {TRACKS * BYTES / 1e9:,.0f} |")
    return lines


def ratios_chart(measured: dict[str, contest.Row]) -> Figure:
    """Ratios as bars, each with its range and a mark at its aim."""
    bars = [
        (f"{row.what}\n{name}", row.ratios(name), row.aims.get(name))
        for row in measured.values()
        for name in row.seconds
        if name not in (row.ours, row.limit) and name in row.aims
    ]
    figure = Figure((8, 0.62 * len(bars) + 0.8), layout="constrained")
    axes = figure.subplots()
    for place, (_, ratios, aim) in enumerate(bars):
        middle = statistics.median(ratios)
        axes.barh(place, middle, 0.55, color=OURS if aim and middle >= aim else THEIRS)
        axes.plot([min(ratios), max(ratios)], [place, place], color="black", linewidth=1)
        axes.plot(aim, place, "|", color="crimson", markersize=18, markeredgewidth=2)
    axes.set_yticks(range(len(bars)), [text for text, *_ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.6)
    axes.set_xlabel("times as long as mar (median and range; red: the aim)")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def growth_chart(growth: dict[str, list[dict[str, float]]]) -> Figure:
    """Seconds and memory by size, two small plots for each."""
    figure = Figure((9, 4.6), layout="constrained")
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
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def main() -> None:
    """Writes the page and its charts."""
    measured = rows()
    text = [HEAD, *machines(measured), "", "![Ratios](speed.svg)", "", *table(measured), ""]
    if {"forward-float32", "forward-bfloat16"} <= {*measured}:
        text += [SCALES + "\n".join(scales(measured)), ""]
    ratios_chart(measured).savefig(FOLDER / "speed.svg", metadata={"Date": None})
    kept = contest.RESULTS / "growth.json"
    if kept.exists():
        growth = json.loads(kept.read_text(encoding="utf-8"))
        text += [LONGER, f"Machine: {growth['machine']}.", ""]
        growth_chart(growth["growth"]).savefig(FOLDER / "growth.svg", metadata={"Date": None})
    (FOLDER / "speed.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
