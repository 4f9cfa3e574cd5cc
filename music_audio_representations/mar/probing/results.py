"""Results on disk, one reader for the published tables and our own.

A run writes `results/<task>/<model>/`: `result.json`, `per_label.csv`, `predictions.npz` and the
trained `probe.keras`. From all runs of a task follow `results/<task>/{map,roc-auc,…}.csv`, in the
layout in which the paper's were published: rows are models, columns labels, then the aggregate.
"""

import csv
import dataclasses
import io
import json
import math
import pathlib
import re

import numpy as np

from mar.errors import InputError
from mar.probing import metrics
from mar.util.atomic import make_folder, whole

PRECISION_AGGREGATE = "precision_micro_class_micro_update"
_LABEL_COLUMNS = {
    "map": re.compile(r"map_(.*)"),
    "roc-auc": re.compile(r"roc-auc_(.*)"),
    "precision": re.compile(r"precision_class_<?(.*?)>?_micro"),
}
TABLES = ("map", "roc-auc", "precision", "weighted", "r2_a", "r2_v", "r2")


@dataclasses.dataclass(frozen=True)
class Table:
    """One metric of several models.

    Attributes:
        metric: "map", "roc-auc", "precision", "weighted", "r2_a", "r2_v" or "r2".
        models: names of the rows.
        labels: names of the label columns, perhaps none.
        values: `(models, labels)`, NaN where undefined.
        aggregates: `(models,)`: of its own column, or else the mean of the defined values.
    """

    metric: str
    models: list
    labels: list
    values: np.ndarray
    aggregates: np.ndarray


def read_table(path):
    """Reads a table, published or our own; its name says which metric it holds.

    Raises:
        InputError: it is not one.
    """
    path = pathlib.Path(path)
    try:
        header, *rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a table of results: {error}") from None
    metric = path.stem
    if metric not in TABLES or "model-name" not in header:
        raise InputError(
            f"{path}: expected a column model-name in a table named {', '.join(TABLES)}.csv"
        )
    pattern, labels, columns, aggregate = _LABEL_COLUMNS.get(metric), [], [], None
    for column, name in enumerate(header):
        if name in ("", "model-name"):
            continue
        if name in (metric, PRECISION_AGGREGATE):
            aggregate = column
        elif pattern and (match := pattern.fullmatch(name)):
            labels.append(match[1])
            columns.append(column)
        else:
            raise InputError(f"{path}: expected columns of {metric} by label, found {name!r}")
    values = np.array([[_number(row[column]) for column in columns] for row in rows])
    values = values.reshape(len(rows), len(labels))
    if aggregate is not None:
        aggregates = np.array([_number(row[aggregate]) for row in rows])
    else:
        aggregates = np.nanmean(values, axis=1)
    models = [row[header.index("model-name")] for row in rows]
    return Table(metric, models, labels, values, aggregates)


def write_table(table, path):
    """Writes a table in the published layout, its aggregate in the last column."""
    names = [_label_column(table.metric, label) for label in table.labels]
    last = PRECISION_AGGREGATE if table.metric == "precision" else table.metric
    rows = [["", "model-name", *names, last]]
    for index, (model, values, aggregate) in enumerate(
        zip(table.models, table.values, table.aggregates, strict=True)
    ):
        rows.append([index, model, *map(_text, values), _text(aggregate)])
    _write_csv(path, rows)


def write_run(folder, result, scores, labels, arrays):
    """Writes what one run found, `result.json` last.

    Args:
        folder: `results/<task>/<model>`, is made if there is none.
        result: plain data for `result.json`; the test scores are added to it.
        scores: `{metric: Score}` on the test set.
        labels: names of the labels.
        arrays: for `predictions.npz`: `ids`, `targets` and `predictions` of the test items.
    """
    folder = pathlib.Path(folder)
    make_folder(folder)
    with whole(folder / "predictions.npz") as unfinished, open(unfinished, "wb") as file:
        np.savez_compressed(file, **arrays)
    by_label = {
        ("precision" if name == "accuracy" else name): score.per_label
        for name, score in scores.items()
        if score.per_label is not None
    }
    positives = arrays["targets"].sum(axis=0)
    rows = [["label", *by_label, "positives"]]
    for row, label in enumerate(labels):
        rows.append([label, *(_text(v[row]) for v in by_label.values()), _text(positives[row])])
    _write_csv(folder / "per_label.csv", rows)
    test = {
        name: dict(
            zip(("value", "low", "high"), map(_known, (score.value, *score.interval)), strict=True)
        )
        for name, score in scores.items()
    }
    _write_text(folder / "result.json", json.dumps({**result, "test": test}, indent=1))


def read_run(folder):
    """`result.json` of one run."""
    path = pathlib.Path(folder) / "result.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the result of a run: {error}") from None


def read_predictions(folder):
    """`predictions.npz` of one run: ids, targets and predictions of the test items."""
    path = pathlib.Path(folder) / "predictions.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["ids"], arrays["targets"], arrays["predictions"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not the predictions of a run: {error}") from None


def read_per_label(folder):
    """`per_label.csv` of one run: the labels, and `{metric: values}`, NaN where undefined."""
    path = pathlib.Path(folder) / "per_label.csv"
    try:
        header, *rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        columns = {
            name: [_number(row[column]) for row in rows]
            for column, name in enumerate(header)
            if name not in ("label", "positives")
        }
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{path}: not the labels of a run: {error}") from None
    return [row[0] for row in rows], columns


def collect(folder):
    """Derives the tables of one task, `<folder>/<metric>.csv`, from the runs in its sub-folders.

    Returns:
        The `Table`s, by metric.
    """
    folder = pathlib.Path(folder)
    runs = sorted(path.parent for path in folder.glob("*/result.json"))
    found = {}
    for run in runs:
        result = read_run(run)
        labels, per_label = read_per_label(run)
        for name, score in result["test"].items():
            metric = "precision" if name == "accuracy" else name
            if metric in TABLES:
                values = per_label.get(metric) if metric in _LABEL_COLUMNS else None
                entry = (result["model"], labels if values is not None else [], values)
                found.setdefault(metric, []).append((*entry, score["value"]))
    tables = {}
    for metric, entries in found.items():
        models, labels, values, aggregates = zip(*entries, strict=True)
        if any(other != labels[0] for other in labels):
            raise InputError(
                f"{folder}: the runs {', '.join(models)} have different labels; put runs on "
                f"different label sets into different folders"
            )
        values = [[] if row is None else row for row in values]
        array = np.array(values, float).reshape(len(models), len(labels[0]))
        tables[metric] = Table(metric, list(models), labels[0], array, np.array(aggregates))
        write_table(tables[metric], folder / f"{metric}.csv")
    return tables


@dataclasses.dataclass(frozen=True)
class Tested:
    """What a run predicted, scored on resamples of the test set that runs share.

    Attributes:
        folder: of the run.
        task: its name.
        ids: of the test items.
        labels: names of the labels.
        scores: `{metric: Score}`.
    """

    folder: pathlib.Path
    task: str
    ids: list
    labels: list
    scores: dict


def score_again(folder, resamples=1000, seed=0):
    """The `Tested` of a run.

    Args:
        folder: of the run.
        resamples: bootstrap resamples of the test set.
        seed: of them.

    Raises:
        InputError: its result or its predictions cannot be read.
    """
    result = read_run(folder)
    ids, targets, predictions = read_predictions(folder)
    kind, labels = result["kind"], result["labels"]
    scores = metrics.evaluate(kind, targets, predictions, labels, resamples, seed)
    return Tested(pathlib.Path(folder), result["task"], ids.tolist(), labels, scores)


def compare(first, second):
    """Differences of two runs of one task, on the same bootstrap resamples of the test set.

    Args:
        first: `Tested` of one run.
        second: of the other, with as many resamples of the same seed.

    Returns:
        `{metric: (difference, low, high)}`: first minus second and its 95 % interval.

    Raises:
        InputError: the runs were not tested on the same items.
    """
    if (first.task, first.ids, first.labels) != (second.task, second.ids, second.labels):
        raise InputError(
            f"{first.folder} and {second.folder}: expected runs of one task on the same test "
            f"items, found {first.task} with {len(first.ids)} and {second.task} with "
            f"{len(second.ids)}"
        )
    return {
        name: (score.value - other.value, *metrics.difference(score, other))
        for name, score in first.scores.items()
        for other in [second.scores[name]]
    }


def _label_column(metric, label):
    return f"precision_class_<{label}>_micro" if metric == "precision" else f"{metric}_{label}"


def _number(text):
    return float(text) if text else math.nan


def _text(value):
    return "" if math.isnan(value) else repr(float(value))


def _known(value):
    """For JSON, which has no NaN."""
    return None if math.isnan(value) else value


def _write_csv(path, rows):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    _write_text(path, text.getvalue())


def _write_text(path, text):
    with whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
