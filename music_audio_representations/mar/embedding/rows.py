"""A row of a data set of embeddings, and the Parquet files that rows are written to.

The columns, of which all but `path` and `status` are null
where they do not apply:

    path             key of the file, see `mar.embedding.files`
    status           ok, failed, skipped (a name without an audio suffix, that was neither named nor
                     listed), or gone (the file is not there any more; what was known of it stays)
    reason           why not ok
    size             bytes of the file
    mtime_ns         when it was last changed
    folder           that the path is relative to: where the file was found
    audio_hash       of the audio alone, see `mar.audio.decode.audio_hash`
    duration         seconds of audio
    reader           what decoded it: soundfile or PyAV
    sample_rate      Hz, of the file
    channels         of the file
    notes            list of strings: what was remarkable in the file
    damaged_seconds  of its audio, that could not be decoded
    silence          digital (every sample is 0), near (none is above −60 dB of full scale), or none
    padded           whether silence was appended to reach the length of a window
    times            list of the windows' centres, seconds
    mean             fixed-size list: the average embedding (where `store` is mean)
    timeline         list of fixed-size lists: every window's (where `store` is timeline)

With the format npz, `<path>.npz` beside the Parquet files holds `embedding` (of the mean, or of
every window), `timestamps` and `provenance`, and they lack the last columns.

The JSON under the key `mar` of a file's metadata is the provenance, `schema` (2; version 0.1.0
wrote none, and lacks the columns folder, audio_hash, reader, channels, notes, damaged_seconds and
silence), and `written`: of two rows of one path, that of the larger counts.

Rows lie in groups, which can be read alone. Every page has a checksum. Floats are split into
streams of their bytes: a row of 1,728 dimensions takes 5.9 KB, where that of 0.1.0 took 7.5 KB
(noise, in `benchmarks/store.py`).
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mar.util.atomic import whole

SCHEMA = 2
KEY = b"mar"  # of the metadata
_GROUP_ROWS, _GROUP_BYTES = 1000, 64e6  # of a row group, at most
_FLOATS = (
    "duration",
    "damaged_seconds",
    "times.list.element",
    "mean.list.element",
    "timeline.list.element.list.element",
)


@dataclasses.dataclass
class Row:
    """What became of one file: see the columns above.

    `values` are the windows' embeddings. Not kept are `change`, what a run made of it (a word of
    `mar.embedding.changes`), and `source`, the path whose embedding it shares or took over.
    """

    path: str
    status: str
    reason: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    folder: str | None = None
    audio_hash: str | None = None
    duration: float | None = None
    reader: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    notes: list[str] | None = None
    damaged_seconds: float | None = None
    silence: str | None = None
    padded: bool | None = None
    times: np.ndarray | None = None
    values: np.ndarray | None = None
    change: str = "new"
    source: str | None = None

    @property
    def mean(self) -> np.ndarray | None:
        """The average embedding, or None."""
        return None if self.values is None else self.values.mean(axis=0)


def write(path: pathlib.Path, provenance: dict, rows: Sequence[Row], written: int) -> None:
    """Writes rows as one file, whole or not at all."""
    schema = arrow_schema(provenance, written)
    arrays = [
        _timelines([row.values for row in rows], field.type)
        if field.name == "timeline"
        else pa.array([getattr(row, field.name) for row in rows], field.type)
        for field in schema
    ]
    write_batches(path, schema, [pa.RecordBatch.from_arrays(arrays, schema=schema)])


def arrow_schema(provenance: dict, written: int) -> pa.Schema:
    """The columns of a data set, and what its files say of themselves."""
    vector = pa.list_(pa.float32(), provenance["dimensions"])
    columns = {
        "path": pa.string(),
        "status": pa.string(),
        "reason": pa.string(),
        "size": pa.int64(),
        "mtime_ns": pa.int64(),
        "folder": pa.string(),
        "audio_hash": pa.string(),
        "duration": pa.float64(),
        "reader": pa.string(),
        "sample_rate": pa.int32(),
        "channels": pa.int32(),
        "notes": pa.list_(pa.string()),
        "damaged_seconds": pa.float64(),
        "silence": pa.string(),
        "padded": pa.bool_(),
        "times": pa.list_(pa.float32()),
    }
    if provenance["format"] == "parquet":
        store = provenance["store"]
        columns[store] = vector if store == "mean" else pa.list_(vector)
    text = json.dumps({**provenance, "schema": SCHEMA, "written": written})
    return pa.schema(columns, {KEY: text})


def write_batches(path: pathlib.Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Writes batches of these columns as one file, whole or not at all; they stream through."""
    names = [f"{field.name}{_nesting(field.type)}" for field in schema]
    floats = [name for name in names if name in _FLOATS]
    with (
        whole(path) as unfinished,
        pq.ParquetWriter(
            unfinished,
            schema,
            compression="zstd",
            use_dictionary=[name for name in names if name not in floats],
            use_byte_stream_split=floats,
            write_page_checksum=True,
        ) as writer,
    ):
        for group in _grouped(batches):
            writer.write_table(pa.Table.from_batches(group).cast(schema))


def _grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches that make one row group, each."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if group and (rows + len(batch) > _GROUP_ROWS or size + batch.nbytes > _GROUP_BYTES):
            yield group
            group, rows, size = [], 0, 0
        group, rows, size = [*group, batch], rows + len(batch), size + batch.nbytes
    if group:
        yield group


def with_columns(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with other columns: those that it lacks are null."""
    arrays = [
        batch[field.name].cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _nesting(kind: pa.DataType) -> str:
    """What Parquet appends to the name of a column of lists."""
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return f".list.element{_nesting(kind.value_type)}" if is_list else ""


def _timelines(values: Sequence[np.ndarray | None], kind: pa.DataType) -> pa.Array:
    """A column of `(n, dimensions)` arrays, some of them None."""
    present = [value for value in values if value is not None]
    flat = np.concatenate([np.zeros(0, np.float32), *(value.ravel() for value in present)])
    offsets, end = [], 0
    for value in values:
        offsets.append(None if value is None else end)
        end += 0 if value is None else len(value)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat), kind.value_type.list_size)
    return pa.ListArray.from_arrays(pa.array([*offsets, end], pa.int32()), vectors).cast(kind)
