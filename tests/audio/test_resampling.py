import numpy as np
import pytest
import resampy
import soxr

from mar.audio.resampling import resample
from mar.errors import ConfigError


def noise(samples, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


def resampled(samples, block, *args, **kwargs):
    blocks = (samples[at : at + block] for at in range(0, len(samples), block))
    return np.concatenate([np.zeros(0, np.float32), *resample(blocks, *args, **kwargs)])


@pytest.mark.parametrize("rates", [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 44100)])
def test_kaiser_best_is_resampys(rates):
    samples = noise(3 * rates[0] + 137)
    expected = resampy.resample(samples, *rates, filter="kaiser_best")
    ours = resampled(samples, 10_000, *rates, "kaiser_best")
    assert ours.dtype == np.float32
    assert len(ours) == len(expected)
    assert np.sqrt(np.mean((ours - expected) ** 2)) < 1e-3 * np.sqrt(np.mean(expected**2))


def test_soxr_hq_is_soxrs():
    samples = noise(44100)
    np.testing.assert_array_equal(
        resampled(samples, 1000, 44100, 16000), soxr.resample(samples, 44100, 16000, "HQ")
    )


@pytest.mark.parametrize("resampler", ["soxr_hq", "kaiser_best"])
@pytest.mark.parametrize("via", [None, 44100])
def test_blocks_do_not_matter(resampler, via):
    samples = noise(100_003)
    whole = resampled(samples, len(samples), 48000, 16000, resampler, via)
    for block in (977, 44_100, 60_000):
        np.testing.assert_array_equal(
            resampled(samples, block, 48000, 16000, resampler, via), whole
        )


@pytest.mark.parametrize("samples", [0, 1, 2, 3, 440, 441, 442, 44100])
def test_short_signals(samples):
    assert len(resampled(noise(samples), 100, 44100, 16000, "kaiser_best")) == samples * 160 // 441


def test_rates_without_a_simple_ratio():
    with pytest.raises(ConfigError, match=r"got 44101 to 16000 Hz; set LogMel.via_rate"):
        resampled(noise(100), 100, 44101, 16000, "kaiser_best")
    assert len(resampled(noise(44101), 100, 44101, 16000, "kaiser_best", 44100)) > 15_900


def test_the_first_rate_limits_the_bandwidth():
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 3000 * time).astype(np.float32)
    assert np.std(resampled(tone, 1000, 16000, 16000, via=8000)) > 0.7
    assert np.std(resampled(tone, 1000, 16000, 16000, via=4000)) < 0.01
