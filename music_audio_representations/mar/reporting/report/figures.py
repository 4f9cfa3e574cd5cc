"""The report's drawings, as SVG that takes its colour of lines and text from the page."""

import io

from matplotlib import rc_context
from matplotlib.figure import Figure

from mar.training import logs

_INK = "#010203"  # replaced by the page's own colour of text
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")


def svg(draw, *arguments):
    """A figure as an SVG element without background, whose text stays text.

    Args:
        draw: returns a matplotlib `Figure`.
        *arguments: of it.
    """
    text = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": "mar", "axes.facecolor": "none"}
    with rc_context({**dict.fromkeys(_INKED, _INK), **settings}):
        figure = draw(*arguments)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    element = text.getvalue()
    return element[element.index("<svg") :].replace(_INK, "currentColor")


def losses(run):
    """The losses of a pre-training run by step."""
    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.subplots()
    records = logs.read(run)
    for part, style in (("train", "-"), ("validation", "o--")):
        points = [(r["step"], r["loss"]) for r in records if r["part"] == part]
        if points:
            name = {"train": "training"}.get(part, part)
            axes.plot(*zip(*points, strict=True), style, label=name, markersize=4)
    axes.set(xlabel="step", ylabel="loss")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
