"""Copies of music differ from it in what they say, and in nothing else."""

import av
import numpy as np
import pytest
import soundfile

from helpers.signals import music
from mar.audio import decode
from mar.audio.deformations import CONTAINERS, DEFORMATIONS, write_wav

RATE = 44100
BY_NAME = {each.name: each for each in DEFORMATIONS}


@pytest.fixture(scope="module")
def sound():
    return music(4.0, RATE, 2)


@pytest.fixture
def copy(sound, tmp_path):
    """Makes a copy of the sound; returns its samples and rate as soundfile reads them."""

    def make(name, seed=0):
        path = BY_NAME[name].write(sound, RATE, np.random.default_rng(seed), tmp_path / "copy")
        return soundfile.read(path, dtype="float32", always_2d=True)

    return make


@pytest.mark.parametrize(("name", "decibels"), [("louder", 6), ("quieter", -6)])
def test_gain(copy, sound, name, decibels):
    samples, rate = copy(name)
    np.testing.assert_allclose(samples, sound * 10 ** (decibels / 20), rtol=1e-6)
    assert rate == RATE
    assert name == "quieter" or np.abs(samples).max() > 1  # is not clipped


def test_lead_in(copy, sound):
    lengths = set()
    for seed in range(5):
        samples, _ = copy("lead_in", seed)
        silence = len(samples) - len(sound)
        assert not samples[:silence].any()
        np.testing.assert_array_equal(samples[silence:], sound)
        lengths.add(silence)
    assert len(lengths) == 5
    assert 0.3 * RATE <= min(lengths) <= max(lengths) <= 1.2 * RATE
    assert len(copy("lead_in", 0)[0]) - len(sound) in lengths


def test_mono_and_noise(copy, sound):
    samples, _ = copy("mono")
    np.testing.assert_allclose(samples[:, 0], sound.mean(axis=1), atol=1e-7)
    samples, _ = copy("noise")
    ratio = np.square(sound).mean() / np.square(samples - sound).mean()
    assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.05)


@pytest.mark.parametrize(("name", "factor"), [("faster", 1.02), ("slower", 0.98)])
def test_speed(copy, sound, name, factor):
    samples, rate = copy(name)
    assert len(samples) / rate == pytest.approx(4 / factor, rel=1e-4)
    np.testing.assert_array_equal(samples, sound)  # the same waves in another time


def test_22_khz_lacks_what_is_above_11(copy, sound):
    samples, rate = copy("22_khz")
    assert rate == 22050
    bands = np.abs(np.fft.rfft(samples[:, 0]))[: 4 * 9000]
    expected = np.abs(np.fft.rfft(sound[:, 0]))[: 4 * 9000] / 2
    assert np.corrcoef(bands, expected)[0, 1] > 0.999


@pytest.mark.parametrize("kilobits", [128, 64])
@pytest.mark.parametrize("rate", [RATE, 96000])
def test_mp3(tmp_path, kilobits, rate):
    sound = music(4.0, rate, 2)
    path = BY_NAME[f"mp3_{kilobits}"].write(sound, rate, np.random.default_rng(0), tmp_path / "c")
    with av.open(str(path)) as opened:
        (stream,) = opened.streams.audio
        assert (stream.codec_context.name, stream.rate) == ("mp3float", RATE)
        assert path.stat().st_size * 8 / 4000 == pytest.approx(kilobits, rel=0.05)
    found = np.concatenate(list(decode.blocks(path, 16000)))
    expected = np.concatenate(list(decode.blocks(write_wav(sound, rate, tmp_path / "o"), 16000)))
    assert abs(len(found) - len(expected)) <= 16
    shorter = min(len(found), len(expected))
    assert np.corrcoef(found[:shorter], expected[:shorter])[0, 1] > 0.98


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda each: each.name)
def test_containers_hold_the_same_samples(sound, tmp_path, container):
    sixteen = (np.round(sound * 32768).clip(-32768, 32767) / 32768).astype(np.float32)
    wav = write_wav(sixteen, RATE, tmp_path / "original")
    path = container.write(sixteen, RATE, np.random.default_rng(0), tmp_path / "copy")
    found, expected = (np.concatenate(list(decode.blocks(each))) for each in (path, wav))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(expected, sixteen.mean(axis=1), atol=1e-7)
