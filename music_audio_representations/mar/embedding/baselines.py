"""Representations that others are compared with.

* `LogMelMean`, `logmel_mean`: mean and deviation over time of the log-mel bands.
* `MusiCNNWindows`, `MTT_musicnn` and `MSD_musicnn`: MusiCNN's last hidden layer (Pons and Serra,
  2019), every 3 s. The paper's AMM row may rest on `MSD_musicnn_big`, which is not published as a
  wheel: a result names its checkpoint.
* `random`, the untrained SF-NFNet-F0.
"""

import os
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import sklearn
from sklearn.preprocessing import StandardScaler

from mar.audio.logmel import LogMel
from mar.embedding.batches import Tag, in_batches
from mar.embedding.network import compiled
from mar.embedding.representations import Group, Representation
from mar.errors import ConfigError, InputError
from mar.models import musicnn
from mar.models.loading import FRAMES
from mar.models.musicnn import MusiCNN
from mar.models.sfnfnet import SfNfNetF0, untrained


def baseline(name: str, batch_size: int) -> Representation:
    """The baseline of a name.

    Args:
        name: see above; but `random`, which is a network.
        batch_size: windows that are embedded at once.
    """
    return LogMelMean() if name == "logmel_mean" else MusiCNNWindows(name, batch_size=batch_size)


def random_model(seed: str) -> keras.Model:
    """The untrained SF-NFNet-F0 of a seed, in digits.

    Raises:
        ConfigError: it is no seed.
    """
    if not seed.isdecimal():
        raise ConfigError(f"model: expected random:SEED, e.g. random:1, got random:{seed}")
    return untrained(SfNfNetF0(), FRAMES, seed=int(seed))


class LogMelMean:
    """Mean and standard deviation over time of the bands of the paper's log-mel spectrogram."""

    shortest = 0

    def __init__(self) -> None:
        self.front_end = LogMel()
        self.dimensions = 2 * self.front_end.n_mels
        self.piece_shape = (self.dimensions,)

    @property
    def provenance(self) -> dict:
        """Its name."""
        return {"model": "logmel_mean", "precision": "float32"}

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """The centre of the audio, and its features `(1, dimensions)`; memory does not grow."""
        scaler = StandardScaler()
        # Features that are not finite are refused where those of all models are.
        with sklearn.config_context(assume_finite=True):
            for frames in self.front_end.stream_blocks(mono_blocks):
                scaler.partial_fit(frames)
        if not hasattr(scaler, "n_samples_seen_"):
            raise InputError(f"too short for one sample at {self.front_end.sample_rate} Hz")
        seconds = scaler.n_samples_seen_ * self.front_end.hop_seconds
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
        self.front_end, self.dimensions = self.network.front_end, musicnn.EMBEDDING
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
        for patches in self.network.patches(self.front_end.stream_blocks(mono_blocks)):
            numbers = patches_before + np.arange(len(patches))
            centres = (numbers + 0.5) * musicnn.FRAMES * self.front_end.hop_seconds
            yield centres.astype(np.float32), patches
            patches_before += len(patches)
        if not patches_before:
            raise InputError(musicnn.TOO_SHORT)

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """See `mar.embedding.network.in_batches`."""
        return in_batches(groups, self._forward, self._batch_size, self.dimensions)
