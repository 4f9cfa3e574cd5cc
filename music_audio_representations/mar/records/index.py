"""A manifest for TFRecords that others wrote."""

import concurrent.futures
import contextlib
import os
from dataclasses import dataclass

import pyarrow as pa

from mar.errors import ConfigError, InputError
from mar.records import framing, schema, storage
from mar.records import manifest as manifests


@dataclass(frozen=True)
class Layout:
    """How the records are laid out.

    Attributes:
        features: names of the features, as `schema.FEATURES`; None for one that is not there.
        dtype: "float16" or "float32".
        front_end: resolved configuration of the `LogMel` that made them.
    """

    features: dict
    dtype: str
    front_end: dict


def index(locations, layout, manifest, vocabulary=None, threads=4):
    """Reads TFRecords once and writes their manifest.

    Args:
        locations: of the TFRecords, in order; paths or URIs.
        layout: `Layout`.
        manifest: path to be written, ending in `.parquet`; its folder is made if there is none.
        vocabulary: names of the labels; None takes all that occur, sorted, or, where records hold
            indices, those as text.
        threads: files read at a time.

    Returns:
        The number of tracks.

    Raises:
        ConfigError: the manifest has another suffix, by which readers would take it for a folder.
        InputError: a record is damaged or laid out otherwise; an id occurs twice; a label is not
            in the vocabulary; or the manifest cannot be written.
    """
    if not os.fspath(manifest).endswith(".parquet"):
        raise ConfigError(f"the manifest: expected a name that ends in .parquet, got {manifest}")
    folder = os.path.dirname(os.path.abspath(manifest))
    with _written(manifest):
        os.makedirs(folder, exist_ok=True)  # told now, not when all has been read
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        scanned = list(pool.map(lambda location: _scan(location, layout), locations))
    names = [_relative(location, folder) for location in locations]
    shards, rows = [], []
    for name, (size, fingerprint, tracks) in zip(names, scanned, strict=True):
        shards.append(manifests.Shard(name, size, fingerprint))
        rows += [_placed(track, name) for track in tracks]
    _refuse_duplicates(rows)
    vocabulary = vocabulary or _vocabulary(rows)
    numbers = {name: number for number, name in enumerate(vocabulary)}
    for row in rows:
        row["labels"] = [_number(label, numbers, row) for label in row["labels"]]
    header = manifests.Header(layout.front_end, layout.dtype, vocabulary, layout.features, shards)
    with _written(manifest):
        manifests.write(manifest, header, pa.Table.from_pylist(rows, manifests.SCHEMA))
    return len(rows)


def _scan(location, layout):
    """Size, fingerprint and rows of one file; labels as the records have them."""
    file = storage.open_file(location)
    frame_bytes = manifests.Header(layout.front_end, layout.dtype, [], {}, []).frame_bytes
    rows = []
    for record, offset, data in framing.records(file, location):
        try:
            track = schema.parse(data, layout.features, layout.dtype)
            rows.append(_row(location, record, offset, data, track, frame_bytes))
        except ValueError as error:
            raise InputError(f"{location}: record {record} at byte {offset}: {error}") from None
    return file.size, manifests.fingerprint(file), rows


def _row(location, record, offset, data, track, frame_bytes):
    frames, rest = divmod(track.end - track.start, frame_bytes)
    if rest or not frames:
        raise ValueError(
            f"the spectrogram has {track.end - track.start} bytes, not a multiple of the "
            f"{frame_bytes} of a frame; is the dtype or the number of mels another?"
        )
    if track.stated["frames"] not in (None, frames):
        raise ValueError(f"says {track.stated['frames']} frames, holds {frames}")
    return {
        "id": track.id,
        "record": record,
        "offset": offset + framing.HEADER_BYTES + track.start,
        "frames": frames,
        "labels": track.labels,
        "checksum": framing.crc32c(data[track.start : track.end]),
    }


def _placed(track, shard):
    """A track's row of the manifest; one without an id is called by its shard and number."""
    record = track.pop("record")
    return {**track, "shard": shard, "id": track["id"] or f"{shard}:{record}"}


@contextlib.contextmanager
def _written(manifest):
    try:
        yield
    except OSError as error:
        raise InputError(f"{manifest}: cannot be written: {error.strerror or error}") from None


def _relative(location, folder):
    """A shard's name in the manifest: relative if it lies in the manifest's folder."""
    if storage.is_remote(location):
        return location
    path = os.path.abspath(location)
    inside = os.path.commonpath([path, folder]) == folder
    return os.path.relpath(path, folder) if inside else path


def _vocabulary(rows):
    labels = {label for row in rows for label in row["labels"]}
    if any(isinstance(label, int) for label in labels):
        return [str(label) for label in range(max(labels) + 1)]
    return sorted(labels)


def _number(label, numbers, row):
    if isinstance(label, int) and 0 <= label < len(numbers):
        return label
    if label in numbers:
        return numbers[label]
    raise InputError(
        f"{row['shard']}: the track {row['id']!r} has the label {label!r}, which is not in the "
        f"vocabulary of {len(numbers)} labels"
    )


def _refuse_duplicates(rows):
    places = {}
    for row in rows:
        if row["id"] in places:
            raise InputError(f"the id {row['id']!r} occurs in {places[row['id']]}, {row['shard']}")
        places[row["id"]] = row["shard"]
