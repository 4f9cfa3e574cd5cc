"""A folder of embeddings, a row per audio file; `mar.embedding.writer` adds to one.

The rows lie in Parquet files, whose columns `mar.embedding.rows` describes. Of two rows of one
path, that of the later run counts, and the other is removed by the next writer.
"""

import collections
import functools
import itertools
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from mar.embedding import npz, parts
from mar.embedding.opened import Opened, light
from mar.errors import InputError

if TYPE_CHECKING:
    import pandas

    from mar.embedding.choosing import Neighbour
    from mar.embedding.duplicates import Group
    from mar.embedding.indexing import Summary
    from mar.embedding.search_index import SearchIndex
    from mar.exploring.notebook import Page

_SHOWN = 5
_LOG = logging.getLogger(__name__)


class Timeline(NamedTuple):
    """The windows of one file.

    Attributes:
        path: of the file.
        duration: seconds of audio; NaN where nobody knows, as of imported embeddings.
        times: of the windows' centres, float32 seconds `(windows,)`.
        values: their embeddings, float32 `(windows, dimensions)`.
    """

    path: str
    duration: float
    times: np.ndarray
    values: np.ndarray


class Embeddings(Opened):
    """An open data set of embeddings, as `mar embed` writes it.

    Its index is read at once, embeddings when they are asked for. `len(embeddings)` is the number
    of files that were embedded and are still there, and `path in embeddings` says whether one is.

    Args:
        folder: where it lies; one in a bucket (`s3://bucket/embeddings`) is copied into the cache
            first, and the next time what is new of it.

    Raises:
        InputError: there is none, it is damaged, or it was made in different ways.
    """

    def __repr__(self) -> str:
        return f"mar.Embeddings({str(self._folder)!r})"

    def mean(self, path: str) -> np.ndarray:
        """The average embedding of a file over its windows, float32 `(dimensions,)`.

        Raises:
            InputError: it was not embedded, or its embedding holds NaN.
        """
        return self.means([path])[0]

    def means(self, paths: Sequence[str]) -> np.ndarray:
        """Average embedding of each path, float32 `(paths, dimensions)`. Raises as `mean` does."""
        means, rows_of = np.empty((len(paths), self.dimensions), np.float32), _rows_of(paths)
        for names, vectors in self.vectors(paths):
            for path, vector in zip(names, vectors, strict=True):
                means[rows_of.pop(path)] = vector
        return means

    def vectors(self, paths: Collection[str] | None = None) -> Iterator[tuple[list, np.ndarray]]:
        """All average embeddings, in memory that does not grow with their number.

        Of all, those that are not finite are left out with a warning: see `not_finite`.

        Args:
            paths: what to read; None for all.

        Yields:
            `(paths, float32 (n, dimensions))`, in the order in which they lie.

        Raises:
            InputError: a path was not embedded, or its embedding holds NaN.
        """
        if paths is None:
            yield from self.finite_vectors()
            return
        for names, matrix in self._means(paths):
            self._refuse_nan(names, matrix)
            yield names, matrix

    def finite_vectors(
        self, paths: Collection[str] | None = None
    ) -> Iterator[tuple[list, np.ndarray]]:
        """As `vectors`, of some or all, without those that are not finite: a warning names them."""
        left_out: list[str] = []
        for names, matrix in self._means(paths):
            finite = np.isfinite(matrix.sum(axis=1))
            if finite.all():
                yield names, matrix
                continue
            left_out += itertools.compress(names, ~finite)
            yield list(itertools.compress(names, finite)), matrix[finite]
        if left_out:
            _LOG.warning(
                "%s: left out %d embeddings with NaN or infinite values: %s",
                self._folder,
                len(left_out),
                ", ".join(left_out[:_SHOWN]) + (" …" if len(left_out) > _SHOWN else ""),
            )

    def not_finite(self, paths: Collection[str]) -> list[str]:
        """Those of the paths whose embedding holds NaN or infinite values.

        Now such files count as failed when they are embedded; version 0.1.0 kept them.
        """
        return [
            name
            for names, matrix in self._means(paths)
            for name in itertools.compress(names, ~np.isfinite(matrix).all(axis=1))
        ]

    def _means(self, paths: Collection[str] | None) -> Iterator[tuple[list, np.ndarray]]:
        """As `vectors`, of whatever values."""
        in_files = self.provenance["format"] == "npz"
        store = self.provenance["store"]
        for batch in self._batches(["audio_hash"] if in_files else [store], paths):
            names = batch["path"].to_pylist()
            if in_files:
                loaded = map(np.atleast_2d, self._in_files(batch))
                matrix = np.stack([values.mean(axis=0) for values in loaded])
            else:
                matrix = parts.means(batch, store)
            yield names, matrix.astype(np.float32, copy=False)

    def timeline(self, path: str) -> np.ndarray:
        """The embedding of each window of a file, float32 `(windows, dimensions)`.

        Raises:
            InputError: it was not embedded, its embedding holds NaN, or means alone were kept.
        """
        return self.windows([path])[0]

    def timelines(self, paths: Collection[str] | None = None) -> Iterator[Timeline]:
        """The `Timeline` of each path, in the order in which they lie; memory as `vectors`.

        Args:
            paths: what to read; None for all.

        Raises:
            InputError: as `timeline` does.
        """
        if self.provenance["store"] != "timeline":
            raise InputError(
                f"{self._folder}: holds one mean per file; for single windows, embed with "
                f"--store timeline"
            )
        in_files = self.provenance["format"] == "npz"
        columns = ["duration", "times", "audio_hash" if in_files else "timeline"]
        for batch in self._batches(columns, paths):
            names, durations = batch["path"].to_pylist(), parts.numbers(batch["duration"])
            values = self._in_files(batch) if in_files else parts.timelines(batch)
            times = [np.array(each, np.float32) for each in batch["times"].to_pylist()]
            for name, centres, embeddings in zip(names, times, values, strict=True):
                if len(centres) != len(embeddings):
                    raise InputError(
                        f"{self._folder}: {name} has {len(embeddings)} embeddings for "
                        f"{len(centres)} windows: damaged; delete it, and run mar embed again"
                    )
            self._refuse_nan(names, [each.sum(dtype=np.float64) for each in values])
            yield from map(Timeline, names, durations, times, values)

    def _in_files(self, batch: pa.RecordBatch) -> list[np.ndarray]:
        """The embeddings of some rows, of `.npz` files of their own."""
        names = batch["path"].to_pylist()
        noted = "audio_hash" in batch.schema.names  # which version 0.1.0 did not
        hashes = batch["audio_hash"].to_pylist() if noted else [None] * len(names)
        return [
            npz.read(self._folder, name, self.dimensions, audio_hash)
            for name, audio_hash in zip(names, hashes, strict=True)
        ]

    def windows(
        self, paths: Sequence[str], folder: str | os.PathLike[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """All windows of each path.

        Args:
            paths: what to read.
            folder: on whose disk to keep them, memory-mapped, in a file without a name, so that
                none is left however the process ends; None for memory.

        Returns:
            float32 `(windows, dimensions)`, and which path each is of, int64 `(windows,)`.

        Raises:
            InputError: as `timeline` does.
        """
        counts, rows_of = self.window_counts(paths), _rows_of(paths)
        ends = np.cumsum(counts)
        shape = (int(counts.sum()), self.dimensions)
        if folder is None:
            windows = np.empty(shape, np.float32)
        else:
            with tempfile.TemporaryFile(dir=os.fspath(folder)) as file:
                windows = np.memmap(file, np.float32, "w+", shape=shape)
        for path, _, _, values in self.timelines(paths):
            for row in rows_of.pop(path):
                windows[ends[row] - counts[row] : ends[row]] = values
        return windows, np.repeat(np.arange(len(paths)), counts)

    def window_counts(self, paths: Sequence[str]) -> np.ndarray:
        """Number of windows of each path, int64 `(paths,)`."""
        counts, rows_of = np.zeros(len(paths), np.int64), _rows_of(paths)
        for batch in self._batches(["times"], paths):
            lengths = batch["times"].value_lengths().to_pylist()
            for path, length in zip(batch["path"].to_pylist(), lengths, strict=True):
                counts[rows_of.pop(path)] = length
        return counts

    def to_pandas(self) -> "pandas.DataFrame":
        """All files, also those that failed, sorted by path.

        The columns are those of `mar.embedding.rows`; those that do not apply are missing values.
        `mean` holds arrays `(dimensions,)`. Timelines are left out, see `timeline`.
        """
        import pandas

        kinds = {
            pa.int64(): pandas.Int64Dtype(),
            pa.int32(): pandas.Int32Dtype(),
            pa.bool_(): pandas.BooleanDtype(),
        }
        tables = []
        for number, part in enumerate(self._parts):
            first = 0
            for batch in part.batches(light(part.columns)):
                latest = self._index.latest[number][first : first + len(batch)]
                first += len(batch)
                table = pa.Table.from_batches([batch]).filter(pa.array(latest))
                tables.append(table.replace_schema_metadata(None))
        table = pa.concat_tables(tables, promote_options="default")
        frame = table.to_pandas(types_mapper=kinds.get).sort_values("path", ignore_index=True)
        means: dict[str, np.ndarray] = {}
        for names, vectors in self.vectors():
            means.update(zip(names, vectors, strict=True))
        frame["mean"] = [means.get(path) for path in frame["path"]]
        return frame

    # ------------------------------------------------------------------------------------ searching

    def nearest(
        self,
        query: "str | os.PathLike | Sequence[str | os.PathLike] | np.ndarray",
        k: int = 10,
        model: str | None = None,
        **choices: Any,
    ) -> list["Neighbour"]:
        """The files that sound most like one: see `mar.embedding.neighbours.nearest`."""
        from mar.embedding import neighbours

        return neighbours.nearest(self, query, k, model, **choices)

    def between(
        self,
        start: str | os.PathLike,
        end: str | os.PathLike,
        k: int = 10,
        model: str | None = None,
        among: Collection[str] | None = None,
    ) -> list["Neighbour"]:
        """A way from one file to another: see `mar.embedding.neighbours.between`."""
        from mar.embedding import neighbours

        return neighbours.between(self, start, end, k, model, among=among)

    def duplicates(self, **settings: Any) -> "list[Group]":
        """Groups of files that are one recording: see `mar.embedding.duplicates`."""
        from mar.embedding import duplicates

        return duplicates.duplicates(self, **settings)

    def index(self) -> "Summary | None":
        """Makes its index for searching, or brings it up to date: see `mar.embedding.indexing`."""
        from mar.embedding import indexing

        self.__dict__.pop("search_index", None)
        return indexing.index(self)

    @functools.cached_property
    def search_index(self) -> "SearchIndex | None":
        """The index for searching, compared with the data set; None where there is none."""
        from mar.embedding import search_index

        return search_index.opened(self)

    def select(self, **conditions: Any) -> frozenset[str]:
        """The paths in a folder, of a duration, with a label: see `mar.embedding.selection`."""
        from mar.embedding import selection

        return selection.select(self, **conditions)

    def project(self) -> "pandas.DataFrame":
        """A map of all files, computed once: see `mar.embedding.stored_map`.

        Returns:
            Columns `path`, `x` and `y`, within 0…1, sorted by path.
        """
        from mar.embedding.stored_map import stored_map

        return stored_map(self).to_pandas()

    def explore(self, **settings: Any) -> "Page":
        """Shows the map in a cell of a notebook, or in a browser: see `mar.exploring.notebook`."""
        from mar.exploring.notebook import Page

        return Page(self, **settings)

    # ------------------------------------------------------------------------------------- private

    def _refuse_nan(self, paths: Sequence[str], values: Sequence | np.ndarray) -> None:
        """Raises InputError where a row of values is not finite."""
        finite = np.isfinite(np.asarray(values).reshape(len(paths), -1)).all(axis=1)
        if not finite.all():
            path = paths[int(np.argmin(finite))]
            raise InputError(
                f"{self._folder}: NaN or infinite values in the embedding of {path}; listen to the "
                "file, change or remove it, and embed it again"
            )


def _rows_of(paths: Sequence[str]) -> dict[str, list[int]]:
    """Where each path stands: one may be asked for more than once."""
    rows = collections.defaultdict(list)
    for row, path in enumerate(paths):
        rows[path].append(row)
    return rows
