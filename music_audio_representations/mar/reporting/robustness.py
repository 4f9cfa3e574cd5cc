"""What deformed copies of music cost: a row for each kind of copy.

A cosine tells whether a copy would be found again. Embeddings of all music have much in common, so
that plain cosines are high whatever is compared; centred ones, with the mean embedding of the
originals taken off, are those of what tells music apart. A loss is how much lower a probe scores on
the copies than on the originals.
"""

import math
import os
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from mar.embedding.robustness import ORIGINAL, Kind
from mar.embedding.store import Embeddings
from mar.errors import ConfigError, InputError
from mar.probing import metrics
from mar.probing.head import Head
from mar.reporting.comparison import metric_name
from mar.reporting.formats import Cell, Table, number
from mar.tasks import Task

_LOWEST = 0.05  # of the files, that are below the second cosine
_EXACT = 5  # digits of cosines that are to be 1
_CAPTION = (
    "Cosine of copies to their originals: mean over files, and that which 5 % of them are below; "
    "centred: with the mean embedding of the originals taken off. Loss: score on the originals, "
    "less that on the copies."
)
_ABOUT_PROMISED = "✓: the same audio in another way, whose cosine is to be 1."


def measure(
    folder: str | os.PathLike,
    chosen: Sequence[Kind],
    heads: Mapping[str, tuple[Head, Task]] | None = None,
    files: Collection[str] | None = None,
) -> pd.DataFrame:
    """What became of each kind of copy.

    Args:
        folder: of the data sets that `mar.embedding.robustness.embed` wrote.
        chosen: the kinds.
        heads: by name, with the task on whose test items each is scored.
        files: paths of those that are measured; None for all that the data sets have.

    Returns:
        A row for each kind: `copy`, `about`, `promised`, `files`, `cosine`, `cosine_low`,
        `centred`, `centred_low`, and for each head and its first metric the `loss NAME METRIC`.

    Raises:
        ConfigError: a head reads single windows.
        InputError: a data set is not there or has none of the files, or a head is for other
            embeddings.
    """
    heads = heads or {}
    originals = Embeddings(pathlib.Path(folder, ORIGINAL))
    wanted = [path for path in originals.paths if files is None or path in files]
    if not wanted:
        raise InputError(f"{folder}: expected embeddings of the files, found none of them")
    centre = originals.means(wanted).mean(axis=0)
    rows = []
    for kind in chosen:
        copies = Embeddings(pathlib.Path(folder, kind.name))
        paths = [path for path in wanted if path in copies]
        before, after = originals.means(paths), copies.means(paths)
        row = {"copy": kind.name, "about": kind.about, "promised": kind.promised}
        row["files"] = len(paths)
        for name, offset in (("cosine", 0.0), ("centred", centre)):
            cosines = _cosines(before - offset, after - offset)
            row |= {name: cosines.mean(), f"{name}_low": np.quantile(cosines, _LOWEST)}
        for name, (head, task) in heads.items():
            row |= _losses(name, head, task, originals, copies, paths)
        rows.append(row)
    return pd.DataFrame(rows)


def robustness_table(measured: pd.DataFrame) -> Table:
    """The table of what `measure` found, but for the originals themselves."""
    losses = [name for name in measured if name.startswith("loss ")]
    cosines = ["cosine", "cosine_low", "centred", "centred_low"]
    rows = []
    for row in measured[measured["copy"] != ORIGINAL].to_dict("records"):
        shown = [
            Cell(f"{row[name]:.{_EXACT}f}", row[name]) if row["promised"] else number(row[name])
            for name in cosines
        ]
        mark = " ✓" if row["promised"] else ""
        counted = Cell(str(row["files"]), float(row["files"]))
        lost = [number(row[name]) for name in losses]
        rows.append([Cell(f"{row['about']}{mark}"), counted, *shown, *lost])
    columns = ["Copy", "Files", "Cosine", "5 %", "Centred", "5 %", *map(_loss_name, losses)]
    return Table("robustness", "Robustness", _CAPTION, columns, rows, [_ABOUT_PROMISED])


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """float64 `(n,)` of two `(n, dimensions)`."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.maximum(lengths, np.finfo(float).tiny)


def _losses(name, head, task, originals, copies, paths):
    """`{"loss NAME METRIC": value}` of the task's first metric, on test items with both."""
    if head.reads_windows:
        raise ConfigError(f"{name}: expected a head of mean embeddings, got one of single windows")
    located, measured = task.locate(paths), {*paths}
    rows = [row for row in task.rows("test") if located[row] in measured]
    metric = task.metrics[0]
    if not rows:  # as where two shards are compared on their first files
        return {f"loss {name} {metric}": math.nan}
    scores = []
    for embeddings in (originals, copies):
        said = head.probabilities(embeddings.means([located[row] for row in rows]))
        evaluated = metrics.evaluate(task.kind, task.targets[rows], said, task.labels, 0)
        scores.append(evaluated[metric].value)
    return {f"loss {name} {metric}": scores[0] - scores[1]}


def _loss_name(column: str) -> str:
    _, name, metric = column.split(" ", 2)
    return f"{name}: loss of {metric_name(metric)}"
