"""Adds to a folder of embeddings: one writer at a time, or shards that share it."""

import collections
import os
import pathlib
import threading
import time
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mar.embedding import npz, parts
from mar.embedding.parts import Row
from mar.embedding.provenance import difference
from mar.embedding.store import Embeddings
from mar.errors import InputError
from mar.util.atomic import make_folder, remove_abandoned
from mar.util.lock import FolderLock

_PART_ROWS, _PART_BYTES, _PART_SECONDS = 1000, 64e6, 60.0


class Done(NamedTuple):
    """What a data set knows of a file: whether it must be embedded again can be told from it."""

    status: str
    size: int | None
    mtime_ns: int | None
    audio_hash: str | None


class Writer:
    """Adds rows to a data set, in a folder that may have some already.

    It holds the folder's lock until `close`, or the end of a `with` block.

    Args:
        folder: is created where it does not exist.
        provenance: how the embeddings are made; `store` and `format` say how they are kept,
            `dimensions` how long they are.
        shard: `(i, n)`: which of n writers that share the folder this is.

    Attributes:
        done: `{path: Done}` of the files that had not failed before.
        written: number of this run, larger than that of earlier ones.

    Raises:
        InputError: the folder holds embeddings that were made in another way, or another process
            writes into it.
    """

    def __init__(
        self, folder: str | os.PathLike, provenance: dict, shard: tuple[int, int] = (0, 1)
    ) -> None:
        self.folder, self.provenance = pathlib.Path(folder).expanduser(), provenance
        self._guard = threading.Lock()
        self._begin_part()
        make_folder(self.folder)
        self._lock = FolderLock(self.folder, shard)
        try:
            remove_abandoned(self.folder)
            opened = parts.open_all(self.folder)
            for part in opened:
                if differing := difference(part.provenance, provenance):
                    raise InputError(
                        f"{self.folder}: holds embeddings that were made in another way"
                        f"{differing}; give another --output"
                    )
            self._found = _tidied(self.folder) if opened else None  # None: it is to be opened anew
            self.done = {} if self._found is None else _done(self._found)
            self._path_of_audio: dict[str | None, str] = {
                done.audio_hash: path for path, done in self.done.items() if done.status == "ok"
            }
            latest = max((part.written for part in opened), default=0)
            self.written = max(time.time_ns(), latest + 1)  # clocks of machines differ
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Writes what was added, removes the rows that it replaced, and releases the lock."""
        try:
            self.flush()
            if parts.open_all(self.folder):
                _tidied(self.folder)
        finally:
            self._lock.release()

    def add(self, row: Row) -> Row:
        """Adds one row, and returns it as it is kept.

        It is on disk after a minute, after the next `flush`, or at the end.
        """
        row = storable(self.provenance, row)
        with self._guard:
            self._rows[row.path] = row
            if row.status == "ok":
                self._path_of_audio[row.audio_hash] = row.path
        self._bytes += 0 if row.values is None else row.values.nbytes
        if (
            len(self._rows) >= _PART_ROWS
            or self._bytes >= _PART_BYTES
            or time.monotonic() - self._flushed >= _PART_SECONDS
        ):
            self.flush()
        return row

    def find(self, audio_hash: str | None) -> Row | None:
        """The row of a file with this audio, of this run or before; may be called in any thread."""
        with self._guard:
            path = self._path_of_audio.get(audio_hash)
            if path is None:
                return None
            if path in self._rows:
                row: Row | None = self._rows[path]
            else:
                self._found = self._found or Embeddings(self.folder)
                row = _complete_row(self._found, path)
        # Another audio may have come under its path since.
        return row if row is not None and row.audio_hash == audio_hash else None

    def flush(self) -> None:
        """Writes the rows that were added as a new part."""
        with self._guard:
            if self._rows:
                self._lock.check()
                rows = list(self._rows.values())
                write_part(self.folder, self.provenance, rows, self._part, self.written)
                self._found = None
            self._begin_part()

    def _begin_part(self) -> None:
        self._rows: dict[str, Row] = {}
        self._bytes, self._flushed = 0, time.monotonic()
        # Named before it is written: where a signal comes in just after that, and the rows are
        # flushed once more at the end, they replace themselves.
        self._part = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def write_part(
    folder: str | os.PathLike, provenance: dict, rows: Sequence[Row], name: str, written: int
) -> None:
    """Writes rows as one part of a data set, whose lock the caller holds.

    Args:
        folder: of the data set.
        provenance: how they were made.
        rows: as `storable` returns them; one of each path.
        name: of the part; one of the same name is replaced.
        written: `Writer.written` of the run.
    """
    if provenance["format"] == "npz":
        for row in rows:
            if row.values is not None and row.times is not None:
                npz.write(folder, provenance, row.path, row.times, row.values)
            elif npz.has_name(row.path):
                npz.path_of(folder, row.path).unlink(missing_ok=True)
    parts.write(pathlib.Path(folder) / f"part-{name}.parquet", provenance, rows, written)


def storable(provenance: dict, row: Row) -> Row:
    """The row; or one that says why it failed, where its embedding cannot be kept."""
    if row.values is None:
        return row
    if not np.isfinite(row.values).all():
        reason = "its embedding holds NaN or infinite values"
    elif provenance["format"] == "npz" and not npz.has_name(row.path):
        reason = f"the name {npz.path_of('', row.path).name!r} is too long for a file"
    else:
        return row
    return Row(row.path, "failed", reason, row.size, row.mtime_ns)


def _tidied(folder: pathlib.Path) -> Embeddings:
    """Removes rows that later ones replace, and opens the data set.

    Several processes may do so at a time: the latest row of a path is never removed.
    """
    embeddings = Embeddings(folder)
    latest = collections.Counter(embeddings._part_of.values())
    if all(latest[number] == part.rows for number, part in enumerate(embeddings._parts)):
        return embeddings
    for number, part in enumerate(embeddings._parts):
        if latest[number] != part.rows:
            paths = [p for batch in part.batches(["path"]) for p in batch["path"].to_pylist()]
            part.keep([embeddings._part_of[path] == number for path in paths])
    return Embeddings(folder)


def _done(embeddings: Embeddings) -> dict[str, Done]:
    done = {}
    for number, part in enumerate(embeddings._parts):
        for batch in part.batches(["path", *Done._fields]):
            for row in batch.to_pylist():
                path = row.pop("path")
                if row["status"] != "failed" and embeddings._part_of[path] == number:
                    done[path] = Done(**{"audio_hash": None, **row})
    return done


def _complete_row(embeddings: Embeddings, path: str) -> Row | None:
    """What was kept of a file, with its embedding; None where that is gone."""
    in_file = embeddings.provenance["format"] == "npz"
    if path not in embeddings or (in_file and not npz.path_of(embeddings.folder, path).exists()):
        return None
    known = embeddings.row(path)
    known["times"] = np.array(known["times"], np.float32)
    is_mean = embeddings.provenance["store"] == "mean"
    values = embeddings.mean(path)[None] if is_mean else embeddings.timeline(path)
    return Row(**known, values=values)
