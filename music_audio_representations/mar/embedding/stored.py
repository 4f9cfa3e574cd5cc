"""What a data set knows already: of every file, and where the embedding of an audio lies."""

import functools
import logging
import os
import pathlib

import numpy as np
import pyarrow as pa

from mar.embedding import npz, parts
from mar.embedding.changes import Known
from mar.embedding.parts import Part
from mar.embedding.rows import Row
from mar.errors import InputError

_LOG = logging.getLogger(__name__)
_BITS = 40  # of a row's number; a part's stands before them
_GROUPS = 4  # that stay in memory
_VALUES = ("mean", "timeline")


class Stored:
    """What is known of the files of a data set, as of a moment; rows are read when asked for.

    Args:
        folder: of the data set, which may be empty.
        before: leaves out what a run of this `Writer.written`, or a later one, wrote; None for all.

    Attributes:
        opened: its parts.
        known: `{path: Known}`.

    Raises:
        InputError: a part is damaged.
    """

    def __init__(self, folder: str | os.PathLike, before: int | None = None) -> None:
        self._folder = pathlib.Path(folder)
        self.opened: list[Part] = []
        self.known: dict[str, Known] = {}
        self._place_of: dict[str | None, int] = {}  # of an audio, by its hash
        self._texts: dict[str | None, str | None] = {}
        self._group = functools.lru_cache(_GROUPS)(self._read_group)
        for part in parts.open_all(self._folder):
            if before is None or part.written < before:
                self.take(part)

    def take(self, part: Part) -> None:
        """Takes a part into account, whose rows are later than those before."""
        place = len(self.opened) << _BITS
        self.opened.append(part)
        names = ["path", "status", "size", "mtime_ns", "folder", "audio_hash"]
        for batch in part.batches(names):
            columns = (
                batch[name].to_pylist() if name in batch.schema.names else [None] * len(batch)
                for name in names
            )
            for path, status, size, mtime_ns, folder, audio_hash in zip(*columns, strict=True):
                status, folder = self._once(status), self._once(folder)
                known = Known(status, size, mtime_ns, folder, audio_hash, place)
                self.known[path] = known
                if known.status == "ok":
                    self._place_of[known.audio_hash] = place
                elif known.status == "gone":
                    self._place_of.setdefault(known.audio_hash, place)
                place += 1

    def _once(self, text):
        """A text that many rows have, as one object: there may be millions."""
        return self._texts.setdefault(text, text)

    def own_place(self, row: Row) -> int | None:
        """Where the row of a path lies, if its audio is that of `row`; None where it is not."""
        own = self.known.get(row.path)
        if own is None or not own.has_embedding:
            return None
        as_it_was = own.audio_hash is None and own.state == (row.size, row.mtime_ns)
        return own.place if as_it_was or own.audio_hash == row.audio_hash else None

    def place_of(self, audio_hash: str | None) -> int | None:
        """Where a row with this audio lies; None where there is none."""
        return None if audio_hash is None else self._place_of.get(audio_hash)

    def row(self, place: int) -> Row | None:
        """The row that lies at a place, with its embedding; None where that is not there any more.

        A shard that began since may have rewritten the part, or the `.npz` file.
        """
        number, row = divmod(place, 1 << _BITS)
        part = self.opened[number]
        group = int(np.searchsorted(part.group_ends, row, "right"))
        first = int(part.group_ends[group - 1]) if group else 0
        try:
            return self._complete(self._group(number, group).slice(row - first, 1), part.provenance)
        except InputError as error:
            _LOG.info("%s; what it held is embedded afresh where it is needed", error)
            return None

    def _complete(self, batch: pa.RecordBatch, made: dict) -> Row | None:
        """The one row of a batch."""
        light = [name for name in batch.schema.names if name not in _VALUES]
        (content,) = batch.select(light).to_pylist()
        row = Row(**content)
        if row.times is not None:
            row.times = np.array(row.times, np.float32)
        if made["format"] == "npz":
            if not npz.path_of(self._folder, row.path).exists():
                return None
            values = npz.read(self._folder, row.path, made["dimensions"], row.audio_hash)
            row.values = np.atleast_2d(values)
        elif batch[made["store"]].null_count:
            return None
        elif made["store"] == "mean":
            row.values = parts.means(batch, "mean")
        else:
            (row.values,) = parts.timelines(batch)
        return row

    def _read_group(self, number: int, group: int) -> pa.RecordBatch:
        part = self.opened[number]
        table = pa.Table.from_batches([*part.batches(part.columns, [group])])
        (batch,) = table.combine_chunks().to_batches()
        return batch
