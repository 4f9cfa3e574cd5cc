"""Results of any tasks and models side by side: data frames, and the tables that show them.

`summarize` and `differences` make data of a `mar.Results`; the tables are views of these data.
"""

import itertools
import logging
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from mar.errors import InputError
from mar.probing.differences import compare, score_again
from mar.probing.results import Results, Run
from mar.reporting.formats import Cell, Table, interval_of, number, with_best_bold
from mar.tasks import NAMED

METRIC_NAMES = {
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
_KEYS = ["task", "metric", "model"]
_UNBALANCED = 1.5  # rate of the most frequent class, times the number of classes
_GUESS = "constant guess"
_NEIGHBOURS = "Nearest neighbours"
_ABOUT_NEIGHBOURS = (
    "Nearest neighbours: the mean of the nearest training items by the cosine, the square root of "
    "their number, without a probe."
)
_ABOUT_GUESS = (
    "Constant guess: the same prediction for every item, the labels' frequencies (or the mean) in "
    "the test set; for accuracy, the rate of the most frequent class."
)

logger = logging.getLogger("mar")


# ------------------------------------------------------------------------------------------- data


def protocol_notes(tasks: Iterable[str]) -> list[str]:
    """A sentence for each of the tasks whose protocol is not the paper's: why numbers differ."""
    named = [NAMED[task] for task in tasks if task in NAMED]
    return [f"{task.name} ({task.protocol}): {task.differs}" for task in named if task.differs]


def metric_name(metric: str) -> str:
    """What readers know a metric as."""
    return METRIC_NAMES.get(metric, metric)


def runs_by_model(
    results: Results, tasks: Sequence[str] | None = None, models: Sequence[str] | None = None
) -> dict[str, dict[str, Run]]:
    """The run of the lowest seed of every task and model, `{task: {model: Run}}`.

    Args:
        results: what there is.
        tasks: names, in the order to be shown; None for all.
        models: names, in the order to be shown; None for all.

    Raises:
        InputError: there is none of these.
    """
    first: dict[str, dict[str, Run]] = {}
    for run in results.runs:  # by task, model and seed
        first.setdefault(run.task, {}).setdefault(run.model, run)
    selected = {}
    for task in tasks or first:
        runs = first.get(task, {})
        runs = {model: runs[model] for model in models or runs if model in runs}
        if runs:
            selected[task] = runs
    if not selected:
        wanted = ", ".join([*(tasks or []), *(models or [])])
        raise InputError(f"{results.folder}: expected results of {wanted}, found none of these")
    return selected


def selected_scores(
    results: Results, tasks: Sequence[str] | None = None, models: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of `results.scores` that are aggregates on test sets, in the order to be shown.

    Args:
        results, tasks, models: see `runs_by_model`.

    Raises:
        InputError: there is none of these.
    """
    selected = runs_by_model(results, tasks, models)
    places = {
        (task, model): (row, column)
        for row, (task, runs) in enumerate(selected.items())
        for column, model in enumerate(runs)
    }
    scores = results.scores
    scores = scores[(scores["part"] == "test") & scores["label"].isna()]
    kept = [pair in places for pair in _tuples(scores, "task", "model")]
    scores = scores[np.array(kept, bool)]  # a list without entries would select columns
    metrics = {pair: place for place, pair in enumerate(dict.fromkeys(_tuples(scores, *_KEYS[:2])))}
    ordered = [
        (places[task, model][0], metrics[task, metric], places[task, model][1], seed)
        for task, metric, model, seed in _tuples(scores, *_KEYS, "seed")
    ]
    return scores.iloc[sorted(range(len(scores)), key=ordered.__getitem__)].reset_index(drop=True)


def summarize(
    results: Results, tasks: Sequence[str] | None = None, models: Sequence[str] | None = None
) -> pd.DataFrame:
    """What every model scores on every task: one row a task, metric and model.

    Args:
        results, tasks, models: see `runs_by_model`.

    Returns:
        The columns `task`, `metric`, `model`; `value`, `low` and `high`: the score of the run of
        the lowest seed and its 95 % interval over test items; `mean`, `deviation` and
        `seeds`: over the seeds of the probe, and how many, of runs that differ from that one in
        their seed alone; `guess`: what the same prediction for
        every item scores; `neighbours`: what the nearest training items alone score, of which
        nothing is trained. NaN where undefined.

    Raises:
        InputError: there is none of these.
    """
    scores = selected_scores(results, tasks, models)
    first = scores.drop_duplicates(_KEYS)
    alike = _of_seeds_alone(results, tasks, models)
    scores = scores[[key in alike for key in _tuples(scores, "task", "model", "seed")]]
    over_seeds = scores.groupby(_KEYS, sort=False)["value"]
    over_seeds = over_seeds.agg(mean="mean", deviation="std", seeds="size").reset_index()
    summary = first[[*_KEYS, "value", "low", "high"]].merge(over_seeds, on=_KEYS)
    guesses: dict[tuple, float | None] = {}
    neighbours: dict[tuple, float | None] = {}
    for task, runs in runs_by_model(results, tasks, models).items():
        for model, run in runs.items():
            floor = run.facts.get("floor") or {"test": {}}  # windows that exceed memory have none
            for told, of in ((guesses, run.facts["constant_guess"]), (neighbours, floor["test"])):
                told.update({(task, metric, model): value for metric, value in of.items()})
    keys = _tuples(summary, *_KEYS)
    summary["guess"] = [guesses.get(key) for key in keys]
    summary["neighbours"] = [neighbours.get(key) for key in keys]
    return summary.astype({"guess": float, "neighbours": float})


def _of_seeds_alone(results, tasks, models):
    """`(task, model, seed)` of the runs that differ from that of the lowest seed in it alone.

    Another probe, or embeddings that were made otherwise, are another experiment.
    """
    first = runs_by_model(results, tasks, models)
    alike = set()
    for run in results.runs:
        lowest = first.get(run.task, {}).get(run.model)
        if lowest is not None and _experiment(run) == _experiment(lowest):
            alike.add((run.task, run.model, run.seed))
    return alike


def _experiment(run):
    """What a run has in common with those of other seeds; a search finds a probe for each."""
    facts = run.facts
    config = None if facts["trials"] else facts["config_sha256"]
    return facts["embeddings"], bool(facts["trials"]), config


def headlines(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of a summary that stand for each task.

    They are those of its first metric; and of the balanced accuracy where one class is more than
    half again as frequent as it would be among equal ones.

    Args:
        summary: as `summarize` makes it.
    """
    primary = summary.groupby("task", sort=False)["metric"].transform("first")
    accuracy = summary[summary["metric"] == "accuracy"].drop_duplicates("task")
    most_frequent = summary["task"].map(accuracy.set_index("task")["guess"])
    unbalanced = most_frequent > _UNBALANCED * summary["guess"]
    also = (summary["metric"] == "balanced_accuracy") & unbalanced
    return summary[(summary["metric"] == primary) | also].reset_index(drop=True)


def differences(
    results: Results, tasks: Sequence[str] | None = None, models: Sequence[str] | None = None
) -> pd.DataFrame:
    """The differences of every two models, on the same resamples of the test set.

    Args:
        results, tasks, models: see `runs_by_model`.

    Returns:
        The columns `task`, `metric`, `first`, `second`; `difference`, `low` and `high`: of the
        runs of the lowest seed, first minus second, and its 95 % paired interval;
        `problem`: None, or why a run or two cannot be compared, in a row without numbers.

    Raises:
        InputError: there is none of these.
    """
    rows: list[dict] = []
    for task, runs in runs_by_model(results, tasks, models).items():
        tested = {}
        for model, run in runs.items() if len(runs) > 1 else ():
            logger.info("%s: resampling the test items of %s", task, model)
            try:
                tested[model] = score_again(run)
            except InputError as error:
                rows.append({"task": task, "first": model, "problem": str(error)})
        for first, second in itertools.combinations(tested, 2):
            pair: dict = {"task": task, "first": first, "second": second}
            try:
                compared = compare(tested[first], tested[second])
            except InputError as error:
                rows.append(pair | {"problem": str(error)})
                continue
            for metric, (difference, low, high) in compared.items():
                numbers = {"difference": difference, "low": low, "high": high}
                rows.append(pair | {"metric": metric} | numbers)
    columns = [*_KEYS[:2], "first", "second", "difference", "low", "high", "problem"]
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    return table.astype({name: float for name in ("difference", "low", "high")})


# ----------------------------------------------------------------------------------------- tables


def overview_table(summary: pd.DataFrame) -> Table:
    """A row for each model and a column for each of the `headlines` of a summary."""
    shown = headlines(summary)
    columns = dict.fromkeys(_tuples(shown, "task", "metric"))
    cells = {(row.task, row.metric, row.model): _score(row) for row in shown.itertuples()}
    rows = [
        [Cell(model), *(cells.get((*column, model), Cell()) for column in columns)]
        for model in shown["model"].unique()
    ]
    rows = with_best_bold(rows)
    guesses = shown.drop_duplicates(["task", "metric"])["guess"]
    rows.append([Cell(_GUESS), *map(number, guesses)])
    caption = (
        "Scores on the test sets [95 % interval over their items]. Bold: within 0.01 of "
        "the best of the column."
    )
    names = [f"{task}, {metric_name(metric)}" for task, metric in columns]
    notes = [_ABOUT_GUESS, *protocol_notes(shown["task"].unique())]
    return Table("overview", "Overview", caption, ["Model", *names], rows, notes)


def scores_table(summary: pd.DataFrame) -> Table:
    """A table with a row for each row of a summary, the best of each task and metric in bold."""
    rows = []
    for _, group in summary.groupby(["task", "metric"], sort=False):
        scores = with_best_bold([[_score(row)] for row in group.itertuples()])
        for row, (score,) in zip(group.itertuples(), scores, strict=True):
            names = row.task, metric_name(row.metric), row.model
            count = Cell(str(row.seeds), float(row.seeds))
            over_seeds = number(row.mean), number(row.deviation), count
            beside = number(row.neighbours), number(row.guess)
            rows.append([*map(Cell, names), score, *over_seeds, *beside])
    caption = (
        "Scores on the test set [95 % interval over its items]; mean and standard "
        "deviation over the seeds of the probe. Bold: within 0.01 of the best of the task."
    )
    columns = ["Task", "Metric", "Model", "Score", "Mean", "Deviation", "Seeds"]
    columns += [_NEIGHBOURS, _GUESS.capitalize()]
    notes = [_ABOUT_NEIGHBOURS, _ABOUT_GUESS, *protocol_notes(summary["task"].unique())]
    return Table("scores", "Scores", caption, columns, rows, notes)


def differences_table(differences: pd.DataFrame) -> Table:
    """A table of what `differences` found; its notes tell what could not be compared."""
    rows = []
    for row in differences[differences["problem"].isna()].itertuples():
        names = row.task, metric_name(row.metric), row.first, row.second
        excludes_zero = row.low > 0 or row.high < 0
        interval = interval_of(row.low, row.high)
        cell = number(row.difference, interval=interval, bold=excludes_zero)
        rows.append([*map(Cell, names), cell])
    caption = (
        "Differences of models on the same test items [95 % paired interval]. Bold: the "
        "interval excludes zero."
    )
    columns = ["Task", "Metric", "First", "Second", "First − second"]
    notes = [f"Left out: {problem}" for problem in differences["problem"].dropna()]
    return Table("differences", "Differences", caption, columns, rows, notes)


def _score(row):
    """The cell of a summary's row."""
    return number(row.value, interval=interval_of(row.low, row.high))


def _tuples(table: pd.DataFrame, *columns: str) -> list[tuple]:
    """The rows of some columns."""
    return list(zip(*(table[name] for name in columns), strict=True))
