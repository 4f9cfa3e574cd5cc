"""The samples of one piece of audio on their way to a model."""

from collections.abc import Iterable, Iterator

import numpy as np

from mar.audio.inspection import SILENT


class Waveform:
    """The mono blocks of one piece of audio, and silence after what is too short; iterated once.

    Args:
        blocks: samples `(n,)`.
        shortest: samples that it is filled up to.

    Attributes:
        samples: how many there were, known at the end.
        peak: the largest magnitude, likewise.
    """

    def __init__(self, blocks: Iterable[np.ndarray], shortest: int) -> None:
        self._blocks, self._shortest = blocks, shortest
        self.samples, self.peak = 0, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += len(block)
            self.peak = max(self.peak, float(block.max(initial=0.0)), -float(block.min(initial=0)))
            yield block
        if self.padded:
            yield np.zeros(self._shortest - self.samples, np.float32)

    @property
    def padded(self) -> bool:
        """Whether silence was appended."""
        return self.samples < self._shortest

    @property
    def silence(self) -> str:
        """`digital`, `near` or `none`, see `mar.embedding.rows`."""
        if self.peak == 0.0:
            return "digital"
        return "near" if self.peak < SILENT else "none"
