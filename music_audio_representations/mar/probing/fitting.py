"""The calibration and the thresholds that a validation set leads to.

One temperature is fitted for classes (Guo et al. 2017, "On calibration of modern neural networks");
for each label of its own, Platt's sigmoid, and where there is enough, an isotonic curve (Zadrozny
and Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates").
"""

import dataclasses
from typing import Literal

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_expit, log_softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import precision_recall_curve

from mar.errors import ConfigError
from mar.probing.calibration import EXCLUSIVE, Calibration, Rule, uncalibrated

FEWEST = 10  # validation items with a label, and as many without, that Platt's sigmoid is fitted to
FEWEST_OF_CLASSES = 50  # validation items that a temperature is fitted to
ENOUGH = 1000  # validation items with a label, and as many without, for an isotonic curve
EVEN = 0.5  # a guess below it is more likely wrong than right


def fitted(logits: np.ndarray, targets: np.ndarray, exclusive: bool) -> Calibration:
    """The calibration that fits a validation set; of labels with too few items, none.

    Args:
        logits: `(items, labels)`.
        targets: 0/1 `(items, labels)`.
        exclusive: whether labels are classes.
    """
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


def check_aim(kind: str, aim: Aim) -> None:
    """Raises a ConfigError where a recall is asked of a task of classes, or either of values.

    Args:
        kind: of the task.
        aim: what thresholds are chosen for.
    """
    if kind in EXCLUSIVE and aim.measure == "recall":
        raise ConfigError(
            "recall: expected a precision for classes, of which each item gets at most one"
        )
    if kind == "regression" and aim.measure != "f1":
        raise ConfigError(f"{aim.measure}: expected none for values, which are not decided on")


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
    """
    labels = targets.shape[1]
    if not exclusive:
        return np.array(
            [_threshold(p, t, aim) for p, t in zip(probabilities.T, targets.T, strict=True)]
        )
    if aim.measure == "f1":
        return np.full(labels, EVEN)
    right = targets[np.arange(len(targets)), probabilities.argmax(axis=1)]
    return np.full(labels, _threshold(probabilities.max(axis=1), right, aim))


def _threshold(probabilities, target, aim):
    """That of one label; infinite where no item has it, or none reaches the aim."""
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


def rule(kind: str, logits: np.ndarray, targets: np.ndarray, aim: Aim) -> Rule | None:
    """The rule that a validation set leads to; none for values.

    Args:
        kind: of the task.
        logits: `(items, labels)` of the validation set.
        targets: of these.
        aim: what the thresholds are chosen for, see `check_aim`.
    """
    if kind == "regression":
        return None
    exclusive = kind in EXCLUSIVE
    calibration = fitted(logits, targets, exclusive)
    return Rule(calibration, thresholds(calibration(logits), targets, exclusive, aim))
