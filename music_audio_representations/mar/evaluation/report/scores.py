"""The report's numbers: every task, measure and representation, each with what it stands beside."""

import itertools
import pathlib

import numpy as np

from mar.errors import InputError
from mar.evaluation import metrics, results

NAMES = {
    "supervised": "Supervised",
    "contrastive": "Contrastive",
    "random": "Untrained",
    "logmel_mean": "Mean log-mel",
}
TASKS = ("key", "instrument", "genre", "meter", "tempo", "pitch")
MEASURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "weighted": "key score",
    "r2": "R²",
}
_UNBALANCED = 2.0  # majority rate, times the number of classes


def read(folder):
    """All measures of all tasks of a folder of results, as plain data.

    Args:
        folder: `<task>/<model>/` of the first probe seed, `seeds/<n>/<task>/<model>/` of others.

    Raises:
        InputError: it holds no result, or the runs of a task were tested on different items.
    """
    folder = pathlib.Path(folder)
    names = [name for name in TASKS if (folder / name).is_dir()]
    if not names:
        raise InputError(f"{folder}: holds no results of {', '.join(TASKS)}")
    return [measure for name in names for measure in _measures(folder, name)]


def _measures(folder, task):
    """One entry for each measure of a task."""
    runs = {
        name: folder / task / name
        for name in NAMES
        if (folder / task / name / "result.json").exists()
    }
    if not runs:
        raise InputError(f"{folder / task}: holds no result of {', '.join(NAMES)}")
    found = {name: results.read_run(run) for name, run in runs.items()}
    again = {
        name: [results.read_run(run) for run in sorted(folder.glob(f"seeds/*/{task}/{name}"))]
        for name in runs
    }
    pairs = {
        pair: results.compare(runs[pair[0]], runs[pair[1]])
        for pair in itertools.combinations(runs, 2)
    }
    result = next(iter(found.values()))
    floors = _floors(next(iter(runs.values())), result["kind"], result["labels"])
    for metric in _shown(result["kind"], floors["accuracy"] * len(result["labels"])):
        scores = {name: run["test"][metric] for name, run in found.items()}
        differences = {pair: compared[metric] for pair, compared in pairs.items()}
        yield {
            "task": task,
            "metric": metric,
            "measure": MEASURES[metric],
            "classes": None if metric == "r2" else len(result["labels"]),
            "counts": result["items"],
            "floor": floors[metric],
            "scores": scores,
            "seeds": {
                name: [run["test"][metric]["value"] for run in (found[name], *again[name])]
                for name in runs
            },
            "leading": _leading(scores, differences),
            "differences": differences,
            "reach": max((abs(end) for found in differences.values() for end in found), default=0),
        }


def _shown(kind, imbalance):
    """Metrics of a kind of task."""
    if kind == "regression":
        return ["r2"]
    shown = ["weighted", "accuracy"] if kind == "key" else ["accuracy"]
    return [*shown, "balanced_accuracy"] if imbalance > _UNBALANCED else shown


def _floors(run, kind, labels):
    """What the best constant answer would score on the test items, by metric."""
    with np.load(run / "predictions.npz", allow_pickle=False) as arrays:
        targets = arrays["targets"]
    floors = {"accuracy": float(targets.mean(axis=0).max()), "r2": 0.0}
    floors["balanced_accuracy"] = 1 / np.count_nonzero(targets.any(axis=0))
    if kind == "key":
        true = np.asarray(labels)[targets.argmax(axis=1)]
        floors["weighted"] = max(
            float(metrics.key_points(true, [label] * len(true)).mean()) for label in labels
        )
    return floors


def _leading(scores, differences):
    """The best, and those that its paired interval does not tell from it."""
    best = max(scores, key=lambda name: scores[name]["value"])
    return [
        name
        for name in scores
        if name == best
        or any(low <= 0 <= high for pair, (_, low, high) in differences.items()
               if set(pair) == {name, best})
    ]  # fmt: skip
