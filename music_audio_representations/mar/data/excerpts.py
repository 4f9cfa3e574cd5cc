"""A data set of one random excerpt of each track of another (the paper's Musicset-USmall)."""

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mar.data import sampling
from mar.records.manifest import Manifest
from mar.records.reader import RecordReader


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

    def read(self, item: dict[str, Any]) -> np.ndarray:
        """The excerpt, `(frames, n_mels)` as stored."""
        return self._reader.read([item["track"]], [item["first_frame"]], self.frames, None)[0]

    def seconds(self, item: dict[str, Any]) -> float:
        """Length of every excerpt."""
        return self.frames * self.hop_seconds

    @functools.cached_property
    def _reader(self) -> RecordReader:
        return RecordReader(self.location)


def excerpts(manifest: Manifest, frames: int, seed: int) -> pa.Table:
    """Where the random excerpts lie: a table of id, labels, group, track and first_frame.

    Args:
        manifest: `Manifest` of the data set.
        frames: length of each excerpt; tracks that are shorter have none.
        seed: int.
    """
    tracks = np.flatnonzero(manifest.frames >= frames)
    rng = sampling.generator(seed, 0, "excerpts")
    columns = {
        "id": pa.array([manifest.id(track) for track in tracks.tolist()], pa.string()),
        "labels": pa.array([manifest.labels(t) for t in tracks.tolist()], pa.list_(pa.int32())),
        "group": pa.array([manifest.group(track) for track in tracks.tolist()], pa.string()),
        "track": tracks,
        "first_frame": sampling.starts(rng, manifest.frames[tracks], frames),
    }
    return pa.table(columns)
