"""What runs logged, read and drawn; needs no TensorFlow."""

import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mar.errors import InputError
from mar.util import plain_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = "metrics.jsonl"
_RECORD = {"step": int, "part": str}


def read(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of `metrics.jsonl`, dictionaries; a last line cut short by a kill is left out.

    Raises:
        InputError: another line is damaged.
    """
    path = pathlib.Path(folder) / METRICS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    try:
        return [plain_data.checked(plain_data.parsed(line), _RECORD) for line in lines[:-1]]
    except ValueError as error:
        raise InputError(f"{path}: a line is damaged: {error}") from None


def draw_losses(runs: Mapping[str, list[dict[str, Any]]]) -> "Figure":
    """The losses of runs by step, of training and of validation.

    Args:
        runs: what `read` returns, by the runs' names; that of a run alone is not shown.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.subplots()
    for number, (name, records) in enumerate(runs.items()):
        prefix = f"{name}, " if len(runs) > 1 else ""
        for part, label, style in (("train", "training", "-"), ("validation", "validation", "o--")):
            losses = [(r["step"], r["loss"]) for r in records if r["part"] == part]
            if losses:
                (line,) = axes.plot(*zip(*losses, strict=True), style, label=prefix + label)
                line.set_markersize(4)
                if len(runs) > 1:
                    line.set_color(f"C{number}")
    axes.set(xlabel="step", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False)
    return figure
