"""Augmentations: what one snippet can sound like, in `keras.ops` for the device.

They act on plain log-mel `log10(10000 x + 1)`, between mixup and `mar.audio.logmel.standardize`.
What is random is drawn before, one row for each example of the global batch, as mixup's partners
are; the draws are also what an objective may predict. Masks are here; `mar.data.levels` has what
changes levels and adds sound, `mar.data.warping` transposition and tempo.
"""

import math
from typing import Any, ClassVar

import numpy as np
from keras import ops

from mar.audio.filters import mel_edges
from mar.audio.logmel import LogMel
from mar.config import Configurable, Param
from mar.errors import ConfigError
from mar.util.kinds import PositiveInt, Share

Draws = dict[str, Any]
_COMPRESSION = "log10_nonneg"


class Augmentation(Configurable):
    """Base class: draws parameters of examples, and changes their snippets by them."""

    probability: Share = Param(default=1.0, doc="Share of the snippets that are changed.")
    views: tuple[str, ...] | None = Param(
        default=None,
        doc="Which snippets of an example are changed: snippets; anchors, positives, negatives of "
        "pairs; null: all.",
    )

    ranges: ClassVar[tuple[str, ...]] = ()  # names of parameters that are [lowest, highest]

    def __post_init__(self) -> None:
        for name in self.ranges:
            given = getattr(self, name)
            if given is not None and given[0] > given[1]:
                raise ConfigError(
                    f"{type(self).__name__}.{name}: expected [lowest, highest], got {list(given)}"
                )

    def is_for(self, view: str) -> bool:
        """Whether the snippets of a view are changed."""
        return self.views is None or view in self.views

    def draw(self, rng: np.random.Generator, size: int) -> Draws:
        """Parameters of so many examples: arrays `(size, …)` by name, and which `applies` to."""
        applies = rng.random(size) < self.probability
        return {**self.parameters(rng, size), "applies": applies}

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """As `draw`, of examples that are changed."""
        raise NotImplementedError

    def apply(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """The snippets, changed where `draws` say so.

        Args:
            logmel: float32 `(n, frames, mels)`, plain log-mel.
            draws: the rows of these snippets of what `draw` returned.
            others: `(N, frames, mels)`, the same view of the global batch as it was stored.
            front_end: of both.

        Returns:
            float32 `(n, frames, mels)`.
        """
        changed = self.changed(logmel, draws, others, front_end)
        return ops.where(draws["applies"][:, None, None], changed, logmel)

    def changed(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """As `apply`, of snippets that are all changed."""
        raise NotImplementedError


def check_front_end(front_end: LogMel) -> None:
    """Raises a ConfigError where a front end's output is not what augmentations act on."""
    if front_end.mag_compression != _COMPRESSION or front_end.mag_range or front_end.power != 2:
        raise ConfigError(
            f"augmentations: expected records of a LogMel with mag_compression: {_COMPRESSION}, "
            f"mag_range: null and power: 2, got {front_end!r}"
        )


def expanded(logmel: Any) -> Any:
    """Power of log-mel, `(10^y - 1) / 10000`; of any shape."""
    return ops.expm1(math.log(10.0) * logmel) / 10000.0


def compressed(power: Any) -> Any:
    """Log-mel of power, `log10(10000 x + 1)`; of any shape."""
    return ops.log1p(10000.0 * power) / math.log(10.0)


def log_uniform(rng: np.random.Generator, limits: tuple[float, float], size: Any) -> np.ndarray:
    """Numbers whose logarithm is uniform between those of two positive ones, float32 `size`."""
    return np.exp(uniform(rng, (math.log(limits[0]), math.log(limits[1])), size))


def uniform(rng: np.random.Generator, limits: tuple[float, float], size: Any) -> np.ndarray:
    """Numbers between two, float32 `size`."""
    return rng.uniform(*limits, size).astype(np.float32)


def centres(front_end: LogMel) -> np.ndarray:
    """Centre frequencies of the bands, Hz, float32 `(mels,)`."""
    edges = mel_edges(front_end.n_mels, front_end.fmin, front_end.fmax, front_end.htk)
    return edges[1:-1].astype(np.float32)


# ------------------------------------------------------------------------------------------- masks


class TimeMask(Augmentation):
    """Stretches of time without content (SpecAugment: Park et al., 2019).

    Masks of all kinds have the mean of the snippet, which is 0 once it is standardised.
    """

    count: PositiveInt = Param(default=2, doc="Masks of a snippet.")
    longest: Share = Param(default=0.1, doc="Longest mask, as a share of the snippet.")

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Widths and places, both in [0, 1)."""
        return _spans(rng, size, self.count, self.longest)

    def changed(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """See `Augmentation.changed`."""
        return _masked(logmel, _within(draws, logmel.shape[1])[:, :, None])


class FrequencyMask(Augmentation):
    """Bands of frequency without content (SpecAugment: Park et al., 2019)."""

    count: PositiveInt = Param(default=2, doc="Masks of a snippet.")
    widest: Share = Param(default=0.1, doc="Widest mask, as a share of all bands.")

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Widths and places, both in [0, 1)."""
        return _spans(rng, size, self.count, self.widest)

    def changed(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """See `Augmentation.changed`."""
        return _masked(logmel, _within(draws, logmel.shape[2])[:, None, :])


class PatchMask(Augmentation):
    """Most of the snippet is masked, patch by patch (Myna: Yonay et al., 2025).

    Myna leaves the masked patches out; a convolutional network sees them empty.
    """

    grid: tuple[PositiveInt, PositiveInt] = Param(
        default=(20, 6), doc="Patches of a snippet in time and in frequency."
    )
    share: Share = Param(default=0.5, doc="Of the patches, which are masked.")

    def parameters(self, rng: np.random.Generator, size: int) -> Draws:
        """Which patches are masked: in each snippet as many."""
        count = math.prod(self.grid)
        ranks = np.argsort(rng.random((size, count)), axis=1)
        return {"masked": (ranks < round(self.share * count)).reshape(size, *self.grid)}

    def changed(self, logmel: Any, draws: Draws, others: Any, front_end: LogMel) -> Any:
        """See `Augmentation.changed`."""
        masked = draws["masked"]
        for axis, (count, length) in enumerate(zip(self.grid, logmel.shape[1:], strict=True), 1):
            masked = ops.take(masked, np.arange(length) * count // length, axis=axis)
        return _masked(logmel, masked)


def _spans(rng, size, count, widest):
    return {
        "widths": uniform(rng, (0, widest), (size, count)),
        "places": uniform(rng, (0, 1), (size, count)),
    }


def _within(draws, length):
    """Which of so many frames or bands lie in any span, bool `(n, length)`."""
    widths = draws["widths"][:, :, None] * length
    starts = draws["places"][:, :, None] * (length - widths)
    at = np.arange(length, dtype=np.float32) + 0.5
    return ops.any(ops.logical_and(at >= starts, at < starts + widths), axis=1)


def _masked(logmel, where):
    return ops.where(where, ops.mean(logmel, axis=(1, 2), keepdims=True), logmel)
