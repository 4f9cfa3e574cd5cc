"""The floor beside a probe: the nearest neighbours of each item, of which nothing is trained."""

from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import normalize

from mar.probing import results
from mar.probing.metrics import Score
from mar.probing.probe import Examples


def neighbours(items: int) -> int:
    """How many neighbours are asked: the square root of the number of training items."""
    return max(1, round(items**0.5))


def vote(training: Examples, others: Examples) -> np.ndarray:
    """Mean targets of each item's nearest training items, the nearer the more.

    Nearest by the cosine: of unit vectors it has the order of their distances.

    Args:
        training: the training `Examples`.
        others: of which items.

    Returns:
        float64 `(others, labels)`: shares of the votes, or values.
    """
    known = _unit_means(training)
    nearest = KNeighborsRegressor(neighbours(len(known)), weights="distance", algorithm="brute")
    nearest.fit(known, training.targets.astype(np.float64))
    return nearest.predict(_unit_means(others))


def _unit_means(examples):
    """The mean embedding of each item, of length 1; float32 `(items, dimensions)`."""
    features = np.asarray(examples.features, np.float32)
    if examples.items is not None:
        sums = np.zeros((len(examples.targets), features.shape[1]), np.float32)
        np.add.at(sums, examples.items, features)
        features = sums
    return normalize(features)


def floor_facts(items: int, scores: dict[str, Score]) -> dict[str, Any]:
    """What a result says of the floor: `neighbours`, and `test`, its `{metric: value}`.

    Args:
        items: for training.
        scores: of the votes.
    """
    values = {name: results.or_none(score.value) for name, score in scores.items()}
    return {"neighbours": neighbours(items), "test": values}
