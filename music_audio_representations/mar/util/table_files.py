"""Tables that are written row group by row group, as the ending of the file's name says."""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mar.errors import InputError
from mar.util import files
from mar.util.atomic import whole


def check_name(path: str | os.PathLike) -> None:
    """Raises an InputError unless a table can be written there."""
    path = pathlib.Path(path)
    if path.suffix not in _WRITERS or not path.parent.is_dir():
        raise InputError(
            f"{path}: expected a name that ends in {', '.join(_WRITERS)}, in an existing folder"
        )


@contextlib.contextmanager
def writer(
    path: str | os.PathLike, schema: pa.Schema, beside: str | os.PathLike | None = None
) -> Iterator[Callable[[pa.Table], None]]:
    """Writes a table, whole or not at all, in memory that does not grow with it.

    Args:
        path: ends in `.csv`, `.parquet` or `.jsonl`.
        schema: of the rows.
        beside: folder for what is unfinished, see `mar.util.atomic.whole`.

    Yields:
        A function that takes the next rows.

    Raises:
        InputError: it has another ending, or cannot be written.
    """
    check_name(path)
    path = pathlib.Path(path)
    with whole(path, beside) as unfinished, _WRITERS[path.suffix](unfinished, schema) as opened:
        yield lambda table: opened.write_table(table.cast(schema))


def read(path: str | os.PathLike) -> Iterator[pa.Table]:
    """Yields a Parquet table batch by batch; the checksums of its pages are compared.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    files.refuse_others(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches():
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: damaged: {reason}; delete it, and run again") from None


class _JsonLines:
    """A file of JSON objects, written as Arrow's writers of other formats are."""

    def __init__(self, path: pathlib.Path, schema: pa.Schema) -> None:
        self._path = path

    def __enter__(self) -> "_JsonLines":
        self._file = open(self._path, "w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write_table(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _parquet(path: pathlib.Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


_WRITERS: dict[str, Callable] = {
    ".csv": pa.csv.CSVWriter,
    ".parquet": _parquet,
    ".jsonl": _JsonLines,
}
