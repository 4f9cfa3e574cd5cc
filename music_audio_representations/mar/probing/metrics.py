"""Metrics of the evaluation tasks, and confidence intervals for them.

Point values are scikit-learn's and mir_eval's. Intervals come from what each item contributes: by
how much the value differs without it (the jackknife: Efron and Stein 1981, "The jackknife estimate
of variance"). A bootstrap would have items twice, which ranking metrics take for success.
`benchmarks/intervals.py` has how often these intervals, and those of a bootstrap, hold the
population's value.

Two models are compared on random halves of the items, the same for both: a mean over a random half
varies around that over all items as much as the latter does around that of the population,
variance / items (McCarthy 1969, "Pseudo-replication: half samples").
"""

import dataclasses
from collections.abc import Sequence

import mir_eval
import numpy as np
from scipy.stats import t
from sklearn import metrics as sklearn_metrics

from mar.probing import ranking

QUANTILE = 1.959964  # of the normal distribution, for 95 %
_AT_A_TIME = 50  # halves that are in memory as floats


@dataclasses.dataclass(frozen=True)
class Score:
    """One metric on a test set.

    Attributes:
        value: the aggregate.
        per_label: float64 `(labels,)`, NaN where undefined; None for metrics of whole items.
        samples: float64 `(resamples,)`: the aggregate of each random half of the items, as far as
            items contribute to it one by one.
        bias: by how much the value exceeds that of more and more items, on average.
        freedom: how well the items tell the spread, as a number of Gaussian ones less one.
    """

    value: float
    per_label: np.ndarray | None
    samples: np.ndarray
    bias: float = 0.0
    freedom: float = np.inf

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % confidence interval."""
        low, high = interval(self.value - self.bias, self.samples, self.freedom)
        return low, min(high, 1.0)  # which no metric exceeds


def interval(centre: float, samples: np.ndarray, freedom: float) -> tuple[float, float]:
    """95 % interval from random halves; NaN where there are none.

    Its width is a quantile of Student's distribution, since few items, or a few that contribute
    much, and few halves tell the spread with errors of their own.

    Args:
        centre: the value of all items less its bias. The value itself can be outside where labels
            are rare, since average precision then is too high.
        samples: of halves of them.
        freedom: of the items, see `Score`.
    """
    if not len(samples) or np.isnan(centre):
        return float("nan"), float("nan")
    of_halves = 1 / max(len(samples) - 1, 1)
    width = t.ppf(0.975, 1 / (1 / freedom + of_halves)) * samples.std()
    return float(centre - width), float(centre + width)


def difference(first: Score, second: Score) -> tuple[float, float]:
    """95 % interval of `first − second`, two models' `Score`s on the same halves."""
    centre = first.value - first.bias - (second.value - second.bias)
    freedom = min(first.freedom, second.freedom)
    return interval(centre, first.samples - second.samples, freedom)


def evaluate(
    kind: str,
    targets: np.ndarray,
    predictions: np.ndarray,
    labels: list[str],
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """All metrics of a kind of task.

    Args:
        kind: "multilabel", "multiclass", "key" or "regression".
        targets: `(items, labels)`: 0/1, one-hot, or values.
        predictions: `(items, labels)` scores, in any monotonic scale, or values.
        labels: names of the labels.
        resamples: random halves of the items; models that are compared use the same number and
            seed.
        seed: of them.

    Returns:
        `{name: Score}`.
    """
    halves = draw_halves(len(targets), resamples, seed)
    if kind == "multilabel":
        return _tagging(targets, predictions, halves)
    if kind == "regression":
        return _regression(targets, predictions, labels, halves)
    true, guessed = targets.argmax(axis=1), predictions.argmax(axis=1)
    scores = {}
    if kind == "key":
        names = np.asarray(labels)
        for name, both in (("weighted", False), ("weighted_both_fifths", True)):
            points = key_points(names[true], names[guessed], both)
            scores[name] = _score(points.mean(), None, points, halves)
    right, precision = true == guessed, precision_per_class(true, guessed, len(labels))
    return {
        **scores,
        "accuracy": _score(right.mean(), precision, right, halves),
        "balanced_accuracy": _balanced_accuracy(targets, guessed, halves),
    }


def constant_guess(kind: str, targets: np.ndarray, labels: list[str]) -> dict[str, float]:
    """`{metric: value}` of the same prediction for every item: the mean of the targets.

    For tags and classes that is the labels' frequencies, so the accuracy is the rate of the most
    frequent class.
    """
    constant = np.broadcast_to(targets.mean(axis=0), targets.shape)
    scores = evaluate(kind, targets, constant, labels, resamples=0)
    return {metric: score.value for metric, score in scores.items()}


def draw_halves(items: int, resamples: int, seed: int) -> np.ndarray:
    """Which items are in each random half, 0/1 uint8 `(items, resamples)`.

    Of an odd number of items it has the smaller half.
    """
    generator = np.random.default_rng(seed)
    halves = np.zeros((items, resamples), np.uint8)
    for column in range(resamples):
        halves[generator.permutation(items)[: items // 2], column] = 1
    return halves


def _score(value, per_label, contributions, halves, bias=0.0):
    """A score from what each item contributes to it, `(items,)`, times their number.

    Halves of 1 0 0 1, whose mean is 0.5, have the means 1, 0 and 0.5.
    """
    items = len(contributions)
    off = contributions - contributions.mean()
    resamples = range(0, halves.shape[1], _AT_A_TIME)
    sums = [(2.0 * halves[:, first : first + _AT_A_TIME].T - 1) @ off for first in resamples]
    samples = value + np.concatenate([[], *sums]) / items
    return Score(float(value), per_label, samples, bias, _freedom(off))


def _freedom(off):
    """Degrees of freedom of the variance of contributions: 2 of its mean² / its variance.

    As for sums of variances (Satterthwaite 1946, "An approximate distribution of estimates of
    variance components"): n − 1 of n Gaussian ones, fewer where a few make most of it.
    """
    square, fourth = (off**2).sum(), (off**4).sum()
    spread = fourth - square**2 / len(off)
    most = max(len(off) - 1, 1)
    return float(min(most, 2 * square**2 / spread)) if spread > 0 else float(most)


# ------------------------------------------------------------------------------------ multi-label


def average_precision(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """scikit-learn's average precision per label `(labels,)`; NaN where all items are alike."""
    return _per_label(sklearn_metrics.average_precision_score, targets, scores)


def roc_auc(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """scikit-learn's area under the ROC curve per label; NaN where all items are alike."""
    return _per_label(sklearn_metrics.roc_auc_score, targets, scores)


def undefined_labels(targets: np.ndarray) -> np.ndarray:
    """Indices of the labels that are left out of the means: all items or none are positive."""
    positives = targets.sum(axis=0, dtype=np.int64)
    return np.flatnonzero((positives == 0) | (positives == len(targets)))


def _per_label(metric, targets, scores):
    values = np.full(targets.shape[1], np.nan)
    left_out = set(undefined_labels(targets).tolist())
    for label in range(targets.shape[1]):
        if label not in left_out:
            values[label] = metric(targets[:, label], scores[:, label])
    return values


def _tagging(targets, predictions, halves):
    per_label = {
        "map": average_precision(targets, predictions),
        "roc-auc": roc_auc(targets, predictions),
    }
    labels = np.flatnonzero(~np.isnan(per_label["map"]))
    without = np.full((2, len(labels), len(targets)), np.nan)
    for row, label in enumerate(labels):
        without[:, row] = ranking.without_each(targets[:, label], predictions[:, label])
    scores = {}
    for (name, values), each in zip(per_label.items(), without, strict=True):
        value = _means_of_defined(values)
        contributions = (len(targets) - 1) * (value - _means_of_defined(each.T))
        bias = _precision_bias(targets[:, labels], values[labels], each) if name == "map" else 0.0
        scores[name] = _score(value, values, contributions, halves, bias)
    return scores


def _precision_bias(targets, values, without):
    """By how much mean average precision exceeds that of the population.

    Few positives are ranked higher among themselves than many: the excess of n of them is nearly
    proportional to 1 / (n + 1), as `benchmarks/intervals.py` shows. So what it is more without one
    item gives the factor (as Quenouille 1956, "Notes on bias in estimation"): from 0.400 with 9
    positives to 0.404 with 8 it is 0.004 / (1/9 − 1/10) = 0.36, and the 0.400 are too high by
    0.36 / 10.

    Args:
        targets: 0/1 `(items, labels)`.
        values: average precision of each label.
        without: that without each item, `(labels, items)`; NaN where undefined.
    """
    positives = targets.T.astype(np.float64)
    shares = 1 / (1 + positives.sum(axis=1, keepdims=True))
    fewer = 1 / (1 / shares - positives) - shares
    defined = ~np.isnan(without)
    excess, fewer = (without - values[:, None])[defined].sum(), fewer[defined].sum()
    return float(excess / fewer * shares.mean()) if fewer > 0 else 0.0


# --------------------------------------------------------------------------- classes, keys, values


def precision_per_class(true: np.ndarray, guessed: np.ndarray, classes: int) -> np.ndarray:
    """Share of right ones among the items given each class; 0 where there are none."""
    return sklearn_metrics.precision_score(
        true, guessed, labels=np.arange(classes), average=None, zero_division=0
    )


def _balanced_accuracy(targets, guessed, halves):
    """Mean recall of the classes that occur, scikit-learn's.

    Without the only item of a class there is no recall. So an item contributes how far it is from
    the recall of the others of its class, which is held near to that of all items by one item's
    worth; less what the spread of these others adds: their mean varies as well.

    Of a class with 1 1 0, and with half of all items right, the 0 is 0 − (1 + 1 + 0.5) / 3 = −0.83
    off, and each 1 is 1 − (1 + 0 + 0.5) / 3 = 0.5, over √(1 + 2/9); a 1 that is alone is
    1 − 0.5 / 1 = 0.5 off.
    """
    true = targets.argmax(axis=1)
    right = (true == guessed).astype(float)
    counts, hits = np.bincount(true)[true], np.bincount(true, right)[true]
    classes = len(np.unique(true))
    value = (right / counts).sum() / classes
    off = right - (hits - right + right.mean()) / counts
    off /= np.sqrt(1 + (counts - 1) / counts**2)
    return _score(value, None, off / counts * (len(true) / classes), halves)


def key_points(
    reference: Sequence[str], estimated: Sequence[str], both_fifths: bool = False
) -> np.ndarray:
    """MIREX's points for each track.

    Args:
        reference: keys such as "Eb minor".
        estimated: the same.
        both_fifths: whether the fifth below the reference counts as well as the one above;
            mir_eval and [24] count the one above alone.

    Returns:
        float64 `(tracks,)`.
    """
    table = {}
    points = np.empty(len(reference))
    for row, pair in enumerate(zip(reference, estimated, strict=True)):
        if pair not in table:
            table[pair] = mir_eval.key.weighted_score(*map(str, pair))
            if both_fifths and table[pair] == 0:
                swapped = mir_eval.key.weighted_score(str(pair[1]), str(pair[0]))
                table[pair] = 0.5 if swapped == 0.5 else 0.0
        points[row] = table[pair]
    return points


def _regression(targets, predictions, labels, halves):
    targets = targets.astype(np.float64)
    predictions = predictions.astype(np.float64)
    values = sklearn_metrics.r2_score(targets, predictions, multioutput="raw_values")
    errors, spreads = (targets - predictions) ** 2, (targets - targets.mean(axis=0)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        # To first order, of 1 − errors / spreads.
        contributions = ((1 - values) * spreads - errors) / spreads.mean(axis=0)
    scores = {"r2": _score(values.mean(), values, contributions.mean(axis=1), halves)}
    if len(labels) > 1:
        for column, (label, value) in enumerate(zip(labels, values, strict=True)):
            scores[f"r2_{label}"] = _score(value, None, contributions[:, column], halves)
    return scores


def _means_of_defined(values):
    """Means over the last axis of what is not NaN; NaN where there is nothing."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=-1) / defined.sum(axis=-1)
