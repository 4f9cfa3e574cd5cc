"""One Parquet file of a data set of embeddings, checked when it is read.

`mar.embedding.store` and `mar.embedding.upkeep` alone use it; what is in it says
`mar.embedding.rows`.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mar.embedding import rows
from mar.embedding.provenance import difference
from mar.errors import InputError
from mar.util import files, plain_data
from mar.util.kinds import NonNegativeInt, PositiveInt

_TRIES = 10  # to list, or to read, a folder that changes
_UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, TypeError)
_FORM = {
    **{"schema": NonNegativeInt, "written": NonNegativeInt, "dimensions": PositiveInt},
    **{"store": Literal["mean", "timeline"], "format": Literal["parquet", "npz"], "model": str},
}
_Result = TypeVar("_Result")
_NEVER_NULL = ("path", "times", "mean", "timeline")  # of what was embedded; durations others lack


class ChangedError(InputError):
    """Another process replaced a part since it was opened."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One file of a data set; its footer is read once.

    Attributes:
        path: where it lies.
        provenance: how its embeddings were made.
        written: number that is larger in parts of later runs.
        schema: its columns.
        footer: what Parquet says of it.
        state: tells the file from one that takes its place.
    """

    path: pathlib.Path
    provenance: dict
    written: int
    schema: pa.Schema
    footer: pq.FileMetaData
    state: tuple[int, ...]

    @classmethod
    def open(cls, path: pathlib.Path) -> "Part":
        """Reads what a file says of itself.

        Raises:
            FileNotFoundError: it is gone.
            InputError: it is damaged, or not part of a data set.
        """
        files.refuse_others(path)
        state = _state(path)
        try:
            with pq.ParquetFile(path) as file:
                footer, schema = file.metadata, file.schema_arrow
            if rows.KEY not in (schema.metadata or {}):
                raise InputError(f"{path}: not written by mar embed (no provenance in its schema)")
            provenance = plain_data.parsed(schema.metadata[rows.KEY])
            plain_data.checked({"schema": 1, "written": 0, **provenance}, _FORM, "its provenance")
            number, written = provenance.pop("schema", 1), provenance.pop("written", 0)
            if number <= rows.SCHEMA:
                _check(provenance, schema)
        except (InputError, FileNotFoundError):
            raise
        except _UNREADABLE as error:
            raise InputError(
                f"{path}: not a readable Parquet file ({_first_line(error)})"
            ) from None
        if number > rows.SCHEMA:
            raise InputError(
                f"{path}: expected a schema of at most {rows.SCHEMA}, found {number}: a later "
                "version of mar wrote it; install that"
            )
        return cls(path, provenance, written, schema, footer, state)

    @property
    def rows(self) -> int:
        """How many it has."""
        return self.footer.num_rows

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return self.schema.names

    @functools.cached_property
    def group_ends(self) -> np.ndarray:
        """Behind the last row of each row group, int64 `(groups,)`."""
        groups = range(self.footer.num_row_groups)
        return np.cumsum([self.footer.row_group(group).num_rows for group in groups])

    def batches(
        self, columns: Sequence[str], groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yields its rows, at most a row group at a time; columns that it lacks are left out.

        Args:
            columns: which.
            groups: of rows, in rising order; None for all.

        Raises:
            InputError: it is damaged: a checksum does not fit. Or it is not what was opened.
        """
        present = [name for name in columns if name in self.columns]
        most = int(np.diff(self.group_ends, prepend=0).max(initial=1))
        try:
            with pq.ParquetFile(
                self.path, metadata=self.footer, page_checksum_verification=True
            ) as file:
                # Asked of the path once the file is open: before that, another could take its place
                if _state(self.path) != self.state:
                    raise FileNotFoundError
                yield from file.iter_batches(most, groups, present)
        except FileNotFoundError:
            raise ChangedError(
                f"{self.path}: gone; a run changes its folder: open it anew"
            ) from None
        except _UNREADABLE as error:
            raise InputError(
                f"{self.path}: damaged: {_first_line(error)}; delete it, and run mar embed again, "
                "which makes what it held"
            ) from None

    def keep(self, kept: np.ndarray) -> None:
        """Leaves only some of its rows, bool `(rows,)`, in it; without any, it is removed."""
        if kept.any():
            rows.write_batches(self.path, self.schema, self.some(kept))
        else:
            self.path.unlink(missing_ok=True)

    def some(self, wanted: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Yields some of its rows, bool `(rows,)`, with all columns."""
        first = 0
        for batch in self.batches(self.columns):
            yield batch.filter(pa.array(wanted[first : first + len(batch)]))
            first += len(batch)


def settled(read: Callable[[], _Result]) -> _Result:
    """What `read` returns, which opens a data set; again, where another process was changing it.

    Raises:
        ChangedError: so it was every time.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(ChangedError):
            return read()
    return read()


def merge(path: pathlib.Path, merged: Sequence[Part], written: int) -> None:
    """Writes the rows of parts as one file, whole or not at all, with the columns of today."""
    schema = rows.arrow_schema(merged[-1].provenance, written)
    batches = (
        rows.with_columns(batch, schema) for part in merged for batch in part.batches(part.columns)
    )
    rows.write_batches(path, schema, batches)


def numbers(column: pa.Array) -> list[float]:
    """The floats of a column; NaN where it has none."""
    return column.to_numpy(zero_copy_only=False).tolist()


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


def _check(provenance: dict, schema: pa.Schema) -> None:
    """Raises ValueError where the columns are not those of a data set that was made so.

    The texts of the metadata, from which that follows, have no checksum.
    """
    expected = rows.arrow_schema(provenance, 0)
    needed = {"path", "status", "reason", "size", "mtime_ns", "times", "duration", "sample_rate"}
    if provenance["format"] == "parquet":
        needed.add(provenance["store"])
    for field in expected:
        count = schema.names.count(field.name)
        if count > 1 or (field.name in needed and not count):
            raise ValueError(f"{count} columns {field.name}")
        if count and schema.field(field.name).type != field.type:
            kind = schema.field(field.name).type
            raise ValueError(f"the column {field.name} is of {kind}, expected {field.type}")


def check_whole(path: pathlib.Path, batch: pa.RecordBatch) -> None:
    """That rows of embedded files lack nothing that there is of each.

    Raises:
        InputError: one does.
    """
    for name in _NEVER_NULL:
        if name not in batch.schema.names:
            continue
        column = batch[name]
        while column is not None:
            if column.null_count:
                raise InputError(f"{path}: damaged: a file was embedded, and has no {name}")
            column = column.flatten() if _nests(column.type) else None


def _nests(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)


def _state(path: pathlib.Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


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


def version(opened: Sequence[Part]) -> str:
    """SHA-256 (hex) of what tells parts from others: their names, which are never given twice to
    different rows but for fewer of them, the number of their rows and that of the run.
    """
    told = sorted((part.path.name, part.rows, part.written) for part in opened)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def refuse_mixture(opened: Sequence[Part]) -> None:
    """Raises InputError where parts were made in different ways."""
    for part in opened[1:]:
        if differing := difference(opened[0].provenance, part.provenance):
            raise InputError(
                f"{part.path}: made in another way than the rest of its folder{differing}"
            )
