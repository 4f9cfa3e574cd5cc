"""Differences of two runs of one task, on the same halves of the test set."""

import dataclasses

from mar.errors import InputError
from mar.probing import metrics
from mar.probing.results import Run


@dataclasses.dataclass(frozen=True)
class Tested:
    """What a run predicted, scored on halves of the test set that runs share.

    Attributes:
        run: the `Run`.
        ids: of the test items.
        scores: `{metric: Score}`.
    """

    run: Run
    ids: list[str]
    scores: dict[str, metrics.Score]


def score_again(run: Run, resamples: int = 1000, seed: int = 0) -> Tested:
    """Scores the predictions of a run anew.

    Args:
        run: the `Run`.
        resamples: random halves of the test set.
        seed: of them.

    Raises:
        InputError: its predictions cannot be read, or are of the first of several repetitions,
            while its scores are means over them.
    """
    if (repeats := (run.facts.get("turns") or {}).get("repeats", 1)) > 1:
        raise InputError(
            f"{run.task}, {run.model}: its few items were tested {repeats} times over; such scores "
            f"are not compared item by item"
        )
    ids, targets, predictions = run.predictions()
    scores = metrics.evaluate(
        run.facts["kind"], targets, predictions, run.facts["labels"], resamples, seed
    )
    return Tested(run, ids.tolist(), scores)


def compare(first: Tested, second: Tested) -> dict[str, tuple[float, float, float]]:
    """Differences of two runs of one task, on the same random halves of the test set.

    Args:
        first: of one run.
        second: of the other, with as many halves of the same seed.

    Returns:
        `{metric: (difference, low, high)}`: first minus second and its 95 % interval.

    Raises:
        InputError: the runs were not tested on the same items.
    """
    items = [(side.run.task, side.ids, side.run.facts["labels"]) for side in (first, second)]
    if items[0] != items[1]:
        raise InputError(
            f"{first.run.folder} and {second.run.folder}: expected runs of one task on the same "
            f"test items, found {first.run.task} with {len(first.ids)} and {second.run.task} with "
            f"{len(second.ids)}"
        )
    differences = {}
    for metric, score in first.scores.items():
        other = second.scores[metric]
        differences[metric] = score.value - other.value, *metrics.difference(score, other)
    return differences
