"""Embeds many files, which are decoded in processes of their own, ahead of the model."""

import collections
import contextlib
import dataclasses
import os
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mar.audio import decode
from mar.audio.isolated import IsolatedDecoder
from mar.embedding import files, npz
from mar.embedding.files import AudioItem
from mar.embedding.parts import Row
from mar.embedding.writer import Writer, storable
from mar.errors import InputError
from mar.util.progress import Progress

if TYPE_CHECKING:
    from mar.embedding.embedder import Embedder

_GROUPS_AHEAD, _GROUP_PIECES = 64, 8  # of so many pieces at most; so many groups wait


class Waveform:
    """The mono blocks of one piece of audio, and silence after what is too short; iterated once.

    Args:
        blocks: samples `(n,)`.
        shortest: samples that it is filled up to.

    Attributes:
        samples: how many there were, known at the end.
    """

    def __init__(self, blocks: Iterable[np.ndarray], shortest: int) -> None:
        self._blocks, self._shortest = blocks, shortest
        self.samples = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += len(block)
            yield block
        if self.padded:
            yield np.zeros(self._shortest - self.samples, np.float32)

    @property
    def padded(self) -> bool:
        """Whether silence was appended."""
        return self.samples < self._shortest


@dataclasses.dataclass
class Summary:
    """What became of the files.

    Attributes:
        already: number of files that the data set had.
        counts: {status: number}.
        failures: [(path, reason)].
        seconds: of audio that were embedded.
        remarkable: number of embedded files with `notes` or `damaged_seconds`.
    """

    already: int = 0
    counts: dict[str, int] = dataclasses.field(
        default_factory=lambda: dict(ok=0, skipped=0, failed=0)
    )
    failures: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    remarkable: int = 0
    began: float = dataclasses.field(default_factory=time.monotonic)

    def count(self, row: Row) -> None:
        """Takes one `Row` into account."""
        self.counts[row.status] += 1
        if row.status == "failed":
            self.failures.append((row.path, row.reason or ""))
        self.seconds += row.duration or 0.0
        self.remarkable += bool(row.notes or row.damaged_seconds)

    def rate(self) -> str:
        """The speed, as text."""
        speed = self.seconds / max(time.monotonic() - self.began, 1e-9)
        return f"{speed:.0f} s of audio/s, {self.counts['failed']} failed"


class Kept(Protocol):
    """Where rows go: a `Writer`, or `InMemory`."""

    def add(self, row: Row) -> Row: ...

    def find(self, audio_hash: str | None) -> Row | None: ...


class InMemory:
    """Rows that are kept as a `Writer` does, in memory.

    Args:
        provenance: of the data set that they are meant for.

    Attributes:
        rows: `{path: Row}`.
    """

    def __init__(self, provenance: dict) -> None:
        self._provenance = provenance
        self.rows: dict[str, Row] = {}

    def add(self, row: Row) -> Row:
        """Adds one row, and returns it as it is kept."""
        row = self.rows[row.path] = storable(self._provenance, row)
        return row

    def find(self, audio_hash: str | None) -> Row | None:
        """The row of a file with this audio."""
        rows = list(self.rows.values())
        return next((r for r in rows if r.status == "ok" and r.audio_hash == audio_hash), None)


def embed(
    embedder: "Embedder",
    items: Sequence[AudioItem],
    output: str | os.PathLike,
    store: str = "mean",
    format: str = "parquet",
    workers: int | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Summary:
    """Embeds files into a data set, see `mar.Embedder.embed_folder`.

    Rows that were finished are on disk however this ends.
    """
    items = share(items, *shard)
    provenance = {**embedder.provenance, "store": store, "format": format}
    with Writer(output, provenance, shard) as writer:
        todo = missing(writer, items)
        summary = Summary(already=len(items) - len(todo))
        with (
            Progress(len(todo), "file") as progress,
            contextlib.closing(rows(embedder, todo, writer, workers)) as finished,
        ):
            for row in finished:
                summary.count(row)
                progress.update(more=summary.rate())
    return summary


def share(items: Sequence[AudioItem], shard: int, shards: int) -> list[AudioItem]:
    """The items of one of `shards` machines: which one has a file depends on its key alone."""
    return [item for item in items if files.shard_of(item.key, shards) == shard]


def missing(writer: Writer, items: Sequence[AudioItem]) -> list[AudioItem]:
    """The items whose embedding a data set lacks, or has of an earlier state of the file."""

    def is_done(item: AudioItem) -> bool:
        done = writer.done.get(item.key)
        if done is None or (done.size, done.mtime_ns) != _state(item.path):
            return False
        if done.status == "skipped":
            return not item.expected
        return (
            writer.provenance["format"] == "parquet"
            or npz.path_of(writer.folder, item.key).exists()
        )

    return [item for item in items if not is_done(item)]


def rows(
    embedder: "Embedder", items: Sequence[AudioItem], kept: Kept, workers: int | None = None
) -> Generator[Row, None, None]:
    """Embeds items and keeps their rows; yields each as it is kept, when it is finished.

    Of items with the same audio one is embedded; so is none, where there is a row of it already.
    """
    workers = min(workers or len(os.sched_getaffinity(0)), max(1, len(items)))
    times: dict[AudioItem, list] = collections.defaultdict(list)
    values: dict[AudioItem, list] = collections.defaultdict(list)
    duplicates = _Duplicates(kept)
    with contextlib.closing(_groups(embedder, items, duplicates, workers)) as groups:
        for (item, told), embeddings in embedder.representation.stream(groups):
            if not isinstance(told, Row):
                times[item].append(told)
                values[item].append(embeddings)
                continue
            if told.status == "ok" and told.values is None:
                told.times = np.concatenate(times[item])
                told.values = np.concatenate(values[item])
            times.pop(item, None), values.pop(item, None)
            row = kept.add(told)
            yield row
            for waiting in duplicates.finish(told.audio_hash):
                yield kept.add(_of_same_audio(row, waiting))


class _Duplicates:
    """Which audio is being embedded, and what else has it.

    a.mp3 comes             nobody has its audio: embed it
    copy/a.mp3 comes        waits for a.mp3
    a.mp3 is finished       copy/a.mp3 takes its row over; so does, at once, whatever comes later
    """

    def __init__(self, kept: Kept) -> None:
        self._kept, self._lock = kept, threading.Lock()
        self._waiting: dict[str | None, list[Row]] = {}

    def is_first(self, row: Row) -> bool | Row:
        """True: embed it; False: its row comes with that of another; or the finished row."""
        with self._lock:
            if (original := self._kept.find(row.audio_hash)) is not None:
                return _of_same_audio(original, row)
            if row.audio_hash in self._waiting:
                self._waiting[row.audio_hash].append(row)
                return False
            self._waiting[row.audio_hash] = []
            return True

    def finish(self, audio_hash: str | None) -> list[Row]:
        """The rows of what waited for one, which was kept."""
        with self._lock:
            return self._waiting.pop(audio_hash, [])


def _of_same_audio(original: Row, row: Row) -> Row:
    return dataclasses.replace(original, path=row.path, size=row.size, mtime_ns=row.mtime_ns)


def _state(path: str) -> tuple[int | None, int | None]:
    """(size, mtime_ns), or (None, None) of what cannot be asked."""
    try:
        status = os.stat(path)
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def _groups(
    embedder: "Embedder", items: Sequence[AudioItem], duplicates: _Duplicates, workers: int
) -> Generator[tuple[tuple[AudioItem, np.ndarray | Row], np.ndarray], None, None]:
    """Yields `((item, times), pieces)` of all items, ahead of the model.

    An item's last group has its `Row`, as far as it is known then, in place of times, and no
    pieces.
    """
    jobs, lock, stop = iter(items), threading.Lock(), threading.Event()
    groups: queue.Queue = queue.Queue(max(workers, _GROUPS_AHEAD))
    decoders = [IsolatedDecoder() for _ in range(workers)]

    def put(group):
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                return groups.put(group, timeout=0.1)

    def work(decoder):
        try:
            with decoder:
                while not stop.is_set():
                    with lock:
                        item = next(jobs, None)
                    if item is None:
                        break
                    for told, pieces in _of_item(embedder, decoder, item, duplicates):
                        put(((item, told), pieces))
            put(None)
        except BaseException as error:  # a defect: raised where the groups are consumed
            put(error)

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in decoders]
    for thread in threads:
        thread.start()
    try:
        running = workers
        while running:
            group = groups.get()
            if isinstance(group, BaseException):
                raise group
            if group is None:
                running -= 1
            else:
                yield group
    finally:
        stop.set()
        while any(thread.is_alive() for thread in threads):
            for thread, decoder in zip(threads, decoders, strict=True):
                decoder.interrupt()  # it may be waiting for one that is stuck
                thread.join(0.1)


def _of_item(
    embedder: "Embedder", decoder: IsolatedDecoder, item: AudioItem, duplicates: _Duplicates
) -> Iterator[tuple]:
    """Yields `(times, pieces)` of one item, then its `Row` and no pieces."""
    none = np.zeros((0, *embedder.representation.piece_shape), np.float32)
    size, mtime_ns = _state(item.path)
    row = Row(item.key, "failed", size=size, mtime_ns=mtime_ns)
    if not item.expected:
        suffix = os.path.splitext(item.path)[1]
        row.status = "skipped"
        row.reason = (
            f"not called as audio is ({suffix or 'no suffix'}); name it, or list it, to try it"
        )
        yield row, none
        return
    try:
        row.audio_hash = decoder.audio_hash(item.path)
        first = duplicates.is_first(row)
        if first is True:
            yield from _pieces(embedder, decoder, item, row)
        elif isinstance(first, Row):
            row = first
        else:
            return
    except InputError as error:
        row.reason = str(error).removeprefix(f"{decode.shown(item.path)}: ")
    yield row, none


def _pieces(
    embedder: "Embedder", decoder: IsolatedDecoder, item: AudioItem, row: Row
) -> Iterator[tuple]:
    """Yields `(times, pieces)` of one item, and completes its `Row` but for the embeddings."""
    info, blocks = decoder.open(item.path, **embedder.log_mel.decoding)
    with contextlib.closing(blocks):
        waveform = Waveform(blocks, embedder.representation.shortest)
        for times, pieces in embedder.representation.pieces(waveform):
            for first in range(0, len(pieces), _GROUP_PIECES):
                group = slice(first, first + _GROUP_PIECES)
                yield times[group], pieces[group]
    row.status, row.notes = "ok", decoder.condition.told
    row.damaged_seconds = decoder.condition.damaged_seconds
    row.reader, row.sample_rate, row.channels = info.reader, info.sample_rate, info.channels
    row.duration = waveform.samples / embedder.log_mel.sample_rate
    row.padded = waveform.padded
