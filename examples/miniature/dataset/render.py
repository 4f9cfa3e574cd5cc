"""Notes to audio: the instrument, the room it stands in, and the recording's level and noise."""

import functools
from collections.abc import Iterable

import numpy as np
import soxr
from scipy.signal import oaconvolve

from examples.miniature.dataset.soundfont import SoundFont

SAMPLE_RATE = 16000
_RENDERED = 2 * SAMPLE_RATE  # linear interpolation folds what is above this rate's half
_TICK = 0.02
_RT60_SECONDS = (0.25, 1.3)
_WET = (0.03, 0.3)
_NOISE_DB = (-60, -35)  # below the music
_LEVEL_DB = (-26, -18)
_PEAK = 0.97


def render(
    soundfont: SoundFont,
    program: int,
    notes: Iterable[tuple[float, float, int, int]],
    seconds: float,
    seed: int,
) -> np.ndarray:
    """Notes of one instrument as a recording.

    Args:
        soundfont: a `SoundFont`.
        program: General MIDI program, counted from 0.
        notes: of `(onset, duration, key, velocity)`, see `performance.perform`.
        seconds: length of the recording.
        seed: of room, noise and level.

    Returns:
        float32 `(samples,)` at `SAMPLE_RATE`, within ±0.97.
    """
    played = functools.lru_cache(maxsize=None)(functools.partial(_note, soundfont, program))
    dry = np.zeros(round(seconds * _RENDERED), np.float32)
    for onset, duration, key, velocity in notes:
        note = played(key, velocity // 4 * 4 + 2, max(1, round(duration / _TICK)))
        first = round(onset * _RENDERED)
        note = note[: len(dry) - first]
        dry[first : first + len(note)] += note
    dry = soxr.resample(dry, _RENDERED, SAMPLE_RATE)
    return recorded(dry, np.random.default_rng([seed, 1]))


def recorded(dry: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Adds a room and, to half of what is recorded, noise; sets the level."""
    decay = generator.uniform(*_RT60_SECONDS)
    wet = generator.uniform(*_WET)
    time = np.arange(round(decay * SAMPLE_RATE)) / SAMPLE_RATE
    room = generator.normal(size=len(time)) * 10 ** (-3 * time / decay)
    room *= wet / np.sqrt(np.sum(room**2))
    room[0] += 1 - wet
    signal = oaconvolve(dry, room)[: len(dry)]
    level = np.sqrt(np.mean(signal**2)) + 1e-9
    if generator.random() < 0.5:
        noise = level * 10 ** (generator.uniform(*_NOISE_DB) / 20)
        signal += noise * generator.normal(size=len(signal))
    gain = 10 ** (generator.uniform(*_LEVEL_DB) / 20) / level
    gain = min(gain, _PEAK / (np.abs(signal).max() + 1e-9))
    return (gain * signal).astype(np.float32)


def _note(soundfont, program, key, velocity, ticks):
    return soundfont.note(program, key, velocity, ticks * _TICK, _RENDERED)
