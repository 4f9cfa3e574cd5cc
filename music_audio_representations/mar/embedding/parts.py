"""One Parquet file of a data set of embeddings: its columns, written whole and checked when read.

`mar.embedding.store` alone uses it. The columns, of which all but `path` and `status` are null
where they do not apply:

    path             key of the file, see `mar.embedding.files`
    status           ok, failed, or skipped (neither audio nor called so)
    reason           why not ok
    size             bytes of the file
    mtime_ns         when it was last changed
    audio_hash       of the audio alone, see `mar.audio.decode.audio_hash`
    duration         seconds of audio
    reader           what decoded it: soundfile or PyAV
    sample_rate      Hz, of the file
    channels         of the file
    notes            list of strings: what was remarkable in the file
    damaged_seconds  of its audio, that could not be decoded
    padded           whether silence was appended to reach the length of a window
    times            list of the windows' centres, seconds
    mean             fixed-size list: the average embedding (where `store` is mean)
    timeline         list of fixed-size lists: every window's (where `store` is timeline)

With the format npz, `<path>.npz` beside the Parquet files holds `embedding` (of the mean, or of
every window), `timestamps` and `provenance`, and they lack the last columns.

The JSON under the key `mar` of a file's metadata is the provenance, `schema` (2; version 0.1.0
wrote none, and lacks the columns audio_hash, reader, channels, notes and damaged_seconds), and
`written`: of two rows of one path, that of the larger counts.

Every page has a checksum. Floats are split into streams of their bytes: a row of 1,728 dimensions
takes 5.9 KB, where that of 0.1.0 took 7.5 KB (noise, in `benchmarks/store.py`).
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mar.embedding.provenance import difference
from mar.errors import InputError
from mar.util.atomic import whole

SCHEMA = 2
_TRIES = 10  # to list a folder that changes
_KEY = b"mar"
_UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, TypeError)
_FLOATS = (
    "duration",
    "damaged_seconds",
    "times.list.element",
    "mean.list.element",
    "timeline.list.element.list.element",
)


@dataclasses.dataclass
class Row:
    """What became of one file: see the columns above. `values` are the windows' embeddings."""

    path: str
    status: str
    reason: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    audio_hash: str | None = None
    duration: float | None = None
    reader: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    notes: list[str] | None = None
    damaged_seconds: float | None = None
    padded: bool | None = None
    times: np.ndarray | None = None
    values: np.ndarray | None = None

    @property
    def mean(self) -> np.ndarray | None:
        """The average embedding, or None."""
        return None if self.values is None else self.values.mean(axis=0)


@dataclasses.dataclass(frozen=True)
class Part:
    """One file of a data set.

    Attributes:
        path: where it lies.
        provenance: how its embeddings were made.
        written: number that is larger in parts of later runs.
        rows: how many it has.
        columns: their names.
    """

    path: pathlib.Path
    provenance: dict
    written: int
    rows: int
    columns: tuple[str, ...]

    @classmethod
    def open(cls, path: pathlib.Path) -> "Part":
        """Reads what a file says of itself.

        Raises:
            FileNotFoundError: it is gone.
            InputError: it is damaged, or not part of a data set.
        """
        try:
            with pq.ParquetFile(path) as file:
                rows, schema = file.metadata.num_rows, file.schema_arrow
            if _KEY not in (schema.metadata or {}):
                raise InputError(f"{path}: not written by mar.embed (no provenance in its schema)")
            provenance = json.loads(schema.metadata[_KEY])
            number, written = provenance.pop("schema", 1), provenance.pop("written", 0)
            _check(provenance, schema.names)
        except (InputError, FileNotFoundError):
            raise
        except _UNREADABLE as error:
            raise InputError(
                f"{path}: not a readable Parquet file ({_first_line(error)})"
            ) from None
        if number > SCHEMA:
            raise InputError(
                f"{path}: expected a schema of at most {SCHEMA}, found {number}: a later version "
                "of mar wrote it; install that"
            )
        return cls(path, provenance, written, rows, tuple(schema.names))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields its rows; columns that it lacks are left out.

        Raises:
            InputError: it is damaged: a checksum does not fit.
        """
        present = [name for name in columns if name in self.columns]
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                yield from file.iter_batches(columns=present)
        except FileNotFoundError:
            raise InputError(f"{self.path}: gone; a run changes its folder: open it anew") from None
        except _UNREADABLE as error:
            raise InputError(
                f"{self.path}: damaged: {_first_line(error)}; delete it, and run mar.embed again, "
                "which makes what it held"
            ) from None

    def keep(self, rows: Sequence[bool]) -> None:
        """Leaves only some of its rows in it; without any, it is removed."""
        if not any(rows):
            self.path.unlink(missing_ok=True)
            return
        batches = list(self.batches(self.columns))
        with pq.ParquetFile(self.path) as file:
            schema = file.schema_arrow
        table = pa.Table.from_batches(batches, batches[0].schema).filter(pa.array(rows))
        _write(self.path, table.cast(schema).replace_schema_metadata(schema.metadata))


def write(path: pathlib.Path, provenance: dict, rows: Sequence[Row], written: int) -> None:
    """Writes rows as one file, whole or not at all."""
    schema = _arrow_schema(provenance, written)
    arrays = [
        _timelines([row.values for row in rows], field.type)
        if field.name == "timeline"
        else pa.array([getattr(row, field.name) for row in rows], field.type)
        for field in schema
    ]
    _write(path, pa.Table.from_arrays(arrays, schema=schema))


def means(batch: pa.RecordBatch, store: str) -> np.ndarray:
    """The mean embeddings `(rows, dimensions)` of a batch, none of whose rows lacks one."""
    if store == "mean":
        return batch["mean"].flatten().to_numpy().reshape(len(batch), -1)
    lengths = batch["timeline"].value_lengths().to_numpy()
    values = batch["timeline"].flatten()
    matrix = values.flatten().to_numpy().reshape(len(values), -1)
    firsts = np.cumsum(lengths) - lengths
    return np.add.reduceat(matrix, firsts, axis=0) / lengths[:, None]


def timelines(batch: pa.RecordBatch) -> list[np.ndarray]:
    """The windows' embeddings `(windows, dimensions)` of each row of a batch."""
    lengths = batch["timeline"].value_lengths().to_numpy()
    values = batch["timeline"].flatten()
    matrix = values.flatten().to_numpy().reshape(len(values), -1)
    return np.split(matrix, np.cumsum(lengths)[:-1])


def _arrow_schema(provenance: dict, written: int) -> pa.Schema:
    vector = pa.list_(pa.float32(), provenance["dimensions"])
    columns = {
        "path": pa.string(),
        "status": pa.string(),
        "reason": pa.string(),
        "size": pa.int64(),
        "mtime_ns": pa.int64(),
        "audio_hash": pa.string(),
        "duration": pa.float64(),
        "reader": pa.string(),
        "sample_rate": pa.int32(),
        "channels": pa.int32(),
        "notes": pa.list_(pa.string()),
        "damaged_seconds": pa.float64(),
        "padded": pa.bool_(),
        "times": pa.list_(pa.float32()),
    }
    if provenance["format"] == "parquet":
        store = provenance["store"]
        columns[store] = vector if store == "mean" else pa.list_(vector)
    text = json.dumps({**provenance, "schema": SCHEMA, "written": written})
    return pa.schema(columns, {_KEY: text})


def _write(path: pathlib.Path, table: pa.Table) -> None:
    names = [f"{field.name}{_nesting(field.type)}" for field in table.schema]
    floats = [name for name in names if name in _FLOATS]
    with whole(path) as unfinished:
        pq.write_table(
            table,
            unfinished,
            compression="zstd",
            use_dictionary=[name for name in names if name not in floats],
            use_byte_stream_split=floats,
            write_page_checksum=True,
        )


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


def _check(provenance: dict, columns: Sequence[str]) -> None:
    """Raises ValueError or KeyError where the texts of the metadata, which have no checksum, lack
    what is needed.
    """
    store, format = provenance["store"], provenance["format"]
    if store not in ("mean", "timeline") or format not in ("parquet", "npz"):
        raise ValueError(f"store {store!r}, format {format!r}")
    needed = {"path", "status", "reason", "size", "mtime_ns", "times", "duration", "sample_rate"}
    if format == "parquet":
        needed.add(store)
    if not needed <= {*columns}:
        raise ValueError(f"without the columns {sorted(needed - {*columns})}")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def open_all(folder: pathlib.Path) -> list[Part]:
    """The parts of a folder, those of later runs last.

    Raises:
        InputError: one is damaged, or the folder changes all the time.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):  # a writer removed one meanwhile: look again
            found = [Part.open(path) for path in folder.glob("[!.]*.parquet")]
            return sorted(found, key=lambda part: (part.written, part.path.name))
    raise InputError(f"{folder}: changes all the time; wait for the end of the run")


def refuse_mixture(opened: Sequence[Part]) -> None:
    """Raises InputError where parts were made in different ways."""
    for part in opened[1:]:
        if differing := difference(opened[0].provenance, part.provenance):
            raise InputError(
                f"{part.path}: made in another way than the rest of its folder{differing}"
            )
