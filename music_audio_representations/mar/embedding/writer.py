"""Adds to a folder of embeddings: one writer at a time, or shards that share it."""

import logging
import os
import pathlib
import threading
import time
import uuid
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mar.embedding import files, npz, parts, rows, upkeep
from mar.embedding.changes import Known
from mar.embedding.parts import Part
from mar.embedding.provenance import difference
from mar.embedding.rows import Row
from mar.embedding.stored import Stored
from mar.errors import InputError
from mar.util.atomic import make_folder, remove_abandoned
from mar.util.lock import FolderLock

_LOG = logging.getLogger(__name__)
_PART_ROWS, _PART_BYTES, _PART_SECONDS = 1000, 64e6, 60.0


class Writer:
    """Adds rows to a data set, in a folder that may have some already.

    It holds the folder's lock until `close`, or the end of a `with` block.

    Args:
        folder: is created where it does not exist.
        provenance: how the embeddings are made; `store` and `format` say how they are kept,
            `dimensions` how long they are.
        shard: `(i, n)`: which of n writers that share the folder this is.

    Attributes:
        written: number of this run, larger than that of earlier ones.

    Raises:
        InputError: the folder holds embeddings that were made in another way, or another process
            writes into it.
    """

    def __init__(
        self, folder: str | os.PathLike, provenance: dict, shard: tuple[int, int] = (0, 1)
    ) -> None:
        self.folder, self.provenance = pathlib.Path(folder).expanduser(), provenance
        self._shard, self._guard = shard, threading.Lock()
        self._dropped: set[str] = set()
        self._changed = False
        self._begin_part()
        make_folder(self.folder)
        self._lock = FolderLock(self.folder, shard)
        try:
            remove_abandoned(self.folder)
            upkeep.tidy(self.folder)
            self._stored = parts.settled(lambda: Stored(self.folder))
            for part in self._stored.opened:
                if differing := difference(part.provenance, provenance):
                    raise InputError(
                        f"{self.folder}: holds embeddings that were made in another way"
                        f"{differing}; give another --output"
                    )
            latest = max((part.written for part in self._stored.opened), default=0)
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
            if self._changed:
                upkeep.tidy(self.folder, self._dropped)
        finally:
            self._lock.release()

    @property
    def known(self) -> Mapping[str, Known]:
        """What is known of each path, also of those that were added."""
        return self._stored.known

    def is_kept(self, path: str) -> bool:
        """Whether the embedding of a path that is known is there."""
        return self.provenance["format"] == "parquet" or npz.path_of(self.folder, path).exists()

    def add(self, row: Row) -> Row:
        """Adds one row, and returns it as it is kept.

        It is on disk after a minute, after the next `flush`, or at the end.
        """
        row = storable(self.provenance, row)
        self._check_place(row.path)
        with self._guard:
            self._rows[row.path] = row
            self.note(row)
            if row.status == "ok" and row.audio_hash is not None:
                self._path_of_audio[row.audio_hash] = row.path
        self._bytes += 0 if row.values is None else row.values.nbytes
        if (
            len(self._rows) >= _PART_ROWS
            or self._bytes >= _PART_BYTES
            or time.monotonic() - self._flushed >= _PART_SECONDS
        ):
            self.flush()
        return row

    def _check_place(self, path: str) -> None:
        """Raises an InputError where the file of a path is that of another path."""
        other = path.lstrip("/") if path.startswith("/") else f"/{path}"
        if self.provenance["format"] == "npz" and other in self.known:
            raise InputError(
                f"{self.folder}: {path!r} and {other!r} would both lie in "
                f"{npz.path_of(self.folder, path)}; embed them into different folders, or as "
                f"--format parquet"
            )

    def note(self, row: Row) -> None:
        """Notes what became of a file whose row is written by this writer, or by its helpers."""
        self._changed = True
        self._stored.known[row.path] = Known(
            row.status, row.size, row.mtime_ns, row.folder, row.audio_hash
        )

    def find(self, row: Row) -> Row | None:
        """A row with the audio of another, of this run or before; may be called in any thread."""
        with self._guard:
            place = self._stored.own_place(row)
            path = self._path_of_audio.get(row.audio_hash)
            if place is None and path is not None:
                return self._rows[path] if self._rows[path].audio_hash == row.audio_hash else None
            found = self._row(place if place is not None else self._stored.place_of(row.audio_hash))
            if found is None or self.provenance["format"] == "parquet":
                return found
            # Another audio may have come under its path since; older .npz do not say which.
            now = self.known[found.path].audio_hash
            return found if now == found.audio_hash else None

    def _row(self, place: int | None) -> Row | None:
        """The row that lies at a place; None where it is not there any more."""
        return None if place is None else self._stored.row(place)

    def leave(self, gone: Collection[str]) -> set[str]:
        """Marks paths whose files are not there any more, and keeps their embeddings.

        Those without one, and those whose audio is there under another path, are removed; so are
        those of the latter kind that were marked before. Shards do so for their share.

        Returns:
            Those of the share.
        """
        lost = set(gone)
        shard, shards = self._shard
        before = {
            path
            for path, known in self.known.items()
            if known.status == "gone" and files.shard_of(path, shards) == shard
        }
        if not lost | before:
            return lost
        audio = {
            known.audio_hash
            for path, known in self.known.items()
            if known.status == "ok" and path not in lost and known.audio_hash is not None
        }
        lost = {path for path in lost if files.shard_of(path, shards) == shard}
        moved = {path for path in lost | before if self.known[path].audio_hash in audio}
        empty = {path for path in lost if not self.known[path].has_embedding}
        self._dropped |= moved | empty
        self._changed = self._changed or bool(self._dropped)
        marked = sorted(lost - moved - empty, key=lambda path: self.known[path].place or 0)
        stored = self._stored
        for path in marked:
            row = _embedded(stored, path)
            if row is None and self.is_kept(path):  # another shard has rewritten its part
                stored = parts.settled(lambda: Stored(self.folder))
                row = _embedded(stored, path)
            if row is not None:
                row.status, row.reason = "gone", "the file is not there any more"
                self.add(row)
            elif not self.is_kept(path):
                self._dropped.add(path)
            else:  # it is damaged, or rewritten once more: the next run finds it
                _LOG.info("%s: %r cannot be read now, and is marked later", self.folder, path)
        return lost

    def flush(self) -> None:
        """Writes the rows that were added as a new part."""
        with self._guard:
            if self._rows:
                self._lock.check()
                added = list(self._rows.values())
                path = write_part(self.folder, self.provenance, added, self._part, self.written)
                self._stored.take(Part.open(path))
            self._begin_part()

    def merge(self) -> None:
        """Makes few large parts of the small ones that this run and its helpers wrote."""
        self.flush()
        opened = [part for part in parts.open_all(self.folder) if part.written >= self.written]
        upkeep.merge_small(self.folder, opened, self._lock)

    def _begin_part(self) -> None:
        self._rows: dict[str, Row] = {}
        self._path_of_audio: dict[str | None, str] = {}
        self._bytes, self._flushed = 0, time.monotonic()
        # Named before it is written: where a signal comes in just after that, and the rows are
        # flushed once more at the end, they replace themselves.
        self._part = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def _embedded(stored: Stored, path: str) -> Row | None:
    """The row of a path, with its embedding; None where that cannot be read."""
    known = stored.known.get(path)
    if known is None or known.place is None or not known.has_embedding:
        return None
    return stored.row(known.place)


def write_part(
    folder: str | os.PathLike, provenance: dict, added: Sequence[Row], name: str, written: int
) -> pathlib.Path:
    """Writes rows as one part of a data set, whose lock the caller holds.

    Args:
        folder: of the data set.
        provenance: how they were made.
        added: rows as `storable` returns them; one of each path.
        name: of the part; one of the same name is replaced.
        written: `Writer.written` of the run.

    Returns:
        Where the part lies.
    """
    if provenance["format"] == "npz":
        for row in added:
            if row.values is not None and row.times is not None:
                npz.write(folder, provenance, row.path, row.audio_hash, row.times, row.values)
            elif npz.has_name(row.path):
                npz.path_of(folder, row.path).unlink(missing_ok=True)
    path = pathlib.Path(folder) / f"part-{name}.parquet"
    rows.write(path, provenance, added, written)
    return path


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
    return Row(row.path, "failed", reason, row.size, row.mtime_ns, row.folder)
