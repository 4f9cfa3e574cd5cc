"""The manifest: where each track's spectrogram lies, its labels, and how all were made.

`group` is what all of a track's kind have in common, an artist most often, and what is therefore
kept on one side when some tracks are held out; null: nothing, the track is alone. Earlier versions
wrote none.
"""

import hashlib
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mar.errors import InputError
from mar.records import header as headers
from mar.records import storage
from mar.records.header import Header, Shard
from mar.records.storage import Location
from mar.util.atomic import appearing

NAME = "manifest.parquet"

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("frames", pa.int32()),
        ("labels", pa.list_(pa.int32())),
        ("checksum", pa.uint32()),
        ("group", pa.string()),
    ]
)


class Manifest:
    """A manifest in memory, one row a track.

    Label indices of all tracks lie in one array, in the order of the tracks, and another array says
    where those of each track begin:

        labels of three tracks   [0, 2], [], [2]
        values                   [0, 2, 2]
        starts                   [0, 2, 2, 3]: track t has values[starts[t] : starts[t + 1]]

    Args:
        location: where it was read from.
        header: what it says of all.
        table: rows of `SCHEMA`, `shard` as a dictionary.

    Attributes:
        location: where it was read from.
        header: `Header`.
        shard_index: `(tracks,)` int32, into `header.shards`.
        offsets: `(tracks,)` int64, byte of the spectrogram in its shard.
        frames: `(tracks,)` int32.
        checksums: `(tracks,)` uint32, CRC-32C of the spectrogram's bytes.
    """

    def __init__(self, location: Location, header: Header, table: pa.Table) -> None:
        self.location = os.fspath(location)
        self.header = header
        self._ids = table["id"]
        _check(table)
        self.shard_index = _shard_index(table["shard"], header.shards, self.location)
        self.offsets = table["offset"].to_numpy()
        self.frames = table["frames"].to_numpy()
        self.checksums = table["checksum"].to_numpy()
        self._groups = table["group"]
        labels = table["labels"].combine_chunks()
        labels = labels.chunk(0) if isinstance(labels, pa.ChunkedArray) else labels
        self._label_starts = labels.offsets.to_numpy()
        self._label_values = labels.values.to_numpy()

    def __len__(self) -> int:
        return len(self.frames)

    def id(self, track: int) -> str:
        """The id of one track."""
        return self._ids[int(track)].as_py()

    def group(self, track: int) -> str | None:
        """What one track has in common with others, see the module."""
        return self._groups[int(track)].as_py()

    @property
    def ids(self) -> pa.ChunkedArray:
        """The ids of all tracks."""
        return self._ids

    @property
    def groups(self) -> pa.ChunkedArray:
        """The group of each track; of one that has none, its id."""
        return pc.coalesce(self._groups, self._ids)

    def repeated_ids(self) -> list[str]:
        """Ids that more than one track has."""
        counts = pc.value_counts(self._ids)
        return counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()

    def labels(self, track: int) -> np.ndarray:
        """Label indices of one track, int32 `(labels of the track,)`."""
        return self._label_values[self._label_starts[track] : self._label_starts[track + 1]]

    def check_labels(self) -> None:
        """That all labels are in the vocabulary.

        Raises:
            InputError: one is not.
        """
        known = len(self.header.vocabulary)
        odd = self._label_values[(self._label_values < 0) | (self._label_values >= known)]
        if len(odd):
            raise InputError(
                f"{self.location}: expected labels from 0 to {known - 1}, as there are names for, "
                f"found {odd[0]}; mar records verify says in which records"
            )

    def multi_hot(self, tracks: np.ndarray) -> np.ndarray:
        """Labels of tracks, float32 `(tracks, labels in the vocabulary)` of 0 and 1.

        Args:
            tracks: `(tracks,)` rows of the manifest.
        """
        # Of the three tracks above, for tracks [2, 0]: counts = [1, 2], so that rows = [0, 1, 1],
        # within = [0, 0, 1] (each label's place among those of its track), and starts = [2, 0]
        # leads to values[[2, 0 + 0, 0 + 1]] = [2, 0, 2]: hot[0, 2], hot[1, 0], hot[1, 2] are 1.
        tracks = np.asarray(tracks)
        starts = self._label_starts[tracks]
        counts = self._label_starts[tracks + 1] - starts
        rows = np.repeat(np.arange(len(tracks)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        hot = np.zeros((len(tracks), len(self.header.vocabulary)), np.float32)
        hot[rows, self._label_values[np.repeat(starts, counts) + within]] = 1
        return hot

    def label_counts(self, tracks: np.ndarray | None = None) -> np.ndarray:
        """Number of tracks with each label, int64 `(labels in the vocabulary,)`.

        Args:
            tracks: rows that are counted; None for all.
        """
        values = self._label_values
        if tracks is not None:
            counted = np.zeros(len(self), bool)
            counted[tracks] = True
            values = values[np.repeat(counted, np.diff(self._label_starts))]
        return np.bincount(values, minlength=len(self.header.vocabulary))

    def sum_over_labels(self, values: np.ndarray) -> np.ndarray:
        """For each track the sum of `values[label]` over its labels, float64 `(tracks,)`.

        Args:
            values: `(labels in the vocabulary,)`.
        """
        sums = np.concatenate([[0.0], np.cumsum(values[self._label_values])])
        return sums[self._label_starts[1:]] - sums[self._label_starts[:-1]]

    def digest(self) -> str:
        """SHA-256 (hex) of what the tracks are, in order: ids, groups, labels and checksums."""
        first, last = self._label_starts[[0, -1]]
        labels = [np.diff(self._label_starts), self._label_values[first:last]]
        digest = hashlib.sha256()
        for array in (*_characters(self.ids), *_characters(self.groups), *labels, self.checksums):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def shard_location(self, shard: int) -> str:
        """Where the shard with this index lies."""
        return storage.beside(self.location, self.header.shards[shard].name)


def read(location: Location) -> Manifest:
    """Reads a manifest.

    Args:
        location: the file, or the folder that holds `manifest.parquet`; a path or a URI.

    Raises:
        InputError: it cannot be read or is no manifest.
    """
    location = manifest_location(location)
    data = pa.BufferReader(storage.read_file(location))
    try:
        header = headers.decoded(pq.read_schema(data).metadata, location)
        file = pq.ParquetFile(data, read_dictionary=["shard"], page_checksum_verification=True)
        # In one thread: each would hold on to memory of its own for the next table.
        table = _complete(file.read(columns=SCHEMA.names, use_threads=False))
        pa.default_memory_pool().release_unused()
        return Manifest(location, header, table)
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{location}: not a manifest, or a damaged one: {error}") from None


def read_rows(location: Location) -> pa.Table:
    """The rows of a manifest as a table of `SCHEMA`.

    Args:
        location: as for `read`, which says whether it is a manifest.
    """
    data = pa.BufferReader(storage.read_file(manifest_location(location)))
    return _complete(pq.read_table(data)).select(SCHEMA.names).cast(SCHEMA)


def manifest_location(location: Location) -> str:
    """`location` itself if it names a Parquet file, else the manifest in that folder."""
    location = os.fspath(location)
    if storage.is_remote(location):
        folder, query, options = location.partition("?")
        if folder.endswith(".parquet"):
            return location
        return f"{folder.rstrip('/')}/{NAME}{query}{options}"
    return location if location.endswith(".parquet") else os.path.join(location, NAME)


def write(
    path: str | os.PathLike[str],
    header: Header,
    table: pa.Table,
    scratch: pathlib.Path | None = None,
) -> None:
    """Writes a manifest, whole or not at all.

    Args:
        path: local file.
        header: what the rows have in common.
        table: rows of `SCHEMA`.
        scratch: folder, on the same file system, for the unfinished file; None for that of `path`.

    Raises:
        OSError: it cannot be written.
    """
    table = table.cast(SCHEMA).replace_schema_metadata(headers.encoded(header))
    with appearing(path, scratch) as unfinished:
        unfinished.write_bytes(parquet(table))


def parquet(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", row_group_size=100_000, write_page_checksum=True
    )
    return sink.getvalue().to_pybytes()


def _complete(table: pa.Table) -> pa.Table:
    """A manifest's rows, with the column that earlier versions did not write."""
    if "group" in table.column_names:
        return table
    return table.append_column("group", pa.nulls(len(table), pa.string()))


def _check(table: pa.Table) -> None:
    """Raises ValueError where rows lack something, or say what cannot be."""
    for field in SCHEMA:
        column = table[field.name]
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if kind != field.type:
            raise ValueError(f"the column {field.name} is of {kind}, expected {field.type}")
        if field.name != "group" and column.null_count:
            raise ValueError(f"{column.null_count} rows without {field.name}")
    if pc.list_flatten(table["labels"]).null_count:
        raise ValueError("labels that are null")
    for name in ("frames", "offset"):
        if len(table) and pc.min(table[name]).as_py() < 0:
            raise ValueError(f"{name} below 0")


def _characters(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """How many bytes each text of a column has, and the bytes of all of them."""
    lengths = pc.binary_length(column).to_numpy()
    joined = [b"".join(chunk.cast(pa.binary()).to_pylist()) for chunk in column.chunks]
    return lengths, np.frombuffer(b"".join(joined), np.uint8)


def _shard_index(column: pa.ChunkedArray, shards: Sequence[Shard], location: str) -> np.ndarray:
    """The column of shard names as indices into `shards`."""
    encoded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    numbers = {shard.name: number for number, shard in enumerate(shards)}
    names = encoded.dictionary.to_pylist()
    unknown = [name for name in names if name not in numbers]
    if unknown:
        raise InputError(f"{location}: rows of a shard that its header does not know: {unknown[0]}")
    return np.array([numbers[name] for name in names], np.int32)[encoded.indices.to_numpy()]
