"""Brings a data set of embeddings up to date with files."""

import collections
import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mar.embedding import changes
from mar.embedding.ahead import Duplicates, Kept, OnDemand, groups
from mar.embedding.changes import Known, Summary
from mar.embedding.files import AudioItem
from mar.embedding.representations import Embedded
from mar.embedding.rows import Row
from mar.embedding.stored import Stored
from mar.embedding.writer import Writer, storable
from mar.errors import InputError
from mar.util.processes import processors
from mar.util.progress import Progress

if TYPE_CHECKING:
    from mar.embedding.embedder import Embedder


class InMemory:
    """Rows that are kept as a `Writer` does, in memory.

    Args:
        provenance: of the data set that they are meant for.
        stored: what that has already; None for nothing.

    Attributes:
        rows: `{path: Row}`.
        known: `{path: Known}` of what was there before.
    """

    def __init__(self, provenance: dict, stored: Stored | None = None) -> None:
        self._provenance, self._stored = provenance, stored
        self.known: Mapping[str, Known] = {} if stored is None else stored.known
        self.rows: dict[str, Row] = {}

    def add(self, row: Row) -> Row:
        """Adds one row, and returns it as it is kept."""
        row = self.rows[row.path] = storable(self._provenance, row)
        return row

    def find(self, row: Row) -> Row | None:
        """A row with the audio of another."""
        rows, place = list(self.rows.values()), None
        if self._stored is not None:
            place = self._stored.own_place(row)
            place = self._stored.place_of(row.audio_hash) if place is None else place
        if place is not None and self._stored is not None:
            return self._stored.row(place)
        same = (r for r in rows if r.status == "ok" and r.audio_hash == row.audio_hash)
        return next(same, None)


def embed(
    load: Callable[[], "Embedder"],
    made: dict,
    items: Sequence[AudioItem],
    output: str | os.PathLike,
    store: str = "mean",
    format: str = "parquet",
    workers: int | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Summary:
    """Brings a data set up to date with files, see `mar.Embedder.embed_folder`.

    Rows that were finished are on disk however this ends.

    Args:
        load: gives the `mar.Embedder`; is called where audio is there that must be embedded.
        made: its `provenance`.
        items: all files.
        output, store, format, workers, shard: as of `mar.Embedder.embed_folder`.

    Raises:
        ConfigError: there is no such shard.
        InputError: a folder vanished while it was read, or the data set cannot be added to.
    """
    changes.check_shard(shard)
    provenance = {**made, "store": store, "format": format}
    with Writer(output, provenance, shard) as writer:
        plan = changes.plan(items, writer.known, writer.is_kept, shard)
        gone = list(plan.gone)
        summary = Summary(failed_before=changes.failed(writer.known))
        summary.counts["unchanged"] = plan.unchanged
        with (
            Progress(len(plan.todo), "file") as progress,
            contextlib.closing(rows(load, plan.todo, writer, workers)) as finished,
        ):
            for row in finished:
                if row.status == "gone":
                    gone.append(row.path)
                else:
                    summary.count(row)
                progress.update(more=summary.rate())
        left = writer.leave([path for path in gone if path in writer.known])
        summary.tell_left(writer.known, gone, left)
    return summary


def rows(
    load: Callable[[], "Embedder"],
    items: Sequence[AudioItem],
    kept: Kept,
    workers: int | None = None,
) -> Generator[Row, None, None]:
    """Embeds items and keeps their rows; yields each as it is kept, when it is finished.

    Of items with the same audio one is embedded; so is none, where there is a row of it already. An
    item that vanishes is yielded with the status gone, and not kept.
    """
    workers = min(workers or processors(), max(1, len(items)))
    times: dict[AudioItem, list] = collections.defaultdict(list)
    values: dict[AudioItem, list] = collections.defaultdict(list)
    duplicates, model = Duplicates(kept), OnDemand(load)
    with contextlib.closing(groups(model, items, duplicates, workers)) as ahead:
        for (item, told), embeddings in _embedded(model, ahead):
            if not isinstance(told, Row):
                times[item].append(told)
                values[item].append(embeddings)
                continue
            of_windows = times.pop(item, []), values.pop(item, [])
            if told.status == "ok" and told.values is None:
                told = _whole(told, *of_windows)
            row = told if told.status == "gone" else kept.add(told)
            yield row
            for waiting in duplicates.finish(told.audio_hash):
                yield kept.add(_of_finished(row, waiting, kept.known.get(waiting.path)))


def _whole(row: Row, times: Sequence[np.ndarray], values: Sequence[Embedded]) -> Row:
    """A row with its embeddings; or that failed, by the first of what could not be embedded."""
    refused = next((value for value in values if isinstance(value, InputError)), None)
    if refused is not None:
        return dataclasses.replace(row, status="failed", reason=str(refused))
    embedded = [value for value in values if not isinstance(value, InputError)]
    return dataclasses.replace(row, times=np.concatenate(times), values=np.concatenate(embedded))


def _of_finished(original: Row, row: Row, earlier: Known | None) -> Row:
    """The row of a file that waited for another one with the same audio."""
    if original.status == "ok":
        return changes.of_same_audio(original, row, earlier)
    reason = original.reason
    if original.status == "gone":
        reason = f"{original.path}, with the same audio, vanished while it was read; run again"
    return dataclasses.replace(row, status="failed", reason=reason)


def _embedded(model: OnDemand, ahead: Iterator[tuple]) -> Iterator[tuple]:
    """Embeds the groups' pieces; as long as none has any, without a model."""
    for tag, pieces in ahead:
        if pieces is not None:
            embedder = model.loaded
            none = np.zeros((0, *embedder.representation.piece_shape), np.float32)
            rest = itertools.chain([(tag, pieces)], ahead)
            filled = ((tag, none if pieces is None else pieces) for tag, pieces in rest)
            yield from embedder.representation.stream(filled)
            return
        yield tag, None
