"""Ways to represent audio: what `mar.Embedder` makes embeddings with.

* `NetworkWindows`: a network, of windows along the timeline.
* `LogMelMean`, the baseline `logmel_mean`: mean and deviation over time of the log-mel bands.
* `MusiCNNWindows`, the baselines `MTT_musicnn` and `MSD_musicnn`: MusiCNN's last hidden layer (Pons
  and Serra, 2019), every 3 s. The paper's AMM row may rest on `MSD_musicnn_big`, which is not
  published as a wheel: a result names its checkpoint.

Anyone's own is a class with the attributes and methods of `Representation`.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import keras
import numpy as np
from sklearn.preprocessing import StandardScaler

from mar.audio.logmel import LogMel
from mar.audio.windows import Windows
from mar.embedding.model_names import is_baseline
from mar.embedding.network import Network, compiled, in_batches
from mar.errors import ConfigError, InputError
from mar.models import musicnn
from mar.models.loading import FRAMES, load_model
from mar.models.musicnn import MusiCNN
from mar.models.saving import fingerprint, front_end
from mar.models.sfnfnet import SfNfNetF0, untrained

Tag = TypeVar("Tag")
Group = tuple[np.ndarray, np.ndarray]


class Representation(Protocol):
    """What an `Embedder` asks of a way to represent audio.

    Attributes:
        log_mel: the front end, which says how files are decoded.
        dimensions: of an embedding.
        shortest: samples that shorter audio is filled up to, with silence.
        piece_shape: of one of the `pieces`.
        provenance: what tells it from others, as plain data: `model`, and whatever else changes
            its embeddings but for the front end.
    """

    log_mel: LogMel
    dimensions: int
    shortest: int

    @property
    def piece_shape(self) -> tuple[int, ...]: ...

    @property
    def provenance(self) -> dict: ...

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """Cuts one piece of audio; called in several threads at a time.

        Args:
            mono_blocks: its samples at the front end's rate, in order, float32 `(n,)`.

        Yields:
            `(times, pieces)`: centres in seconds, float32 `(k,)`, and `(k, *piece_shape)`.

        Raises:
            InputError: it cannot be represented.
        """

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """Embeds pieces of any audio: `(tag, (k, …))` → `(tag, float32 (k, dimensions))`, in order.

        Groups may be taken ahead of those that are yielded, to be packed into batches. A group may
        have no pieces (k = 0), and is yielded then without embeddings.
        """


class NetworkWindows:
    """A network, of each of the windows.

    Args:
        model: as `mar.load_model` returns it.
        windows: the `mar.Windows`.
        batch_size: windows that are embedded at once.
        precision: "float32" or "bfloat16".
    """

    def __init__(
        self, model: keras.Model, windows: Windows, batch_size: int, precision: str
    ) -> None:
        self.log_mel = front_end(model)
        self.windows = windows.in_frames(self.log_mel.hop_seconds)
        self.network = Network(model, self.windows.length, batch_size, precision)
        self.dimensions = self.network.dimensions
        self.shortest = (self.windows.length - 1) * self.log_mel.hop_length
        self.piece_shape = (self.windows.length, self.log_mel.n_mels)
        self._model, self._made = model, {**windows.resolved()["Windows"], "precision": precision}

    @property
    def provenance(self) -> dict:
        """The weights' fingerprint, the windows and the precision."""
        return {"model": fingerprint(self._model), **self._made}

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """The windows' centres, and their snippets `(k, frames, mels)`."""
        for starts, snippets in self.windows.cut(self.log_mel.stream_blocks(mono_blocks)):
            centres = self.windows.centres(starts) * self.log_mel.hop_seconds
            yield centres.astype(np.float32), snippets

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """See `Network.stream`."""
        return self.network.stream(groups)


class LogMelMean:
    """Mean and standard deviation over time of the bands of the paper's log-mel spectrogram."""

    shortest = 0

    def __init__(self) -> None:
        self.log_mel = LogMel()
        self.dimensions = 2 * self.log_mel.n_mels
        self.piece_shape = (self.dimensions,)

    @property
    def provenance(self) -> dict:
        """Its name."""
        return {"model": "logmel_mean", "precision": "float32"}

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """The centre of the audio, and its features `(1, dimensions)`; memory does not grow."""
        scaler = StandardScaler()
        for frames in self.log_mel.stream_blocks(mono_blocks):
            scaler.partial_fit(frames)
        seconds = scaler.n_samples_seen_ * self.log_mel.hop_seconds
        features = np.concatenate([scaler.mean_, np.sqrt(scaler.var_)]).astype(np.float32)
        yield np.array([seconds / 2], np.float32), features[None]

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """The features, which are embeddings."""
        yield from groups


class MusiCNNWindows:
    """MusiCNN's last hidden layer, every 3 s.

    Args:
        checkpoint: "MTT_musicnn" or "MSD_musicnn".
        wheel: path of the wheel `musicnn`; None downloads it once.
        batch_size: windows that are embedded at once.
    """

    shortest, piece_shape = 0, (musicnn.FRAMES, musicnn.MELS)

    def __init__(
        self, checkpoint: str, wheel: str | os.PathLike | None = None, batch_size: int = 32
    ) -> None:
        self.network = MusiCNN(checkpoint, wheel)
        self.log_mel, self.dimensions = self.network.front_end, musicnn.EMBEDDING
        self._batch_size = batch_size
        _, embedding = self.network.model.outputs
        self._forward = compiled(keras.Model(self.network.model.inputs, embedding), batch_size)

    @property
    def provenance(self) -> dict:
        """Version and checkpoint."""
        name = f"musicnn-{musicnn.VERSION}/{self.network.checkpoint}"
        return {"model": name, "precision": "float32"}

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """The centres of the patches, and the patches `(k, frames, mels)`."""
        patches_before = 0
        for patches in self.network.patches(self.log_mel.stream_blocks(mono_blocks)):
            numbers = patches_before + np.arange(len(patches))
            centres = (numbers + 0.5) * musicnn.FRAMES * self.log_mel.hop_seconds
            yield centres.astype(np.float32), patches
            patches_before += len(patches)
        if not patches_before:
            raise InputError(musicnn.TOO_SHORT)

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """See `mar.embedding.network.in_batches`."""
        return in_batches(groups, self._forward, self._batch_size, self.dimensions)


def representation(
    model: str | os.PathLike | keras.Model | Representation,
    windows: Windows | None = None,
    batch_size: int = 32,
    precision: str = "float32",
) -> Representation:
    """What a name, a file or a model stands for.

    Args:
        model: what `mar.load_model` takes; `logmel_mean`, `MTT_musicnn` or `MSD_musicnn`; `random`,
            or `random:7`, the untrained SF-NFNet-F0 of seed 0, or 7; a Keras model; or a
            `Representation`, which is returned.
        windows: of a network; None for the paper's.
        batch_size: windows that are embedded at once.
        precision: of a network's computation.

    Raises:
        ConfigError: a seed that is none, or another precision of what has but one.
        InputError: the model cannot be loaded.
    """
    if isinstance(model, (str, os.PathLike)):
        name, _, seed = os.fspath(model).partition(":")
        if is_baseline(name) and name != "random":
            if precision != "float32":
                raise ConfigError(f"precision: expected float32 for {name}, got {precision}")
            if name == "logmel_mean":
                return LogMelMean()
            return MusiCNNWindows(name, batch_size=batch_size)
        model = _random(seed or "0") if name == "random" else load_model(model)
    if isinstance(model, keras.Model):
        return NetworkWindows(model, windows or Windows(), batch_size, precision)
    if not hasattr(model, "pieces"):
        raise ConfigError(f"model: expected a name, a file or a model, got {model!r}")
    return model


def _random(seed: str) -> keras.Model:
    if not seed.isdecimal():
        raise ConfigError(f"model: expected random:SEED, e.g. random:1, got random:{seed}")
    return untrained(SfNfNetF0(), FRAMES, seed=int(seed))
