"""Embeddings that others made, taken over into a data set of our own: `FOLDER?made_by=NAME`.

A folder holds either `.npz` files, `song.mp3.npz` or `song.npz` for each audio file, with the
arrays that `mar.embedding.encoders.command` describes; or Parquet files with the columns `path` and
`embedding`, a list of floats. The provenance says who made them, and that nothing more is known.
"""

import collections
import dataclasses
import functools
import itertools
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq

import mar
from mar.embedding.changes import Known, Summary, failed
from mar.embedding.encoders.address import Address, required
from mar.embedding.encoders.command import read
from mar.embedding.files import key
from mar.embedding.rows import Row
from mar.embedding.writer import Writer
from mar.errors import InputError

INTERFACE = "imported"
_COLUMNS = ["path", "embedding"]
_UNKNOWN = np.full(1, np.nan, np.float32)  # the time of a vector that stands for a file


def take_over(address: Address, output: str | os.PathLike, store: str, format: str) -> Summary:
    """Brings a data set up to date with a folder of embeddings.

    A file of theirs that is as it was is not read again, unless something in it failed; what has no
    embedding of this many dimensions is a row with the reason.

    Args:
        address: of the kind "folder".
        output: folder of the data set.
        store, format: how they are kept, see `mar.Catalogue`.

    Returns:
        What became of them.

    Raises:
        InputError: there are none, or the data set holds others.
        ConfigError: it is not said who made them.
    """
    made_by, folder = str(required(address, "made_by", "NAME")), pathlib.Path(address.place)
    sources = sorted(path for path in folder.rglob("*") if path.suffix in (".npz", ".parquet"))
    rows = itertools.chain.from_iterable(_rows(folder, source) for source in sources)
    dimensions = next((row.values.shape[1] for row in rows if row.values is not None), None)
    if dimensions is None:
        raise InputError(
            f"{folder}: expected embeddings in .npz files (an array embedding) or in Parquet files "
            f"(columns path and embedding), found none in {len(sources)} such files"
        )
    provenance = {
        "model": made_by,
        "model_source": str(address.located()),
        "interface": INTERFACE,
        "dimensions": dimensions,
        "precision": "float32",
        "pooling": "as imported",
        "version": mar.__version__,
        "store": store,
        "format": format,
    }
    with Writer(output, provenance) as writer:
        return _brought_up_to_date(writer, folder, sources, dimensions)


def _brought_up_to_date(
    writer: Writer, folder: pathlib.Path, sources: list[pathlib.Path], dimensions: int
) -> Summary:
    summary = Summary(failed_before=failed(writer.known))
    known: dict[tuple, list[str]] = collections.defaultdict(list)
    incomplete = {earlier.folder for earlier in writer.known.values() if earlier.status == "failed"}
    for path, earlier in writer.known.items():
        if earlier.status == "ok" and earlier.folder not in incomplete:
            known[earlier.folder, earlier.state].append(path)
    there: set[str] = set()
    for source in sources:
        if unchanged := known.get((_place(source), _state(source))):
            there.update(unchanged)
            summary.counts["unchanged"] += len(unchanged)
            continue
        for row in _rows(folder, source):
            if row.path in there:
                raise InputError(f"{source}: {row.path} is in another file too; expected it once")
            there.add(row.path)
            if row.values is not None and _is_known(writer.known.get(row.path), row):
                summary.counts["unchanged"] += 1
                continue
            summary.count(writer.add(_of(dimensions, row)))
    lost = [p for p, known in writer.known.items() if known.status != "gone" and p not in there]
    left = writer.leave(lost)
    summary.counts["gone"] = len(left)
    return summary


def _is_known(earlier: Known | None, row: Row) -> bool:
    """Whether a row was taken over, of the same file of theirs as it was."""
    if earlier is None or earlier.status != "ok":
        return False
    return (earlier.folder, earlier.state) == (row.folder, (row.size, row.mtime_ns))


def _rows(folder: pathlib.Path, source: pathlib.Path) -> Iterator[Row]:
    """The rows of one file, each with its embedding or with why it has none."""
    size, mtime_ns = _state(source)
    row = functools.partial(Row, size=size, mtime_ns=mtime_ns, folder=_place(source), change="new")
    name = key(source.relative_to(folder).as_posix())
    try:
        if source.suffix == ".npz":
            times, values = read(source, None)
            times, values = times.astype(np.float32), _vectors(values)
            yield row(name.removesuffix(".npz"), "ok", times=times, values=values)
            return
        for batch in pq.ParquetFile(source).iter_batches(columns=_COLUMNS):
            for number, given in enumerate(batch.to_pylist()):
                if given["path"] is None:
                    yield row(f"{name}:{number}", "failed", reason="a row without a path")
                    continue
                try:
                    values = _vectors([given["embedding"]])
                except (ValueError, TypeError) as error:
                    yield row(key(given["path"]), "failed", reason=str(error))
                else:
                    yield row(key(given["path"]), "ok", times=_UNKNOWN, values=values)
    except (InputError, ValueError, TypeError, KeyError, OSError) as error:
        yield row(name, "failed", reason=str(error))


def _place(source: pathlib.Path) -> str:
    """Where a file is, as text."""
    return key(os.fspath(source.absolute()))


def _of(dimensions: int, row: Row) -> Row:
    """The row, or that failed, where its embedding has another length."""
    if row.values is None or row.values.shape[1] == dimensions:
        return row
    reason = f"has {row.values.shape[1]} dimensions, the first one {dimensions}"
    return dataclasses.replace(row, status="failed", reason=reason, times=None, values=None)


def _vectors(values: object) -> np.ndarray:
    """float32 `(n, dimensions)`; raises ValueError."""
    vectors = np.asarray(values, np.float32)
    if vectors.ndim != 2 or not vectors.size:
        raise ValueError(f"expected (frames, dimensions), got the shape {vectors.shape}")
    return vectors


def _state(source: pathlib.Path) -> tuple[int, int]:
    status = source.stat()
    return status.st_size, status.st_mtime_ns
