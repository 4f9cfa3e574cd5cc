import mir_eval
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from mar.probing import metrics
from mar.tasks.keys import KEYS


@pytest.fixture
def tagging():
    generator = np.random.default_rng(3)
    targets = (generator.random((300, 6)) < [0.02, 0.1, 0.3, 0.5, 0.05, 0.0]).astype(np.uint8)
    targets[0, :5], targets[1, :5] = 1, 0
    scores = generator.random((300, 6)) + 0.3 * targets
    scores[:, 3] = np.round(scores[:, 3], 1)  # many ties
    return targets, scores.astype(np.float32)


def test_tagging_metrics_are_scikit_learns_and_undefined_labels_are_left_out(tagging):
    targets, scores = tagging
    found = metrics.evaluate("multilabel", targets, scores, list("abcdef"), resamples=10)
    for name, reference in (
        ("map", sklearn_metrics.average_precision_score),
        ("roc-auc", sklearn_metrics.roc_auc_score),
    ):
        expected = [reference(targets[:, label], scores[:, label]) for label in range(5)]
        np.testing.assert_array_equal(found[name].per_label[:5], expected)
        assert np.isnan(found[name].per_label[5])
        assert found[name].value == pytest.approx(np.mean(expected))
        assert found[name].value == pytest.approx(
            reference(targets[:, :5], scores[:, :5], average="macro")
        )
    assert metrics.undefined_labels(targets).tolist() == [5]


def test_a_half_scores_as_if_its_items_were_all(tagging):
    targets, scores = tagging
    halves = metrics.draw_halves(len(targets), 8, seed=1)
    assert (halves.sum(axis=0, dtype=int) == len(targets) // 2).all()
    found = metrics.evaluate("multilabel", targets, scores, list("abcdef"), resamples=8, seed=1)
    for column in range(8):
        rows = np.flatnonzero(halves[:, column])
        drawn = targets[rows]
        defined = np.flatnonzero((drawn.sum(axis=0) > 0) & (drawn.sum(axis=0) < len(rows)))
        assert found["map"].samples[column] == pytest.approx(
            np.nanmean(metrics.average_precision(drawn, scores[rows])[defined])
        )
        assert found["roc-auc"].samples[column] == pytest.approx(
            np.nanmean(metrics.roc_auc(drawn, scores[rows])[defined])
        )


def test_items_that_count_twice_score_as_if_they_were_there_twice(tagging):
    targets, scores = tagging
    weights = np.random.default_rng(0).integers(0, 4, (300, 3)).astype(np.uint8)
    average, area = metrics.ranking_samples(targets[:, 3], scores[:, 3], weights)
    for column in range(3):
        rows = np.repeat(np.arange(300), weights[:, column])
        label = targets[rows, 3:4], scores[rows, 3:4]
        assert average[column] == pytest.approx(metrics.average_precision(*label)[0])
        assert area[column] == pytest.approx(metrics.roc_auc(*label)[0])


def test_a_label_without_positives_in_a_half_is_left_out_of_it():
    targets = np.zeros((40, 2), np.uint8)
    targets[0, 0] = 1  # is in one of two halves
    targets[::2, 1] = 1
    scores = np.linspace(1, 0, 40)[:, None].repeat(2, axis=1)
    found = metrics.evaluate("multilabel", targets, scores, ["rare", "often"], resamples=50)
    halves = metrics.draw_halves(40, 50, seed=0)
    absent = halves[0] == 0
    assert 0 < absent.sum() < 50
    often, _ = metrics.ranking_samples(targets[:, 1], scores[:, 1], halves)
    np.testing.assert_allclose(found["map"].samples[absent], often[absent])
    np.testing.assert_allclose(found["map"].samples[~absent], (1 + often[~absent]) / 2)


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    right = np.random.default_rng(0).random(201) < 0.7
    targets, predictions = np.eye(2, dtype=np.uint8)[np.zeros(201, int)], np.eye(2)[1 - right]
    score = metrics.evaluate("multiclass", targets, predictions, ["a", "b"], 20000)["accuracy"]
    low, high = score.interval
    error = right.std() / np.sqrt(len(right))
    assert (low + high) / 2 == pytest.approx(score.value, abs=error / 20)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.02)


def tags_of_rare_labels(generator):
    """200 items with 6 labels of 4 to 25 %, whose average precision in the population is known."""
    shares = np.geomspace(0.04, 0.25, 6)
    many = generator.random(100_000) < shares[:, None]
    scores = generator.normal(size=many.shape) + 2.5 * many
    known = np.array(
        [
            metrics.average_precision(*pair)[0]
            for pair in zip(many[:, :, None].astype(int), scores[:, :, None], strict=True)
        ]
    )
    while True:
        targets = (generator.random((200, 6)) < shares).astype(np.uint8)
        predictions = generator.normal(size=targets.shape) + 2.5 * targets
        defined = np.setdiff1d(np.arange(6), metrics.undefined_labels(targets))
        yield "multilabel", targets, predictions, "map", known[defined].mean()


def classes_of_few_items(generator):
    """250 items of 60 classes, some of a single item, whose recalls in the population are known."""
    shares, recalls = generator.dirichlet(np.full(60, 2.0)), generator.beta(4, 2, 60)
    while True:
        true = generator.choice(60, 250, p=shares)
        right = generator.random(250) < recalls[true]
        targets, guessed = np.eye(60, dtype=np.uint8)[true], np.where(right, true, (true + 1) % 60)
        known = recalls[np.unique(true)].mean()
        yield "multiclass", targets, np.eye(60)[guessed], "balanced_accuracy", known


@pytest.mark.parametrize("population", [tags_of_rare_labels, classes_of_few_items])
def test_the_interval_holds_the_value_of_the_population(population):
    """Of 100 samples about 95 do, where labels are rare too; 88 are 3.2 deviations fewer.

    `benchmarks/intervals.py` has more populations and more samples.
    """
    held = 0
    samples = population(np.random.default_rng(0))
    for _ in range(100):
        kind, targets, predictions, metric, known = next(samples)
        labels = list(map(str, range(targets.shape[1])))
        low, high = metrics.evaluate(kind, targets, predictions, labels, 100)[metric].interval
        held += low <= known <= high
    assert 88 <= held <= 99


def test_accuracy_and_precision_of_each_class():
    generator = np.random.default_rng(0)
    true, guessed = generator.integers(4, size=200), generator.integers(3, size=200)
    found = metrics.evaluate("multiclass", np.eye(4)[true], np.eye(4)[guessed], list("abcd"), 10)
    assert found["accuracy"].value == sklearn_metrics.accuracy_score(true, guessed)
    expected = sklearn_metrics.precision_score(true, guessed, average=None, zero_division=0)
    np.testing.assert_allclose(found["accuracy"].per_label, expected)
    assert found["accuracy"].per_label[3] == 0


def test_balanced_accuracy_is_scikit_learns_and_varies_with_items_left_out():
    generator = np.random.default_rng(0)
    true = np.repeat(np.arange(4), [600, 200, 90, 40])  # of five classes
    guessed = np.where(generator.random(930) < 0.6, true, generator.integers(5, size=930))
    targets, predictions = np.eye(5)[true], np.eye(5)[guessed]
    found = metrics.evaluate("multiclass", targets, predictions, list("abcde"), 4000)
    score = found["balanced_accuracy"]
    assert score.value == pytest.approx(
        sklearn_metrics.recall_score(true, guessed, average="macro", labels=range(4))
    )
    halves = metrics.draw_halves(930, 4000, 0)
    again = [
        sklearn_metrics.recall_score(true[half], guessed[half], average="macro", labels=range(4))
        for half in halves.T[:400].astype(bool)
    ]
    assert score.samples.std() == pytest.approx(np.std(again), rel=0.1)
    assert np.corrcoef(score.samples[:400], again)[0, 1] > 0.98


def test_the_worked_example_of_balanced_accuracy():
    """Classes with 1 1 0, 1 and 0 0: halves of six, and the recall 1/2 of all items."""
    true, guessed = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 1, 1])
    score = metrics.evaluate("multiclass", np.eye(3)[true], np.eye(3)[guessed], list("abc"), 9)
    off = np.array([0.5, 0.5, -2.5 / 3, 0.5, -0.25, -0.25]) / [3, 3, 3, 1, 2, 2]
    signs = np.where(metrics.draw_halves(6, 9, 0), 1, -1)
    np.testing.assert_allclose(score["balanced_accuracy"].samples, 5 / 9 + off @ signs / 3)


@pytest.mark.parametrize(
    ("estimated", "points", "both"),
    [
        *(("C major", 1.0, 1.0), ("G major", 0.5, 0.5), ("F major", 0.0, 0.5)),
        *(("A minor", 0.3, 0.3), ("C minor", 0.2, 0.2), ("E minor", 0.0, 0.0)),
    ],
)
def test_points_of_a_key(estimated, points, both):
    assert metrics.key_points(["C major"], [estimated]) == [points]
    assert metrics.key_points(["C major"], [estimated], both_fifths=True) == [both]


def test_key_scores_are_mir_evals_for_every_pair_of_keys():
    true = np.repeat(np.arange(24), 24)
    guessed = np.tile(np.arange(24), 24)
    found = metrics.evaluate("key", np.eye(24)[true], np.eye(24)[guessed], KEYS, resamples=5)
    points = [mir_eval.key.weighted_score(KEYS[a], KEYS[b]) for a, b in zip(true, guessed)]  # noqa: B905
    assert found["weighted"].value == pytest.approx(np.mean(points))
    fifths_below = np.mean((true < 12) == (guessed < 12)) / 12 * 0.5
    both = found["weighted_both_fifths"].value
    assert both == pytest.approx(found["weighted"].value + fifths_below)
    assert found["accuracy"].value == pytest.approx(1 / 24)


def test_r2_of_each_target():
    generator = np.random.default_rng(0)
    targets = generator.standard_normal((125, 2)).astype(np.float32)
    predictions = targets + generator.standard_normal((125, 2))
    found = metrics.evaluate("regression", targets, predictions, ["a", "v"], 20, seed=4)
    expected = sklearn_metrics.r2_score(targets, predictions, multioutput="raw_values")
    assert [found["r2_a"].value, found["r2_v"].value] == pytest.approx(expected.tolist())
    resampled = [
        sklearn_metrics.r2_score(targets[half], predictions[half])
        for half in metrics.draw_halves(125, 20, 4).T.astype(bool)
    ]
    np.testing.assert_allclose(found["r2"].samples, resampled)
    alone = metrics.evaluate("regression", targets[:, :1], predictions[:, :1], ["a"], resamples=0)
    assert alone.keys() == {"r2"}, "the same twice"


def test_a_difference_is_taken_on_the_same_halves(tagging):
    targets, scores = tagging
    first = metrics.evaluate("multilabel", targets, scores, list("abcdef"), 50)["map"]
    shifted = metrics.evaluate("multilabel", targets, scores * 2 + 1, list("abcdef"), 50)["map"]
    assert metrics.difference(first, shifted) == pytest.approx((0, 0), abs=1e-3)
    worse = metrics.evaluate("multilabel", targets, -scores, list("abcdef"), 50)["map"]
    low, high = metrics.difference(first, worse)
    assert 0 < low < high
    assert high - low < (first.interval[1] - worse.interval[0])


def test_the_worked_example_of_the_ranking_metrics():
    drawn = np.array([[2], [1], [1], [0]], np.uint8)
    average, area = metrics.ranking_samples(
        np.array([1, 0, 1, 0]), np.array([0.9, 0.7, 0.7, 0.2]), drawn
    )
    assert (average[0], area[0]) == pytest.approx((11 / 12, 5 / 6))


@pytest.mark.parametrize(
    ("kind", "targets", "expected"),
    [
        ("multiclass", np.eye(3)[[0, 1, 1, 1, 2]], {"accuracy": 0.6, "balanced_accuracy": 1 / 3}),
        ("multilabel", np.array([[1, 0], [0, 1], [0, 1]]), {"map": 0.5, "roc-auc": 0.5}),
        ("regression", np.array([[1.0], [2.0], [6.0]]), {"r2": 0.0}),
    ],
)
def test_a_constant_guess_scores_what_the_frequencies_say(kind, targets, expected):
    labels = [f"label {number}" for number in range(targets.shape[1])]
    assert metrics.constant_guess(kind, targets, labels) == pytest.approx(expected)
