"""Windows and mel filters, compared with SciPy's and librosa's."""

import itertools

import librosa
import numpy as np
import pytest
import scipy.signal

from mar.audio import filters

SHAPES = [
    (16000, 2048, 96, 0.0, 8000.0),
    (44100, 1024, 40, 30.0, 16000.0),
    (8000, 512, 10, 0, 4000),
]


@pytest.mark.parametrize(
    ("shape", "htk", "norm"),
    list(itertools.product(SHAPES, [True, False], [None, "slaney", 1.0, 2.0, np.inf])),
)
def test_filters_are_those_of_librosa(shape, htk, norm):
    rate, n_fft, n_mels, fmin, fmax = shape
    ours = filters.mel(rate, n_fft, n_mels, fmin, fmax, htk, norm)
    theirs = librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:Empty filters")
def test_bands_narrower_than_a_bin_are_empty():
    ours = filters.mel(16000, 256, 96, 0.0, 8000.0, True, 2.0)
    theirs = librosa.filters.mel(sr=16000, n_fft=256, n_mels=96, fmax=8000.0, htk=True, norm=2.0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert not ours.any(axis=1).all()


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "boxcar"])
@pytest.mark.parametrize("length", [400, 401])
def test_windows_are_those_of_scipy(name, length):
    expected = scipy.signal.get_window(name, length)
    np.testing.assert_allclose(filters.window(name, length), expected, atol=1e-15)


@pytest.mark.parametrize(("n_fft", "length"), [(2048, 400), (801, 400), (64, 7)])
def test_a_shorter_transform_gives_the_same_bands(n_fft, length):
    bands = filters.mel(16000, n_fft, 12, 0.0, 8000.0, True, 2.0)
    shorter = filters.for_transform(bands, n_fft, length)
    generator, time = np.random.default_rng(0), np.arange(length)
    sine = np.sin(0.2 * time) * filters.window("hann", length)  # its quiet bands are 1e-11 of it
    for samples in (generator.standard_normal(length), sine, time == 3):
        longer = bands @ np.abs(np.fft.rfft(samples, n_fft)) ** 2
        ours = shorter @ np.abs(np.fft.rfft(samples, 2 * length)) ** 2
        np.testing.assert_allclose(ours, longer, rtol=1e-9, atol=1e-13 * longer.max())
