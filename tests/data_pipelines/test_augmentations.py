"""Augmentations against what they stand for: the log-mel of audio that really was changed.

Correlations with it, of synthetic melodies: transposed by 1 to 5 semitones 0.96 to 0.99 (0.50 to
0.76 where nothing is done); played at 0.8 to 1.25 times the tempo 0.99 (0.78 to 0.93).
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy.signal import firwin2, oaconvolve

import mar
from mar.audio.logmel import LogMel
from mar.data.augmentations import centres, check_front_end
from mar.errors import ConfigError

FRONT_END = LogMel()
RATE, FRAMES = 16000, 300
KINDS = [
    mar.TimeMask(),
    mar.FrequencyMask(),
    mar.PatchMask(),
    mar.Gain(),
    mar.Equaliser(),
    mar.BandLimit(),
    mar.Noise(),
    mar.OtherTracks(),
    mar.PitchShift(),
    mar.TimeStretch(),
]


@functools.cache
def melody(seed=0, semitones=0.0, rate=1.0, seconds=4.0):
    """Plucked notes with harmonics, played at another pitch or tempo; from the middle of 4 s on.

    The spectrum of a note goes with its pitch, and its decay with the tempo.
    """
    rng = np.random.default_rng(seed)
    middle, time = seconds / 2, np.arange(round(seconds * RATE)) / RATE
    samples = np.zeros(len(time), np.float32)
    for onset in np.arange(-2, seconds + 2, 0.25):
        pitch, loudness, brightness = 48 + rng.integers(0, 30), rng.uniform(0.05, 0.2), rng.random()
        since = time - (middle + (onset - middle) / rate)
        envelope = np.exp(-4 * rate * np.maximum(since, 0)) * (since >= 0)
        for harmonic in range(1, 15):
            hertz = harmonic * 440 * 2 ** ((pitch + semitones - 69) / 12)
            if hertz < RATE / 2:
                level = loudness * harmonic ** (-0.7 - brightness)
                samples += level * envelope * np.sin(2 * np.pi * hertz * since)
    return samples


def logmel(samples):
    """The middle frames, `(1, FRAMES, mels)`."""
    frames = np.concatenate(list(FRONT_END.stream_blocks([samples])))
    first = (len(frames) - FRAMES) // 2
    return frames[None, first : first + FRAMES]


def changed(augmentation, snippets, others=None, **draws):
    """The augmentation with given parameters, on every snippet."""
    draws = {name: np.full(len(snippets), value, np.float32) for name, value in draws.items()}
    drawn = {**augmentation.draw(np.random.default_rng(0), len(snippets)), **draws}
    drawn["applies"] = np.full(len(snippets), True)
    return ops.convert_to_numpy(augmentation.apply(snippets, drawn, others, FRONT_END))


def correlation(ours, theirs):
    return np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1]


@pytest.mark.parametrize("semitones", [-4, 1, 5])
def test_a_pitch_shift_is_what_was_transposed(semitones):
    found = [
        correlation(
            changed(mar.PitchShift(), logmel(melody(seed)), semitones=semitones),
            logmel(melody(seed, semitones)),
        )
        for seed in range(3)
    ]
    unchanged = [
        correlation(logmel(melody(seed)), logmel(melody(seed, semitones))) for seed in range(3)
    ]
    assert min(found) > 0.95
    assert max(unchanged) < 0.8


@pytest.mark.parametrize("rate", [0.8, 0.95, 1.1, 1.25])
def test_a_time_stretch_is_what_was_played_at_another_tempo(rate):
    def compared(snippets, seed):
        held = round(FRAMES * (1 - 1 / rate) / 2) + 1 if rate > 1 else 0  # at either end
        played = logmel(melody(seed, rate=rate))
        return correlation(*(x[:, held : FRAMES - held] for x in (snippets, played)))

    stretch = functools.partial(changed, mar.TimeStretch(), octaves=np.log2(rate))
    found = [compared(stretch(logmel(melody(seed))), seed) for seed in range(3)]
    unchanged = [compared(logmel(melody(seed)), seed) for seed in range(3)]
    assert min(found) > 0.98
    assert max(unchanged) < 0.95


def test_a_gain_is_that_of_the_waveform():
    for decibels in (-20, 6):
        louder = logmel(melody() * 10 ** (decibels / 20))
        ours = changed(mar.Gain(), logmel(melody()), decibels=decibels)
        np.testing.assert_allclose(ours, louder, atol=2e-3)


@pytest.mark.parametrize("kind", [mar.Equaliser(), mar.BandLimit(), mar.BandLimit(low=None)])
def test_filters_are_those_of_the_waveform(kind):
    for seed in range(3):
        drawn = kind.draw(np.random.default_rng(seed), 1)
        hertz = np.linspace(0, RATE / 2, 2049)
        curve = ops.convert_to_numpy(kind.decibels(drawn, np.maximum(hertz, 1.0)))[0]
        taps = firwin2(4097, hertz, 10 ** (curve / 20), fs=RATE)
        filtered = oaconvolve(melody(), taps, "same").astype(np.float32)
        drawn["applies"] = np.array([True])
        ours = kind.apply(logmel(melody()), drawn, None, FRONT_END)
        assert correlation(ours, logmel(filtered)) > 0.99
        assert np.abs(ours - logmel(filtered)).mean() < 0.1


def powers(snippets):
    return (10.0**snippets - 1) / 1e4


def test_noise_is_that_of_a_sum_of_waveforms():
    """As near to one sum as another sum with other noise is."""
    clean = logmel(melody())

    def noisy(seed):
        white = np.random.default_rng(seed).normal(size=len(melody())).astype(np.float32)
        factor = np.sqrt(powers(clean).mean() / powers(logmel(white)).mean() / 10)
        return logmel(melody() + factor * white)

    ours = changed(mar.Noise(), clean, decibels=10, exponent=0)
    assert correlation(ours, noisy(0)) > correlation(noisy(1), noisy(0)) - 0.01
    assert correlation(ours, noisy(0)) > correlation(clean, noisy(0)) + 0.1
    added = powers(ours) - powers(clean)
    assert added.mean() / powers(clean).mean() == pytest.approx(0.1, rel=1e-3)
    falling = changed(mar.Noise(), clean, decibels=10, exponent=2)
    by_band = (powers(falling) - powers(clean)).mean(axis=(0, 1))
    low, high = (np.argmin(abs(hertz - centres(FRONT_END))) for hertz in (1000, 2000))
    white = added.mean(axis=(0, 1))
    assert by_band[low] / by_band[high] * white[high] / white[low] == pytest.approx(4, rel=0.1)


def test_snippets_may_be_longer_than_half_a_minute():
    """Whose noise is as strong at their end as at their beginning."""
    draws = {"places": np.array([0.0, 0.9], np.float32), "exponent": np.zeros(2, np.float32)}
    added = np.array(mar.Noise().added(4000, draws, None, FRONT_END))
    assert added.shape == (2, 4000, 96)
    assert added[:, -500:].mean() == pytest.approx(added[:, :500].mean(), rel=0.05)


def test_another_track_is_that_of_a_sum_of_waveforms():
    snippets = np.concatenate([logmel(melody(0)), logmel(melody(1))])
    factor = np.sqrt(powers(snippets[0]).mean() / powers(snippets[1]).mean() / 10)
    draws = {"decibels": 10, "partners": 0}
    drawn = {n: np.full(2, v, np.float32) for n, v in draws.items()}
    drawn |= {"partners": np.array([1, 0], np.int32), "applies": np.full(2, True)}
    ours = mar.OtherTracks().apply(snippets, drawn, snippets.astype(np.float16), FRONT_END)
    theirs = logmel(melody(0) + factor * melody(1))[0]
    assert correlation(ours[0], theirs) > 0.99


def test_no_track_is_added_to_itself_and_each_to_one():
    for size in range(2, 12):
        for seed in range(20):
            partners = mar.OtherTracks().parameters(np.random.default_rng(seed), size)["partners"]
            assert sorted(partners) == list(range(size))
            assert (partners != np.arange(size)).all()


@pytest.mark.parametrize("kind", [mar.TimeMask(), mar.FrequencyMask(), mar.PatchMask(share=0.75)])
def test_masks_leave_the_rest_and_have_the_mean(kind):
    snippets = np.random.default_rng(0).random((64, FRAMES, 96)).astype(np.float32)
    drawn = kind.draw(np.random.default_rng(1), 64)
    masked = ops.convert_to_numpy(kind.apply(snippets, drawn, None, FRONT_END))
    where = masked != snippets
    means = np.broadcast_to(snippets.mean(axis=(1, 2), keepdims=True), snippets.shape)
    np.testing.assert_allclose(masked[where], means[where], rtol=1e-5)
    shares = where.mean(axis=(1, 2))
    if isinstance(kind, mar.PatchMask):
        np.testing.assert_allclose(shares, 0.75, atol=1e-4)
        patches = where.reshape(64, 20, 15, 6, 16)
        assert (patches.all(axis=(2, 4)) | ~patches.any(axis=(2, 4))).all()
    else:
        axis = 2 if isinstance(kind, mar.TimeMask) else 1
        assert (where.all(axis=axis) == where.any(axis=axis)).all()
        assert 0.05 < shares.mean() < 0.1
        assert shares.max() < 0.21


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_replicas_change_snippets_as_one_device_does_and_a_graph_as_eager(kind):
    """Half of them; what is not changed is left to the bit."""
    snippets = np.random.default_rng(0).random((8, FRAMES, 96)).astype(np.float32) * 4
    half = kind.replace(probability=0.5)
    draws = half.draw(np.random.default_rng(4), 8)
    assert 0 < draws["applies"].sum() < 8
    alone = ops.convert_to_numpy(half.apply(snippets, draws, snippets, FRONT_END))
    same = (alone == snippets).all(axis=(1, 2))
    np.testing.assert_array_equal(same, ~draws["applies"])
    assert np.isfinite(alone).all()
    assert alone.min() >= -1e-6

    @tf.function(autograph=False)
    def replica(rows, draws):
        return half.apply(rows, draws, snippets, FRONT_END)

    for rows in np.split(np.arange(8), 2):
        own = {name: tf.constant(draw[rows]) for name, draw in draws.items()}
        np.testing.assert_allclose(
            replica(tf.constant(snippets[rows]), own), alone[rows], atol=2e-4
        )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_draws_have_a_row_for_each_example(kind):
    one, again, other = (kind.draw(np.random.default_rng(seed), 6) for seed in (1, 1, 2))
    for name, values in one.items():
        assert len(values) == 6
        assert values.dtype in (np.float32, np.int32, bool)
        np.testing.assert_array_equal(values, again[name])
    assert any(not np.array_equal(values, other[name]) for name, values in one.items())


def test_ranges_are_those_that_were_asked_for():
    rng = np.random.default_rng(0)
    drawn = mar.TimeStretch(rates=(0.5, 2)).draw(rng, 20_000)["octaves"]
    assert (drawn.min(), drawn.max()) == pytest.approx((-1, 1), abs=1e-3)
    assert abs(drawn.mean()) < 0.02
    assert mar.Gain(probability=0.3).draw(rng, 20_000)["applies"].mean() == pytest.approx(
        0.3, abs=0.02
    )
    with pytest.raises(
        ConfigError, match=r"Gain.decibels_range: expected \[lowest, highest\], got"
    ):
        mar.Gain(decibels_range=(3, -3))


def test_another_compression_is_refused():
    check_front_end(LogMel())
    with pytest.raises(ConfigError, match="mag_compression: log10_nonneg, .*got LogMel"):
        check_front_end(LogMel(mag_compression="log"))
