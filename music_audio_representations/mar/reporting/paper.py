"""Tables 1 to 4 of the paper, with our own results beside the published ones.

The published numbers are data, `paper_results.csv`: one row per table, source, task and metric, the
value as printed, its reference and its footnote, which begin with their marks.
"""

import csv
import dataclasses
import importlib.resources
import io
import itertools
import os
import pathlib
import re

import pandas as pd

from mar.embedding.model_names import published_as
from mar.probing.mlp import MLP
from mar.probing.published import METRICS as PUBLISHED_METRICS
from mar.probing.published import read_table
from mar.probing.results import Results, refuse_earlier_layout, run_folders
from mar.reporting.comparison import runs_by_model
from mar.reporting.formats import Cell, Table, interval_of, number, with_best_bold
from mar.tasks import TASKS
from mar.util import shipped

_SHORT_NAMES = {
    "map": "mAP",
    "roc-auc": "ROC",
    "accuracy": "Acc",
    "weighted": "W. Acc",
    "r2_v": "R² valence",
    "r2_a": "R² arousal",
}
_CLOSE = "Bold: within 0.01 of the best of the column."
_MEASURED = "Measured here: (difference from the published value above it) [95 % interval]."
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
    def marks(self) -> str:
        """Marks of its footnote and, unless the row is named by it, of its reference."""
        reference = self.reference.split(" ")[0]
        beside = "" if not reference or reference in self.source else f" {reference}"
        return self.note.split(" ")[0] + beside


def published(table: int) -> list[Published]:
    """The `Published` entries of a table, 1, 3 or 4, in its order."""
    source = importlib.resources.files("mar.reporting") / "paper_results.csv"
    rows = csv.DictReader(io.StringIO(source.read_text(encoding="utf-8"), newline=""))
    entries = [Published(table=int(row.pop("table")), **row) for row in rows]
    return [entry for entry in entries if entry.table == table]


def measured(folder: str | os.PathLike) -> pd.DataFrame:
    """Scores of the paper's tasks in a folder of results.

    Args:
        folder: of runs, see `mar.Results`; those of a task of one's own that is called as one of
            the paper's are left out. Of a task that has none there, the scores in the layout in
            which the paper's were published, `<folder>/<task>/<metric>.csv`, are taken.

    Returns:
        The columns `model`, `source`: which of the paper's it is, or None; `task`, `metric`,
        `value`, `low`, `high`: of the run of the lowest seed; and `incomparable`: None, or a
        sentence on why it does not compare with the paper's.

    Raises:
        InputError: a file is not what it should be.
    """
    folder = pathlib.Path(folder)
    refuse_earlier_layout(folder)
    runs = runs_by_model(Results(folder)) if run_folders(folder) else {}
    rows: list[dict] = []
    for name in dict.fromkeys(row.task for row in published(1)):
        if name in runs:
            protocol = TASKS[name].protocol
            of_paper = [r for r in runs[name].values() if r.facts["protocol"] == protocol]
            rows += itertools.chain.from_iterable(map(_scores_of_run, of_paper))
        else:
            rows += _scores_in_published_layout(folder / name, TASKS[name])
    columns = ["model", "source", "task", "metric", "value", "low", "high", "incomparable"]
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    return table.astype({name: float for name in ("value", "low", "high")})


def _scores_of_run(run):
    missing = run.facts["missing"]
    problem = f"{run.model}, {run.task}: {missing} items had no embedding." if missing else None
    source = published_as(run.facts["embeddings"])
    for metric, score in run.facts["test"].items():
        address = {"model": run.model, "source": source, "task": run.task, "metric": metric}
        yield {**address, **score, "incomparable": problem}


def _scores_in_published_layout(folder, task):
    sources = {_plain(row.source): row.source for row in published(3)}
    for path in sorted(folder / f"{name}.csv" for name in PUBLISHED_METRICS):
        if not path.exists():
            continue
        scores = read_table(path)
        fewer = scores.labels and len(scores.labels) < task.labels
        problem = f"{task.name}: {len(scores.labels)} of its {task.labels} labels."
        metric = {"precision": "accuracy"}.get(scores.metric, scores.metric)
        for model, value in zip(scores.models, scores.aggregates.tolist(), strict=True):
            source = sources.get(_plain(model))
            address = {"model": model, "source": source, "task": task.name, "metric": metric}
            yield {**address, "value": value, "incomparable": problem if fewer else None}


def table1() -> Table:
    """Table 1: what the tasks are, from their descriptions, beside the paper's numbers."""
    printed = {(row.task, row.metric): row.value for row in published(1)}
    rows = []
    for name in dict.fromkeys(task for task, _ in printed):
        task = TASKS[name]
        splits = [task.counts.get(split) for split in ("train", "valid", "test")]
        total = task.counts.get("total") or (sum(splits) if None not in splits else None)
        counts = [_count(value) for value in (total, *splits, task.labels)]
        paper = [printed[name, metric] for metric in ("items", "labels", "seconds", "hours")]
        rows.append([Cell(name), Cell(printed[name, "task"]), *counts, *map(Cell, paper)])
    columns = [
        *("Dataset", "Task", "Items", "Train", "Valid", "Test", "Labels"),
        *("Paper: items", "Paper: labels", "Paper: avg. secs", "Paper: hours"),
    ]
    caption = (
        "Evaluation data sets: what their official files hold, where that is known, and the "
        "paper's numbers."
    )
    return Table("table1", "Table 1", caption, columns, rows)


def table2(configs: str | os.PathLike | None = None) -> Table:
    """Table 2: the probes, from their configurations.

    Args:
        configs: folder of `<task>.yaml`; None for those that are shipped.

    Raises:
        ConfigError: one is missing or is not a probe's configuration.
    """
    rows = []
    for name in dict.fromkeys(row.task for row in published(1)):
        task = TASKS[name]
        if configs is None:
            path = shipped.configuration(f"probe/{task.probe or name}")
        else:
            path = pathlib.Path(configs) / f"{name}.yaml"
        mlp = MLP.load(path)
        cells = _layers(mlp), f"{_dropout(mlp)}", f"{mlp.batch_size}"
        rows.append([Cell(name), *map(Cell, cells), Cell(task.constraint or "None")])
    columns = ["Dataset", "Layers", "Dropout", "Batch", "Constraint"]
    caption = "Probes: hidden layers, dropout, batch size, and whose parameter ranges are kept to."
    return Table("table2", "Table 2", caption, columns, rows)


def table3(folder: str | os.PathLike | None = None) -> Table:
    """Table 3: the published values, and those measured if there is a folder of results."""
    return _scores(3, folder)


def table4(folder: str | os.PathLike | None = None) -> Table:
    """Table 4: the published values, and those measured if there is a folder of results."""
    return _scores(4, folder)


def _scores(table, folder):
    entries = published(table)
    columns = list(dict.fromkeys((row.task, row.metric) for row in entries))
    printed: dict = {(row.source, row.task, row.metric): row for row in entries}
    ours = measured(folder).itertuples() if folder else []
    ours = [row for row in ours if (row.task, row.metric) in columns]
    scores = {(row.model, row.source, row.task, row.metric): row for row in ours}
    models = dict.fromkeys((row.model, row.source) for row in ours)
    rows = []
    for source in [*dict.fromkeys(row.source for row in entries), None]:
        if source:
            cells = [_printed_cell(printed.get((source, *column))) for column in columns]
            rows.append([Cell(source), *cells])
        for model in [model for model, of_paper in models if of_paper == source]:
            cells = [
                _measured_cell(scores.get((model, source, *column)), printed.get((source, *column)))
                for column in columns
            ]
            rows.append([Cell(f"{model} (measured)"), *cells])
    notes = [_MEASURED] if ours else []
    notes += dict.fromkeys(row.incomparable for row in ours if row.incomparable)
    notes += dict.fromkeys(row.note for row in entries if row.note)
    references = {row.reference for row in entries if row.reference}
    ordered = sorted(references, key=lambda text: int(re.findall(r"\d+", text)[0]))
    notes.append(f"The paper's references: {'; '.join(ordered)}.")
    header = ["Model", *(f"{task} {_SHORT_NAMES[metric]}" for task, metric in columns)]
    rows = with_best_bold(rows)
    return Table(f"table{table}", f"Table {table}", _CAPTIONS[table], header, rows, notes)


def _printed_cell(row):
    return Cell("-") if row is None else Cell(row.value, float(row.value), row.marks)


def _measured_cell(score, row):
    """Empty where it was not run."""
    if score is None:
        return Cell()
    difference = None if row is None else score.value - float(row.value)
    interval = interval_of(score.low, score.high)
    return number(score.value, difference=difference, interval=interval)


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
