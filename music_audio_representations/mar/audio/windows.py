"""Where the windows of a timeline lie, and the snippets in them."""

import dataclasses

import numpy as np
from keras import ops

from mar.config import Configurable, Param
from mar.util.kinds import PositiveFloat


class Windows(Configurable):
    """Windows along an audio's timeline; the defaults are the paper's (section 3).

    They are centred at `first_centre_seconds` and every `hop_seconds` from there, and moved inwards
    where they would reach over an end, so that none is padded.
    """

    window_seconds: PositiveFloat = Param(default=3.0, doc="Length of a window, s.")
    hop_seconds: PositiveFloat = Param(default=2.0, doc="Time from window to window, s.")
    first_centre_seconds: float | None = Param(
        default=None, doc="Centre of the first window, s; null: hop_seconds."
    )

    def in_frames(self, frame_seconds):
        """The same as `FrameWindows`, to the nearest frame; `frame_seconds` is between frames."""
        first = self.first_centre_seconds
        length, hop, first = (
            round(seconds / frame_seconds)
            for seconds in (
                self.window_seconds,
                self.hop_seconds,
                self.hop_seconds if first is None else first,
            )
        )
        return FrameWindows(max(1, length), max(1, hop), first, max(1, length) // 2)


@dataclasses.dataclass(frozen=True)
class FrameWindows:
    """`Windows` in frames.

    Attributes:
        length: frames of a window (paper, section 2.3: 3 s).
        hop: frames from window to window (section 3: 0.5 Hz).
        first: centre of the first window.
        before: frames of a window that precede its centre.
    """

    length: int = 300
    hop: int = 200
    first: int = 200
    before: int = 150

    def starts(self, frames):
        """First frames of the windows, at least one.

        Args:
            frames: number of frames, at least `length`; a number or a scalar tensor.

        Returns:
            int32 `(windows,)`, in `keras.ops`.
        """
        centres = ops.arange(self.first, ops.maximum(frames, self.first + 1), self.hop)
        return ops.cast(ops.clip(centres - self.before, 0, frames - self.length), "int32")

    def centres(self, starts):
        """Centres of the windows that begin at `starts`, in frames."""
        return starts + self.length / 2

    def cut(self, frame_blocks):
        """Snippets of a stream of frames, as they become complete.

        Args:
            frame_blocks: arrays `(k, mels)`, of at least `length` frames together.

        Yields:
            `(starts, snippets)`: int `(n,)` and `(n, length, mels)`, n of at least 1.
        """
        held, offset, number = None, 0, 0  # `held` begins at frame `offset`
        for block in frame_blocks:
            held = block if held is None else np.concatenate([held, block])
            seen = offset + len(held)
            starts = []
            while self._centre(number) < seen and self._start(number) + self.length <= seen:
                starts.append(self._start(number))
                number += 1
            if starts:
                yield self._snippets(held, offset, starts)
            # The last windows are moved inwards to the last frames: these stay.
            kept = max(offset, min(self._start(number), seen - self.length))
            held, offset = held[kept - offset :], kept
        starts = []
        while number == 0 or self._centre(number) < seen:
            starts.append(min(self._start(number), seen - self.length))
            number += 1
        if starts:
            yield self._snippets(held, offset, starts)

    def _centre(self, number):
        return self.first + number * self.hop

    def _start(self, number):
        return max(0, self._centre(number) - self.before)

    def _snippets(self, held, offset, starts):
        starts = np.array(starts)
        return starts, held[(starts - offset)[:, None] + np.arange(self.length)]
