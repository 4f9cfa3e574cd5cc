"""Embeds catalogues: many files, in whatever formats, into one data set that can be resumed."""

import collections
import contextlib
import dataclasses
import os
import queue
import sys
import threading
import time
import zlib
from typing import Literal

import numpy as np
import tqdm

import mar
from mar.audio import decode
from mar.audio.isolated import IsolatedDecoder
from mar.audio.logmel import BLOCK_FRAMES
from mar.audio.windows import Windows
from mar.config import Configurable, Param
from mar.embedding.embedder import Embedder, Snippets
from mar.embedding.store import Row, Writer, npz_path
from mar.errors import InputError
from mar.models.loading import load_model
from mar.models.saving import fingerprint
from mar.util.kinds import PositiveInt

_AHEAD = 320  # about as many snippets wait for the network


class Catalogue(Configurable):
    """How the files of a catalogue are embedded and kept."""

    windows: Windows = Param(default=Windows(), doc="The windows that are embedded.")
    store: Literal["mean", "timeline"] = Param(
        default="mean",
        doc="What is kept of a file: its average embedding, or that of every window.",
    )
    format: Literal["parquet", "npz"] = Param(
        default="parquet",
        doc="Whether embeddings are in the Parquet files, or in one .npz per file beside them.",
    )
    precision: Literal["float32", "bfloat16"] = Param(
        default="float32", doc="Precision of the computation."
    )
    batch_size: PositiveInt = Param(default=32, doc="Windows that are embedded at once.")
    workers: PositiveInt | None = Param(
        default=None, doc="Files that are decoded at once; null: one per core."
    )

    def embedder(self, model):
        """The `mar.Embedder` for a model, as `mar.load_model` returns it."""
        return Embedder(model, self.windows, self.batch_size, self.precision)

    def provenance(self, model, source):
        """How the embeddings are made, as `mar.embedding.store` records it."""
        front_end = mar.front_end(model)
        return {
            "model": fingerprint(model),
            "model_source": os.path.abspath(source) if os.path.exists(source) else str(source),
            "front_end": front_end.hash(),
            "front_end_config": front_end.resolved(),
            "dimensions": model.output_shape[-1],
            **self.windows.resolved()["Windows"],
            "precision": self.precision,
            "store": self.store,
            "format": self.format,
            "version": mar.__version__,
        }

    def run(self, source, items, output):
        """Embeds files into a data set; what it has already is not done again.

        Args:
            source: the model: what `mar.load_model` takes.
            items: list of `AudioItem`s.
            output: folder of the data set.

        Returns:
            A `Summary`. Rows that were finished are on disk however this ends.
        """
        model = load_model(source)
        with Writer(output, self.provenance(model, source)) as writer:
            todo = missing(writer, items)
            summary = Summary(already=len(items) - len(todo))
            writer.forget(item.key for item in todo)
            interval = 0.5 if sys.stderr.isatty() else 30.0
            progress = tqdm.tqdm(
                total=len(todo), unit="file", mininterval=interval, disable=not todo
            )
            with progress, contextlib.closing(self.rows(self.embedder(model), todo)) as rows:
                for row in rows:
                    summary.count(writer.add(row))
                    progress.set_postfix_str(summary.rate(), refresh=False)
                    progress.update()
        return summary

    def rows(self, embedder, items):
        """Yields the `Row` of each item, as they are finished."""
        workers = min(self.workers or len(os.sched_getaffinity(0)), max(1, len(items)))
        starts, values = collections.defaultdict(list), collections.defaultdict(list)
        with contextlib.closing(_snippets(embedder, items, workers)) as groups:
            for (item, told), embedded in embedder.network.stream(groups):
                if not isinstance(told, Row):
                    starts[item].append(told)
                    values[item].append(embedded)
                    continue
                if told.status == "ok":
                    told.times = embedder.times(np.concatenate(starts[item]))
                    told.values = np.concatenate(values[item])
                starts.pop(item, None), values.pop(item, None)
                yield told


@dataclasses.dataclass
class Summary:
    """What became of the files.

    Attributes:
        already: number of files that the data set had.
        counts: {status: number}.
        failures: [(path, reason)].
        seconds: of audio that were embedded.
    """

    already: int = 0
    counts: dict = dataclasses.field(default_factory=lambda: dict(ok=0, skipped=0, failed=0))
    failures: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    began: float = dataclasses.field(default_factory=time.monotonic)

    def count(self, row):
        """Takes one `Row` into account."""
        self.counts[row.status] += 1
        if row.status == "failed":
            self.failures.append((row.path, row.reason))
        self.seconds += row.duration or 0.0

    def rate(self):
        """The speed, as text."""
        speed = self.seconds / max(time.monotonic() - self.began, 1e-9)
        return f"{speed:.0f} s of audio/s, {self.counts['failed']} failed"


def missing(writer, items):
    """The items whose embedding a data set lacks, or has of an earlier state of the file."""

    def is_done(item):
        status, *state = writer.done.get(item.key, (None,))
        if status is None or tuple(state) != _state(item.path):
            return False
        if status == "skipped":
            return not item.expected
        return (
            writer.provenance["format"] == "parquet" or npz_path(writer.folder, item.key).exists()
        )

    return [item for item in items if not is_done(item)]


def part_of(items, shard, shards):
    """The items of one of `shards` machines: which one has a file depends on its key alone."""
    return [item for item in items if zlib.crc32(item.key.encode()) % shards == shard]


def _state(path):
    """(size, mtime_ns), or (None, None) of what cannot be asked."""
    try:
        status = os.stat(path)
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def _snippets(embedder, items, workers):
    """Yields `((item, starts), snippets)` of all items, ahead of the network.

    An item's last group has its `Row`, as far as it is known then, in place of starts, and no
    snippets.
    """
    jobs, lock, stop = iter(items), threading.Lock(), threading.Event()
    groups = queue.Queue(max(workers, _AHEAD * embedder.windows.hop // BLOCK_FRAMES))
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
                    for told, snippets in _of_item(embedder, decoder, item):
                        put(((item, told), snippets))
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


def _of_item(embedder, decoder, item):
    """Yields `(starts, snippets)` of one item, then its `Row` and no snippets."""
    log_mel = embedder.log_mel
    none = np.zeros((0, embedder.windows.length, log_mel.n_mels), np.float32)
    size, mtime = _state(item.path)
    if not item.expected:
        suffix = os.path.splitext(item.path)[1]
        reason = f"not called as audio is ({suffix or 'no suffix'}); name it, or list it, to try it"
        yield Row(item.key, "skipped", reason, size, mtime), none
        return
    try:
        info, blocks = decoder.open(item.path, **log_mel.decoding)
        with contextlib.closing(blocks):
            snippets = Snippets(blocks, log_mel, embedder.windows)
            yield from snippets
    except InputError as error:
        reason = str(error).removeprefix(f"{decode.shown(item.path)}: ")
        yield Row(item.key, "failed", reason, size, mtime), none
        return
    known = (size, mtime, snippets.seconds, info.sample_rate, snippets.padded)
    yield Row(item.key, "ok", None, *known), none
