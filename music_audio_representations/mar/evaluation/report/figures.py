"""The report's drawings, as SVG that takes its colours from the page."""

import io

from matplotlib import rc_context
from matplotlib.figure import Figure

from mar.training import logs

_INK = "#010203"  # replaced by the page's own colour of text


def losses(run):
    """The losses of a pre-training run by step."""
    with rc_context({"text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK,
                     "xtick.color": _INK, "ytick.color": _INK}):  # fmt: skip
        figure = Figure(figsize=(4.6, 2.8), layout="constrained")
        axes = figure.subplots()
        records = logs.read(run)
        for part, style in (("train", "-"), ("validation", "o--")):
            points = [(r["step"], r["loss"]) for r in records if r["part"] == part]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=part, markersize=4)
        axes.set(xlabel="step", ylabel="loss")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return svg(figure)


def svg(figure):
    """A figure as an SVG element without background; text stays text."""
    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "mar"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    element = text.getvalue()
    return element[element.index("<svg") :].replace(_INK, "currentColor")
