"""Metrics of the evaluation tasks, and confidence intervals for them.

Point values are scikit-learn's and mir_eval's. Intervals come from random halves of the test
items: a mean over a random half varies around that over all items as much as the latter varies
around that of the population, variance / items (McCarthy 1969, "Pseudo-replication: half samples").
In a half no item is twice, which ranking metrics would take for success: `benchmarks/intervals.py`
has how often these intervals, and those of a bootstrap, hold the population's value.
"""

import dataclasses
from collections.abc import Sequence

import mir_eval
import numpy as np
from sklearn import metrics as sklearn_metrics

QUANTILE = 1.959964  # of the normal distribution, for 95 %


@dataclasses.dataclass(frozen=True)
class Score:
    """One metric on a test set.

    Attributes:
        value: the aggregate.
        per_label: float64 `(labels,)`, NaN where undefined; None for metrics of whole items.
        samples: float64 `(resamples,)`: the aggregate of each random half of the items.
        bias: by how much the value exceeds that of more and more items, on average.
    """

    value: float
    per_label: np.ndarray | None
    samples: np.ndarray
    bias: float = 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % confidence interval."""
        low, high = interval(self.value - self.bias, self.samples)
        return low, min(high, 1.0)  # which no metric exceeds


def interval(centre: float, samples: np.ndarray) -> tuple[float, float]:
    """95 % interval from random halves; NaN where there are none.

    Args:
        centre: the value of all items less its bias. The value itself can be outside where labels
            are rare, since average precision then is too high.
        samples: of halves of them; NaN where undefined there.
    """
    samples = samples[~np.isnan(samples)]
    if not len(samples) or np.isnan(centre):
        return float("nan"), float("nan")
    width = QUANTILE * samples.std()
    return float(centre - width), float(centre + width)


def difference(first: Score, second: Score) -> tuple[float, float]:
    """95 % interval of `first − second`, two models' `Score`s on the same halves."""
    centre = first.value - first.bias - (second.value - second.bias)
    return interval(centre, first.samples - second.samples)


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
            scores[name] = _mean_score(points, halves)
    accuracy = _mean_score((true == guessed).astype(float), halves)
    precision = precision_per_class(true, guessed, len(labels))
    return {
        **scores,
        "accuracy": dataclasses.replace(accuracy, per_label=precision),
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


# ------------------------------------------------------------------------------------ multi-label


def average_precision(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """scikit-learn's average precision per label `(labels,)`; NaN where no item is positive."""
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
    ranked = [ranking_samples(targets[:, k], predictions[:, k], halves) for k in labels]
    samples = np.array(ranked).reshape(len(labels), 2, -1).transpose(1, 2, 0)
    scores = {
        name: Score(_mean_of_defined(values), values, _means_of_defined(of_halves))
        for (name, values), of_halves in zip(per_label.items(), samples, strict=True)
    }
    bias = _precision_bias(targets[:, labels], per_label["map"][labels], samples[0], halves)
    return {**scores, "map": dataclasses.replace(scores["map"], bias=bias)}


def _precision_bias(targets, values, samples, halves):
    """By how much mean average precision exceeds that of the population.

    Few positives are ranked higher among themselves than many: the excess of n of them is nearly
    proportional to 1 / (n + 1), as `benchmarks/intervals.py` shows. So what halves have more than
    all items gives the factor: from 0.40 with 9 positives to 0.44 with 4 it is 0.04 / (1/5 − 1/10)
    = 0.4, and the 0.40 are too high by 0.4 / 10.

    Args:
        targets: 0/1 `(items, labels)`.
        values: average precision of each label.
        samples: that of each half, `(resamples, labels)`; NaN where undefined.
        halves: as `draw_halves` makes them.
    """
    shares = 1 / (1 + targets.sum(axis=0))
    of_halves = 1 / (1 + halves.T.astype(np.float64) @ targets)
    defined = ~np.isnan(samples)
    excess, fewer = (samples - values)[defined].sum(), (of_halves - shares)[defined].sum()
    return float(excess / fewer * shares.mean()) if fewer > 0 else 0.0


def ranking_samples(
    target: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and ROC-AUC of one label, of items that count so often in each resample.

    Only the sums of weights above, in and below each group of tied scores that holds a positive
    item are needed, so one sort and two segmented sums serve all resamples.

    Scores .9 .7 .7 .2 of targets 1 0 1 0 that were drawn 2 1 1 0 times: at .9 are 2 positives of 2
    items, at .7 one more, 3 of 4. Average precision: (2 · 2/2 + 1 · 3/4) / 3 = 11/12. The negative,
    drawn once, stands below the first two and level with the third: the area is (2 + 1/2) / 3.

    Args:
        target: 0/1 `(items,)` with at least one of each.
        score: `(items,)`.
        weights: uint8 `(items, resamples)`: how often an item counts; in halves, 0 or 1.

    Returns:
        Two float64 `(resamples,)`, NaN where no positive or no negative item was drawn.
    """
    order = np.argsort(-score, kind="stable")
    positive = target[order].astype(bool)
    ranked = score[order]
    # Each group of tied scores that holds a positive: its first row and the row behind it.
    values = np.unique(ranked[positive])[::-1]
    first = np.searchsorted(-ranked, -values, side="left")
    behind = np.searchsorted(-ranked, -values, side="right")
    drawn = weights[order]
    all_before, all_above = _sums_up_to(drawn, first, behind)
    rows = np.flatnonzero(positive)
    true_before, true_above = _sums_up_to(
        drawn[rows], np.searchsorted(rows, first), np.searchsorted(rows, behind)
    )

    true_total = true_above[-1]
    false_total = drawn.sum(axis=0, dtype=np.int64) - true_total
    true_here = true_above - true_before
    false_above = all_above - true_above
    false_before = all_before - true_before
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(true_here > 0, true_above / all_above, 0)
        average = (true_here * precision).sum(axis=0) / true_total
        below = false_total - (false_above + false_before) / 2
        area = (true_here * below).sum(axis=0) / (true_total * false_total)
    undefined = (true_total == 0) | (false_total == 0)
    return np.where(undefined, np.nan, average), np.where(undefined, np.nan, area)


def _sums_up_to(weights, first, behind):
    """Sums of the rows before each of `first` and of `behind`, both int64 `(ends, resamples)`."""
    ends = np.unique(np.concatenate([[0], first, behind]))
    pieces = np.add.reduceat(weights[: ends[-1]], ends[:-1], axis=0, dtype=np.int64)
    sums = np.concatenate([np.zeros((1, weights.shape[1]), np.int64), pieces.cumsum(axis=0)])
    return sums[np.searchsorted(ends, first)], sums[np.searchsorted(ends, behind)]


# --------------------------------------------------------------------------- classes, keys, values


def precision_per_class(true: np.ndarray, guessed: np.ndarray, classes: int) -> np.ndarray:
    """Share of right ones among the items given each class; 0 where there are none."""
    return sklearn_metrics.precision_score(
        true, guessed, labels=np.arange(classes), average=None, zero_division=0
    )


def _balanced_accuracy(targets, guessed, halves):
    """Mean recall of the classes that occur, scikit-learn's.

    A class of which no item is in a half has no recall there, and one of a single item no spread.
    So the mean is made linear in the items: each stands for how far it is from the recall of the
    others of its class, which is held near to that of all items by one item's worth.

    Of a class with 1 1 0, and with half of all items right, the 0 is 0 − (1 + 1 + 0.5) / 3 = −0.83
    off, and each 1 is 1 − (1 + 0 + 0.5) / 3 = 0.5; a 1 that is alone is 1 − 0.5 / 1 = 0.5 off.
    """
    true = targets.argmax(axis=1)
    right = (true == guessed).astype(float)
    counts, hits = np.bincount(true)[true], np.bincount(true, right)[true]
    classes = len(np.unique(true))
    value = (right / counts).sum() / classes
    off = right - (hits - right + right.mean()) / counts
    samples = value + (2.0 * halves.T - 1) @ (off / counts) / classes
    return Score(float(value), None, samples)


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


def _mean_score(points, halves):
    samples = _means(points[:, None], halves)[:, 0]
    return Score(float(points.mean()), None, samples)


def _regression(targets, predictions, labels, halves):
    targets = targets.astype(np.float64)
    predictions = predictions.astype(np.float64)
    values = sklearn_metrics.r2_score(targets, predictions, multioutput="raw_values")
    means = _means(
        np.concatenate([(targets - predictions) ** 2, targets, targets**2], axis=1), halves
    )
    error, mean, square = np.split(means, 3, axis=1)
    variance = square - mean**2
    variance[variance < 1e-12] = np.nan  # a half of one item, or of equal ones
    samples = 1 - error / variance
    scores = {"r2": Score(float(values.mean()), values, samples.mean(axis=1))}
    if len(labels) > 1:
        for column, (label, value) in enumerate(zip(labels, values, strict=True)):
            scores[f"r2_{label}"] = Score(float(value), None, samples[:, column])
    return scores


def _means(values, halves):
    """Means of `(items, k)` in every half, `(resamples, k)`; NaN in halves of nothing."""
    with np.errstate(invalid="ignore"):
        return halves.T.astype(np.float64) @ values / halves.sum(axis=0)[:, None]


def _means_of_defined(values):
    """Means of each row of `(rows, k)`, of what is not NaN; NaN where there is nothing."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)


def _mean_of_defined(values):
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
