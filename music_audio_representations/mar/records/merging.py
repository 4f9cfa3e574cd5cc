"""Several data sets as one: their tracks one after another, with the labels of all."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mar.errors import InputError
from mar.records import growth, storage
from mar.records import manifest as manifests
from mar.records.reader import RecordReader
from mar.records.shards import SHARD_BYTES, Job
from mar.records.storage import Location
from mar.util.checksums import crc32c


@dataclass(frozen=True)
class RecordsSource:
    """Spectrograms of other data sets; each track has a `data_set`, `row`, `frames`, `checksum`.

    Attributes:
        locations: of the data sets.
        hop_seconds: seconds from frame to frame.
    """

    locations: Sequence[str] = field(repr=False)
    hop_seconds: float

    def read(self, track: Mapping[str, Any]) -> np.ndarray:
        """All frames of a track, `(frames, n_mels)` as stored.

        Raises:
            InputError: they are not those that the manifest was made of.
        """
        location = self.locations[track["data_set"]]
        (spectrogram,) = self._readers[track["data_set"]].read(
            [track["row"]], [0], track["frames"], None
        )
        if crc32c(spectrogram.tobytes()) != track["checksum"]:
            raise InputError(f"{location}: the spectrogram's checksum differs")
        return spectrogram

    def seconds(self, track: Mapping[str, Any]) -> float:
        """Length of a track."""
        return track["frames"] * self.hop_seconds

    @functools.cached_property
    def _readers(self) -> list[RecordReader]:
        return [RecordReader(location) for location in self.locations]


def merged(locations: Sequence[Location], shard_bytes: int = SHARD_BYTES) -> tuple[Job, int]:
    """Data sets as a job that writes one of all their tracks.

    A track that several have, with the same spectrogram and labels, is taken once.

    Args:
        locations: folders or manifests; paths or URIs.
        shard_bytes: size that shards should have, about.

    Returns:
        The job, and the number of tracks that were in more than one.

    Raises:
        ConfigError: they were made with other front ends; the message says what differs.
        InputError: two tracks have the same id.
    """
    data_sets = [manifests.read(location) for location in locations]
    first = data_sets[0].header
    for location, data_set in zip(locations, data_sets, strict=True):
        first.check_alike(data_set.header, locations[0], location)
    vocabulary = growth.united([data_set.header.vocabulary for data_set in data_sets])
    tables = []
    for number, data_set in enumerate(data_sets):
        rows = growth.relabelled(
            manifests.read_rows(data_set.location), data_set.header.vocabulary, vocabulary
        )
        rows = rows.select(["id", "labels", "group", "frames", "checksum"])
        rows = rows.append_column("data_set", pa.array(np.full(len(rows), number)))
        tables.append(rows.append_column("row", pa.array(np.arange(len(rows)))))
    tracks = pa.concat_tables(tables)
    once = _once(tracks, locations)
    places = [storage.absolute(data_set.location) for data_set in data_sets]
    job = Job(
        tracks.filter(pa.array(once)),
        RecordsSource(places, first.hop_seconds),
        first.front_end,
        first.dtype,
        vocabulary,
        shard_bytes,
    )
    return job, int((~once).sum())


def _once(tracks: pa.Table, locations: Sequence[Location]) -> np.ndarray:
    """Which tracks are not there before, bool `(tracks,)`."""
    names = ("id", "labels", "frames", "checksum", "data_set")
    columns = (tracks[name].to_pylist() for name in names)
    before: dict[str, tuple] = {}
    once = np.ones(len(tracks), bool)
    for number, (id, *content, data_set) in enumerate(zip(*columns, strict=True)):
        other, home = before.setdefault(id, (content, data_set))
        if other != content:
            raise InputError(
                f"the id {id!r} is that of one track in {locations[home]} and of another in "
                f"{locations[data_set]} (or with other labels); write one of them anew with other "
                f"ids"
            )
        once[number] = other is content
    return once
