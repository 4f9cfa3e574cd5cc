"""From audio to embeddings, in memory that does not grow with the audio's length."""

import dataclasses
import numbers
import os

import numpy as np

from mar.audio import decode
from mar.audio.resampling import resample
from mar.audio.windows import Windows
from mar.embedding.network import Network
from mar.errors import InputError
from mar.models.loading import load_model
from mar.models.saving import front_end

_LOUDEST = 100.0  # nobody's music, but integers that were cast


@dataclasses.dataclass(frozen=True)
class Embedding:
    """The embedding of one audio file or array.

    Attributes:
        times: `(n,)` float32, the windows' centres in seconds.
        values: `(n, dimensions)` float32, one row a window.
        duration_seconds: length of the audio.
        sample_rate: Hz, of the audio as it was given.
        padded: whether the audio was shorter than a window, so that silence was appended.
    """

    times: np.ndarray
    values: np.ndarray
    duration_seconds: float
    sample_rate: int
    padded: bool

    @property
    def mean(self):
        """`(dimensions,)` float32: the average over time."""
        return self.values.mean(axis=0)


class Embedder:
    """Embeds audio: `mar.Embedder("mule")("song.mp3").mean`.

    Args:
        model: what `mar.load_model` takes, or a Keras model as it returns.
        windows: the `mar.Windows` that are embedded; None for the paper's, 3 s every 2 s.
        batch_size: windows that are embedded at once. The result does not depend on it.
        precision: "float32" or "bfloat16", of the computation.

    Raises:
        InputError: the model cannot be used.
    """

    def __init__(self, model="mule", windows=None, batch_size=32, precision="float32"):
        if isinstance(model, (str, os.PathLike)):
            model = load_model(model)
        self.log_mel = front_end(model)
        self.windows = (windows or Windows()).in_frames(self.log_mel.hop_seconds)
        self.network = Network(model, self.windows.length, batch_size, precision)

    def __call__(self, audio, sample_rate=None):
        """Embeds one audio file or array.

        Args:
            audio: the path of an audio file, or samples in ±1, `(samples,)` or
                `(samples, channels)`.
            sample_rate: Hz, of samples; a file tells its own.

        Returns:
            An `Embedding`.

        Raises:
            InputError: the file or the samples cannot be used.
        """
        log_mel = self.log_mel
        if isinstance(audio, (str, bytes, os.PathLike)):
            if sample_rate is not None:
                raise InputError("a file tells its own sample rate; sample_rate is for arrays")
            sample_rate = decode.info(audio).sample_rate
            blocks = decode.blocks(audio, **log_mel.decoding)
        else:
            mono = decode.mix(_checked(audio, sample_rate), log_mel.downmix)
            rates = (sample_rate, log_mel.sample_rate)
            blocks = resample([mono], *rates, log_mel.resampler, log_mel.via_rate)
        snippets = Snippets(blocks, log_mel, self.windows)
        starts, values = zip(*self.network.stream(snippets), strict=True)
        return Embedding(
            times=self.times(np.concatenate(starts)),
            values=np.concatenate(values),
            duration_seconds=snippets.seconds,
            sample_rate=sample_rate,
            padded=snippets.padded,
        )

    def times(self, starts):
        """Centres, in seconds, of the windows that begin at the frames `starts`."""
        return (self.windows.centres(starts) * self.log_mel.hop_seconds).astype(np.float32)


class Snippets:
    """The windows of one piece of audio: iterating yields `(starts, snippets)`, once.

    Audio that is shorter than a window is followed by silence.

    Args:
        mono_blocks: samples at the front end's sample rate.
        log_mel: a `mar.LogMel`.
        windows: a `FrameWindows`.

    Attributes:
        seconds: length of the audio, known at the end.
        padded: whether silence was appended.
    """

    def __init__(self, mono_blocks, log_mel, windows):
        self._blocks = mono_blocks
        self._log_mel = log_mel
        self._windows = windows
        self._samples = 0

    def __iter__(self):
        return self._windows.cut(self._log_mel.stream_blocks(self._padded_blocks()))

    def _padded_blocks(self):
        for block in self._blocks:
            self._samples += len(block)
            yield block
        if self.padded:
            yield np.zeros(self._needed - self._samples, np.float32)

    @property
    def _needed(self):
        return (self._windows.length - 1) * self._log_mel.hop_length

    @property
    def seconds(self):
        return self._samples / self._log_mel.sample_rate

    @property
    def padded(self):
        return self._samples < self._needed


def _checked(samples, sample_rate):
    """Samples as float32, if they can be what they should be."""
    samples = np.asarray(samples)
    if not isinstance(sample_rate, numbers.Integral) or sample_rate < 1:
        raise InputError(f"samples need their sample_rate, whole Hz; got {sample_rate!r}")
    if samples.dtype.kind != "f":
        raise InputError(
            f"expected samples as floats in ±1, got {samples.dtype}; divide integers by their "
            "full scale (int16: 32768)"
        )
    if samples.ndim not in (1, 2) or not samples.size or samples.shape[0] < samples.shape[-1]:
        raise InputError(
            f"expected samples as (samples,) or (samples, channels), got the shape {samples.shape}"
        )
    if not np.isfinite(samples).all():
        raise InputError("the samples hold NaN or infinite values")
    if np.abs(samples).max() > _LOUDEST:
        raise InputError(f"expected samples in ±1, got values up to {np.abs(samples).max():.0f}")
    return samples.astype(np.float32)
