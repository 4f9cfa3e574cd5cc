"""Augmentations of levels: gain, filters, noise and other tracks, in the power of log-mel."""

import functools
import math
from typing import Any

import numpy as np
from keras import ops

from mar.audio.logmel import LogMel
from mar.config import Param
from mar.data.augmentations import (
    Augmentation,
    Draws,
    centres,
    compressed,
    expanded,
    log_uniform,
    uniform,
)
from mar.util.kinds import PositiveFloat, PositiveInt

_NOISE_SECONDS = 30


class _Filter(Augmentation):
    """Changes the level, all alike or by frequency."""

    def changed(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """See `Augmentation.changed`."""
        decibels = self.decibels(draws, centres(front_end))
        return compressed(expanded(logmel) * _ratio(decibels)[:, None, :])

    def decibels(self, draws: Draws, hertz: np.ndarray) -> Any:
        """What is added to the level, `(n, 1)` or `(n, mels)`.

        Args:
            draws: as `parameters` returned them.
            hertz: centres of the bands, `(mels,)`.
        """
        raise NotImplementedError


class Gain(_Filter):
    """Another level."""

    decibels_range: tuple[float, float] = Param(default=(-12.0, 12.0), doc="Lowest and highest.")

    ranges = ("decibels_range",)

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Decibels."""
        return {"decibels": uniform(rng, self.decibels_range, size)}

    def decibels(self, draws: Draws, hertz: np.ndarray) -> Any:
        """See `_Filter.decibels`."""
        return draws["decibels"][:, None]


class Equaliser(_Filter):
    """Bells on a logarithmic axis of frequency, as those of a parametric equaliser."""

    bells: PositiveInt = Param(default=3, doc="Bells of a curve.")
    decibels_range: tuple[float, float] = Param(default=(-9.0, 9.0), doc="Of a bell, at its top.")
    hertz: tuple[PositiveFloat, PositiveFloat] = Param(
        default=(60.0, 7000.0), doc="Lowest and highest centre of a bell."
    )
    octaves: PositiveFloat = Param(
        default=0.7, doc="From its centre to where a bell has 0.61 of its decibels."
    )

    ranges = ("decibels_range", "hertz")

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Centres and heights of the bells."""
        return {
            "hertz": log_uniform(rng, self.hertz, (size, self.bells)),
            "decibels": uniform(rng, self.decibels_range, (size, self.bells)),
        }

    def decibels(self, draws: Draws, hertz: np.ndarray) -> Any:
        """See `_Filter.decibels`."""
        distance = (np.log2(hertz) - ops.log2(draws["hertz"])[:, :, None]) / self.octaves
        bells = draws["decibels"][:, :, None] * ops.exp(-0.5 * ops.square(distance))
        return ops.sum(bells, axis=1)


class BandLimit(_Filter):
    """Less below one frequency and above another.

    A steep slope from 3 to 7 kHz, with `low: null`, is the low-pass of a lossy codec.
    """

    low: tuple[PositiveFloat, PositiveFloat] | None = Param(
        default=(40.0, 400.0), doc="Range of the lower edge, Hz; null: no such edge."
    )
    high: tuple[PositiveFloat, PositiveFloat] | None = Param(
        default=(2000.0, 8000.0), doc="Range of the upper edge, Hz; null: no such edge."
    )
    decibels_per_octave: PositiveFloat = Param(default=24.0, doc="Slope beyond the edges.")

    ranges = ("low", "high")

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Edges, Hz."""
        edges = {"low": self.low, "high": self.high}
        return {name: log_uniform(rng, e, size) for name, e in edges.items() if e is not None}

    def decibels(self, draws: Draws, hertz: np.ndarray) -> Any:
        """See `_Filter.decibels`."""
        octaves = np.zeros((1, len(hertz)), np.float32)
        if self.low is not None:
            octaves += ops.relu(ops.log2(draws["low"])[:, None] - np.log2(hertz))
        if self.high is not None:
            octaves += ops.relu(np.log2(hertz) - ops.log2(draws["high"])[:, None])
        return -self.decibels_per_octave * octaves


# --------------------------------------------------------------------------------------- additions


class _Addition(Augmentation):
    """Adds other sound at so many decibels below the snippet, by the mean power of all bands."""

    def changed(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """See `Augmentation.changed`."""
        ours, added = expanded(logmel), self.added(logmel.shape[1], draws, others, front_end)
        means = [ops.mean(power, axis=(1, 2), keepdims=True) for power in (ours, added)]
        factor = means[0] / ops.maximum(means[1], 1e-12) * _ratio(-draws["decibels"])[:, None, None]
        return compressed(ours + factor * added)

    def added(self, frames: int, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """Power of what is added, `(n, frames, mels)`."""
        raise NotImplementedError


class Noise(_Addition):
    """Stationary noise, whose density falls by a power of the frequency: 0 white, 1 pink."""

    decibels: tuple[float, float] = Param(default=(5.0, 30.0), doc="Of the snippet to the noise.")
    exponent: tuple[float, float] = Param(default=(0.0, 2.0), doc="Lowest and highest.")

    ranges = ("decibels", "exponent")

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Ratios, exponents, and places in the noise, in [0, 1)."""
        return {
            "decibels": uniform(rng, self.decibels, size),
            "exponent": uniform(rng, self.exponent, size),
            "places": uniform(rng, (0, 1), size),
        }

    def added(self, frames: int, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """Excerpts of one recording of white noise, filtered."""
        noise = _white_noise(front_end, _NOISE_SECONDS * front_end.sample_rate)
        if len(noise) < frames:
            samples = frames * front_end.hop_length + front_end.win_length
            noise = _white_noise(front_end, samples)
        starts = ops.cast(draws["places"] * (len(noise) - frames), "int32")
        excerpts = ops.take(noise, starts[:, None] + np.arange(frames, dtype=np.int32), axis=0)
        octaves = np.log2(centres(front_end) / 1000.0)
        return excerpts * 2.0 ** (-draws["exponent"][:, None, None] * octaves)


class OtherTracks(_Addition):
    """Another example of the batch, played at the same time."""

    decibels: tuple[float, float] = Param(default=(5.0, 30.0), doc="Of the snippet to the other.")

    ranges = ("decibels",)

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Ratios, and rows of the global batch: the next ones in a random circle.

        circle 2 0 1    the partner of 2 is 0, that of 0 is 1, that of 1 is 2: never itself
        """
        decibels = uniform(rng, self.decibels, size)
        circle = rng.permutation(size).astype(np.int32)
        partners = np.empty_like(circle)
        partners[circle] = np.roll(circle, -1)
        return {"decibels": decibels, "partners": partners}

    def added(self, frames: int, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """The partners."""
        return expanded(ops.cast(ops.take(others, draws["partners"], axis=0), "float32"))


def _ratio(decibels):
    """Of powers."""
    return ops.exp(math.log(10.0) / 10.0 * decibels)


@functools.lru_cache(maxsize=4)
def _white_noise(front_end, count):
    """Power of so many samples of white noise as the front end has it, float32 `(frames, mels)`."""
    samples = np.random.default_rng(0).normal(scale=0.1, size=count).astype(np.float32)
    logmel = np.concatenate(list(front_end.stream_blocks([samples])))
    return (10.0**logmel - 1.0) / 10000.0
