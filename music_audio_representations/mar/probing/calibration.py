"""Probabilities that mean something, and what is decided with them.

A probe's outputs rank items; how sure it says to be is another matter, which a calibration tells.
`mar.probing.fitting` makes both from a validation set.
"""

import dataclasses
from typing import Literal

import numpy as np

from mar.probing.dense import expit, softmax

EXCLUSIVE = ("multiclass", "key")  # kinds of tasks whose labels are classes
Method = Literal["none", "temperature", "platt", "isotonic"]
BINS, BIN_ITEMS = 15, 50  # of reliability: so many at most, and so many items in each at least


@dataclasses.dataclass(frozen=True)
class Calibration:
    """From logits to probabilities.

    Attributes:
        exclusive: whether labels are classes, one of which is right.
        methods: how each label was calibrated.
        slopes: float64 `(labels,)`, of the logits.
        intercepts: float64 `(labels,)`.
        curves: by label, float64 `(2, knots)`: logits, rising, and their probabilities.
    """

    exclusive: bool
    methods: tuple[Method, ...]
    slopes: np.ndarray
    intercepts: np.ndarray
    curves: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """float64 `(items, labels)` probabilities of logits of that shape."""
        scaled = logits * self.slopes + self.intercepts
        if self.exclusive:
            return softmax(scaled)
        probabilities = expit(scaled)
        for label, (knots, values) in self.curves.items():
            probabilities[:, label] = np.interp(logits[:, label], knots, values)
        return probabilities


def uncalibrated(labels: int, exclusive: bool) -> Calibration:
    """What a probe's own outputs say."""
    methods: tuple[Method, ...] = tuple("none" for _ in range(labels))
    return Calibration(exclusive, methods, np.ones(labels), np.zeros(labels))


@dataclasses.dataclass(frozen=True)
class Rule:
    """How logits become probabilities, and these decisions.

    Attributes:
        calibration: of the logits.
        thresholds: from which probability on each label is given, see `mar.probing.fitting`.
    """

    calibration: Calibration
    thresholds: np.ndarray

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Which labels are given, bool `(items, labels)`, of probabilities of that shape.

        Of classes at most one, none where that is not known.
        """
        given = probabilities >= self.thresholds
        return given & most_probable(probabilities) if self.calibration.exclusive else given


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """Which class of each item is the most probable one, bool `(items, labels)`."""
    return np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]


# ------------------------------------------------------------------------------------ reliability


def reliability(
    probabilities: np.ndarray, targets: np.ndarray, exclusive: bool, bins: int | None = None
) -> np.ndarray:
    """How often what was said with some probability was right.

    Of classes the most probable one counts, of other labels each. Bins hold equally many.

    Args:
        probabilities: `(items, labels)`.
        targets: 0/1 `(items, labels)`.
        exclusive: whether labels are classes.
        bins: how many; None for as many as items make worth it.

    Returns:
        float64 `(bins, 3)`: mean probability, share that is right, and how many; rising.
    """
    if exclusive:
        said = probabilities.max(axis=1)
        right = targets[np.arange(len(targets)), probabilities.argmax(axis=1)]
    else:
        said, right = probabilities.ravel(), targets.ravel()
    bins = bins or int(np.clip(len(said) // BIN_ITEMS, 1, BINS))
    order = np.argsort(said, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return np.array([(said[part].mean(), right[part].mean(), len(part)) for part in parts])


def calibration_error(bins: np.ndarray) -> float:
    """Expected calibration error of `reliability`: the mean difference of its two columns."""
    return float(np.average(np.abs(bins[:, 0] - bins[:, 1]), weights=bins[:, 2]))
