"""From audio to embeddings, in memory that does not grow with the audio's length."""

import dataclasses
import functools
import numbers
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import mar
from mar.audio import decode, isolated
from mar.audio.front_end import FrontEnd
from mar.audio.resampling import resample
from mar.audio.windows import Windows
from mar.embedding import engine, files
from mar.embedding.catalogue import Catalogue
from mar.embedding.encoders import address as addresses
from mar.embedding.model_names import is_baseline, is_exported, told_by_file
from mar.embedding.representations import Representation, representation
from mar.embedding.store import Embeddings
from mar.embedding.waveform import Waveform
from mar.errors import ConfigError, InputError
from mar.util import hub
from mar.util.backends import needed_by

if TYPE_CHECKING:
    import keras

_LOUDEST = 100.0  # nobody's music, but integers that were cast


@dataclasses.dataclass(frozen=True, repr=False)
class Embedding:
    """The embedding of one audio file or array.

    Attributes:
        times: `(n,)` float32, the windows' centres in seconds.
        values: `(n, dimensions)` float32, one row a window.
        duration_seconds: length of the audio.
        sample_rate: Hz, of the audio as it was given.
        padded: whether the audio was shorter than a window, so that silence was appended.
        provenance: how it was made, as a data set records it.
    """

    times: np.ndarray
    values: np.ndarray
    duration_seconds: float
    sample_rate: int
    padded: bool
    provenance: dict[str, Any]

    @property
    def mean(self) -> np.ndarray:
        """`(dimensions,)` float32: the average over time."""
        return self.values.mean(axis=0)

    def __repr__(self) -> str:
        padded = ", padded" if self.padded else ""
        return (
            f"<Embedding of {self.duration_seconds:.2f} s at {self.sample_rate} Hz{padded}: times "
            f"{self.times.shape}, values {self.values.shape}, mean {self.mean.shape}>"
        )


class Embedder:
    """Embeds audio: `mar.Embedder("mule")("song.mp3").mean`.

    Args:
        model: a name, a file, a Keras model or a `Representation`: see
            `mar.embedding.representations.representation`.
        windows: the `mar.Windows` that a network embeds; None for the paper's, 3 s every 2 s.
        batch_size: windows that are embedded at once. The result does not depend on it.
        precision: of a network's computation; None for float32, or that of an exported file.

    Attributes:
        representation: what the model is.

    Raises:
        ConfigError: an argument cannot be meant.
        InputError: the model cannot be used.
    """

    def __init__(
        self,
        model: "str | os.PathLike | keras.Model | Representation" = "mule",
        windows: Windows | None = None,
        batch_size: int = 32,
        precision: Literal["float32", "bfloat16", "float16", "int8"] | None = None,
    ) -> None:
        if not isinstance(windows, Windows | None):
            raise ConfigError(
                "windows: expected mar.Windows, e.g. mar.Embedder(windows=mar.Windows("
                f"window_seconds=3.0)), got {windows!r}"
            )
        if isinstance(model, (str, os.PathLike)):
            model = self._source = _located(os.fspath(model))
        else:
            self._source = type(model).__name__
        self.representation = representation(model, windows, batch_size, precision)

    def __repr__(self) -> str:
        return f"<mar.Embedder of {self._source}: {self.dimensions} dimensions>"

    @property
    def front_end(self) -> FrontEnd:
        """What files are decoded to."""
        return self.representation.front_end

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return self.representation.dimensions

    @functools.cached_property
    def provenance(self) -> dict:
        """How embeddings are made, as a data set records it; plain data."""
        return {
            "model_source": self._source,
            "front_end": self.front_end.hash(),
            "front_end_config": self.front_end.resolved(),
            "dimensions": self.dimensions,
            **self.representation.provenance,
            **told_by_file(self._source),
            "version": mar.__version__,
        }

    def __call__(
        self, audio: str | bytes | os.PathLike | np.ndarray, sample_rate: int | None = None
    ) -> Embedding:
        """Embeds one audio file or array.

        Args:
            audio: the path of an audio file, or samples in ±1, `(samples,)` or
                `(samples, channels)`.
            sample_rate: Hz, of samples; a file tells its own.

        Returns:
            An `Embedding`.

        Raises:
            InputError: the file or the samples cannot be used. Files are decoded in a process of
                their own, so that one that crashes a decoder, hangs it or takes all memory is such.
        """
        front_end = self.front_end
        if isinstance(audio, (str, bytes, os.PathLike)):
            if sample_rate is not None:
                raise InputError("a file tells its own sample rate; sample_rate is for arrays")
            with isolated.decoder() as decoder:
                info, blocks = decoder.open(audio, **front_end.decoding)
                return self._embedding(blocks, decode.shown(audio), info.sample_rate)
        rate, mono = _whole(sample_rate), decode.mix(_checked(audio), front_end.downmix)
        mono_blocks = resample(
            [mono], rate, front_end.sample_rate, front_end.resampler, front_end.via_rate
        )
        return self._embedding(mono_blocks, "the samples", rate)

    def _embedding(self, blocks: Iterable[np.ndarray], name: str, rate: int) -> Embedding:
        """The embedding of mono blocks at the front end's rate, which `name` names in messages."""
        waveform = Waveform(blocks, self.representation.shortest)
        try:
            groups = list(self.representation.stream(self.representation.pieces(waveform)))
            for _, embedded in groups:
                if isinstance(embedded, InputError):
                    raise embedded
        except InputError as error:
            if str(error).startswith(name):
                raise
            raise InputError(f"{name}: {error}") from None
        times, values = map(np.concatenate, zip(*groups, strict=True))
        if not np.isfinite(values).all():
            raise InputError(f"{name}: its embedding holds NaN or infinite values")
        return Embedding(
            times=times,
            values=values,
            duration_seconds=waveform.samples / self.front_end.sample_rate,
            sample_rate=rate,
            padded=waveform.padded,
            provenance=self.provenance,
        )

    def embed_folder(
        self,
        audio: str | os.PathLike | Iterable[str | os.PathLike],
        output: str | os.PathLike,
        store: Literal["mean", "timeline"] = "timeline",
        format: Literal["parquet", "npz"] = "parquet",
        workers: int | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Embeddings:
        """Embeds audio files into one data set; what it has already is not done again.

        `mar embed` does the same, and keeps means unless told otherwise. A file that
        cannot be embedded is one of the data set's `failures`, and is tried again by the next call.

        Args:
            audio: a folder, an audio file or a list of files (`.txt`, `.m3u`), or several of them.
            output: folder of the data set.
            store: what is kept of a file: the embedding of every window, from which the mean
                follows, or the mean alone: a ninetieth of that for three minutes of audio.
            format: "parquet", or "npz": one more file per audio file.
            workers: files that are decoded at once; None for one per core.
            shard: `(i, n)`: embeds the share of one of n machines.

        Returns:
            The data set.

        Raises:
            ConfigError: an argument cannot be meant.
            InputError: an input does not exist, the output holds other embeddings, or another
                process writes into it.
        """
        Catalogue(store=store, format=format, workers=workers)  # says what cannot be meant
        inputs = [audio] if isinstance(audio, (str, os.PathLike)) else audio
        items = files.find([os.path.expanduser(path) for path in inputs])
        engine.embed(lambda: self, self.provenance, items, output, store, format, workers, shard)
        return Embeddings(output)


def _located(name: str) -> str:
    """What stands for the same model later, and in another working folder."""
    if (address := addresses.parse(name)) is not None:
        return str(address.located())
    if is_baseline(name):
        return name
    if hub.is_address(name):
        return hub.pinned(name)
    if is_exported(name):
        return os.path.abspath(name)
    with needed_by(name):
        from mar.models.loading import located
    return located(name)


def _whole(sample_rate: object) -> int:
    if not isinstance(sample_rate, numbers.Integral) or sample_rate < 1:
        raise InputError(f"samples need their sample_rate, whole Hz; got {sample_rate!r}")
    return int(sample_rate)


def _checked(samples: np.ndarray) -> np.ndarray:
    """Samples as float32, if they can be what they should be."""
    samples = np.asarray(samples)
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
