"""Signals that stand for music where there is none: what int8 is calibrated on by default.

The ranges of a network's tensors, and what rounding does to its embeddings, depend on what goes
in. So these signals are like music where a log-mel spectrogram is looked at: the treble is weaker
than the bass, partials stand out of a noise floor, what is loud lasts, and no two are alike; see
`benchmarks/int8.py`, which prints both in numbers. They are the same everywhere.
"""

import numpy as np

SECONDS = 13.0
_RINGING = 4.0  # seconds, after which a chord has faded
_PERIOD = 2048  # samples of a tone's wave


def signals(count: int, sample_rate: int) -> list[np.ndarray]:
    """Different ones, float32 `(samples,)` of `SECONDS` each."""
    return [_signal(np.random.default_rng(seed), sample_rate) for seed in range(count)]


def _signal(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Chords and strokes to a beat, over noise that comes and goes."""
    time = np.arange(int(SECONDS * sample_rate)) / sample_rate
    level = 10 ** rng.uniform(-3.3, -1.7)
    hiss = level * (1 + rng.uniform() * np.sin(2 * np.pi * rng.uniform(0.2, 3) * time))
    tones = np.zeros_like(time)
    decay, struck = 10 ** rng.uniform(-0.7, 0.7), rng.uniform(0, 0.2)
    for start in np.arange(0, SECONDS, rng.uniform(0.2, 0.8)):
        ringing = slice(int(start * sample_rate), int((start + _RINGING) * sample_rate))
        since = time[ringing] - start
        fading = np.exp(-decay * since) * np.clip(_RINGING - since, 0, 1)
        tones[ringing] += 0.08 * fading * _chord(rng, since)
        hiss[ringing] += struck * np.exp(-20 * since)
    samples = tones + hiss * _noise(rng, len(time), sample_rate)
    loudness = 10 ** rng.uniform(-1.2, 0)
    return (samples * (loudness / np.abs(samples).max())).astype(np.float32)


def _noise(rng, count, sample_rate):
    """Noise of unit power, weaker towards the treble."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequencies = np.maximum(np.fft.rfftfreq(count, 1 / sample_rate), 50)
    noise = np.fft.irfft(spectrum * frequencies ** -rng.uniform(0.3, 1.2), count)
    return noise / noise.std()


def _chord(rng, time):
    """Up to four tones with up to nineteen partials each."""
    total = np.zeros_like(time)
    for pitch in 55 * 2 ** rng.uniform(0, 4, rng.integers(1, 5)):
        partials = np.arange(1, rng.integers(4, 20))
        spectrum = np.zeros(_PERIOD // 2 + 1, complex)
        phases = np.exp(2j * np.pi * rng.uniform(size=len(partials)))
        spectrum[partials] = phases * _PERIOD / 2 / partials
        wave = np.fft.irfft(spectrum)
        total += wave[(pitch * _PERIOD * time).astype(int) % _PERIOD]
    return total
