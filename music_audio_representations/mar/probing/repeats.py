"""Few examples: every item is tested, by what was trained on others, in several random orders.

Of two classes with three items, in two repetitions of three folds:

    items     a a a b b b
    repeat 0  0 2 1 1 0 2     fold 2, the second a and the last b, is tested by what the others
    repeat 1  2 1 0 0 2 1     train; then fold 1, then fold 0
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mar.probing.metrics import QUANTILE, Score
from mar.probing.probe import Examples

Fit = Callable[[Examples, Examples], np.ndarray]  # training, others → what is said of the others


def subset(examples: Examples, chosen: np.ndarray) -> Examples:
    """Some of the items.

    Args:
        examples: of all of them.
        chosen: bool `(items,)`.
    """
    targets, resident = examples.targets[chosen], examples.resident
    if examples.items is None:
        return Examples(examples.features[chosen], targets, None, resident)
    rows, numbers = chosen[examples.items], chosen.cumsum() - 1
    return Examples(examples.features[rows], targets, numbers[examples.items[rows]], resident)


def by_turns(folds: np.ndarray, examples: Examples, fit: Fit) -> np.ndarray:
    """What is said of each item by what was trained without it.

    Args:
        folds: int `(repeats, items)`, see `mar.tasks.base.Items`.
        examples: of all items.
        fit: function of training examples and others → `(others, labels)`.

    Returns:
        float64 `(repeats, items, labels)`.
    """
    said = np.empty((len(folds), *examples.targets.shape))
    for repeat, numbers in enumerate(folds):
        for fold in np.unique(numbers):
            tested = numbers == fold
            said[repeat, tested] = fit(subset(examples, ~tested), subset(examples, tested))
    return said


def mean_scores(of_repeats: Sequence[dict[str, Score]]) -> dict[str, Score]:
    """The means of scores of the same items, on the same random halves of them."""

    def mean(scores):
        of_labels = [score.per_label for score in scores]
        return Score(
            float(np.mean([score.value for score in scores])),
            None if of_labels[0] is None else np.mean(of_labels, axis=0),
            np.mean([score.samples for score in scores], axis=0),
            float(np.mean([score.bias for score in scores])),
            min(score.freedom for score in scores),
        )

    return {name: mean([scores[name] for scores in of_repeats]) for name in of_repeats[0]}


def facts(folds: np.ndarray, found: dict[str, Any], kind: str) -> dict[str, Any]:
    """What a result says otherwise of items that were tested by turns.

    Args:
        folds: see `by_turns`.
        found: the facts as of test items; `test` are the mean scores.
        kind: of the task.
    """
    items = folds.shape[1]
    test = found["test"]
    if kind != "regression":  # whose scores are no shares
        test = {metric: widened(score, items) for metric, score in test.items()}
    turns = {"repeats": len(folds), "folds": len(np.unique(folds))}
    return {"items": {"train": items, "valid": 0, "test": items}, "test": test, "turns": turns}


def widened(score: dict[str, float | None], items: int) -> dict[str, float | None]:
    """A score between 0 and 1, with an interval no narrower than that of a share of few items.

    Random halves of items that are all right know of no wrong one. Of 9 right ones of 9, Wilson's
    interval (1927, "Probable inference, the law of succession, and statistical inference") is 0.70
    to 1.

    Args:
        score: `value`, `low` and `high`; None where undefined.
        items: how many were tested.
    """
    value, low, high = score["value"], score["low"], score["high"]
    if value is None or low is None or high is None:
        return score
    ratio = QUANTILE**2 / items
    centre = (value + ratio / 2) / (1 + ratio)
    width = np.sqrt(ratio * value * (1 - value) + ratio**2 / 4) / (1 + ratio)
    low, high = min(low, centre - width), max(high, centre + width)
    return {"value": value, "low": float(max(low, 0)), "high": float(min(high, 1))}
