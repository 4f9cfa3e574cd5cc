"""Baselines in the same frame as the models: features that probes are trained on in their place.

* `random`: the network as it is before training. It is written as a model, for `mar.embed`.
* `logmel_mean`: mean and standard deviation over time of every band of the log-mel spectrogram.
* `MTT_musicnn`, `MSD_musicnn`: MusiCNN's last hidden layer (Pons and Serra, 2019), the mean over
  windows of 3 s. The paper's AMM row may rest on `MSD_musicnn_big`, which is not published as a
  wheel: a result names its checkpoint.
"""

import pathlib

import keras
import numpy as np

import mar
from mar.audio.logmel import LogMel
from mar.errors import InputError
from mar.evaluation.embeddings import open_embeddings, write_embeddings
from mar.models.musicnn import CHECKPOINTS, VERSION, MusiCNN

FEATURES = ("logmel_mean", *CHECKPOINTS)
FILES_PER_PART = 512


def random_network(path, seed=0):
    """Writes the untrained SF-NFNet-F0 as a model file; equal seeds give equal weights."""
    keras.utils.set_random_seed(seed)
    mar.save(mar.SfNfNetF0().build(300), path)


class LogMelMean:
    """Mean and standard deviation over time of the bands of the paper's log-mel spectrogram."""

    def __init__(self):
        self.front_end = LogMel()
        self.provenance = {"model": "logmel_mean"}

    def __call__(self, path):
        """Features `(2 × bands,)` of an audio file, and its duration in seconds."""
        frames = self.front_end.read(path)
        features = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
        return features, len(frames) * self.front_end.hop_seconds


class MusiCNNMean:
    """The mean over windows of MusiCNN's last hidden layer."""

    def __init__(self, checkpoint, wheel=None):
        self._network = MusiCNN(checkpoint, wheel)
        self.front_end = self._network.front_end
        self.provenance = {"model": f"musicnn-{VERSION}/{checkpoint}"}

    def __call__(self, path):
        """Features `(200,)` of an audio file, and the duration of its windows in seconds."""
        _, embeddings = self._network(path)
        return embeddings.mean(axis=0), 3.0 * len(embeddings)


def embed(features, audio_root, paths, folder, progress=iter):
    """Writes the features of audio files as an embeddings data set; goes on where it stopped.

    Args:
        features: a `LogMelMean` or `MusiCNNMean`.
        audio_root: the folder that paths are relative to.
        paths: of the files, relative. One that cannot be read is recorded with the reason.
        folder: of the data set.
        progress: wraps the iterator over what is left to do, e.g. tqdm.

    Returns:
        `{path: reason}` of the files that failed.
    """
    audio_root, folder = pathlib.Path(audio_root), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    provenance = {
        **features.provenance,
        "front_end": features.front_end.hash(),
        "front_end_config": features.front_end.resolved(),
        "store": "mean",
        "mar_version": mar.__version__,
    }
    written = sorted(folder.glob("part-*.parquet"))
    known = open_embeddings(folder) if written else None
    if known and known.provenance["model"] != provenance["model"]:
        raise InputError(
            f"{folder}: holds embeddings by {known.provenance['model']}, expected an empty folder "
            f"or ones by {provenance['model']}"
        )
    failures = dict(known.failures) if known else {}
    left = [path for path in paths if not known or path not in {**known.places, **failures}]
    rows = []
    for path in progress(left):
        rows.append(_row(features, audio_root, path))
        if len(rows) == FILES_PER_PART or path == left[-1]:
            file = folder / f"part-{len(written):05d}.parquet"
            write_embeddings(file, provenance, rows)
            written.append(file)
            failures |= {row["path"]: row["reason"] for row in rows if row["reason"]}
            rows = []
    return failures


def _row(features, audio_root, path):
    try:
        mean, seconds = features(audio_root / path)
    except InputError as error:
        return {"path": path, "duration": None, "mean": None, "reason": str(error)}
    return {"path": path, "duration": seconds, "mean": mean, "reason": None}
