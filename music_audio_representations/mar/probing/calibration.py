"""Probabilities that mean something, and what is decided with them.

A probe's outputs rank items; how sure it says to be is another matter. On the validation set one
temperature is fitted for classes (Guo et al. 2017, "On calibration of modern neural networks"); for
each label of its own, Platt's sigmoid, and where there is enough, an isotonic curve (Zadrozny and
Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates").
"""

import dataclasses
from typing import Literal

import numpy as np

from mar.errors import ConfigError
from mar.probing.dense import expit, softmax

EXCLUSIVE = ("multiclass", "key")  # kinds of tasks whose labels are classes
Method = Literal["none", "temperature", "platt", "isotonic"]
FEWEST = 10  # validation items with a label, and as many without, that Platt's sigmoid is fitted to
FEWEST_OF_CLASSES = 50  # validation items that a temperature is fitted to
ENOUGH = 1000  # validation items with a label, and as many without, for an isotonic curve
EVEN = 0.5  # a guess below it is more likely wrong than right
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


def fitted(logits: np.ndarray, targets: np.ndarray, exclusive: bool) -> Calibration:
    """The calibration that fits a validation set; of labels with too few items, none.

    Args:
        logits: `(items, labels)`.
        targets: 0/1 `(items, labels)`.
        exclusive: whether labels are classes.
    """
    from sklearn.isotonic import IsotonicRegression

    items, labels = targets.shape
    plain = uncalibrated(labels, exclusive)
    if exclusive:
        if items < FEWEST_OF_CLASSES:
            return plain
        slopes = np.full(labels, 1 / _temperature(logits, targets))
        return dataclasses.replace(plain, methods=("temperature",) * labels, slopes=slopes)
    methods, slopes, intercepts = list(plain.methods), plain.slopes.copy(), plain.intercepts.copy()
    curves = {}
    for label in range(labels):
        column, target = logits[:, label], targets[:, label]
        fewer = min(target.sum(), items - target.sum())
        if fewer >= FEWEST:
            methods[label] = "platt"
            slopes[label], intercepts[label] = _platt(column, target)
        if fewer >= ENOUGH:
            methods[label] = "isotonic"
            curve = IsotonicRegression(y_min=1e-6, y_max=1 - 1e-6).fit(column, target)
            curves[label] = np.stack([curve.X_thresholds_, curve.y_thresholds_])
    return Calibration(exclusive, tuple(methods), slopes, intercepts, curves)


def _temperature(logits, targets):
    """The T that makes the right classes most likely under softmax(logits / T)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    true = targets.argmax(axis=1)[:, None]

    def loss(log_temperature):
        log_probabilities = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -np.take_along_axis(log_probabilities, true, axis=1).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def _platt(logits, target):
    """Slope and intercept of Platt's sigmoid (1999), whose targets are held off 0 and 1.

    Of 3 items with the label and 1 without, they are 4 / 5 and 1 / 3. The slope stays positive, so
    that items keep their order.
    """
    from scipy.optimize import minimize
    from scipy.special import log_expit

    positives, negatives = target.sum(), (1 - target).sum()
    aims = np.where(target > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters):
        scaled = np.exp(parameters[0]) * logits + parameters[1]
        return -(aims * log_expit(scaled) + (1 - aims) * log_expit(-scaled)).mean()

    start = [0.0, float(np.log(positives / negatives))]
    log_slope, intercept = minimize(
        loss, start, method="L-BFGS-B", bounds=[(-7, 7), (None, None)]
    ).x
    return np.exp(log_slope), intercept


# -------------------------------------------------------------------------------------- decisions


@dataclasses.dataclass(frozen=True)
class Aim:
    """What thresholds are chosen for, on the validation set.

    Attributes:
        measure: "f1", the best there is; "precision" or "recall", at least `value` of it, and as
            much of the other as that leaves.
        value: of precision or recall.
    """

    measure: Literal["f1", "precision", "recall"] = "f1"
    value: float | None = None

    def __post_init__(self) -> None:
        if self.measure != "f1" and not (self.value is not None and 0 < self.value <= 1):
            raise ConfigError(f"{self.measure}: expected more than 0, at most 1, got {self.value}")


def thresholds(
    probabilities: np.ndarray, targets: np.ndarray, exclusive: bool, aim: Aim
) -> np.ndarray:
    """From which probability on a label is given.

    Of classes only the most probable one is given, and nothing where it is below its threshold: by
    default where it is more likely wrong than right (Chow 1970, "On optimum recognition error and
    reject tradeoff").

    Args:
        probabilities: `(items, labels)` of the validation set.
        targets: 0/1 `(items, labels)`.
        exclusive: whether labels are classes.
        aim: of the choice.

    Returns:
        float64 `(labels,)`; infinite where no threshold reaches the aim.

    Raises:
        ConfigError: a recall is asked of classes.
    """
    labels = targets.shape[1]
    if not exclusive:
        return np.array(
            [_threshold(p, t, aim) for p, t in zip(probabilities.T, targets.T, strict=True)]
        )
    if aim.measure == "recall":
        raise ConfigError(
            "recall: expected a precision for classes, of which each item gets at most one"
        )
    if aim.measure == "f1":
        return np.full(labels, EVEN)
    right = targets[np.arange(len(targets)), probabilities.argmax(axis=1)]
    return np.full(labels, _threshold(probabilities.max(axis=1), right, aim))


def _threshold(probabilities, target, aim):
    """That of one label; infinite where no item has it, or none reaches the aim."""
    from sklearn.metrics import precision_recall_curve

    if not target.any():
        return np.inf
    precision, recall, values = precision_recall_curve(target, probabilities)
    precision, recall = precision[:-1], recall[:-1]  # the last point has no threshold
    if aim.measure == "precision":
        reached = np.flatnonzero(precision >= aim.value)
        return values[reached[0]] if len(reached) else np.inf  # the lowest one
    if aim.measure == "recall":
        return values[np.flatnonzero(recall >= aim.value)[-1]]  # the highest one
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
    return values[f1.argmax()]


@dataclasses.dataclass(frozen=True)
class Rule:
    """How logits become probabilities, and these decisions.

    Attributes:
        calibration: of the logits.
        thresholds: see `thresholds`.
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


def rule(kind: str, logits: np.ndarray, targets: np.ndarray, aim: Aim) -> Rule | None:
    """The rule that a validation set leads to; none for values.

    Args:
        kind: of the task.
        logits: `(items, labels)` of the validation set.
        targets: of these.
        aim: what the thresholds are chosen for.

    Raises:
        ConfigError: a recall is asked of classes.
    """
    if kind == "regression":
        return None
    exclusive = kind in EXCLUSIVE
    calibration = fitted(logits, targets, exclusive)
    return Rule(calibration, thresholds(calibration(logits), targets, exclusive, aim))


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
