"""What data sets are made of: audio files, or excerpts of another data set."""

import functools
import os
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from mar.data import sampling
from mar.errors import InputError


@dataclass(frozen=True)
class AudioSource:
    """Log-mel spectrograms of audio files; items have a `path`.

    Attributes:
        root: the folder that paths are relative to.
        front_end: resolved configuration of a `LogMel`.
        dtype: of the spectrograms.
    """

    root: str = field(repr=False)
    front_end: dict
    dtype: str

    def read(self, item):
        """All frames of the file, `(frames, n_mels)`."""
        path = os.path.join(self.root, item["path"])
        with np.errstate(over="ignore"):  # the writer refuses what is not finite
            blocks = [block.astype(self.dtype) for block in self._log_mel.stream(path)]
        return np.concatenate(blocks)

    def seconds(self, item):
        """Length of the file as its header says, or as it decodes; None if it is unreadable."""
        from mar.audio import decode

        path = os.path.join(self.root, item["path"])
        try:
            header = decode.info(path)
            if header.duration_seconds is not None:
                return header.duration_seconds
            return sum(map(len, decode.blocks(path))) / header.sample_rate
        except InputError:
            return None

    @functools.cached_property
    def _log_mel(self):
        from mar.audio.logmel import LogMel

        return LogMel(self.front_end)


@dataclass(frozen=True)
class ExcerptSource:
    """Excerpts of another data set; items have a `track` and a `first_frame`.

    Attributes:
        location: of that data set.
        frames: length of each excerpt.
        hop_seconds: seconds from frame to frame.
    """

    location: str = field(repr=False)
    frames: int
    hop_seconds: float

    def read(self, item):
        """The excerpt, `(frames, n_mels)` as stored."""
        return self._reader.read([item["track"]], [item["first_frame"]], self.frames, None)[0]

    def seconds(self, item):
        """Length of every excerpt."""
        return self.frames * self.hop_seconds

    @functools.cached_property
    def _reader(self):
        from mar.records.reader import RecordReader

        return RecordReader(self.location)


def excerpts(manifest, frames, seed):
    """Where the random excerpts lie: a table of id, labels, track and first_frame.

    Args:
        manifest: `Manifest` of the data set.
        frames: length of each excerpt; tracks that are shorter have none.
        seed: int.
    """
    tracks = np.flatnonzero(manifest.frames >= frames)
    rng = sampling.generator(seed, 0, "excerpts")
    columns = {
        "id": pa.array([manifest.id(track) for track in tracks], pa.string()),
        "labels": pa.array([manifest.labels(t) for t in tracks], pa.list_(pa.int32())),
        "track": tracks,
        "first_frame": sampling.starts(rng, manifest.frames[tracks], frames),
    }
    return pa.table(columns)
