"""Ranking metrics without each of their items."""

import numpy as np


def without_each(target: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and ROC-AUC of one label without each item in turn.

    Scores .9 .7 .7 .2 of targets 1 0 1 0. Average precision is (1/1 + 2/3) / 2. Without the first
    item it is 1/2; without the second, (1/1 + 2/2) / 2; without the third, 1/1.

    Args:
        target: 0/1 `(items,)` with at least one of each.
        score: `(items,)`.

    Returns:
        Two float64 `(items,)`, NaN where no positive or no negative item is left.
    """
    # Items of one score are a group, the best group first: how many it has, and positive ones.
    _, group = np.unique(-score, return_inverse=True)
    is_true = target.astype(np.float64)
    true, items = np.bincount(group, is_true), np.bincount(group).astype(np.float64)
    true_so_far, items_so_far = true.cumsum(), items.cumsum()
    total, negatives = true_so_far[-1], len(target) - true_so_far[-1]
    left, negatives_left = total - is_true, negatives - (1 - is_true)

    one_less = np.maximum(items_so_far - 1, 1)
    above = _before(true * true_so_far / items_so_far)[group]
    here = ((true[group] - is_true) * (true_so_far[group] - is_true)) / one_less[group]
    below = (
        _behind(true * true_so_far / one_less)[group] - is_true * _behind(true / one_less)[group]
    )
    # A positive item wins over the negative ones below it, and half over those level with it.
    false = items - true
    wins = np.where(target, (_behind(false) + false / 2)[group], (_before(true) + true / 2)[group])
    with np.errstate(divide="ignore", invalid="ignore"):
        average = (above + here + below) / left
        area = (wins[target == 1].sum() - wins) / (left * negatives_left)
    undefined = (left == 0) | (negatives_left == 0)
    return np.where(undefined, np.nan, average), np.where(undefined, np.nan, area)


def _before(values):
    """Sums of what stands before each of `(n,)`."""
    return values.cumsum() - values


def _behind(values):
    """Sums of what stands behind each of `(n,)`."""
    return values[::-1].cumsum()[::-1] - values
