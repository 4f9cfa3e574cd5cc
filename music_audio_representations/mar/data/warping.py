"""Transposition and other tempi of log-mel: the snippet is sampled at other bands or frames."""

import math
from typing import Any

import numpy as np
from keras import ops

from mar.audio.filters import to_mel
from mar.audio.logmel import LogMel
from mar.config import Param
from mar.data.augmentations import Augmentation, Draws, centres, log_uniform, uniform
from mar.util.kinds import PositiveFloat


class PitchShift(Augmentation):
    """Transposes: each band is what the band at its frequency over the ratio was.

    The mel axis is not logarithmic below 1 kHz, so that this is no shift by so many bands. What
    would come from above the highest band is silent.
    """

    semitones: tuple[float, float] = Param(default=(-3.0, 3.0), doc="Lowest and highest.")

    ranges = ("semitones",)

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Semitones."""
        return {"semitones": uniform(rng, self.semitones, size)}

    def changed(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """See `Augmentation.changed`."""
        ratios = 2.0 ** (draws["semitones"] / 12.0)
        lowest, highest = (to_mel(edge, front_end.htk) for edge in (front_end.fmin, front_end.fmax))
        mels = to_mel(centres(front_end) / ratios[:, None], front_end.htk, ops)
        bands = (mels - lowest) / (highest - lowest) * (front_end.n_mels + 1) - 1.0
        weights = _between(bands, front_end.n_mels)
        return ops.matmul(logmel, ops.transpose(weights, (0, 2, 1)))


class TimeStretch(Augmentation):
    """Another tempo at the same pitch, around the middle of the snippet.

    Faster than the track, it takes more frames than it leaves: beyond the snippet's ends it holds
    the last one. `Objective.frames` cuts them off.
    """

    rates: tuple[PositiveFloat, PositiveFloat] = Param(
        default=(0.8, 1.25), doc="Lowest and highest tempo, as a multiple of the track's."
    )

    ranges = ("rates",)

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Octaves of the tempo: 1 is twice as fast."""
        return {"octaves": np.log2(log_uniform(rng, self.rates, size))}

    def changed(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """See `Augmentation.changed`."""
        frames = logmel.shape[1]
        from_middle = np.arange(frames, dtype=np.float32) - (frames - 1) / 2
        sampled = (frames - 1) / 2 + from_middle * 2.0 ** draws["octaves"][:, None]
        return ops.matmul(_between(ops.clip(sampled, 0, frames - 1), frames), logmel)

    def frames(self, left: int) -> int:
        """Frames that a snippet must have, so that so many are left with nothing held."""
        return math.ceil((left - 1) * max(self.rates[1], 1.0)) + 1


def _between(places, count):
    """Weights of linear interpolation, `(n, places, count)`: 0 of what lies beyond the ends."""
    distance = ops.abs(places[:, :, None] - np.arange(count, dtype=np.float32))
    return ops.relu(1.0 - distance)
