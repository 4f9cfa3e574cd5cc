"""A manifest for TFRecords that others wrote."""

import concurrent.futures
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mar.errors import ConfigError, InputError
from mar.records import buckets, framing, schema, storage
from mar.records import manifest as manifests
from mar.records.header import Header, Shard, fingerprint
from mar.records.storage import Location
from mar.util.checksums import crc32c


@dataclass(frozen=True)
class Layout:
    """How the records are laid out.

    Attributes:
        features: names of the features by role, as in `schema.FEATURES`; None for one that is not
            there.
        dtype: "float16" or "float32".
        front_end: resolved configuration of the `LogMel` that made them.
    """

    features: Mapping[str, str | None]
    dtype: str
    front_end: Mapping[str, Any]


def index(
    locations: Sequence[str],
    layout: Layout,
    manifest: str | os.PathLike[str],
    vocabulary: Sequence[str] | None = None,
    threads: int = 4,
) -> int:
    """Reads TFRecords once and writes their manifest.

    Args:
        locations: of the TFRecords, in order; paths or URIs.
        layout: of the records.
        manifest: path to be written, ending in `.parquet`; its folder is made if there is none.
        vocabulary: names of the labels; None takes all that occur, sorted, or, where records hold
            indices, those as text.
        threads: files that are read at a time.

    Returns:
        The number of tracks.

    Raises:
        ConfigError: the manifest has another suffix, so that readers would take it for a folder, or
            is to lie in a bucket.
        InputError: a record is damaged or has another layout; an id occurs twice; a label is not
            in the vocabulary; or the manifest cannot be written.
    """
    if not os.fspath(manifest).endswith(".parquet"):
        raise ConfigError(f"the manifest: expected a name that ends in .parquet, got {manifest}")
    manifest = buckets.on_disk(manifest)
    folder = os.path.dirname(os.path.abspath(manifest))
    with _written(manifest):
        os.makedirs(folder, exist_ok=True)  # fails now rather than after everything was read
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        scanned = list(pool.map(lambda location: _scan(location, layout), locations))
    names = [_relative(location, folder) for location in locations]
    shards: list[Shard] = []
    rows: list[dict[str, Any]] = []
    for name, (size, beginning, shard_rows) in zip(names, scanned, strict=True):
        shards.append(Shard(name, size, beginning))
        rows += [_placed(row, name) for row in shard_rows]
    if not rows:
        raise InputError(f"{locations[0]}: expected records, found none in {len(locations)} files")
    _refuse_duplicates(rows)
    vocabulary = vocabulary or _vocabulary(rows)
    numbers = {name: number for number, name in enumerate(vocabulary)}
    for row in rows:
        row["labels"] = [_number(label, numbers, row) for label in row["labels"]]
    header = Header(layout.front_end, layout.dtype, vocabulary, layout.features, shards)
    with _written(manifest):
        manifests.write(manifest, header, pa.Table.from_pylist(rows, manifests.SCHEMA))
    return len(rows)


def _scan(location: str, layout: Layout) -> tuple[int, int, list[dict[str, Any]]]:
    """Size, fingerprint and rows of one file; labels as the records have them."""
    frame_bytes = Header(layout.front_end, layout.dtype, [], {}, []).frame_bytes
    rows = []
    with storage.named(location):
        file = storage.open_file(location)
        for number, offset, data in framing.records(file, location):
            try:
                record = schema.parse(data, layout.features, layout.dtype)
                rows.append(_row(number, offset, data, record, frame_bytes))
            except ValueError as error:
                raise InputError(f"{location}: record {number} at byte {offset}: {error}") from None
        return file.size, fingerprint(file), rows


def _row(
    number: int, offset: int, data: bytes, record: schema.Record, frame_bytes: int
) -> dict[str, Any]:
    """The row of the record with this number in its shard; the shard is not yet in it."""
    frames, rest = divmod(record.end - record.start, frame_bytes)
    if rest or not frames:
        raise ValueError(
            f"the spectrogram has {record.end - record.start} bytes, not a multiple of the "
            f"{frame_bytes} of a frame; is the dtype or the number of mels another?"
        )
    if record.stated["frames"] not in (None, frames):
        raise ValueError(f"says {record.stated['frames']} frames, holds {frames}")
    return {
        "id": record.id,
        "record": number,
        "offset": offset + framing.HEADER_BYTES + record.start,
        "frames": frames,
        "labels": record.labels,
        "checksum": crc32c(data[record.start : record.end]),
    }


def _placed(row: dict[str, Any], shard: str) -> dict[str, Any]:
    """The row with its shard; a track without an id is called by its shard and record number."""
    number = row.pop("record")
    return {**row, "shard": shard, "id": row["id"] or f"{shard}:{number}"}


@contextlib.contextmanager
def _written(manifest: Location) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{manifest}: cannot be written: {error.strerror or error}") from None


def _relative(location: str, folder: str) -> str:
    """A shard's name in the manifest: relative where it lies in the manifest's folder."""
    if storage.is_remote(location):
        return location
    path = os.path.abspath(location)
    inside = os.path.commonpath([path, folder]) == folder
    return os.path.relpath(path, folder) if inside else path


def _vocabulary(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The labels that occur, in order.

    Names are sorted. Indices stand for themselves, and those that no record has are there too:
    the labels [3, 1] of one record and [1] of another give ["0", "1", "2", "3"].
    """
    labels = {label for row in rows for label in row["labels"]}
    if any(isinstance(label, int) for label in labels):
        return [str(label) for label in range(max(labels) + 1)]
    return sorted(labels)


def _number(label: int | str, numbers: Mapping[str, int], row: Mapping[str, Any]) -> int:
    if isinstance(label, int) and 0 <= label < len(numbers):
        return label
    if isinstance(label, str) and label in numbers:
        return numbers[label]
    raise InputError(
        f"{row['shard']}: the track {row['id']!r} has the label {label!r}, which is not in the "
        f"vocabulary of {len(numbers)} labels"
    )


def _refuse_duplicates(rows: Sequence[Mapping[str, Any]]) -> None:
    places: dict[str, str] = {}
    for row in rows:
        if row["id"] in places:
            raise InputError(f"the id {row['id']!r} occurs in {places[row['id']]}, {row['shard']}")
        places[row["id"]] = row["shard"]
