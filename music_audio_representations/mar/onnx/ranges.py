"""Ranges that tensors of a network are kept in with eight bits, from audio that is run through it.

The range of a tensor is that which loses least in mean square: a few values beyond it are clipped,
so that all others are told apart more finely.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime

from mar.onnx.waveform import SNIPPETS

BATCH = 16  # snippets at once
_DRAWN = 8192  # values of a tensor that are kept of each batch
_SHARES = np.geomspace(0.1, 1, 24)  # of the extremes, which are tried as ends of the range


class Range(NamedTuple):
    """Unsigned bytes `b` stand for `scale * (b - zero)`.

    Attributes:
        scale: of one step.
        zero: the byte that stands for 0, which convolutions pad with.
    """

    scale: np.float32
    zero: np.uint8

    @classmethod
    def between(cls, lowest: float, highest: float) -> "Range":
        """That of all values between two; 0 is one of them."""
        lowest, highest = min(lowest, 0.0), max(highest, 1e-9)
        scale = (highest - lowest) / 255
        return cls(np.float32(scale), np.uint8(round(-lowest / scale)))

    @classmethod
    def of(cls, values: np.ndarray) -> "Range":
        """The one that loses least of some values: its upper end is chosen first."""
        lowest, highest = values.min(), values.max()
        highest = min(_SHARES * highest, key=lambda end: cls.between(lowest, end).loss(values))
        lowest = min(_SHARES * lowest, key=lambda end: cls.between(end, highest).loss(values))
        return cls.between(lowest, highest)

    def loss(self, values: np.ndarray) -> float:
        """Mean square of what values lose."""
        kept = np.clip(np.rint(values / self.scale) + self.zero, 0, 255)
        return float(np.square((kept - self.zero) * self.scale - values).mean())


def ranges(
    network: onnx.ModelProto, tensors: Sequence[str], snippets: np.ndarray
) -> dict[str, Range]:
    """The ranges of some tensors of a network.

    Args:
        network: as `mar.onnx.exporting.network_file` makes it.
        tensors: their names.
        snippets: plain log-mel of audio, `(n, frames, mels)`.
    """
    observed = onnx.ModelProto()
    observed.CopyFrom(network)
    observed.graph.output.extend(map(onnx.helper.make_empty_tensor_value_info, tensors))
    session = onnxruntime.InferenceSession(
        observed.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in tensors}
    for batch in np.array_split(snippets, -(-len(snippets) // BATCH)):
        for name, values in zip(tensors, session.run(tensors, {SNIPPETS: batch}), strict=True):
            drawn[name].append(values.ravel()[rng.integers(0, values.size, _DRAWN)])
    return {name: Range.of(np.concatenate(values)) for name, values in drawn.items()}
