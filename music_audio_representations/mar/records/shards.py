"""One shard of a data set that is being written: its tracks, its file, its part of the manifest."""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa

from mar.errors import InputError
from mar.records import framing, schema
from mar.records import manifest as manifests
from mar.records.header import Header, Shard
from mar.util.atomic import appearing, remove_abandoned
from mar.util.checksums import crc32c

PARTS = "parts"
SHARD_BYTES = 256_000_000
PART_SCHEMA = manifests.SCHEMA.append(pa.field("reason", pa.string()))


class Source(Protocol):
    """Where spectrograms come from. It is pickled, and its `repr` says all that they depend on.

    A track is a row of `Job.tracks`, as a dictionary.
    """

    def read(self, track: dict[str, Any], /) -> np.ndarray:
        """A track's spectrogram, `(frames, n_mels)`; raises InputError where there is none."""

    def seconds(self, track: dict[str, Any], /) -> float | None:
        """About how long a track is, s; None where that cannot be known."""


@dataclass(frozen=True)
class Earlier:
    """What a data set keeps of its state before.

    Attributes:
        made_from: the `Header.made_from` of that state.
        shards: those that it keeps.
        rows: those of the manifest that it keeps.
        dropped: number of those that it does not.
        changed: whether the rows that it keeps are others in part.
    """

    made_from: str | None
    shards: Sequence[Shard]
    rows: pa.Table
    dropped: int
    changed: bool

    def facts(self) -> list[Any]:
        """All that determines what is added to."""
        dropped = [[shard.name, list(shard.dropped)] for shard in self.shards]
        return [self.made_from, dropped, len(self.rows)]


@dataclass(frozen=True)
class Job:
    """A data set to be written, or what is to be added to one.

    Attributes:
        tracks: table with the columns `id`, `labels` (indices), if there are any `group`, and what
            `source` needs.
        source: of the spectrograms, of type `dtype`.
        front_end: resolved configuration of the `LogMel`.
        dtype: "float16" or "float32".
        vocabulary: names of the labels.
        shard_bytes: size that shards should have, about.
        earlier: what the data set keeps of its earlier state; None for a new one.
    """

    tracks: pa.Table
    source: Source
    front_end: Mapping[str, Any]
    dtype: str
    vocabulary: Sequence[str]
    shard_bytes: int = SHARD_BYTES
    earlier: Earlier | None = None

    def header(self, shards: Sequence[Shard] = ()) -> Header:
        """The manifest's `Header`."""
        return Header(
            self.front_end,
            self.dtype,
            self.vocabulary,
            schema.FEATURES,
            [*(self.earlier.shards if self.earlier else ()), *shards],
            self.hash(),
        )

    def hash(self) -> str:
        """SHA-256 (hex) of all that determines the result."""
        settings = [repr(self.source), self.front_end, self.dtype, self.vocabulary]
        digest = hashlib.sha256(json.dumps([*settings, self.shard_bytes]).encode())
        if self.earlier:
            digest.update(json.dumps(self.earlier.facts()).encode())
        for first in range(0, len(self.tracks), 65536):
            digest.update(json.dumps(self.tracks.slice(first, 65536).to_pydict()).encode())
        return digest.hexdigest()


class Shards:
    """The shards of a job: which tracks go into which, and which are finished. Picklable.

    Args:
        job: what is written.
        folder: of the data set.
        tracks_per_shard: number of tracks in each but the last.

    Attributes:
        count: number of shards.
    """

    def __init__(self, job: Job, folder: pathlib.Path, tracks_per_shard: int) -> None:
        self.job, self.folder, self.tracks_per_shard = job, folder, tracks_per_shard
        self.count = -(-len(job.tracks) // tracks_per_shard)
        # Shards that are added to others never have the names of any that were there before.
        self._prefix = added_prefix(job.hash()) if job.earlier else "shard"

    def name(self, shard: int) -> str:
        """File name of a shard."""
        return f"{self._prefix}-{shard:05d}-of-{self.count:05d}.tfrecord"

    def part(self, shard: int) -> pathlib.Path:
        """Path of a shard's part of the manifest."""
        return self.folder / PARTS / f"shard-{shard:05d}.parquet"

    def tracks(self, shard: int) -> pa.Table:
        """The rows of `Job.tracks` that go into a shard."""
        first = shard * self.tracks_per_shard
        # A copy: pickling a slice would pickle the whole table.
        last = min(first + self.tracks_per_shard, len(self.job.tracks))
        return self.job.tracks.take(np.arange(first, last))

    def is_finished(self, shard: int) -> bool:
        """Whether a shard and its part of the manifest are there."""
        return self.part(shard).exists() and (self.folder / self.name(shard)).exists()


def added_prefix(job_hash: str) -> str:
    """How the names of the shards begin that the job with this hash adds."""
    return f"shard-{job_hash[:8]}"


def write_shard(
    job: Job, folder: pathlib.Path, name: str, part: pathlib.Path, tracks: pa.Table
) -> None:
    """Writes one shard, and then its part of the manifest.

    Args:
        job: what the shard belongs to; its own `tracks` are not used.
        folder, name: of the shard.
        part: path of the Parquet file with its rows: those of the manifest, and the failures.
        tracks: the rows of `Job.tracks` that go into it.

    Raises:
        OSError: it cannot be written.
    """
    remove_abandoned(part.parent, name)
    with (
        appearing(folder / name, beside=part.parent) as unfinished,
        open(unfinished, "xb") as file,
    ):
        rows = [_write_track(job, file, name, track) for track in tracks.to_pylist()]
    with appearing(part) as unfinished:
        unfinished.write_bytes(manifests.parquet(pa.Table.from_pylist(rows, PART_SCHEMA)))


def _write_track(job: Job, file: BinaryIO, name: str, track: dict[str, Any]) -> dict[str, Any]:
    """Appends a track's record to the shard of this name; returns its row of `PART_SCHEMA`."""
    row = {key: track.get(key) for key in ("id", "labels", "group")} | {"shard": name}
    try:
        spectrogram = job.source.read(track)
        if not np.isfinite(spectrogram).all():
            raise InputError(f"log-mel that {job.dtype} cannot hold (not finite)")
    except InputError as error:
        return {**row, "reason": str(error)}
    data = spectrogram.tobytes()
    front = schema.front(track["id"], track["labels"], len(spectrogram), job.dtype, len(data))
    offset = file.tell() + framing.HEADER_BYTES + len(front)
    for piece in framing.frame(front, data):
        file.write(piece)
    row.update(offset=offset, frames=len(spectrogram), checksum=crc32c(data))
    return row
