"""Audio that is made for benchmarks."""

import pathlib

import numpy as np
import soundfile

RATE = 44100


def song(path: pathlib.Path, minutes: float, seed: int = 0) -> pathlib.Path:
    """Writes chords over noise in stereo, a minute that is repeated; the suffix is the format."""
    generator = np.random.default_rng(seed)
    seconds = np.arange(round(60 * RATE * min(1, minutes))) / RATE
    minute = 0.05 * generator.standard_normal((len(seconds), 2))
    for pitch in 110 * 2 ** generator.uniform(0, 4, 8):
        minute += 0.1 * np.sin(2 * np.pi * pitch * seconds)[:, None] * generator.uniform(0, 1, 2)
    left = round(60 * RATE * minutes)
    with soundfile.SoundFile(path, "w", RATE, 2) as file:
        while left > 0:
            file.write(minute[:left])
            left -= len(minute)
    return path
