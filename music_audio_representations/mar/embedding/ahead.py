"""Files that are decoded ahead of the model, in processes of their own."""

import contextlib
import functools
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mar.audio import decode, isolated
from mar.audio.isolated import IsolatedDecoder
from mar.embedding import changes, files
from mar.embedding.changes import Known
from mar.embedding.files import AudioItem
from mar.embedding.rows import Row
from mar.embedding.waveform import Waveform
from mar.errors import InputError

if TYPE_CHECKING:
    from mar.embedding.embedder import Embedder

_GROUPS_AHEAD, _GROUP_PIECES = 64, 8  # of so many pieces at most; so many groups wait
_WAIT_SECONDS = 0.1
_NEEDED = object()  # in the place of a group: the model is


class Kept(Protocol):
    """Where rows go: a `Writer`, or `InMemory`."""

    @property
    def known(self) -> Mapping[str, Known]: ...

    def add(self, row: Row) -> Row: ...

    def find(self, row: Row) -> Row | None: ...


class OnDemand:
    """The model, which the main thread loads when another one needs it: signals end the former.

    Args:
        load: gives it.
    """

    def __init__(self, load: Callable[[], "Embedder"]) -> None:
        self._load, self._there = load, threading.Event()

    @functools.cached_property
    def loaded(self) -> "Embedder":
        """Loads it, in the main thread."""
        embedder = self._load()
        self._there.set()
        return embedder

    def wait(self, stop: threading.Event) -> "Embedder":
        """In another thread, which has asked for it: waits until it is loaded."""
        while not self._there.wait(_WAIT_SECONDS):
            if stop.is_set():
                raise InterruptedError
        return self.loaded


class Duplicates:
    """Which audio is being embedded, and what else has it.

    a.mp3 comes             nobody has its audio: embed it
    copy/a.mp3 comes        waits for a.mp3
    a.mp3 is finished       copy/a.mp3 takes its row over; so does, at once, whatever comes later
    """

    def __init__(self, kept: Kept) -> None:
        self._kept, self._lock = kept, threading.Lock()
        self._waiting: dict[str | None, list[Row]] = {}

    def change(self, row: Row) -> str:
        """What it is to embed a file."""
        return changes.embedded(self._kept.known.get(row.path))

    def noted_hash(self, item: AudioItem, row: Row) -> str | None:
        """The hash of a file's audio, where the file is as it was when that was noted."""
        earlier = self._kept.known.get(row.path)
        if earlier is None or not earlier.has_embedding or changes.is_another(item, earlier):
            return None
        return earlier.audio_hash if earlier.state == (row.size, row.mtime_ns) else None

    def check_name(self, item: AudioItem, row: Row) -> None:
        """See `changes.check_name`."""
        changes.check_name(item, row.audio_hash, self._kept.known.get(row.path))

    def is_first(self, row: Row) -> bool | Row:
        """True: embed it; False: its row comes with that of another; or the finished row."""
        with self._lock:
            if (original := self._kept.find(row)) is not None:
                return changes.of_same_audio(original, row, self._kept.known.get(row.path))
            if row.audio_hash in self._waiting:
                self._waiting[row.audio_hash].append(row)
                return False
            self._waiting[row.audio_hash] = []
            return True

    def finish(self, audio_hash: str | None) -> list[Row]:
        """The rows of what waited for one, which was kept."""
        with self._lock:
            return self._waiting.pop(audio_hash, [])


def groups(
    model: OnDemand, items: Sequence[AudioItem], duplicates: Duplicates, workers: int
) -> Generator[tuple[tuple[AudioItem, np.ndarray | Row], np.ndarray | None], None, None]:
    """Yields `((item, times), pieces)` of all items, ahead of the model.

    An item's last group has its `Row`, as far as it is known then, in place of times, and no
    pieces.
    """
    jobs, lock, stop = iter(items), threading.Lock(), threading.Event()
    groups: queue.Queue = queue.Queue(max(workers, _GROUPS_AHEAD))
    running = workers

    def put(group):
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                return groups.put(group, timeout=0.1)

    def embedder():
        put(_NEEDED)
        return model.wait(stop)

    def work(decoder):
        try:
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

    with contextlib.ExitStack() as lent:
        decoders = [lent.enter_context(isolated.decoder()) for _ in range(workers)]
        threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in decoders]
        for thread in threads:
            thread.start()
        try:
            while running:
                group = groups.get()
                if isinstance(group, BaseException):
                    raise group
                if group is _NEEDED:
                    model.loaded  # noqa: B018
                elif group is None:
                    running -= 1
                else:
                    yield group
        finally:
            stop.set()
            while any(thread.is_alive() for thread in threads):
                for thread, decoder in zip(threads, decoders, strict=True):
                    if running:  # it may be waiting for one that is stuck
                        decoder.interrupt()
                    thread.join(0.1)


def _of_item(
    embedder: Callable[[], "Embedder"],
    decoder: IsolatedDecoder,
    item: AudioItem,
    duplicates: Duplicates,
) -> Iterator[tuple]:
    """Yields `(times, pieces)` of one item, then its `Row` and no pieces."""
    size, mtime_ns = files.state(item)
    row = Row(item.key, "failed", folder=item.folder, size=size, mtime_ns=mtime_ns)
    row.change = duplicates.change(row)
    if not item.expected:
        suffix = os.path.splitext(item.path)[1]
        row.status = "skipped"
        row.reason = (
            f"not called as audio is ({suffix or 'no suffix'}); name it, or list it, to try it"
        )
        yield row, None
        return
    path = item.path
    try:
        row.audio_hash = duplicates.noted_hash(item, row)
        first = None if row.audio_hash is None else duplicates.is_first(row)
        if first is None or first is True:
            with files.on_disk(item) as path:
                if first is None:
                    row.audio_hash = decoder.audio_hash(path)
                    duplicates.check_name(item, row)
                    first = duplicates.is_first(row)
                if first is True:
                    yield from _pieces(embedder(), decoder, path, row)
        if first is False:
            return
        row = first if isinstance(first, Row) else row
    except changes.TakenError:
        raise
    except InputError as error:
        row.reason = str(error).removeprefix(f"{decode.shown(path)}: ")
        if size is not None and files.vanished(item):
            row.status = "gone"
    yield row, None


def _pieces(embedder: "Embedder", decoder: IsolatedDecoder, path: str, row: Row) -> Iterator[tuple]:
    """Yields `(times, pieces)` of one file, and completes its `Row` but for the embeddings."""
    info, blocks = decoder.open(path, **embedder.front_end.decoding)
    with contextlib.closing(blocks):
        waveform = Waveform(blocks, embedder.representation.shortest)
        for times, pieces in embedder.representation.pieces(waveform):
            for first in range(0, len(pieces), _GROUP_PIECES):
                group = slice(first, first + _GROUP_PIECES)
                yield times[group], pieces[group]
    row.status, row.notes = "ok", decoder.condition.told
    row.damaged_seconds = decoder.condition.damaged_seconds
    row.reader, row.sample_rate, row.channels = info.reader, info.sample_rate, info.channels
    row.duration = waveform.samples / embedder.front_end.sample_rate
    row.silence, row.padded = waveform.silence, waveform.padded
