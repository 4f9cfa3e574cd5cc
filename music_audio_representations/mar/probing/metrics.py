"""Metrics of the evaluation tasks, and bootstrap confidence intervals for them.

Point values are scikit-learn's and mir_eval's. Bootstraps resample test items; ranking metrics sort
once per label and weigh items by how often they were drawn, which gives the same values.
"""

import dataclasses
from collections.abc import Sequence

import mir_eval
import numpy as np
from sklearn import metrics as sklearn_metrics

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Score:
    """One metric on a test set.

    Attributes:
        value: the aggregate.
        per_label: float64 `(labels,)`, NaN where undefined; None for metrics of whole items.
        samples: float64 `(resamples,)`: the aggregate of each bootstrap resample.
    """

    value: float
    per_label: np.ndarray | None
    samples: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % confidence interval."""
        return interval(self.samples)


def interval(samples: np.ndarray) -> tuple[float, float]:
    """Percentile interval of bootstrap samples at 95 %; NaN where there are none."""
    if not len(samples):
        return float("nan"), float("nan")
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def difference(first: Score, second: Score) -> tuple[float, float]:
    """95 % interval of `first − second`, two models' `Score`s on the same resamples."""
    return interval(first.samples - second.samples)


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
        resamples: bootstrap resamples; models that are compared use the same number and seed.
        seed: of the resampling.

    Returns:
        `{name: Score}`.
    """
    weights = draw_weights(len(targets), resamples, seed)
    if kind == "multilabel":
        return _tagging(targets, predictions, weights)
    if kind == "regression":
        return _regression(targets, predictions, labels, weights)
    true, guessed = targets.argmax(axis=1), predictions.argmax(axis=1)
    scores = {}
    if kind == "key":
        names = np.asarray(labels)
        for name, both in (("weighted", False), ("weighted_both_fifths", True)):
            points = key_points(names[true], names[guessed], both)
            scores[name] = _mean_score(points, weights)
    accuracy = _mean_score((true == guessed).astype(float), weights)
    precision = precision_per_class(true, guessed, len(labels))
    return {
        **scores,
        "accuracy": dataclasses.replace(accuracy, per_label=precision),
        "balanced_accuracy": _balanced_accuracy(targets, guessed, weights),
    }


def constant_guess(kind: str, targets: np.ndarray, labels: list[str]) -> dict[str, float]:
    """`{metric: value}` of the same prediction for every item: the mean of the targets.

    For tags and classes that is the labels' frequencies, so the accuracy is the rate of the most
    frequent class.
    """
    constant = np.broadcast_to(targets.mean(axis=0), targets.shape)
    scores = evaluate(kind, targets, constant, labels, resamples=0)
    return {metric: score.value for metric, score in scores.items()}


def draw_weights(items: int, resamples: int, seed: int) -> np.ndarray:
    """How often each item is in each bootstrap resample, uint8 `(items, resamples)`."""
    generator = np.random.default_rng(seed)
    weights = np.empty((items, resamples), np.uint8)
    for column in range(resamples):
        drawn = generator.integers(items, size=items)
        weights[:, column] = np.bincount(drawn, minlength=items)
    return weights


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


def _tagging(targets, predictions, weights):
    per_label = {
        "map": average_precision(targets, predictions),
        "roc-auc": roc_auc(targets, predictions),
    }
    sums = {name: np.zeros(weights.shape[1]) for name in per_label}
    counts = np.zeros(weights.shape[1])
    for label in np.flatnonzero(~np.isnan(per_label["map"])):
        ranked = ranking_samples(targets[:, label], predictions[:, label], weights)
        defined = ~np.isnan(ranked[1])
        counts += defined
        for name, values in zip(sums, ranked, strict=True):
            sums[name] += np.where(defined, values, 0)
    with np.errstate(invalid="ignore"):
        samples = {name: sums[name] / counts for name in sums}
    return {
        name: Score(_mean_of_defined(values), values, samples[name])
        for name, values in per_label.items()
    }


def ranking_samples(
    target: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and ROC-AUC of one label in every resample.

    Only the sums of weights above, in and below each group of tied scores that holds a positive
    item are needed, so one sort and two segmented sums serve all resamples.

    Scores .9 .7 .7 .2 of targets 1 0 1 0 that were drawn 2 1 1 0 times: at .9 are 2 positives of 2
    items, at .7 one more, 3 of 4. Average precision: (2 · 2/2 + 1 · 3/4) / 3 = 11/12. The negative,
    drawn once, stands below the first two and level with the third: the area is (2 + 1/2) / 3.

    Args:
        target: 0/1 `(items,)` with at least one of each.
        score: `(items,)`.
        weights: uint8, as `draw_weights` makes them, `(items, resamples)`.

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
    false_total = len(drawn) - true_total  # a resample has as many items as there are
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


def _balanced_accuracy(targets, guessed, weights):
    """Mean recall of the classes that occur, scikit-learn's; in a resample, of those drawn."""
    occurring = targets[:, targets.any(axis=0)].astype(float)
    right = occurring * (targets[np.arange(len(targets)), guessed] > 0)[:, None]
    with np.errstate(invalid="ignore"):
        samples = np.nanmean(
            _weighted_means(right, weights) / _weighted_means(occurring, weights), axis=1
        )
    recalls = right.sum(axis=0) / occurring.sum(axis=0)
    return Score(float(recalls.mean()), None, samples)


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


def _mean_score(points, weights):
    samples = _weighted_means(points[:, None], weights)[:, 0]
    return Score(float(points.mean()), None, samples)


def _regression(targets, predictions, labels, weights):
    targets = targets.astype(np.float64)
    predictions = predictions.astype(np.float64)
    values = sklearn_metrics.r2_score(targets, predictions, multioutput="raw_values")
    means = _weighted_means(
        np.concatenate([(targets - predictions) ** 2, targets, targets**2], axis=1), weights
    )
    error, mean, square = np.split(means, 3, axis=1)
    variance = square - mean**2
    variance[variance < 1e-12] = np.nan  # a resample of one item alone
    samples = 1 - error / variance
    scores = {"r2": Score(float(values.mean()), values, samples.mean(axis=1))}
    if len(labels) > 1:
        for column, (label, value) in enumerate(zip(labels, values, strict=True)):
            scores[f"r2_{label}"] = Score(float(value), None, samples[:, column])
    return scores


def _weighted_means(values, weights):
    """Means of `(items, k)` in every resample, `(resamples, k)`."""
    return weights.T.astype(np.float64) @ values / len(values)


def _mean_of_defined(values):
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
