import mir_eval
import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as sklearn_metrics

from mar.probing import metrics, ranking
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


def test_without_each_item_scores_are_those_of_the_others(tagging):
    targets, scores = tagging
    for label in range(5):
        target, score = targets[:, label], scores[:, label]
        average, area = ranking.without_each(target, score)
        for item in sorted({*np.flatnonzero(target)[:20], *range(0, 300, 10)}):
            others = np.delete(target, item), np.delete(score, item)
            if others[0].any():
                assert average[item] == pytest.approx(
                    sklearn_metrics.average_precision_score(*others)
                )
                assert area[item] == pytest.approx(sklearn_metrics.roc_auc_score(*others))
            else:
                assert np.isnan([average[item], area[item]]).all()


def test_a_label_is_left_out_without_its_only_item():
    targets = np.zeros((40, 2), np.uint8)
    targets[0, 0] = 1
    targets[::2, 1] = 1
    scores = np.linspace(1, 0, 40)[:, None].repeat(2, axis=1)
    found = metrics.evaluate("multilabel", targets, scores, ["rare", "often"], 4000)["map"]
    rare, often = (ranking.without_each(*label)[0] for label in zip(targets.T, scores.T))  # noqa: B905
    assert (np.isnan(rare[0]), *rare[1:]) == (True, *np.ones(39))
    means = np.where(np.isnan(rare), often, (rare + often) / 2)
    error = np.sqrt(39 / 40 * ((means - means.mean()) ** 2).sum())  # the jackknife's
    assert found.samples.std() == pytest.approx(error, rel=0.05)


def test_few_items_that_make_the_spread_widen_the_interval():
    rare, even = np.zeros(200, bool), np.arange(200) % 2
    rare[:3] = True
    for right, freedom in ((even, 199), (rare, 2 * 3)):
        score = metrics.evaluate("multiclass", np.eye(2)[right * 1], np.eye(2)[[1] * 200], [*"ab"])
        assert score["accuracy"].freedom == pytest.approx(freedom, rel=0.05)
        low, high = score["accuracy"].interval
        error = 2 * right.std() / np.sqrt(199)
        assert (high - low) / error == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=0.06)


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
    off /= np.sqrt([11 / 9, 11 / 9, 11 / 9, 1, 5 / 4, 5 / 4])
    signs = np.where(metrics.draw_halves(6, 9, 0), 1, -1)
    expected = 5 / 9 + (off - off.mean()) @ signs / 3
    np.testing.assert_allclose(score["balanced_accuracy"].samples, expected)


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
    targets = generator.standard_normal((500, 2)).astype(np.float32)
    predictions = targets + generator.standard_normal((500, 2))
    found = metrics.evaluate("regression", targets, predictions, ["a", "v"], 4000, seed=4)
    expected = sklearn_metrics.r2_score(targets, predictions, multioutput="raw_values")
    assert [found["r2_a"].value, found["r2_v"].value] == pytest.approx(expected.tolist())
    again = [
        sklearn_metrics.r2_score(targets[half], predictions[half])
        for half in metrics.draw_halves(500, 400, 4).T.astype(bool)
    ]
    samples = found["r2"].samples
    assert samples.std() == pytest.approx(np.std(again), rel=0.1)
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
    average, area = ranking.without_each(np.array([1, 0, 1, 0]), np.array([0.9, 0.7, 0.7, 0.2]))
    assert average[:3].tolist() == pytest.approx([1 / 2, 1, 1])
    assert area[:3].tolist() == pytest.approx([3 / 4, 1, 1])


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
