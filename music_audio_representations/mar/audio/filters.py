"""Windows and mel filters, as SciPy and librosa have them, with NumPy alone."""

from typing import Any, Literal

import numpy as np

# Slaney's mel scale: linear up to 1000 Hz, logarithmic from there (Auditory Toolbox, 1998).
_LINEAR_HZ, _BREAK_HZ, _LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27.0


def window(name: str, length: int) -> np.ndarray:
    """A periodic window, float64 `(length,)`.

    Args:
        name: "hann", or any other name that scipy.signal.get_window takes, where SciPy is there.
        length: samples.
    """
    if name == "hann":
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    from scipy.signal import get_window

    return get_window(name, length)


def mel(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    fmin: float,
    fmax: float,
    htk: bool,
    norm: float | Literal["slaney"] | None,
) -> np.ndarray:
    """Triangular filters on a power spectrum, float64 `(n_mels, 1 + n_fft // 2)`.

    A filter rises from the centre of the one before it and falls to that of the one after it.

    Args:
        sample_rate, n_fft: of the spectrum.
        n_mels: number of bands.
        fmin, fmax: lower edge of the lowest and upper edge of the highest band, Hz.
        htk: HTK's mel scale; false is Slaney's.
        norm: None; "slaney": filters of equal area; or the order of the norm that each has then.
    """
    edges = mel_edges(n_mels, fmin, fmax, htk)
    frequencies = np.arange(1 + n_fft // 2) * (sample_rate / n_fft)
    distances, widths = edges[:, None] - frequencies, np.diff(edges)[:, None]
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    filters = np.maximum(0, np.minimum(rising, falling))
    if norm == "slaney":
        return filters * (2 / (edges[2:] - edges[:-2]))[:, None]
    if norm is None:
        return filters
    lengths = np.linalg.norm(filters, ord=norm, axis=1, keepdims=True)
    return filters / np.where(lengths > 0, lengths, 1)


def mel_edges(n_mels: int, fmin: float, fmax: float, htk: bool) -> np.ndarray:
    """Edges of the filters of `mel`, Hz, `(n_mels + 2,)`; those between the first and the last are
    the filters' centres.
    """
    to_hz = _htk_hz if htk else _slaney_hz
    return to_hz(np.linspace(to_mel(fmin, htk), to_mel(fmax, htk), n_mels + 2))


def to_mel(hertz: Any, htk: bool, ops: Any = np) -> Any:
    """Frequencies on the mel scale, of any shape; `ops` is NumPy or `keras.ops`."""
    if htk:
        return 2595.0 * ops.log10(1.0 + hertz / 700.0)
    above = ops.log(ops.maximum(hertz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return ops.minimum(hertz, _BREAK_HZ) / _LINEAR_HZ + above


def for_transform(filters: np.ndarray, n_fft: int, length: int) -> np.ndarray:
    """Filters that give, on the power spectrum of a shorter transform, what these give.

    The power spectrum of `length` samples is the transform of their autocorrelation, which has no
    lags of `length` and more. A transform of 2 · length samples holds all of it, so that every bin
    of a longer one is a sum of its bins:

        400 samples, filled up with zeros to 2,048    1,025 bins · filters       (96, 1025)
        the same, filled up to 800                      401 bins · these         (96, 401)

    Some of these weights are negative: use float64, in which nothing is lost where sums cancel.

    Args:
        filters: on the power spectrum of `n_fft` samples, `(n_mels, 1 + n_fft // 2)`.
        n_fft: at least 2 · length.
        length: of the window, samples.

    Returns:
        float64 `(n_mels, 1 + length)`, for a transform of 2 · length samples.
    """
    lags, bins = np.arange(length), np.arange(1 + length)
    phases = np.outer(np.arange(filters.shape[1]), lags)
    by_lag = filters @ np.cos(2 * np.pi / n_fft * phases) * np.where(lags > 0, 2, 1)
    autocorrelation = np.cos(np.pi / length * np.outer(lags, bins)) / (2 * length)
    return by_lag @ (autocorrelation * np.where(bins % length > 0, 2, 1))


def _htk_hz(mels):
    return 700.0 * (10.0 ** (np.asarray(mels) / 2595.0) - 1.0)


def _slaney_hz(mels):
    mels = np.asarray(mels, np.float64)
    break_mel = _BREAK_HZ / _LINEAR_HZ
    above = np.exp(np.maximum(mels - break_mel, 0) * _LOG_STEP)
    return np.minimum(mels, break_mel) * _LINEAR_HZ * above
