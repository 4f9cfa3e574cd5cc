"""The front end: waveform to log-mel spectrogram to the network's input (paper, section 2.3).

Streams, of which records and embeddings are made, are computed with NumPy alone; `LogMel.log_mel`
and `standardize` are the same in `keras.ops`, inside a model's graph.
"""

import functools
import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np

from mar.audio import filters, isolated
from mar.audio.front_end import FrontEnd
from mar.config import Param
from mar.errors import ConfigError
from mar.util.kinds import PositiveInt

STD_FLOOR = 0.01
_AMIN = 1e-10
BLOCK_FRAMES = 1000


class LogMel(FrontEnd):
    """Log-magnitude mel spectrogram, centred, with reflection at both ends.

    The defaults are the paper's; `PUBLISHED` is what the published weights were made with. The
    filters are those of librosa.
    """

    level: float = Param(default=1.0, doc="Factor on the mono samples.")
    n_fft: PositiveInt = Param(default=2048, doc="Length of the Fourier transform, samples.")
    win_length: PositiveInt = Param(default=400, doc="Length of the window, samples.")
    hop_length: PositiveInt = Param(default=160, doc="Samples from frame to frame.")
    window: str = Param(default="hann", doc="Window, by scipy.signal's name (periodic).")
    n_mels: PositiveInt = Param(default=96, doc="Number of mel bands.")
    fmin: float = Param(default=0.0, doc="Lower edge of the lowest band, Hz.")
    fmax: float = Param(default=8000.0, doc="Upper edge of the highest band, Hz.")
    htk: bool = Param(default=True, doc="HTK's mel scale; false is Slaney's.")
    norm: float | Literal["slaney"] | None = Param(
        default=2.0, doc="Norm that each filter has after scaling, as in librosa.filters.mel."
    )
    power: float = Param(default=2.0, doc="Exponent of the magnitude: 1 magnitude, 2 power.")
    mag_compression: Literal["10log10", "log10_nonneg", "log", "linear"] = Param(
        default="log10_nonneg",
        doc="10·log10(x), log10(10000·x + 1), ln(x) (both logarithms of at least 1e-10), or x.",
    )
    mag_range: tuple[float, float] | None = Param(
        default=None, doc="[lowest, highest] compressed value; what lies outside is clipped."
    )

    def __post_init__(self) -> None:
        if self.win_length > self.n_fft:
            raise ConfigError(
                f"LogMel.win_length: expected at most n_fft = {self.n_fft}, got {self.win_length}"
            )

    @property
    def hop_seconds(self) -> float:
        """Seconds from frame to frame."""
        return self.hop_length / self.sample_rate

    def log_mel(self, waveform: Any) -> Any:
        """Log-mel spectrogram of mono samples in ±1 at `sample_rate`, before `level` is applied.

        Frame `t` is centred at sample `t · hop_length`. Written in `keras.ops`, for any backend;
        inside a `tf.function` the length may be unknown.

        Args:
            waveform: `(samples,)` or `(batch, samples)`, at least one sample.

        Returns:
            float32 `(…, 1 + samples // hop_length, n_mels)`.
        """
        from keras import ops

        window, mel = self.constants
        padded = _reflect(ops.cast(waveform, "float32"), *self.margins())
        frames = ops.extract_sequences(padded, self.win_length, self.hop_length)
        real, imaginary = ops.rfft(frames * window, self.n_fft)
        power = ops.square(real) + ops.square(imaginary)
        return self._compressed(ops.matmul(self._powered(power, ops), mel), ops)

    def stream(self, path: str | bytes | os.PathLike) -> Iterator[np.ndarray]:
        """Yields the log-mel frames of an audio file as NumPy `(frames, n_mels)`, in order.

        Equal to `read(path)`, in memory that does not grow with the file's length.

        Raises:
            InputError: see `mar.audio.isolated.IsolatedDecoder.open`.
        """
        return self.stream_blocks(isolated.blocks(path, **self.decoding))

    def read(self, path: str | bytes | os.PathLike) -> np.ndarray:
        """All log-mel frames of an audio file, NumPy float32 `(frames, n_mels)`.

        Raises:
            InputError: see `mar.audio.isolated.IsolatedDecoder.open`.
        """
        empty = np.zeros((0, self.n_mels), np.float32)
        return np.concatenate([empty, *self.stream(path)])

    def stream_blocks(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the log-mel frames of a stream of mono samples, in order.

        With the defaults, a frame's window reaches 200 samples before its centre and 200 after it
        (`margins`). Frame 0 is centred at sample 0, so that samples 200 … 1 are put before it, and
        likewise a reflection at the end. Frame t is then samples 160 t … 160 t + 399 of the padded
        stream; once 1,000 frames are computed, their 160,000 samples are dropped.

        Args:
            mono_blocks: NumPy `(samples,)` at `sample_rate`, of any sizes.

        Yields:
            NumPy float32 `(frames, n_mels)`.
        """
        before, after = self.margins()
        step = BLOCK_FRAMES * self.hop_length
        held, started = np.zeros(0, np.float32), False
        for block in mono_blocks:
            held = np.concatenate([held, block])
            if not started and len(held) > before:
                held, started = np.concatenate([held[before:0:-1], held]), True
            # What stays behind is enough to be reflected at the end.
            while started and len(held) > step + self.win_length + after:
                yield self._frames(held, BLOCK_FRAMES)
                held = held[step:]
        if len(held):
            held = np.pad(held, (0 if started else before, after), mode="reflect")
            count = 1 + (len(held) - self.win_length) // self.hop_length
            for first in range(0, count, BLOCK_FRAMES):
                rest = held[first * self.hop_length :]
                yield self._frames(rest, min(BLOCK_FRAMES, count - first))

    def margins(self) -> tuple[int, int]:
        """Samples that the first frame reaches before its centre, and the last one after it.

        The window is centred in the n_fft samples of its transform. With n_fft = 2048 and
        win_length = 400, it has 824 samples of them on its left, and begins 1024 - 824 = 200
        before the centre.
        """
        before = self.n_fft // 2 - (self.n_fft - self.win_length) // 2
        return before, self.win_length - before

    def _frames(self, padded: np.ndarray, count: int) -> np.ndarray:
        """The first `count` frames of samples with margins, NumPy `(count, n_mels)`.

        Threads compute at the same time: NumPy holds Python's lock in none of these steps.
        """
        n_fft, window, filters = self._shortest_transform
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.win_length)
        frames = windows[: count * self.hop_length : self.hop_length] * window
        spectrum = np.fft.rfft(frames, n_fft)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        mel = np.maximum(self._powered(power, np) @ filters, 0)
        return self._compressed(mel.astype(np.float32), np)

    def _powered(self, power: Any, ops: Any) -> Any:
        return power if self.power == 2.0 else ops.power(power, self.power / 2)

    def _compressed(self, mel: Any, ops: Any) -> Any:
        """As `mag_compression` and `mag_range` say, in `keras.ops` or NumPy."""
        if self.mag_compression == "log10_nonneg":
            mel = ops.log10(10000.0 * mel + 1.0)
        elif self.mag_compression == "10log10":
            mel = 10.0 * ops.log10(ops.maximum(mel, _AMIN))
        elif self.mag_compression == "log":
            mel = ops.log(ops.maximum(mel, _AMIN))
        return mel if self.mag_range is None else ops.clip(mel, *self.mag_range)

    @functools.cached_property
    def constants(self) -> tuple[np.ndarray, np.ndarray]:
        """Window times the level, `(win_length,)`, and mel filters, `(bins, n_mels)`."""
        window = self.level * filters.window(self.window, self.win_length)
        mel = filters.mel(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            n_mels=self.n_mels,
            fmin=self.fmin,
            fmax=self.fmax,
            htk=self.htk,
            norm=self.norm,
        )
        return window.astype(np.float32), np.ascontiguousarray(mel.T, np.float32)

    @functools.cached_property
    def _shortest_transform(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Length of a transform, window and filters `(bins, n_mels)`, for the same mel bands.

        Of power spectra, 2 · win_length samples are enough, see `filters.for_transform`: half the
        time of the paper's 2,048 for 400.
        """
        window, mel = self.constants
        n_fft = 2 * self.win_length
        if self.power != 2.0 or n_fft > self.n_fft:
            return self.n_fft, window, mel
        shorter = filters.for_transform(mel.T, self.n_fft, self.win_length)
        return n_fft, window.astype(np.float64), np.ascontiguousarray(shorter.T)


# What the published weights were made with.
PUBLISHED = LogMel(downmix="sum", level=0.5, resampler="kaiser_best", via_rate=44100)


def standardize(logmel: Any) -> Any:
    """Snippets of log-mel as the network takes them: minus mean, over max(std, 0.01), transposed.

    It is the step between what data sets yield and what `mar.load_model` returns, on the device:

    ```python
    batch = next(iter(mar.SnippetDataset(records="records/", batch_size=8).build()))
    embeddings = model(mar.standardize(batch["snippets"]))
    ```

    Args:
        logmel: `(batch, frames, mels)`, plain log-mel of any float type; an array, or a tensor of
            the backend.

    Returns:
        float32 `(batch, mels, frames, 1)`.
    """
    from keras import ops

    logmel = ops.cast(logmel, "float32")
    centred = logmel - ops.mean(logmel, axis=(1, 2), keepdims=True)
    std = ops.std(centred, axis=(1, 2), keepdims=True)
    return ops.expand_dims(ops.transpose(centred / ops.maximum(std, STD_FLOOR), (0, 2, 1)), -1)


def _reflect(waveform: Any, before: int, after: int) -> Any:
    """Reflects `(…, samples)` at both ends, however short it is (as numpy.pad does).

    The waveform is folded back and forth, without repeating the samples at its ends, so that it
    has a period of 2 · (length - 1). For [a, b, c], before = after = 4:

        index      -4 -3 -2 -1  .  .  .  3  4  5  6
        % 4         0  1  2  3  .  .  .  3  0  1  2
        folded      0  1  2  1  .  .  .  1  0  1  2      where 3 is no index, 4 - 3 = 1 is
        result      a  b  c  b  a  b  c  b  a  b  c
    """
    from keras import ops

    length = ops.shape(waveform)[-1]
    index = ops.concatenate([ops.arange(-before, 0), length + ops.arange(after)])
    period = ops.maximum(2 * (length - 1), 1)
    folded = index % period
    folded = ops.where(folded < length, folded, period - folded)
    edges = ops.take(waveform, folded, axis=-1)
    return ops.concatenate([edges[..., :before], waveform, edges[..., before:]], axis=-1)
