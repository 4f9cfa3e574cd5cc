"""A folder of embeddings, a row per audio file; `mar.embedding.writer` adds to one.

The rows lie in Parquet files, whose columns `mar.embedding.parts` describes. Files are only added;
of two rows of one path, that of the later run counts, and the other is removed by the next writer.
"""

import collections
import difflib
import functools
import itertools
import logging
import os
import pathlib
import posixpath
import tempfile
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from mar.embedding import npz, parts
from mar.errors import InputError

if TYPE_CHECKING:
    import pandas

    from mar.embedding.neighbours import Neighbour

_VALUES = ("mean", "timeline")
_SHOWN = 5
_LOG = logging.getLogger(__name__)


class Timeline(NamedTuple):
    """The windows of one file.

    Attributes:
        path: of the file.
        duration: seconds of audio.
        times: of the windows' centres, float32 seconds `(windows,)`.
        values: their embeddings, float32 `(windows, dimensions)`.
    """

    path: str
    duration: float
    times: np.ndarray
    values: np.ndarray


class Embeddings:
    """An open data set of embeddings, as `mar.embed` writes it.

    Its index is read at once, embeddings when they are asked for. `len(embeddings)` is the number
    of files that were embedded, and `path in embeddings` says whether one was.

    Args:
        folder: where it lies.

    Raises:
        InputError: there is none, it is damaged, or it was made in different ways.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self._folder = pathlib.Path(folder).expanduser()
        self._parts = parts.open_all(self._folder)
        if not self._parts:
            raise InputError(
                f"{self._folder}: holds no embeddings (no .parquet file that mar.embed wrote)"
            )
        parts.refuse_mixture(self._parts)
        self._part_of: dict[str, int] = {}
        self._failures: dict[str, str] = {}
        for number, part in enumerate(self._parts):
            for batch in part.batches(["path", "status", "reason"]):
                for path, status, reason in zip(*map(pa.Array.to_pylist, batch), strict=True):
                    self._part_of[path] = number
                    self._failures.pop(path, None)
                    if status != "ok":
                        self._failures[path] = reason

    @property
    def folder(self) -> pathlib.Path:
        """Where it lies."""
        return self._folder

    @property
    def provenance(self) -> dict:
        """How it was made: model, front end, windows, precision, what is kept."""
        return dict(self._parts[0].provenance)

    @property
    def dimensions(self) -> int:
        """Length of one embedding."""
        return self._parts[0].provenance["dimensions"]

    @functools.cached_property
    def paths(self) -> list[str]:
        """What was embedded, sorted."""
        return sorted(path for path in self._part_of if path not in self._failures)

    @property
    def failures(self) -> Mapping[str, str]:
        """`{path: reason}` of what could not be embedded, or was skipped."""
        return types.MappingProxyType(self._failures)

    def __len__(self) -> int:
        return len(self._part_of) - len(self._failures)

    def __contains__(self, path: object) -> bool:
        return path in self._part_of and path not in self._failures

    def __repr__(self) -> str:
        return f"mar.Embeddings({str(self._folder)!r})"

    # ------------------------------------------------------------------------------------- reading

    def row(self, path: str) -> dict:
        """All columns of an embedded file but its embedding, see `mar.embedding.parts`.

        Raises:
            InputError: it was not embedded.
        """
        (batch,) = self._batches(_light(self._parts[self._number(path)].columns), [path])
        return batch.to_pylist()[0]

    def paths_of_audio(self, audio_hash: str) -> list[str]:
        """Which embedded files have this audio (`mar.audio.decode.audio_hash`), sorted."""
        paths = []
        for batch in self._batches(["audio_hash"]):
            if "audio_hash" in batch.schema.names:
                hashes = batch["audio_hash"].to_pylist()
                names = batch["path"].to_pylist()
                paths += [path for path, h in zip(names, hashes, strict=True) if h == audio_hash]
        return sorted(paths)

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
        self._refuse_unread(rows_of)
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
        left_out: list[str] = []
        for names, matrix in self._means(paths):
            if paths is not None:
                self._refuse_nan(names, matrix)
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
        for batch in self._batches([] if in_files else [store], paths):
            names = batch["path"].to_pylist()
            if in_files:
                loaded = [np.atleast_2d(npz.read(self._folder, name)) for name in names]
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
        columns = ["duration", "times", *([] if in_files else ["timeline"])]
        for batch in self._batches(columns, paths):
            names, durations = batch["path"].to_pylist(), batch["duration"].to_pylist()
            if in_files:
                values = [npz.read(self._folder, name) for name in names]
            else:
                values = parts.timelines(batch)
            times = [np.array(each, np.float32) for each in batch["times"].to_pylist()]
            for name, centres, embeddings in zip(names, times, values, strict=True):
                if len(centres) != len(embeddings):
                    raise InputError(
                        f"{self._folder}: {name} has {len(embeddings)} embeddings for "
                        f"{len(centres)} windows: damaged; delete it, and run mar.embed again"
                    )
            self._refuse_nan(names, [each.sum(dtype=np.float64) for each in values])
            yield from map(Timeline, names, durations, times, values)

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
        self._refuse_unread(rows_of)
        return windows, np.repeat(np.arange(len(paths)), counts)

    def durations(self) -> dict[str, float]:
        """Seconds of audio of each embedded file."""
        durations: dict[str, float] = {}
        for batch in self._batches(["duration"]):
            paths, seconds = batch["path"].to_pylist(), batch["duration"].to_pylist()
            durations.update(zip(paths, seconds, strict=True))
        return durations

    def times(self, path: str) -> np.ndarray:
        """The windows' centres of a file, float32 seconds `(windows,)`."""
        return np.array(self.row(path)["times"], np.float32)

    def window_counts(self, paths: Sequence[str]) -> np.ndarray:
        """Number of windows of each path, int64 `(paths,)`."""
        counts, rows_of = np.zeros(len(paths), np.int64), _rows_of(paths)
        for batch in self._batches(["times"], paths):
            lengths = batch["times"].value_lengths().to_pylist()
            for path, length in zip(batch["path"].to_pylist(), lengths, strict=True):
                counts[rows_of.pop(path)] = length
        self._refuse_unread(rows_of)
        return counts

    def to_pandas(self) -> "pandas.DataFrame":
        """All files, also those that failed, sorted by path.

        The columns are those of `mar.embedding.parts`; those that do not apply are missing values.
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
            for batch in part.batches(_light(part.columns)):
                latest = [self._part_of.get(path) == number for path in batch["path"].to_pylist()]
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

    def select(self, **conditions: Any) -> set[str]:
        """The paths in a folder, of a duration, with a label: see `mar.embedding.selection`."""
        from mar.embedding import selection

        return selection.select(self, **conditions)

    def project(self, seed: int = 0) -> "pandas.DataFrame":
        """A map of all files, see `mar.embedding.projection.project`: columns `path`, `x`, `y`."""
        import pandas

        from mar.embedding.projection import project

        vectors: dict[str, np.ndarray] = {}
        for names, rows in self.vectors():
            vectors.update(zip(names, rows, strict=True))
        paths = sorted(vectors)
        x, y = project(np.stack([vectors[path] for path in paths]), seed).T
        return pandas.DataFrame({"path": paths, "x": x, "y": y})

    # ------------------------------------------------------------------------------------- private

    def _batches(
        self, columns: Sequence[str], paths: Collection[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Batches of `path` and these columns, of these paths or of all that were embedded."""
        if paths is None:
            numbers = list(range(len(self._parts)))
        else:
            numbers = sorted({self._number(path) for path in paths})
            paths = set(paths)
        for number in numbers:
            for batch in self._parts[number].batches(["path", *columns]):
                wanted = [
                    self._part_of.get(path) == number
                    and path not in self._failures
                    and (paths is None or path in paths)
                    for path in batch["path"].to_pylist()
                ]
                if any(wanted):
                    yield batch if all(wanted) else batch.filter(pa.array(wanted))

    def _number(self, path: str) -> int:
        """Which part holds a file."""
        if path in self._failures:
            raise InputError(f"{self._folder}: {path} was not embedded: {self._failures[path]}")
        if path not in self._part_of:
            raise InputError(f"{self._folder}: holds no {path}{self._hint(path)}")
        return self._part_of[path]

    def _hint(self, path: str) -> str:
        """The nearest path, for a message: of the same name or folder, where there are such."""
        folder, name = posixpath.split(str(path))
        stem = posixpath.splitext(name)[0]
        alike = [p for p in self._part_of if posixpath.basename(p).startswith(f"{stem}.")]
        alike = alike or [p for p in self._part_of if posixpath.dirname(p) == folder]
        nearest = difflib.get_close_matches(str(path), alike or self._part_of, n=1, cutoff=0)
        return "".join(f"; the nearest is {path}" for path in nearest)

    def _refuse_nan(self, paths: Sequence[str], values: Sequence | np.ndarray) -> None:
        """Raises InputError where a row of values is not finite."""
        finite = np.isfinite(np.asarray(values).reshape(len(paths), -1)).all(axis=1)
        if not finite.all():
            path = paths[int(np.argmin(finite))]
            raise InputError(
                f"{self._folder}: NaN or infinite values in the embedding of {path}; listen to the "
                "file, change or remove it, and embed it again"
            )

    def _refuse_unread(self, rows_of: Mapping[str, object]) -> None:
        """Raises InputError where a path was not found in the part that held it."""
        for path in rows_of:
            raise InputError(
                f"{self._folder}: {path} is gone; a run changes the folder: open it anew"
            )


def _light(columns: Sequence[str]) -> list[str]:
    """All columns but the embeddings."""
    return [name for name in columns if name not in _VALUES]


def _rows_of(paths: Sequence[str]) -> dict[str, list[int]]:
    """Where each path stands: one may be asked for more than once."""
    rows = collections.defaultdict(list)
    for row, path in enumerate(paths):
        rows[path].append(row)
    return rows
