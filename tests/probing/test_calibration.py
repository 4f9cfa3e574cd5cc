import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import f1_score, precision_score, recall_score

from mar.errors import ConfigError
from mar.probing import fitting
from mar.probing.calibration import calibration_error, reliability, uncalibrated
from mar.probing.fitting import Aim, check_aim, fitted, rule


def tags(items, labels=3, sharpness=1.0, shift=0.0, seed=0):
    """Targets, and logits that are the true ones, spread and shifted."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-1, 1.5, (items, labels))
    return (true + shift) * sharpness, (rng.random(true.shape) < expit(true)).astype(np.uint8)


def classes(items, labels=5, sharpness=1.0, seed=0):
    """The same for classes, one-hot."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, (items, labels))
    drawn = (softmax(true, axis=1).cumsum(axis=1) < rng.random((items, 1))).sum(axis=1)
    return true * sharpness, np.eye(labels, dtype=np.uint8)[drawn.clip(max=labels - 1)]


def error(calibrated, logits, targets):
    return calibration_error(reliability(calibrated(logits), targets, calibrated.exclusive))


@pytest.mark.parametrize("items", [600, 6000])  # Platt's sigmoid, and isotonic curves
@pytest.mark.parametrize(("sharpness", "shift"), [(3.0, 0.0), (0.3, 0.0), (1.0, 2.0)])
def test_probabilities_of_labels_become_frequencies(items, sharpness, shift):
    logits, targets = tags(items, sharpness=sharpness, shift=shift)
    calibrated = fitted(logits, targets, exclusive=False)
    assert set(calibrated.methods) == {"platt" if items < 2000 else "isotonic"}
    unseen = tags(20000, sharpness=sharpness, shift=shift, seed=1)
    assert error(uncalibrated(3, False), *unseen) > 0.08
    assert error(calibrated, *unseen) < 0.03


@pytest.mark.parametrize("sharpness", [4.0, 0.25])
def test_probabilities_of_classes_become_frequencies_and_keep_their_order(sharpness):
    calibrated = fitted(*classes(800, sharpness=sharpness), exclusive=True)
    assert 1 / calibrated.slopes == pytest.approx(np.full(5, sharpness), rel=0.15)
    logits, targets = classes(20000, sharpness=sharpness, seed=1)
    assert error(uncalibrated(5, True), logits, targets) > 0.1
    assert error(calibrated, logits, targets) < 0.02
    probabilities = calibrated(logits)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), logits.argmax(axis=1))


def test_labels_with_too_few_items_stay_as_they_are():
    logits, targets = tags(300, labels=4)
    targets[:, 1], targets[:, 2] = 0, 1
    targets[:, 3] = 0
    targets[: fitting.FEWEST - 1, 3] = 1
    calibrated = fitted(logits, targets, exclusive=False)
    assert calibrated.methods == ("platt", "none", "none", "none")
    np.testing.assert_allclose(calibrated(logits)[:, 1:], expit(logits[:, 1:]), rtol=1e-14)
    few = fitted(*classes(fitting.FEWEST_OF_CLASSES - 1), exclusive=True)
    assert set(few.methods) == {"none"}


def test_platts_sigmoid_keeps_the_order_even_where_labels_are_upside_down():
    logits, targets = tags(500, labels=1)
    calibrated = fitted(-logits, targets, exclusive=False)
    assert calibrated.slopes[0] > 0


def test_the_sigmoid_of_labels_that_are_perfectly_told_apart_is_finite():
    logits = np.linspace(-9, 9, 40)[:, None]
    calibrated = fitted(logits, (logits > 0).astype(np.uint8), exclusive=False)
    probabilities = calibrated(np.array([[-50.0], [50.0]]))
    assert np.isfinite(calibrated.slopes).all()
    assert probabilities[0, 0] < 0.05
    assert probabilities[1, 0] > 0.95


def test_thresholds_have_the_best_f1_or_reach_the_aim_with_the_most_of_the_other():
    logits, targets = tags(400, labels=2)
    probabilities = expit(logits)
    for label in range(2):
        p, t = probabilities[:, label], targets[:, label]
        given = p >= np.unique(p)[:, None]  # by every limit
        hits, counts = given[:, t > 0].sum(axis=1), given.sum(axis=1)
        precision, recall = hits / counts, hits / t.sum()
        best = (2 * hits / (counts + t.sum())).max()
        limit = fitting.thresholds(probabilities, targets, False, Aim())[label]
        assert f1_score(t, p >= limit) == pytest.approx(best)
        limit = fitting.thresholds(probabilities, targets, False, Aim("precision", 0.7))[label]
        assert precision_score(t, p >= limit) >= 0.7
        assert recall_score(t, p >= limit) == pytest.approx(recall[precision >= 0.7].max())
        limit = fitting.thresholds(probabilities, targets, False, Aim("recall", 0.9))[label]
        assert recall_score(t, p >= limit) >= 0.9
        highest = precision[recall >= 0.9].max()
        assert precision_score(t, p >= limit) == pytest.approx(highest, abs=0.01)


def test_what_cannot_be_reached_is_never_given():
    probabilities = np.array([[0.9], [0.8], [0.1]])
    for target, aim in (([0, 1, 0], Aim("precision", 0.9)), ([0, 0, 0], Aim())):
        targets = np.array(target)[:, None]
        assert fitting.thresholds(probabilities, targets, False, aim) == [np.inf]


def test_classes_are_given_where_they_are_likely_and_one_at_most():
    logits, targets = classes(3000)
    decided = rule("multiclass", logits, targets, Aim())
    probabilities = decided.calibration(logits)
    given = decided.decide(probabilities)
    np.testing.assert_array_equal(given.any(axis=1), probabilities.max(axis=1) >= 0.5)
    assert given.sum(axis=1).max() == 1
    strict = rule("key", logits, targets, Aim("precision", 0.9))
    given = strict.decide(probabilities)
    assert 0 < given.any(axis=1).mean() < 0.5
    assert targets[given].mean() >= 0.9
    unseen, true = classes(20000, seed=1)
    given = strict.decide(strict.calibration(unseen))
    assert true[given].mean() == pytest.approx(0.9, abs=0.04)


def test_aims_that_cannot_be_meant_are_refused():
    for value in (None, 0.0, 1.2):
        with pytest.raises(ConfigError, match="precision: expected more than 0, at most 1"):
            Aim("precision", value)
    with pytest.raises(ConfigError, match="recall: expected a precision for classes"):
        check_aim("multiclass", Aim("recall", 0.9))
    assert rule("regression", np.zeros((3, 1)), np.zeros((3, 1)), Aim()) is None


def test_the_calibration_error_of_known_probabilities():
    probabilities = np.repeat([[0.2], [0.8]], 50, axis=0)
    targets = np.concatenate([np.arange(50) < 20, np.arange(50) < 40])[:, None].astype(np.uint8)
    bins = reliability(probabilities, targets, False, bins=2)
    np.testing.assert_allclose(bins, [[0.2, 0.4, 50], [0.8, 0.8, 50]])
    assert calibration_error(bins) == pytest.approx(0.1)
