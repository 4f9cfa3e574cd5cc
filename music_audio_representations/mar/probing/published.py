"""Tables of one metric in the layout in which the paper's scores were published.

`<task>/<metric>.csv`: rows are models, columns labels, then the aggregate. Those of our own runs
are written beside them, so that what reads the published ones reads ours.
"""

import csv
import dataclasses
import io
import math
import os
import pathlib
import re

import numpy as np

from mar.errors import InputError
from mar.probing.results import PER_LABEL_METRICS, Run
from mar.util import tables
from mar.util.atomic import whole
from mar.util.text import read_text

METRICS = ("map", "roc-auc", "precision", "weighted", "r2_a", "r2_v", "r2")
_PRECISION_AGGREGATE = "precision_micro_class_micro_update"
_LABEL_COLUMNS = {
    "map": re.compile(r"map_(.*)"),
    "roc-auc": re.compile(r"roc-auc_(.*)"),
    "precision": re.compile(r"precision_class_<?(.*?)>?_micro"),
}


@dataclasses.dataclass(frozen=True)
class PublishedScores:
    """One metric of several models on one task.

    Attributes:
        metric: one of `METRICS`; the aggregate of "precision" is the accuracy.
        models: names of the rows.
        labels: names of the label columns, perhaps none.
        values: `(models, labels)`, NaN where undefined.
        aggregates: `(models,)`: of its own column, or else the mean of the defined values.
    """

    metric: str
    models: list[str]
    labels: list[str]
    values: np.ndarray
    aggregates: np.ndarray


def read_table(path: str | os.PathLike) -> PublishedScores:
    """Reads a table, published or our own; its name says which metric it holds.

    Raises:
        InputError: it is not one.
    """
    path = pathlib.Path(path)
    metric = path.stem
    if metric not in METRICS:
        raise InputError(f"{path}: expected a table named {', '.join(METRICS)}.csv")
    header, numbered = tables.parse(path, read_text(path), ["model-name"], ",")
    rows = []
    for number, row in numbered:
        if len(row) != len(header):
            raise InputError(f"{path}: {tables.ragged(number, row, header)}")
        rows.append(row)
    labels, columns, aggregate = _columns(path, metric, header)
    try:
        values = np.array([[_number(row[column]) for column in columns] for row in rows])
        values = values.reshape(len(rows), len(labels))
        aggregates = (
            np.nanmean(values, axis=1)
            if aggregate is None
            else np.array([_number(row[aggregate]) for row in rows])
        )
    except ValueError as error:
        raise InputError(f"{path}: expected scores: {error}") from None
    models = [row[header.index("model-name")] for row in rows]
    return PublishedScores(metric, models, labels, values, aggregates)


def write_table(table: PublishedScores, path: str | os.PathLike) -> None:
    """Writes a table in the published layout, its aggregate in the last column."""
    names = [_label_column(table.metric, label) for label in table.labels]
    last = _PRECISION_AGGREGATE if table.metric == "precision" else table.metric
    rows: list[list[str | int]] = [["", "model-name", *names, last]]
    for index, (model, values, aggregate) in enumerate(
        zip(table.models, table.values, table.aggregates, strict=True)
    ):
        rows.append([index, model, *map(_text, values), _text(aggregate)])
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    with whole(path) as unfinished:
        unfinished.write_text(text.getvalue(), "utf-8", "backslashreplace")


def write_tables(runs: list[Run], folder: str | os.PathLike) -> list[PublishedScores]:
    """Derives the tables of one task, `<folder>/<metric>.csv`, from its runs.

    A model's row is its run of the lowest seed, so that there is a run with these scores by label:
    means over seeds belong to `Results.scores`.

    Args:
        runs: of one task, of any models and seeds.
        folder: `<results>/<task>`.

    Raises:
        InputError: the runs have different labels.
    """
    folder = pathlib.Path(folder)
    first: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.model, run.seed)):
        first.setdefault(run.model, run)
    runs = list(first.values())
    if any(run.facts["labels"] != runs[0].facts["labels"] for run in runs):
        raise InputError(
            f"{folder}: the runs of {', '.join(first)} have different labels; put runs on "
            f"different labels into different folders of results"
        )
    metrics = dict.fromkeys(metric for run in runs for metric in run.facts["test"])
    tables = []
    for metric in metrics:
        name = PER_LABEL_METRICS.get(metric, metric)
        if name in METRICS:
            tables.append(_table(name, metric, runs))
            write_table(tables[-1], folder / f"{name}.csv")
    return tables


def _table(name: str, metric: str, runs: list[Run]) -> PublishedScores:
    runs = [run for run in runs if metric in run.facts["test"]]
    aggregates = np.array([run.facts["test"][metric]["value"] for run in runs], float)
    labels, values = [], np.empty((len(runs), 0))
    if name in _LABEL_COLUMNS:
        labels = runs[0].facts["labels"]
        values = np.stack([run.per_label[name].to_numpy(float) for run in runs])
    return PublishedScores(name, [run.model for run in runs], labels, values, aggregates)


def _columns(
    path: pathlib.Path, metric: str, header: list[str]
) -> tuple[list[str], list[int], int | None]:
    """The labels, their columns and the column of the aggregate."""
    pattern, labels, columns, aggregate = _LABEL_COLUMNS.get(metric), [], [], None
    for column, name in enumerate(header):
        if name in ("", "model-name"):
            continue
        if name in (metric, _PRECISION_AGGREGATE):
            aggregate = column
        elif pattern and (match := pattern.fullmatch(name)):
            labels.append(match[1])
            columns.append(column)
        else:
            raise InputError(f"{path}: expected columns of {metric} by label, found {name!r}")
    return labels, columns, aggregate


def _label_column(metric: str, label: str) -> str:
    return f"precision_class_<{label}>_micro" if metric == "precision" else f"{metric}_{label}"


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _text(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
