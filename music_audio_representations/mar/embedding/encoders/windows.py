"""An encoder of waveforms, on the windows of the timeline that every model has."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from mar.audio.front_end import FrontEnd
from mar.audio.windows import Windows
from mar.embedding.batches import Tag
from mar.embedding.representations import Embedded, Group
from mar.errors import InputError

POOLINGS = ("mean", "mean_deviation")
_TRIED_SECONDS = 30  # of noise, at most, to see what an encoder gives
_SHORTEST_SECONDS = 1.0  # that shorter audio is filled up to, with silence
_LOG = logging.getLogger(__name__)


class Encoder(Protocol):
    """What `EncoderWindows` asks of an encoder.

    Attributes:
        name: in messages, and as `model` in the provenance.
        sample_rate: Hz, of the waveforms that it is given.
        facts: what tells it from others, as plain data.
    """

    name: str
    sample_rate: int

    @property
    def facts(self) -> dict[str, Any]: ...

    def __call__(self, waveforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encodes waveforms of one length.

        Args:
            waveforms: float32 `(k, samples)`, mono in ±1.

        Returns:
            The centres of its frames, seconds `(frames,)`, and `(k, frames, dimensions)`.
        """


def pooled(frames: np.ndarray, pooling: str) -> np.ndarray:
    """`(…, frames, dimensions)` without the axis of frames: their mean, or mean and deviation.

    A scene is one frame, which is its mean.

    float32 `(…, dimensions)`, or `(…, 2 · dimensions)` with the standard deviations behind.
    """
    mean = frames.mean(axis=-2, dtype=np.float64)
    if pooling != "mean_deviation":
        return mean.astype(np.float32)
    deviation = frames.std(axis=-2, dtype=np.float64)
    return np.concatenate([mean, deviation], axis=-1).astype(np.float32)


class EncoderWindows:
    """An encoder, of each of the windows, with its frames in a window pooled.

    Audio that is shorter than a window is encoded as it is, from a second on.

    Args:
        encoder: is given each window by itself.
        windows: the `mar.Windows`.
        pooling: one of `POOLINGS`, or what the encoder calls its own.

    Raises:
        InputError: it gives something else than frames, or not the same for the same waveform.
    """

    def __init__(self, encoder: Encoder, windows: Windows, pooling: str) -> None:
        self._encoder, self._pooling = encoder, pooling
        self.front_end = FrontEnd(sample_rate=encoder.sample_rate)
        self.windows = windows.in_frames(1 / encoder.sample_rate)
        self.shortest = min(self.windows.length, round(_SHORTEST_SECONDS * encoder.sample_rate))
        self.piece_shape = (self.windows.length,)
        self._windows = windows.resolved()["Windows"]
        length = min(self.windows.length, _TRIED_SECONDS * encoder.sample_rate)
        noise = 0.1 * np.random.default_rng(0).standard_normal((1, length)).astype(np.float32)
        try:
            frames = self._frames(noise)
        except InputError:
            raise
        except Exception as error:  # another's code, which may raise anything
            raise InputError(
                f"{encoder.name}: expected frames of {length} samples of noise at "
                f"{encoder.sample_rate} Hz, got {error!r}"
            ) from error
        self._frame_rate = round(frames.shape[1] * encoder.sample_rate / length, 3)
        once, again = pooled(frames, pooling), pooled(self._frames(noise), pooling)
        if not np.allclose(once, again, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise InputError(
                f"{encoder.name}: expected the same embedding of the same waveform, got others: is "
                f"it in the mode for training (.eval()), or does it draw random numbers?"
            )
        self.dimensions = once.shape[-1]

    @property
    def provenance(self) -> dict[str, Any]:
        """The encoder, the windows, the pooling and how many frames a second are pooled."""
        return {
            **self._windows,
            "model": self._encoder.name,
            "precision": "float32",
            "pooling": self._pooling,
            "frame_rate": self._frame_rate,
            **self._encoder.facts,
        }

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """The windows' centres, and their samples `(k, samples)`."""
        rate, blocks = self.front_end.sample_rate, iter(mono_blocks)
        begun, held = [], 0
        while held < self.windows.length and (block := next(blocks, None)) is not None:
            begun.append(block)
            held += len(block)
        first = np.concatenate(begun)
        if held < self.windows.length:
            yield np.array([held / 2 / rate], np.float32), first[None]
            return
        for starts, waveforms in self.windows.cut(_chained(first, blocks)):
            yield (self.windows.centres(starts) / rate).astype(np.float32), waveforms

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, Embedded]]:
        """Encodes each group by itself; what the encoder raises is told in place of embeddings."""
        for tag, waveforms in groups:
            if not len(waveforms):
                yield tag, np.zeros((0, self.dimensions), np.float32)
                continue
            try:
                yield tag, pooled(self._frames(waveforms), self._pooling)
            except Exception as error:  # another's code, which may raise anything
                _LOG.debug("%s", self._encoder.name, exc_info=True)
                told = str(error) if isinstance(error, InputError) else repr(error)
                yield tag, InputError(f"{self._encoder.name} cannot encode it: {told}")

    def _frames(self, waveforms: np.ndarray) -> np.ndarray:
        """`(k, frames, dimensions)` of `(k, samples)`."""
        times, frames = map(np.asarray, self._encoder(waveforms))
        check_frames(self._encoder.name, times, frames, len(waveforms))
        return frames


def check_frames(name: str, times: np.ndarray, frames: np.ndarray, count: int) -> None:
    """That an encoder gave frames, and a time for each.

    Raises:
        InputError: it did not.
    """
    if frames.ndim != 3 or len(frames) != count or not all(frames.shape[1:]):
        raise InputError(f"{name}: expected (frames, dimensions), got the shape {frames.shape[1:]}")
    if times.shape != frames.shape[1:2]:
        raise InputError(
            f"{name}: expected a time for each of {frames.shape[1]} frames, got the shape "
            f"{times.shape}"
        )
    if frames.dtype.kind != "f" or not (np.diff(times) > 0).all():
        raise InputError(
            f"{name}: expected frames of floats, and rising times in seconds, got "
            f"{frames.dtype} and {_shown(times)}"
        )


def even_times(frames: int, seconds: float) -> np.ndarray:
    """The centres of frames that share some time evenly, seconds `(frames,)`."""
    return (np.arange(frames) + 0.5) * seconds / frames


def _chained(first: np.ndarray, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from blocks


def _shown(times: Sequence[float] | np.ndarray) -> str:
    return f"[{', '.join(f'{time:g}' for time in times[:3])}, …]"
