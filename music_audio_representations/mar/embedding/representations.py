"""Baselines in the same frame as the models: features that probes are trained on in their place.

* `random`: the network as it is before training. It is written as a model, for `mar.embed`.
* `logmel_mean`: mean and standard deviation over time of every band of the log-mel spectrogram.
* `MTT_musicnn`, `MSD_musicnn`: MusiCNN's last hidden layer (Pons and Serra, 2019), the mean over
  windows of 3 s. The paper's AMM row may rest on `MSD_musicnn_big`, which is not published as a
  wheel: a result names its checkpoint.
"""

import functools
import os
from multiprocessing.pool import ThreadPool

import numpy as np

import mar
from mar.audio.logmel import LogMel
from mar.embedding.catalogue import missing
from mar.embedding.files import AudioItem
from mar.embedding.store import Row, Writer
from mar.errors import InputError
from mar.models.musicnn import CHECKPOINTS, EMBEDDING, FRAMES, VERSION, MusiCNN
from mar.models.sfnfnet import untrained

FEATURES = ("logmel_mean", *CHECKPOINTS)


def random_network(path, seed=0):
    """Writes the untrained SF-NFNet-F0 as a model file; equal seeds give equal weights."""
    mar.save(untrained(mar.SfNfNetF0(), seed=seed), path)


class LogMelMean:
    """Mean and standard deviation over time of the bands of the paper's log-mel spectrogram."""

    def __init__(self):
        self.name, self.front_end = "logmel_mean", LogMel()
        self.dimensions = 2 * self.front_end.n_mels

    def __call__(self, path):
        """Centre of the file in seconds `(1,)`, and features `(1, dimensions)`."""
        frames = self.front_end.read(path)
        features = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
        return np.array([len(frames) / 2 * self.front_end.hop_seconds]), features[None]


class MusiCNNWindows:
    """MusiCNN's last hidden layer, every 3 s."""

    def __init__(self, checkpoint, wheel=None):
        self._network = MusiCNN(checkpoint, wheel)
        self.name, self.front_end = f"musicnn-{VERSION}/{checkpoint}", self._network.front_end
        self.dimensions = EMBEDDING

    def __call__(self, path):
        """Centres of the windows in seconds `(n,)`, and features `(n, dimensions)`."""
        _, embeddings = self._network(path)
        centres = (np.arange(len(embeddings)) + 0.5) * FRAMES * self.front_end.hop_seconds
        return centres, embeddings


def embed(features, audio_root, paths, folder, progress=iter):
    """Writes the features of audio files as an embeddings data set of means.

    Run again, it does only what is missing or failed.

    Args:
        features: a `LogMelMean` or `MusiCNNWindows`.
        audio_root: the folder that paths are relative to.
        paths: of the files, relative. One that cannot be read is recorded with the reason.
        folder: of the data set.
        progress: wraps the list of what is to be done, e.g. tqdm.

    Returns:
        `{path: reason}` of the files that failed.

    Raises:
        InputError: the folder holds other embeddings.
    """
    provenance = {
        "model": features.name,
        "model_source": features.name,
        "front_end": features.front_end.hash(),
        "front_end_config": features.front_end.resolved(),
        "dimensions": features.dimensions,
        "precision": "float32",
        "store": "mean",
        "format": "parquet",
        "version": mar.__version__,
    }
    items = [AudioItem(path, os.path.join(audio_root, path)) for path in paths]
    failures = {}
    with Writer(folder, provenance) as writer, ThreadPool(len(os.sched_getaffinity(0))) as pool:
        todo = missing(writer, items)
        writer.forget(item.key for item in todo)
        rows = pool.imap(functools.partial(_row, features), todo)
        for _, row in zip(progress(todo), rows, strict=True):
            writer.add(row)
            if row.reason is not None:
                failures[row.path] = row.reason
    return failures


def _row(features, item):
    try:
        times, values = features(item.path)
        status = os.stat(item.path)
    except (InputError, OSError) as error:
        return Row(item.key, "failed", str(error))
    return Row(
        item.key,
        "ok",
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        times=times.astype(np.float32),
        values=values,
    )
