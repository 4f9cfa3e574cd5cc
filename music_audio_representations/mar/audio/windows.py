"""Where the windows of a timeline lie, and the snippets in them."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mar.config import Configurable, Param
from mar.util.kinds import PositiveFloat

_GROUP_VALUES = 1 << 23  # of the snippets that are yielded together


class Windows(Configurable):
    """Windows along an audio's timeline; the defaults are the paper's (section 3).

    They are centred at `first_centre_seconds` and every `hop_seconds` from there, and moved inwards
    where they would reach beyond an end, so that none is padded.
    """

    window_seconds: PositiveFloat = Param(default=3.0, doc="Length of a window, s.")
    hop_seconds: PositiveFloat = Param(default=2.0, doc="Time from window to window, s.")
    first_centre_seconds: float | None = Param(
        default=None, doc="Centre of the first window, s; null: hop_seconds."
    )

    def in_frames(self, frame_seconds: float) -> "FrameWindows":
        """The same windows in frames, each length to the nearest.

        Args:
            frame_seconds: time from frame to frame, s.
        """
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

    def starts(self, frames: Any) -> Any:
        """First frames of the windows, at least one.

        Args:
            frames: number of frames, at least `length`; a number or a scalar tensor.

        Returns:
            int32 `(windows,)`, in `keras.ops`.
        """
        from keras import ops  # not before: windows are configured where there is no Keras yet

        centres = ops.arange(self.first, ops.maximum(frames, self.first + 1), self.hop)
        return ops.cast(ops.clip(centres - self.before, 0, frames - self.length), "int32")

    def centres(self, starts: Any) -> Any:
        """Centres of the windows that begin at `starts`, in frames, of the type of `starts`."""
        return starts + self.length / 2

    def cut(self, frame_blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Snippets of a stream of frames, as they become complete.

        With length 300, hop 200, first centre 200 and 150 frames before it, on 1,200 frames that
        come in blocks of 500:

            frames seen   yielded starts   why, and the frames that are kept
            500           50               the next one, 250, needs frames up to 550; from 200
            1000          250, 450, 650    850 needs 1,150; from 700, the last 300
            1200          850              centred at 1,000; at the end of the stream nothing more:
                                           the next centre would be 1,200

        On 1,250 frames the centre 1,200 is inside: its window, 1,050 to 1,350, reaches beyond the
        end and is moved inwards to the last 300 frames, 950 to 1,250. That is why those are kept.

        Args:
            frame_blocks: arrays `(frames, mels)`, at least `length` frames together.

        Yields:
            `(starts, snippets)`: int `(windows,)` and `(windows, length, mels)`, at least one.
        """
        held, offset, number = np.zeros((0, 0)), 0, 0  # `held` begins at frame `offset`
        seen = 0
        for block in frame_blocks:
            held = np.concatenate([held, block]) if seen else block
            seen = offset + len(held)
            starts = []
            while self._centre(number) < seen and self._start(number) + self.length <= seen:
                starts.append(self._start(number))
                number += 1
            yield from self._snippets(held, offset, starts)
            # The last windows are moved inwards to the last frames, which therefore stay.
            kept = max(offset, min(self._start(number), seen - self.length))
            held, offset = held[kept - offset :], kept
        starts = []
        while number == 0 or self._centre(number) < seen:
            starts.append(min(self._start(number), seen - self.length))
            number += 1
        yield from self._snippets(held, offset, starts)

    def _centre(self, number: int) -> int:
        return self.first + number * self.hop

    def _start(self, number: int) -> int:
        return max(0, self._centre(number) - self.before)

    def _snippets(
        self, held: np.ndarray, offset: int, starts: list[int]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Snippets of frames, of which some are kept, in groups that memory holds."""
        if not starts:
            return
        at_a_time = max(1, _GROUP_VALUES // (self.length * held[0].size))
        views = np.lib.stride_tricks.sliding_window_view(held, self.length, axis=0)
        views = np.moveaxis(views, -1, 1)
        for begin in range(0, len(starts), at_a_time):
            first = np.array(starts[begin : begin + at_a_time])
            yield first, views[first - offset]
