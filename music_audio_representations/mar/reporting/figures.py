"""Figures of the paper and of results. Functions return a matplotlib `Figure`; `save` writes it."""

import pathlib
import textwrap

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from mar.errors import InputError
from mar.probing import results
from mar.util.atomic import whole

_LABELS_SHOWN = 15  # to either side
_HATCHES = ("", "//", "..", "xx", "--")  # so that bars differ in grey
_HALO = [Stroke(linewidth=3, foreground="white"), Normal()]  # before bars of any shade
_METADATA = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}


def save(figure, path):
    """Writes a figure as SVG, PNG or PDF by its suffix; equal figures become equal files."""
    path = pathlib.Path(path)
    kind = path.suffix[1:]
    if kind not in _METADATA:
        raise InputError(f"{path}: expected a name that ends in .svg, .png or .pdf")
    with whole(path) as unfinished, rc_context({"svg.hashsalt": "mar"}):
        figure.savefig(unfinished, format=kind, dpi=150, metadata=_METADATA[kind])


def label_density(counts):
    """The sorted numbers of tracks with each label, linear and logarithmic (Figure 2).

    Args:
        counts: `{data set: number of tracks with each label}`.
    """
    figure = Figure(figsize=(9, 3 * len(counts)), layout="constrained")
    grid = figure.subplots(len(counts), 2, squeeze=False)
    for axes, (name, unsorted) in zip(grid, counts.items(), strict=True):
        ordered = np.sort(unsorted)[::-1]
        for axis, scale in zip(axes, ("linear", "logarithmic"), strict=True):
            axis.stairs(ordered, fill=True)
            axis.set(xlabel="rank of the label by frequency", ylabel="tracks with the label")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.set_title(f"{name}, {scale}", parse_math=False, fontsize="medium")
        if ordered.any():
            axes[1].set(yscale="log", ylim=(0.5, None))
    return figure


def tasks(headlines):
    """Every model's score on every task, with 95 % intervals, and what a constant guess scores.

    Args:
        headlines: `{column: {model: Line}}`, as `mar.reporting.comparison.headlines` has them.
    """
    models = list(dict.fromkeys(model for found in headlines.values() for model in found))
    share = 0.8 / len(models)
    width = max(6.0, 1.2 + len(headlines) * (0.5 + 0.22 * len(models)))
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    axes = figure.subplots()
    handles, intervals = [], []
    for index, model in enumerate(models):
        there = [(x, found[model]) for x, found in enumerate(headlines.values()) if model in found]
        centres = [x + (index - (len(models) - 1) / 2) * share for x, _ in there]
        lines = [line for _, line in there]
        values = [line.value for line in lines]
        style = {"hatch": _HATCHES[index % len(_HATCHES)], "edgecolor": "white", "linewidth": 0}
        handles.append(axes.bar(centres, values, 0.9 * share, label=model, **style))
        intervals += [
            (x, *line.interval) for x, line in zip(centres, lines, strict=True) if line.interval
        ]
    if intervals:
        style = {"color": "k", "linewidth": 1, "path_effects": _HALO}
        handles.append(axes.vlines(*np.transpose(intervals), label="95 % interval", **style))
    for x, found in enumerate(headlines.values()):
        guess = next(iter(found.values())).guess
        (dashes,) = axes.plot(
            [x - 0.45, x + 0.45], [guess] * 2, "k--", linewidth=1, path_effects=_HALO
        )
    dashes.set_label("constant guess")
    names = [
        "\n".join(textwrap.fill(part, 18) for part in name.split(", ", 1)) for name in headlines
    ]
    axes.set_xticks(range(len(names)), names, fontsize="small")
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_ylabel("score on the test set")
    axes.spines[["top", "right"]].set_visible(False)
    handles.append(dashes)
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def per_label(first, second):
    """What each of two models is better at: their scores by label.

    Args:
        first: folder of one run.
        second: folder of another, on the same task.

    Raises:
        InputError: the runs have different labels.
    """
    runs = [results.read_run(folder) for folder in (first, second)]
    (labels, values), (others, other) = map(results.read_per_label, (first, second))
    if labels != others:
        raise InputError(f"{first} and {second}: expected runs with the same labels")
    metric = next(iter(values))
    scores = np.array([values[metric], other[metric]])
    defined = np.flatnonzero(np.isfinite(scores).all(axis=0))
    differences = scores[0] - scores[1]
    order = defined[np.argsort(differences[defined], kind="stable")]
    if len(order) > 2 * _LABELS_SHOWN:
        order = np.concatenate([order[:_LABELS_SHOWN], order[-_LABELS_SHOWN:]])
    figure = Figure(figsize=(10, max(3.6, 1 + 0.2 * len(order))), layout="constrained")
    bars, square = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _draw_square(square, scores[:, defined], [run["model"] for run in runs], metric)
    colours = ["C0" if differences[label] > 0 else "C1" for label in order]
    bars.barh(range(len(order)), differences[order], color=colours)
    names = [textwrap.shorten(str(labels[label]), 32, placeholder="…") for label in order]
    bars.set_yticks(range(len(order)), names, fontsize="small", parse_math=False)
    bars.axvline(0, color="0.5", linewidth=0.8)
    difference = f"{metric}: {runs[0]['model']} − {runs[1]['model']}"
    bars.set_xlabel(f"{difference}\n(to the right, {runs[0]['model']} is better)", parse_math=False)
    bars.spines[["top", "right"]].set_visible(False)
    shown = "" if len(order) == len(defined) else f": the {_LABELS_SHOWN} at either end"
    title = f"{runs[0]['task']}, {len(defined)} labels{shown}"
    figure.suptitle(title, x=0.01, ha="left", parse_math=False)
    return figure


def _draw_square(axes, scores, models, metric):
    """One model's scores over the other's."""
    first, second = scores
    ends = [min(0.0, scores.min(initial=0)), max(1.0, scores.max(initial=1))]
    axes.plot(ends, ends, color="0.7", linewidth=1)
    sides = (first > second, "C0"), (first < second, "C1"), (first == second, "0.5")
    for better, colour in sides:
        axes.scatter(second[better], first[better], s=14, alpha=0.7, color=colour, clip_on=False)
    axes.set_ylabel(f"{metric} of {models[0]}", parse_math=False)
    axes.set_xlabel(f"{metric} of {models[1]}", parse_math=False)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)
