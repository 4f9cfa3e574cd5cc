"""Mixup: draws by place in the global batch, on plain log-mel, never with the other view."""

import numpy as np
import pytest
from keras import ops
from scipy import stats

from mar.audio.logmel import standardize
from mar.data.mixup import Mixup, mix
from mar.errors import ConfigError


def snippets(size=8, seed=0, dtype="float16"):
    rng = np.random.default_rng(seed)
    return (rng.random((size, 30, 96)) * 4).astype(dtype)


def test_mixes_with_the_partner():
    batch = snippets()
    partners, gains = Mixup().draw(0, 0, 8, "snippets")
    mixed = ops.convert_to_numpy(mix(batch, batch, partners, gains))
    assert mixed.dtype == np.float32
    wide = batch.astype(np.float32)
    for row in range(8):
        expected = gains[row] * wide[row] + (1 - gains[row]) * wide[partners[row]]
        np.testing.assert_allclose(mixed[row], expected, rtol=1e-6)


def test_labels_are_mixed_alike():
    labels = np.eye(8, dtype=np.float32)
    partners, gains = Mixup().draw(0, 3, 8, "snippets")
    mixed = ops.convert_to_numpy(mix(labels, labels, partners, gains))
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)
    rows = np.flatnonzero(partners != np.arange(8))
    np.testing.assert_allclose(mixed[rows, rows], gains[rows], rtol=1e-6)
    np.testing.assert_allclose(mixed[rows, partners[rows]], 1 - gains[rows], rtol=1e-6)


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_mix_as_one_device_does(replicas):
    batch = snippets()
    partners, gains = Mixup().draw(5, 7, 8, "snippets")
    whole = ops.convert_to_numpy(mix(batch, batch, partners, gains))
    rows = np.split(np.arange(8), replicas)
    parts = [mix(batch[r], batch, partners[r], gains[r]) for r in rows]
    np.testing.assert_array_equal(np.concatenate(list(map(ops.convert_to_numpy, parts))), whole)


def test_gains_are_beta_distributed():
    gains = Mixup().draw(0, 0, 50_000, "snippets")[1]
    assert stats.kstest(gains, stats.beta(5, 2).cdf).pvalue > 1e-3
    other = Mixup(alpha=1.0, beta=3.0).draw(0, 0, 50_000, "snippets")[1]
    assert stats.kstest(other, stats.beta(1, 3).cdf).pvalue > 1e-3


def test_partners_are_a_permutation_without_preference():
    draws = np.array([Mixup().draw(0, step, 4, "snippets")[0] for step in range(4000)])
    assert (np.sort(draws, axis=1) == np.arange(4)).all()
    counts = [np.bincount(draws[:, place], minlength=4) for place in range(4)]
    assert stats.chisquare(np.concatenate(counts)).pvalue > 1e-3


def test_draws_depend_on_seed_step_and_purpose_alone():
    def draw(*arguments):
        partners, gains = Mixup().draw(*arguments)
        return (*partners, *gains)

    assert draw(1, 2, 16, "anchors") == draw(1, 2, 16, "anchors")
    others = [(0, 2, 16, "anchors"), (1, 3, 16, "anchors"), (1, 2, 16, "positives")]
    assert len({draw(1, 2, 16, "anchors"), *(draw(*other) for other in others)}) == 4


def test_the_mixture_is_what_is_standardised():
    """Mixed first, the network's input has a standard deviation of 1, as in embedding."""
    batch = snippets(64)
    partners, gains = Mixup().draw(0, 0, 64, "snippets")
    network_input = ops.convert_to_numpy(standardize(mix(batch, batch, partners, gains)))
    np.testing.assert_allclose(network_input.std(axis=(1, 2, 3)), 1, atol=1e-3)
    np.testing.assert_allclose(network_input.mean(axis=(1, 2, 3)), 0, atol=1e-4)


@pytest.mark.parametrize("parameters", [{"alpha": 0.0}, {"beta": -1.0}])
def test_a_distribution_that_is_none_is_refused(parameters):
    with pytest.raises(ConfigError, match=r"Mixup\.(alpha|beta): expected more than 0, got"):
        Mixup(**parameters)
