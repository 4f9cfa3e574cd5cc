"""A catalogue labelled into tables: several pieces at a time, and resumed where it was ended.

Until the output is written, the tables of finished pieces (`mar.embedding.pieces`) lie in a hidden
folder beside it, under hashes of what they are made of: heads, settings and embeddings. So the same
command resumes a killed one, and what other heads or embeddings left there is not taken.

    .tags.csv.labelling/3f2a….tags.parquet        a piece; it is finished once this is there
    .tags.csv.labelling/3f2a….segments.parquet    its segments
    .tags.csv.labelling/.writer                   lock of the run
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping

import pyarrow as pa
from threadpoolctl import threadpool_limits

import mar
from mar.embedding import pieces
from mar.embedding.pieces import Piece
from mar.embedding.store import Embeddings
from mar.probing import tagging
from mar.probing.head import Head
from mar.util import cluster, table_files
from mar.util.atomic import make_folder
from mar.util.lock import FolderLock
from mar.util.processes import processors

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Labelling:
    """How a catalogue is labelled.

    Attributes:
        heads: by name.
        top: how many labels of each head, the most probable ones; None for all.
        timeline: whether each window is labelled, and segments are written.
        smoothing_seconds: over which segments' probabilities are averaged.
    """

    heads: Mapping[str, Head]
    top: int | None = None
    timeline: bool = False
    smoothing_seconds: float = tagging.SMOOTHING_SECONDS

    @functools.cached_property
    def identity(self) -> str:
        """A hash of all that makes its tables what they are."""
        heads = {name: head.identity for name, head in self.heads.items()}
        settings = [mar.__version__, heads, self.top, self.timeline, self.smoothing_seconds]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """The tables that it makes."""
        return ("tags", "segments") if self.timeline else ("tags",)

    @property
    def schema(self) -> pa.Schema:
        """Of all of them."""
        return tagging.schema(self.heads, self.timeline)

    def run(
        self,
        embeddings: Embeddings,
        output: str | os.PathLike,
        paths: Iterable[str] | None = None,
        ray_address: str | None = None,
    ) -> int:
        """Writes the tables of a data set.

        Args:
            embeddings: the data set.
            output: the table, `.parquet`, `.csv` or `.jsonl`; segments beside `tags.csv` are
                `tags.segments.csv`.
            paths: which of its tracks; None for all.
            ray_address: of the Ray cluster whose machines label; None for this one alone.

        Returns:
            The number of rows, but for segments.

        Raises:
            InputError: see `mar.probing.tagging.check`; a file is damaged or cannot be written; or
                another process writes this output.
        """
        output = pathlib.Path(output)
        table_files.check_name(output)
        tagging.check(self.heads, embeddings, self.timeline)
        kept = output.with_name(f".{output.name}.labelling").absolute()
        make_folder(kept)
        try:
            with FolderLock(kept):
                return self._run(embeddings, output, paths, kept, ray_address)
        finally:
            with contextlib.suppress(OSError):  # it has pieces, for the next run
                kept.rmdir()

    def _run(self, embeddings, output, paths, kept, ray_address):
        cut = {kept / self._key(piece): piece for piece in pieces.cut(embeddings, paths)}
        _tidy(kept, cut)
        todo = {stem: cut[stem] for stem in cut if not _table(stem, "tags").exists()}
        if len(todo) < len(cut):
            done = len(cut) - len(todo)
            _LOG.info("%s: %d of %d pieces were labelled before", output, done, len(cut))
        if todo and ray_address is not None:
            _on_cluster(self, todo, ray_address)
        elif todo:
            _on_this_machine(self, todo)
        rows = {name: self._joined(name, cut, output, kept) for name in self.names}
        _tidy(kept, ())
        return rows["tags"]

    def label(self, piece: Piece, stem: pathlib.Path) -> None:
        """Writes the tables of a piece, whole or not at all: `tags`, by which it is known, last."""
        with contextlib.ExitStack() as opened:
            write = {
                name: opened.enter_context(table_files.writer(_table(stem, name), self.schema))
                for name in self.names
            }
            for name, table in self._tables(piece.open()):
                write[name](table)

    def _tables(self, embeddings: Embeddings) -> Iterator[tuple[str, pa.Table]]:
        if not self.timeline:
            for table in tagging.tags(self.heads, embeddings, top=self.top):
                yield "tags", table
            return
        for timeline in embeddings.timelines():
            for table in tagging.window_tags(self.heads, timeline, self.top):
                yield "tags", table
            for table in tagging.segments(self.heads, timeline, self.smoothing_seconds):
                yield "segments", table

    def _key(self, piece: Piece) -> str:
        both = self.identity + piece.identity
        return hashlib.sha256(both.encode()).hexdigest()[:32]

    def _joined(self, name, stems, output, kept):
        """Writes one table from those of the pieces; returns its number of rows."""
        suffix = output.suffix if name == "tags" else f".{name}{output.suffix}"
        rows = 0
        with table_files.writer(output.with_suffix(suffix), self.schema, kept) as write:
            for stem in stems:
                for table in table_files.read(_table(stem, name)):
                    write(table)
                    rows += len(table)
        return rows


def _table(stem: pathlib.Path, name: str) -> pathlib.Path:
    return stem.with_suffix(f".{name}.parquet")


def _tidy(kept: pathlib.Path, stems: Container[pathlib.Path]) -> None:
    """Removes all but these pieces: what an earlier run began, and what is of other settings."""
    for path in kept.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(".") and kept / path.name.partition(".")[0] not in stems:
            path.unlink()


def _on_this_machine(job: Labelling, todo: Mapping[pathlib.Path, Piece]) -> None:
    """A piece a core at a time: reading takes as long as computing, and neither holds Python."""
    cores = processors()
    workers = min(cores, len(todo))
    with (
        threadpool_limits(max(1, cores // workers)),
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
    ):
        labelled = [pool.submit(job.label, piece, stem) for stem, piece in todo.items()]
        try:
            for each in concurrent.futures.as_completed(labelled):
                each.result()
        finally:  # interrupted, those that have begun are finished
            pool.shutdown(cancel_futures=True)


def _on_cluster(job: Labelling, todo: Mapping[pathlib.Path, Piece], address: str) -> None:
    """A piece a core of the cluster at a time."""
    ray = cluster.connected(address)
    label = ray.remote(num_cpus=1, max_retries=cluster.RETRIES)(Labelling.label)
    shared = ray.put(job)
    pending = {label.remote(shared, piece, stem): stem for stem, piece in todo.items()}
    for _ in cluster.finished(ray, pending):
        pass
