"""Tables of any tasks and models: scores, deviations over the probes' seeds, paired differences.

A folder of results holds `<task>/<model>/`, as `mar.probe` writes them. Runs with other seeds of
the probe lie beside it, in `seeds/<n>/<task>/<model>/`.
"""

import dataclasses
import itertools
import logging
import math
import pathlib

import numpy as np

from mar.errors import InputError
from mar.probing import metrics, results
from mar.reporting.formats import Cell, Table, known, number, with_best_bold

SEEDS = "seeds"
NAMES = {
    "map": "mean average precision",
    "roc-auc": "ROC-AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "weighted": "weighted key score",
    "weighted_both_fifths": "weighted key score, both fifths",
    "r2": "R²",
    "r2_v": "R² of valence",
    "r2_a": "R² of arousal",
}
_UNBALANCED = 1.5  # rate of the most frequent class, times the number of classes
_GUESS = "constant guess"
_ABOUT_GUESS = (
    "Constant guess: the same prediction for every item, the labels' frequencies (or the mean) in "
    "the test set; for accuracy, the rate of the most frequent class."
)


@dataclasses.dataclass(frozen=True)
class Line:
    """One metric of one model on one task.

    Attributes:
        task, metric, model: names.
        value: on the test set.
        interval: `(low, high)`, its 95 % bootstrap interval over test items, or None.
        seeds: the value of every run, those with other seeds of the probe after the first.
        guess: what the same prediction for every item scores, the labels' frequencies (or the mean)
            in the test set: for accuracy the rate of the most frequent class. NaN where the
            predictions were not kept.
    """

    task: str
    metric: str
    model: str
    value: float
    interval: tuple | None
    seeds: list
    guess: float


def read(folder, tasks=None, models=None):
    """Every metric of every run in a folder of results.

    Args:
        folder: of results.
        tasks: names, in the order to be shown; None for all that are there.
        models: names, in the order to be shown; None for all that are there.

    Returns:
        `Line`s by task, metric and model.

    Raises:
        InputError: there is none.
    """
    lines = []
    for task, runs in _runs(folder, tasks, models).items():
        found = {model: results.read_run(run) for model, run in runs.items()}
        guesses = _guesses(next(iter(runs.values())))
        names = dict.fromkeys(name for run in found.values() for name in run["test"])
        for metric, (model, run) in itertools.product(names, found.items()):
            score = run["test"].get(metric)
            if score is None:
                continue  # measured by an older version
            lines.append(
                Line(
                    *(task, metric, model, _value(score)),
                    known(score["low"], score["high"]),
                    [_value(score), *_other_seeds(folder, task, model, metric)],
                    guesses.get(metric, math.nan),
                )
            )
    return lines


def scores(lines):
    """A table with a row for each `Line`, the best of each task and metric in bold."""
    rows = []
    for (task, metric), group in _by_column(lines).items():
        cells = [[number(line.value, interval=line.interval)] for line in group]
        for line, (score,) in zip(group, with_best_bold(cells), strict=True):
            names = (task, NAMES.get(metric, metric), line.model)
            deviation = np.std(line.seeds, ddof=1) if len(line.seeds) > 1 else None
            count = Cell(str(len(line.seeds)), float(len(line.seeds)))
            over_seeds = number(np.mean(line.seeds)), number(deviation), count
            rows.append([*map(Cell, names), score, *over_seeds, number(line.guess)])
    caption = (
        "Scores on the test set [95 % bootstrap interval over its items]; mean and standard "
        "deviation over the seeds of the probe. Bold: within 0.01 of the best of the task."
    )
    columns = [
        "Task",
        "Metric",
        "Model",
        "Score",
        "Mean",
        "Deviation",
        "Seeds",
        _GUESS.capitalize(),
    ]
    return Table("scores", "Scores", caption, columns, rows, [_ABOUT_GUESS])


def overview(lines):
    """A table with a row for each model and a column for each of the `headlines`."""
    shown = headlines(lines)
    rows = []
    for model in dict.fromkeys(line.model for line in lines):
        cells = [
            number(found[model].value, interval=found[model].interval) if model in found else Cell()
            for found in shown.values()
        ]
        rows.append([Cell(model), *cells])
    rows = with_best_bold(rows)
    guesses = (next(iter(found.values())).guess for found in shown.values())
    rows.append([Cell(_GUESS), *map(number, guesses)])
    caption = (
        "Scores on the test sets [95 % bootstrap interval over their items]. Bold: within 0.01 of "
        "the best of the column."
    )
    return Table("overview", "Overview", caption, ["Model", *shown], rows, [_ABOUT_GUESS])


def headlines(lines):
    """What stands for each task: its first metric; and the balanced accuracy where one class is
    more than half again as frequent as it would be among equal ones.

    Returns:
        `{"task, metric": {model: Line}}`.
    """
    columns = _by_column(lines)
    first = {task: metric for task, metric in reversed(columns)}
    shown = {}
    for (task, metric), group in columns.items():
        unbalanced = (
            metric == "balanced_accuracy"
            and columns[task, "accuracy"][0].guess > _UNBALANCED * group[0].guess
        )
        if metric == first[task] or unbalanced:
            name = f"{task}, {NAMES.get(metric, metric)}"
            shown[name] = {line.model: line for line in group}
    return shown


def differences(folder, tasks=None, models=None, progress=None):
    """A table of the differences of every two models, on the same resamples of the test set.

    Args:
        folder: of results.
        tasks: names, in the order to be shown; None for all that are there.
        models: names, in the order to be shown; None for all that are there.
        progress: function of a task and a model, called before its resamples are scored.

    Returns:
        A `Table`; its notes tell of runs that were not tested on the same items.

    Raises:
        InputError: there is no result.
    """
    rows, notes = [], []
    for task, runs in _runs(folder, tasks, models).items():
        tested = {}
        for model, run in runs.items() if len(runs) > 1 else ():
            if progress:
                progress(task, model)
            try:
                tested[model] = results.score_again(run)
            except InputError as error:
                notes.append(f"Left out: {error}")
        for first, second in itertools.combinations(tested, 2):
            try:
                found = results.compare(tested[first], tested[second])
            except InputError as error:
                notes.append(f"Left out: {error}")
                continue
            for metric, (difference, low, high) in found.items():
                cell = number(difference, interval=known(low, high), bold=not low <= 0 <= high)
                names = task, NAMES.get(metric, metric), first, second
                rows.append([*map(Cell, names), cell])
    caption = (
        "Differences of models on the same test items [95 % paired bootstrap interval]. Bold: the "
        "interval excludes zero."
    )
    columns = ["Task", "Metric", "First", "Second", "First − second"]
    return Table("differences", "Differences", caption, columns, rows, notes)


def _runs(folder, tasks, models):
    """`{task: {model: folder}}` of what is there."""
    folder = pathlib.Path(folder)
    there = sorted({path.parent.parent.name for path in folder.glob("*/*/result.json")})
    found = {}
    for task in tasks or there:
        names = models or sorted(path.parent.name for path in (folder / task).glob("*/result.json"))
        runs = {name: folder / task / name for name in names}
        runs = {name: run for name, run in runs.items() if (run / "result.json").exists()}
        if runs:
            found[task] = runs
    if not found:
        wanted = f" of {', '.join(tasks or models)}" if tasks or models else ""
        raise InputError(
            f"{folder}: expected results{wanted} as TASK/MODEL/result.json, which mar.probe "
            f"writes, found none"
        )
    return found


def _guesses(run):
    """What a constant prediction scores on a run's test items, by metric; empty if not kept."""
    result = results.read_run(run)
    try:
        _, targets, _ = results.read_predictions(run)
    except InputError as error:
        logging.getLogger("mar").warning("%s", error)
        return {}
    constant = np.broadcast_to(targets.mean(axis=0), targets.shape)
    found = metrics.evaluate(result["kind"], targets, constant, result["labels"], resamples=0)
    return {name: score.value for name, score in found.items()}


def _other_seeds(folder, task, model, metric):
    paths = pathlib.Path(folder).glob(f"{SEEDS}/*/{task}/{model}/result.json")
    return [_value(results.read_run(path.parent)["test"][metric]) for path in sorted(paths)]


def _value(score):
    """Undefined is null in JSON."""
    return math.nan if score["value"] is None else score["value"]


def _by_column(lines):
    """Lines by `(task, metric)`."""
    columns = {}
    for line in lines:
        columns.setdefault((line.task, line.metric), []).append(line)
    return columns
