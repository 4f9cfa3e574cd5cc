"""Pictures of one run of a probe: its search, its reliability, and which classes it confuses."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from mar.probing.calibration import EXCLUSIVE
from mar.probing.results import Predictions

_NAMED = 40  # classes whose names fit beside a matrix
_COUNTED = 16  # classes whose counts fit into one


def write(
    folder: pathlib.Path,
    facts: dict,
    predictions: Predictions,
    searched: pd.DataFrame | None,
    by_examples: pd.DataFrame | None,
) -> None:
    """Writes the pictures that a run has, as PNG; equal figures become equal files.

    Args:
        folder: of the run.
        facts: see `mar.probing.facts`.
        predictions: of the test items.
        searched: the trials of the search; None without one.
        by_examples: what fewer examples lead to; None unless asked for.
    """
    figures = {}
    if searched is not None:
        figures["trials"] = trials(searched)
    if by_examples is not None:
        figures["curve"] = curve(by_examples, facts)
    if "decisions" in facts:
        figures["reliability"] = reliability(facts["decisions"]["reliability"])
    if facts["kind"] in EXCLUSIVE:
        figures["confusion"] = confusion(predictions, facts["labels"])
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})


def trials(table: pd.DataFrame) -> Figure:
    """What a search found: each trial, the best so far, and both by learning rate.

    Args:
        table: as `mar.probing.search.search` returns it.
    """
    figure = Figure(figsize=(7.5, 3.0), layout="constrained")
    by_trial, by_rate = figure.subplots(1, 2, sharey=True)
    values = table["value"].replace(-np.inf, np.nan)
    by_trial.plot(table["trial"], values, "o", markersize=4, label="a trial")
    by_trial.step(table["trial"], values.cummax().ffill(), where="post", label="the best so far")
    by_trial.set(xlabel="trial (the first is the configuration as given)", ylabel="validation")
    by_trial.legend(frameon=False)
    by_rate.plot(table["learning_rate"], values, "o", markersize=4)
    by_rate.set(xlabel="learning rate", xscale="log")
    for axes in (by_trial, by_rate):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def curve(table: pd.DataFrame, facts: dict) -> Figure:
    """What more labels bring, in the metric that is optimised, over what can be had without.

    Args:
        table: as `mar.probing.curve.points` returns it.
        facts: see `mar.probing.facts`.
    """
    metric = next(iter(facts["test"]))
    shown = table[table["metric"] == metric]
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(shown["examples"], shown["value"], "o-", markersize=4, label="the probe")
    axes.fill_between(shown["examples"], shown["low"], shown["high"], alpha=0.15, linewidth=0)
    levels = {"nearest neighbours, of all": (facts.get("floor") or {}).get("test", {}).get(metric)}
    levels["the same guess for all"] = facts["constant_guess"].get(metric)
    for (name, value), style in zip(levels.items(), ("--", ":"), strict=True):
        if value is not None:
            axes.axhline(value, color="0.5", linestyle=style, linewidth=1, label=name)
    axes.set(xscale="log", xlabel="examples of a label (the last: all)", ylabel=metric)
    axes.set_xticks(shown["examples"], [str(count) for count in shown["examples"]])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def reliability(bins: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """How often what was said with some probability was right, before and after calibration.

    Args:
        bins: `before` and `after`, each as `mar.probing.calibration.reliability` returns them.
    """
    figure = Figure(figsize=(3.8, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="what is meant")
    for when, style in (("before", "o--"), ("after", "o-")):
        said, right, _ = np.asarray(bins[when]).T
        axes.plot(said, right, style, markersize=4, label=f"{when} calibration")
    axes.set(xlabel="probability that is given", ylabel="share that is right", aspect="equal")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def confusion(predictions: Predictions, labels: Sequence[str]) -> Figure:
    """Which class the items of each class were taken for; shares of each row.

    Args:
        predictions: of the test items.
        labels: names of the classes.
    """
    true, guessed = predictions.targets.argmax(axis=1), predictions.predictions.argmax(axis=1)
    counts = confusion_matrix(true, guessed, labels=np.arange(len(labels)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.2 + min(0.25 * len(labels), 8)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= _COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, count, ha="center", va="center", color=ink, fontsize=7)
    if len(labels) <= _NAMED:
        names = [name if len(name) <= 24 else f"{name[:23]}…" for name in labels]
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8, parse_math=False)
        axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set(xlabel="given", ylabel="true")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure
