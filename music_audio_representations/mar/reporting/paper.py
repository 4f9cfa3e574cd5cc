"""Tables 1 to 4 of the paper, with our own results beside the published ones.

The published numbers are data, `paper_results.csv`: one row per table, source, task and metric, the
value as printed, its reference and its footnote, which begin with their marks.
"""

import csv
import dataclasses
import importlib.resources
import pathlib
import re

from mar.probing import results
from mar.probing.probe import MLP
from mar.reporting.formats import Cell, Table, known, number, with_best_bold
from mar.tasks import TASKS

METRICS = {
    "map": "mAP",
    "roc-auc": "ROC",
    "accuracy": "Acc",
    "weighted": "W. Acc",
    "r2_v": "R² valence",
    "r2_a": "R² arousal",
}
_CLOSE = "Bold: within 0.01 of the best of the column."
_MEASURED = (
    "Measured here: (difference from the published value above it) [95 % bootstrap interval]."
)
_CAPTIONS = {
    3: f"Results on all data sets but those of the MSD and Jam-MT. {_CLOSE}",
    4: f"Results on the annotations of the MSD and on Jam-MT. {_CLOSE} (The paper also has "
    "Musicset-ULarge's MSD50 ROC in bold.)",
}


@dataclasses.dataclass(frozen=True)
class Published:
    """One entry of a table of the paper, as printed."""

    table: int
    source: str
    task: str
    metric: str
    value: str
    reference: str
    note: str

    @property
    def marks(self):
        """Marks of its footnote and, unless the row is named by it, of its reference."""
        reference = self.reference.split(" ")[0]
        beside = "" if not reference or reference in self.source else f" {reference}"
        return self.note.split(" ")[0] + beside


def published(table):
    """The `Published` entries of a table, 1, 3 or 4, in its order."""
    source = importlib.resources.files("mar.reporting") / "paper_results.csv"
    with source.open(encoding="utf-8", newline="") as file:
        rows = [Published(**{**row, "table": int(row["table"])}) for row in csv.DictReader(file)]
    return [row for row in rows if row.table == table]


def counterpart(model):
    """The published model that a model of this name is: `mule`, `musicset_sup`; None if none."""
    name = _plain(model)
    sources = {_plain(row.source): row.source for row in published(3)}
    return sources.get({"mule": "musicsetularge"}.get(name, name))


def measured(folder):
    """Scores of the paper's tasks in a folder of results.

    Args:
        folder: `<folder>/<task>/<model>/result.json`, as `mar.probe` writes them, or else
            `<folder>/<task>/<metric>.csv`, as the paper's were published.

    Returns:
        `{(model, task, metric): (value, interval or None)}`.

    Raises:
        InputError: a file is not what it should be.
    """
    found = {}
    for name in dict.fromkeys(row.task for row in published(1)):
        task = pathlib.Path(folder) / name
        runs = sorted(path.parent for path in task.glob("*/result.json"))
        for run in map(results.read_run, runs):
            for metric, score in run["test"].items():
                interval = known(score["low"], score["high"])
                found[run["model"], name, metric] = score["value"], interval
        paths = [task / f"{metric}.csv" for metric in results.TABLES if not runs]
        for table in map(results.read_table, filter(pathlib.Path.exists, paths)):
            metric = {"precision": "accuracy"}.get(table.metric, table.metric)
            for model, value in zip(table.models, table.aggregates.tolist(), strict=True):
                found[model, name, metric] = value, None
    return found


def incomparable(folder, tasks):
    """Sentences on results that were not obtained on all of a task's items and labels."""
    for name in tasks:
        task = pathlib.Path(folder) / name
        runs = sorted(path.parent for path in task.glob("*/result.json"))
        for run in map(results.read_run, runs):
            if run.get("missing"):
                yield f"{run['model']}, {name}: {run['missing']} items had no embedding."
        paths = [task / f"{metric}.csv" for metric in ("map", "precision") if not runs]
        for table in map(results.read_table, filter(pathlib.Path.exists, paths)):
            if len(table.labels) < TASKS[name].labels:
                yield f"{name}: {len(table.labels)} of its {TASKS[name].labels} labels."


def table1():
    """Table 1: what the tasks are, from their descriptions, beside the paper's numbers."""
    printed = {(row.task, row.metric): row.value for row in published(1)}
    rows = []
    for name in dict.fromkeys(task for task, _ in printed):
        task = TASKS[name]
        splits = [task.counts.get(split) for split in ("train", "valid", "test")]
        total = task.counts.get("total") or (sum(splits) if None not in splits else None)
        known = [_count(value) for value in (total, *splits, task.labels)]
        paper = [printed[name, metric] for metric in ("items", "labels", "seconds", "hours")]
        rows.append([Cell(name), Cell(printed[name, "task"]), *known, *map(Cell, paper)])
    columns = [
        *("Dataset", "Task", "Items", "Train", "Valid", "Test", "Labels"),
        *("Paper: items", "Paper: labels", "Paper: avg. secs", "Paper: hours"),
    ]
    caption = (
        "Evaluation data sets: what their official files hold, where that is known, and the "
        "paper's numbers."
    )
    return Table("table1", "Table 1", caption, columns, rows)


def table2(configs):
    """Table 2: the probes, from their configurations.

    Args:
        configs: folder of `<task>.yaml`.

    Raises:
        ConfigError: one is missing or is not a probe's configuration.
    """
    rows = []
    for name in dict.fromkeys(row.task for row in published(1)):
        task, mlp = TASKS[name], MLP.load(pathlib.Path(configs) / f"{name}.yaml")
        cells = _layers(mlp), f"{_dropout(mlp)}", f"{mlp.batch_size or task.batch}"
        rows.append([Cell(name), *map(Cell, cells), Cell(task.constraint or "None")])
    columns = ["Dataset", "Layers", "Dropout", "Batch", "Constraint"]
    caption = "Probes: hidden layers, dropout, batch size, and whose parameter ranges are kept to."
    return Table("table2", "Table 2", caption, columns, rows)


def table3(folder=None):
    """Table 3: the published values, and those measured if there is a folder of results."""
    return _scores(3, folder)


def table4(folder=None):
    """Table 4: the published values, and those measured if there is a folder of results."""
    return _scores(4, folder)


def _scores(table, folder):
    entries = published(table)
    columns = list(dict.fromkeys((row.task, row.metric) for row in entries))
    printed = {(row.source, row.task, row.metric): row for row in entries}
    found = measured(folder) if folder else {}
    models = dict.fromkeys(model for model, *column in found if tuple(column) in columns)
    lines = []
    for source in [*dict.fromkeys(row.source for row in entries), None]:
        if source:
            cells = [_printed_cell(printed.get((source, *column))) for column in columns]
            lines.append([Cell(source), *cells])
        for model in models:
            if counterpart(model) == source:
                cells = [
                    _measured_cell(found.get((model, *column)), printed.get((source, *column)))
                    for column in columns
                ]
                lines.append([Cell(f"{model} (measured)"), *cells])
    notes = [_MEASURED] if models else []
    notes += incomparable(folder, dict.fromkeys(task for task, _ in columns)) if models else []
    notes += dict.fromkeys(row.note for row in entries if row.note)
    references = {row.reference for row in entries if row.reference}
    ordered = sorted(references, key=lambda text: int(re.findall(r"\d+", text)[0]))
    notes.append(f"The paper's references: {'; '.join(ordered)}.")
    header = ["Model", *(f"{task} {METRICS[metric]}" for task, metric in columns)]
    rows = with_best_bold(lines)
    return Table(f"table{table}", f"Table {table}", _CAPTIONS[table], header, rows, notes)


def _printed_cell(row):
    return Cell("-") if row is None else Cell(row.value, float(row.value), row.marks)


def _measured_cell(score, row):
    """Empty where it was not run."""
    if score is None:
        return Cell()
    value, interval = score
    difference = None if row is None or value is None else value - float(row.value)
    return number(value, difference=difference, interval=interval)


def _layers(mlp):
    widths = mlp.layer_widths
    if not widths:
        return "linear"
    if len(set(widths)) > 1:
        return " + ".join(map(str, widths))
    return f"{len(widths)} × {widths[0]}"


def _dropout(mlp):
    """The highest of its rates: the published probes have one."""
    rates = mlp.input_dropout, mlp.dropout, mlp.output_dropout, *(mlp.layer_dropouts or ())
    return float(max(rate or 0 for rate in rates))


def _count(value):
    return Cell() if value is None else Cell(f"{value:,}", float(value))


def _plain(name):
    return re.sub("[^a-z0-9]", "", name.lower()).replace("supervised", "sup")
