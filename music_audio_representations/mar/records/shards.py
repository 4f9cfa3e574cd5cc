"""One shard of a data set that is being written: its items, its file, its part of the manifest."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mar.errors import InputError
from mar.records import framing, schema
from mar.records import manifest as manifests
from mar.util.atomic import appearing, remove_abandoned

PARTS = "parts"
SHARD_BYTES = 256_000_000
PART_SCHEMA = manifests.SCHEMA.append(pa.field("reason", pa.string()))


@dataclass(frozen=True)
class Job:
    """A data set to be written.

    Attributes:
        items: table with the columns `id`, `labels` (indices) and what `source` needs.
        source: picklable; `source.read(item)` gives a track's `(frames, n_mels)` of `dtype`, or
            raises InputError; `source.seconds(item)` its length, or None. An item is a row as
            a dictionary. `repr(source)` says all that the result depends on.
        front_end: resolved configuration of the `LogMel`.
        dtype: "float16" or "float32".
        vocabulary: names of the labels.
        shard_bytes: about how large shards shall be.
    """

    items: pa.Table
    source: object
    front_end: dict
    dtype: str
    vocabulary: list
    shard_bytes: int = SHARD_BYTES

    def header(self, shards=()):
        """The manifest's `Header`."""
        return manifests.Header(
            self.front_end,
            self.dtype,
            self.vocabulary,
            schema.FEATURES,
            list(shards),
            self.hash(),
        )

    def hash(self):
        """SHA-256 (hex) of all that determines the result."""
        settings = [repr(self.source), self.front_end, self.dtype, self.vocabulary]
        digest = hashlib.sha256(json.dumps([*settings, self.shard_bytes]).encode())
        for first in range(0, len(self.items), 65536):
            digest.update(json.dumps(self.items.slice(first, 65536).to_pydict()).encode())
        return digest.hexdigest()


class Shards:
    """The shards of a job: which items go into which, and which are finished. Picklable."""

    def __init__(self, job, folder, tracks_each):
        self.job, self.folder, self.tracks_each = job, folder, tracks_each
        self.count = max(1, -(-len(job.items) // tracks_each))

    def name(self, shard):
        return f"shard-{shard:05d}-of-{self.count:05d}.tfrecord"

    def part(self, shard):
        return self.folder / PARTS / f"shard-{shard:05d}.parquet"

    def items(self, shard):
        first = shard * self.tracks_each
        # A copy: to pickle a slice would pickle the whole table.
        last = min(first + self.tracks_each, len(self.job.items))
        return self.job.items.take(np.arange(first, last))

    def is_finished(self, shard):
        return self.part(shard).exists() and (self.folder / self.name(shard)).exists()


def write_shard(job, folder, name, part, items):
    """Writes one shard, and then its part of the manifest.

    Args:
        job: `Job`, of which the items are not used.
        folder, name: of the shard.
        part: path of the Parquet file of its rows: those of the manifest, and the failures.
        items: table.
    """
    remove_abandoned(part.parent, name)
    with (
        appearing(folder / name, beside=part.parent) as unfinished,
        open(unfinished, "xb") as file,
    ):
        rows = [_write_track(job, file, name, item) for item in items.to_pylist()]
    with appearing(part) as unfinished:
        unfinished.write_bytes(manifests.parquet(pa.Table.from_pylist(rows, PART_SCHEMA)))


def _write_track(job, file, name, item):
    """Appends a track's record; returns its row."""
    row = {"id": item["id"], "labels": item["labels"], "shard": name}
    try:
        spectrogram = job.source.read(item)
        if not np.isfinite(spectrogram).all():
            raise InputError(f"log-mel that {job.dtype} cannot hold (not finite)")
    except InputError as error:
        return {**row, "reason": str(error)}
    data = spectrogram.tobytes()
    front = schema.front(item["id"], item["labels"], len(spectrogram), job.dtype, len(data))
    offset = file.tell() + framing.HEADER_BYTES + len(front)
    for piece in framing.frame(front, data):
        file.write(piece)
    row.update(offset=offset, frames=len(spectrogram), checksum=framing.crc32c(data))
    return row
