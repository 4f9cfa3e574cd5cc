"""Results of probes: one folder a run, one tidy table of them all.

A run is addressed by task, model and seed. `<results>/<task>/<model>/<seed>/` holds

* `result.json`: the facts of the run (`mar.probing.facts`), with the aggregate scores;
* `per_label.csv`: the scores of each label on the test set, and its `support` there;
* `predictions.npz`: ids, targets and predictions of the test items;
* `config.yaml`: the probe, as it was trained, and `head.safetensors`, to apply it: `mar.Head`;
* `reliability.png`, for classes `confusion.png`; of a search `trials.csv` and `trials.png`, and of
  fewer examples `curve.csv` and `curve.png`.
"""

import contextlib
import csv
import dataclasses
import functools
import glob
import io
import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from mar.errors import InputError
from mar.probing import metrics
from mar.probing.facts import SCORE, check_facts
from mar.util import arrays, plain_data
from mar.util.atomic import make_folder, remove_abandoned, whole
from mar.util.lock import FolderLock
from mar.util.names import check_folder

COLUMNS = (
    *("task", "protocol", "model", "pooling", "seed", "part"),
    *("metric", "label", "value", "low", "high", "items"),
)
# The scores of each label that belong to an aggregate, where they have another name.
PER_LABEL_METRICS = {"accuracy": "precision"}
COUNTS = ("support", "positives")  # test items with a label, by its present and its earlier name


class Predictions(NamedTuple):
    """What a probe predicts of the test items.

    Attributes:
        ids: `(items,)` of text.
        targets: `(items, labels)`: 0/1, one-hot, or values.
        predictions: `(items, labels)`: probabilities, or values.
    """

    ids: np.ndarray
    targets: np.ndarray
    predictions: np.ndarray


# -------------------------------------------------------------------------------------- in memory


def aggregates(scores: dict[str, metrics.Score]) -> dict[str, dict[str, float | None]]:
    """`{metric: {"value", "low", "high"}}` of `{metric: Score}`, undefined ones as None."""
    return {
        metric: dict(zip(SCORE, map(or_none, (score.value, *score.interval)), strict=True))
        for metric, score in scores.items()
    }


def by_label(scores: dict[str, metrics.Score], labels: list[str]) -> pd.DataFrame:
    """A row for each label: `label`, and its scores.

    Args:
        scores: `{metric: Score}` on the test set.
        labels: their names.
    """
    columns = {
        PER_LABEL_METRICS.get(metric, metric): score.per_label
        for metric, score in scores.items()
        if score.per_label is not None
    }
    return pd.DataFrame({"label": labels, **columns})


def tidy(facts: dict, per_label: pd.DataFrame) -> pd.DataFrame:
    """The scores of one run, a row each.

    Args:
        facts: see `mar.probing.facts`.
        per_label: see `by_label`.

    Returns:
        The columns `COLUMNS`. `label` is missing (`isna()`) for the aggregate, `low` and `high`
        are NaN where there is no interval, `items` counts the items of the `part`.
    """
    rows = [("valid", metric, None, value, None, None) for metric, value in facts["valid"].items()]
    for metric, score in facts["test"].items():
        rows.append(("test", metric, None, score["value"], score["low"], score["high"]))
    for metric in per_label.columns.drop(["label", *COUNTS], errors="ignore"):
        rows += [
            ("test", metric, label, value, None, None)
            for label, value in zip(per_label["label"], per_label[metric], strict=True)
        ]
    table = pd.DataFrame(rows, columns=["part", "metric", "label", *SCORE])
    table = table.astype(dict.fromkeys(SCORE, float))
    table["items"] = table["part"].map(facts["items"]).astype(int)
    address = {name: facts[name] for name in COLUMNS if name in facts and name != "items"}
    return table.assign(**address)[list(COLUMNS)]


# ---------------------------------------------------------------------------------------- on disk


@dataclasses.dataclass(frozen=True)
class Run:
    """One run, as it was found on the disk: its facts and scores are whole and checked.

    Attributes:
        folder: `<results>/<task>/<model>/<seed>`.
        facts: what `result.json` says, see `mar.probing.facts`.
        per_label: what `per_label.csv` says, see `by_label`.
    """

    folder: pathlib.Path
    facts: dict
    per_label: pd.DataFrame

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.facts["task"]

    @property
    def model(self) -> str:
        """Name of what made the embeddings."""
        return self.facts["model"]

    @property
    def seed(self) -> int:
        """Of the probe and the search."""
        return self.facts["seed"]

    @property
    def scores(self) -> pd.DataFrame:
        """See `tidy`."""
        return tidy(self.facts, self.per_label)

    def predictions(self) -> Predictions:
        """Reads the predictions of the test items.

        Raises:
            InputError: they are not there, are damaged or do not belong to the result.
        """
        path = self.folder / "predictions.npz"
        try:
            predictions = Predictions(*arrays.read_npz(path, Predictions._fields))
        except FileNotFoundError:
            raise InputError(f"{path}: not the predictions of a run: no such file") from None
        items, labels = self.facts["items"]["test"], len(self.facts["labels"])
        shapes = [array.shape for array in predictions]
        if shapes != [(items,), (items, labels), (items, labels)]:
            raise InputError(
                f"{path}: expected ids, targets and predictions of {items} items and {labels} "
                f"labels, got arrays of {', '.join(map(str, shapes))}"
            )
        return predictions


class Results:
    """All runs in a folder of results.

    Args:
        folder: as `Result.save` and `mar probe` fill it.

    Attributes:
        folder: the same.
        runs: `Run`s, by task, model and seed.

    Raises:
        InputError: there is none, one is damaged or lies where another belongs, or the folder is of
            the layout of version 0.1.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = pathlib.Path(folder)
        refuse_earlier_layout(self.folder)
        self.runs = sorted(
            map(read_run, run_folders(self.folder)), key=lambda run: (run.task, run.model, run.seed)
        )
        if not self.runs:
            raise InputError(
                f"{self.folder}: expected results as TASK/MODEL/SEED/result.json, which mar probe "
                f"writes, found none"
            )

    @functools.cached_property
    def scores(self) -> pd.DataFrame:
        """The scores of all runs, see `tidy`; make a copy to change it."""
        return pd.concat([run.scores for run in self.runs], ignore_index=True)

    def __repr__(self) -> str:
        return f"<Results in {self.folder}: {len(self.runs)} runs>"


def run_folders(folder: str | os.PathLike, task: str | None = None) -> list[pathlib.Path]:
    """Folders of the runs in a folder of results, of all tasks or of one; perhaps none."""
    tasks = "*" if task is None else glob.escape(task)
    paths = pathlib.Path(folder).glob(f"{tasks}/*/*/result.json")
    return sorted(path.parent for path in paths if not path.parent.name.startswith("."))


def refuse_earlier_layout(folder: str | os.PathLike) -> None:
    """Raises an InputError where a folder of results has runs of the layout of version 0.1."""
    folder = pathlib.Path(folder)
    for pattern in ("*/*/result.json", "seeds/*/*/*/result.json"):
        for path in sorted(folder.glob(pattern)):
            raise InputError(
                f"{path}: is a result of version 0.1, which had no folder for each seed; probe "
                f"again (results now are TASK/MODEL/SEED/result.json), with these moved out of "
                f"{folder} or with another --output"
            )


def read_run(folder: str | os.PathLike) -> Run:
    """Reads a run and checks it.

    Args:
        folder: `<results>/<task>/<model>/<seed>`.

    Raises:
        InputError: a file of it is damaged, or it is another run than its folder says.
    """
    folder = pathlib.Path(folder)
    path = folder / "result.json"
    try:
        facts = plain_data.read(path)
    except FileNotFoundError:
        raise InputError(f"{path}: not the result of a run: no such file") from None
    check_facts(path, facts)
    place, address = (
        pathlib.Path(os.path.abspath(folder)).parts[-3:],
        (facts["task"], facts["model"], facts["seed"]),
    )
    if place != tuple(map(str, address)):
        raise InputError(
            f"{path}: is the run of {'/'.join(map(str, address))}, expected that of "
            f"{'/'.join(place)}, where it lies; put it where it belongs"
        )
    return Run(folder, facts, _read_per_label(folder / "per_label.csv", facts["labels"]))


def prepare(folder: str | os.PathLike, task: str, model: str, items_sha256: str) -> pathlib.Path:
    """Makes the folder of the runs of a model on a task: see `writing`."""
    with writing(folder, task, model, items_sha256) as place:
        return place


@contextlib.contextmanager
def writing(
    folder: str | os.PathLike, task: str, model: str, items_sha256: str
) -> Iterator[pathlib.Path]:
    """Makes the folder of the runs of a model on a task; within the block, no other process writes
    results of the task: it waits.

    Args:
        folder: of all results.
        task: name of the task.
        model: name of what made the embeddings.
        items_sha256: of the task, `Task.hash()`.

    Yields:
        `<folder>/<task>/<model>`, in which can be written.

    Raises:
        InputError: it cannot be made, or the folder of results holds what does not go with it.
    """
    check_folder("model", model)
    refuse_earlier_layout(folder)
    place = pathlib.Path(folder) / task / model
    make_folder(place)
    with FolderLock.waiting(place.parent):
        remove_abandoned(place)
        for other in map(read_run, run_folders(folder, task)):
            if other.facts["items_sha256"] != items_sha256:
                raise InputError(
                    f"{place.parent}: holds results of another collection of the name {task}, or "
                    f"of this one with other items or labels; give another --output, or remove it"
                )
        yield place


def write_run(
    folder: str | os.PathLike, facts: dict, per_label: pd.DataFrame, predictions: Predictions
) -> None:
    """Writes what a run found into its folder, which exists: all but the probe itself.

    Raises:
        InputError: the facts are not what `mar.probing.facts` says, or a file cannot be written.
    """
    folder = pathlib.Path(folder)
    check_facts(folder / "result.json", facts)
    with whole(folder / "predictions.npz") as unfinished, open(unfinished, "wb") as file:
        np.savez_compressed(file, **predictions._asdict())
    with whole(folder / "per_label.csv") as unfinished:
        per_label.to_csv(unfinished, index=False, lineterminator="\n", encoding="utf-8")
    text = json.dumps(facts, indent=1, allow_nan=False)
    with whole(folder / "result.json") as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def or_none(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return None if math.isnan(value) else float(value)


def _read_per_label(path: pathlib.Path, labels: list[str]) -> pd.DataFrame:
    """`per_label.csv`, cell by cell: `pandas.read_csv` fills rows up and takes "NA" for nothing."""
    try:
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        columns = dict(zip(header, zip(*rows, strict=True), strict=True))
        names = list(columns.pop("label"))
        scores = {name: [float(cell or "nan") for cell in cells] for name, cells in columns.items()}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(f"{path}: not the labels of a run: {error}") from None
    if names != labels:
        raise InputError(
            f"{path}: expected a row for each of the {len(labels)} labels of its result.json, got "
            f"{names!r:.80}"
        )
    return pd.DataFrame({"label": names, **scores})
