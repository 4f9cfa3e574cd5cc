"""Signals that stand for music where there is none: what int8 is calibrated on by default.

The ranges of a network's tensors depend on how loud, bright, dense and noisy music is; so these
signals differ in that, widely. They are the same everywhere.
"""

import numpy as np

SECONDS = 13.0
_HIGHEST = 7900.0  # Hz, of partials; half the front end's usual rate


def signals(count: int, sample_rate: int) -> list[np.ndarray]:
    """Different ones, float32 `(samples,)` of `SECONDS` each."""
    return [_signal(np.random.default_rng(seed), sample_rate) for seed in range(count)]


def _signal(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Chords and strokes to a beat, over noise that comes and goes."""
    time = np.arange(int(SECONDS * sample_rate)) / sample_rate
    waves = 1 + np.sin(2 * np.pi * rng.uniform(0.2, 3) * time)
    samples = 10 ** rng.uniform(-4, -1) * waves * _noise(rng, len(time), sample_rate)
    decay, struck = rng.uniform(0.5, 12), rng.uniform(0, 0.3)
    for start in np.arange(0, SECONDS, rng.uniform(0.2, 0.8)):
        since = time[int(start * sample_rate) :] - start
        chord = 0.08 * np.exp(-decay * since) * _chord(rng, since)
        stroke = struck * np.exp(-40 * since) * rng.standard_normal(len(since))
        samples[-len(since) :] += chord + stroke
    loudness = 10 ** rng.uniform(-1.5, 0)
    return (samples * (loudness / np.abs(samples).max())).astype(np.float32)


def _noise(rng, count, sample_rate):
    """Noise of unit power, white or darker."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequencies = np.maximum(np.fft.rfftfreq(count, 1 / sample_rate), 50)
    noise = np.fft.irfft(spectrum * frequencies ** -rng.uniform(0, 1.2), count)
    return noise / noise.std()


def _chord(rng, time):
    """Up to four tones with up to eight partials each."""
    total = np.zeros_like(time)
    for pitch in 55 * 2 ** rng.uniform(0, 5, rng.integers(1, 5)):
        for number in range(1, rng.integers(2, 9)):
            if number * pitch < _HIGHEST:
                total += np.sin(2 * np.pi * number * pitch * time) / number
    return total
