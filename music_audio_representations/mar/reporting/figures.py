"""Figures of the paper and of results: functions return one, `save_figure` writes it."""

import io
import itertools
import os
import pathlib
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from mar.errors import InputError
from mar.probing.results import COUNTS, Run
from mar.reporting.comparison import metric_name
from mar.util.atomic import whole

_LABELS_SHOWN = 15  # to either side
_HATCHES = ("", "//", "..", "xx", "--")  # so that bars differ in grey
_HALO = [Stroke(linewidth=3, foreground="white"), Normal()]  # before bars of any shade
_INK = "#010203"  # replaced by the page's own colour of text
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_METADATA = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}


def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure as SVG, PNG or PDF by its suffix; equal figures become equal files."""
    path = pathlib.Path(path)
    kind = path.suffix[1:]
    if kind not in _METADATA:
        raise InputError(f"{path}: expected a name that ends in .svg, .png or .pdf")
    with whole(path) as unfinished, rc_context({"svg.hashsalt": "mar"}):
        figure.savefig(unfinished, format=kind, dpi=150, metadata=_METADATA[kind])


def inline_svg(draw: Callable[..., Figure], *arguments: object) -> str:
    """A figure as an SVG element whose lines and text have the colour of the page's text.

    It has no background, and its text stays text.

    Args:
        draw: returns the figure.
        *arguments: of it.
    """
    text = io.StringIO()
    settings: dict[Any, Any] = dict.fromkeys(_INKED, _INK)
    settings |= {"svg.fonttype": "none", "svg.hashsalt": "mar", "axes.facecolor": "none"}
    with rc_context(settings):
        figure = draw(*arguments)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    element = text.getvalue()
    return element[element.index("<svg") :].replace(_INK, "currentColor")


def plot_label_density(counts: dict[str, np.ndarray]) -> Figure:
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


def plot_tasks(headlines: pd.DataFrame) -> Figure:
    """Every model's score on every task, with 95 % intervals, and what a constant guess scores.

    Args:
        headlines: as `mar.reporting.headlines` returns them.
    """
    columns = list(dict.fromkeys(zip(headlines["task"], headlines["metric"], strict=True)))
    models = headlines["model"].unique()
    share = 0.8 / len(models)
    width = max(6.0, 1.2 + len(columns) * (0.5 + 0.22 * len(models)))
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    axes = figure.subplots()
    place = headlines.groupby(["task", "metric"], sort=False).ngroup()
    rank = headlines["model"].map({model: rank for rank, model in enumerate(models)})
    bars = headlines.assign(centre=place + (rank - (len(models) - 1) / 2) * share)
    handles = [*_draw_scores(axes, bars, models, share), _draw_guesses(axes, headlines)]
    names = ["\n".join(textwrap.fill(part, 18) for part in (t, metric_name(m))) for t, m in columns]
    axes.set_xticks(range(len(names)), names, fontsize="small", parse_math=False)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_ylabel("score on the test set")
    axes.spines[["top", "right"]].set_visible(False)
    _draw_legend(figure, handles)
    return figure


def _draw_legend(figure, handles):
    """A legend above the axes; one of matplotlib's own leaves out names that begin with `_`."""
    names, drawn = zip(*handles, strict=True)
    style = {"loc": "outside upper center", "ncols": len(names), "frameon": False}
    legend = figure.legend(drawn, map(str, range(len(names))), **style)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)


def _draw_scores(axes, bars, models, share):
    """Draws the bars of each model and their intervals; returns `(name, what is drawn)` of each."""
    handles = []
    for model, hatch in zip(models, itertools.cycle(_HATCHES), strict=False):
        ours = bars[bars["model"] == model]
        style = {"hatch": hatch, "edgecolor": "white", "linewidth": 0, "label": model}
        handles.append((model, axes.bar(ours["centre"], ours["value"], 0.9 * share, **style)))
    intervals = bars.dropna(subset=["low", "high"])
    if len(intervals):
        style = {"color": "k", "linewidth": 1, "path_effects": _HALO}
        ends = (intervals[name] for name in ("centre", "low", "high"))
        handles.append(("95 % interval", axes.vlines(*ends, **style)))
    return handles


def _draw_guesses(axes, headlines):
    """Draws a dashed line across the bars of each task and metric; returns its name and one."""
    for place, guess in enumerate(headlines.drop_duplicates(["task", "metric"])["guess"]):
        ends = [place - 0.45, place + 0.45]
        (dashes,) = axes.plot(ends, [guess] * 2, "k--", linewidth=1, path_effects=_HALO)
    return "constant guess", dashes


def plot_labels(first: Run, second: Run) -> Figure:
    """What each of two models is better at: their scores by label.

    Args:
        first: one run.
        second: another, on the same task.

    Raises:
        InputError: the runs have different labels, or no scores by label.
    """
    labels = first.per_label["label"].tolist()
    if labels != second.per_label["label"].tolist():
        raise InputError(f"{first.folder} and {second.folder}: expected runs with the same labels")
    metric = label_metric(first)
    if metric is None:
        raise InputError(f"{first.folder}: expected scores by label, found none")
    scores = np.array([run.per_label[metric] for run in (first, second)])
    defined = np.flatnonzero(np.isfinite(scores).all(axis=0))
    differences = scores[0] - scores[1]
    order = defined[np.argsort(differences[defined], kind="stable")]
    if len(order) > 2 * _LABELS_SHOWN:
        order = np.concatenate([order[:_LABELS_SHOWN], order[-_LABELS_SHOWN:]])
    figure = Figure(figsize=(10, max(3.6, 1 + 0.2 * len(order))), layout="constrained")
    bars, square = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _draw_square(square, scores[:, defined], [first.model, second.model], metric)
    colours = ["C0" if differences[label] > 0 else "C1" for label in order]
    bars.barh(range(len(order)), differences[order], color=colours)
    names = [textwrap.shorten(str(labels[label]), 32, placeholder="…") for label in order]
    bars.set_yticks(range(len(order)), names, fontsize="small", parse_math=False)
    bars.axvline(0, color="0.5", linewidth=0.8)
    difference = f"{metric}: {first.model} − {second.model}"
    bars.set_xlabel(f"{difference}\n(to the right, {first.model} is better)", parse_math=False)
    bars.spines[["top", "right"]].set_visible(False)
    shown = "" if len(order) == len(defined) else f": the {_LABELS_SHOWN} at either end"
    title = f"{first.task}, {len(defined)} labels{shown}"
    figure.suptitle(title, x=0.01, ha="left", parse_math=False)
    return figure


def label_metric(run: Run) -> str | None:
    """The metric by which a run's labels are compared; None where it has no scores by label."""
    left_out = ("label", *COUNTS)
    return next((name for name in run.per_label if name not in left_out), None)


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
