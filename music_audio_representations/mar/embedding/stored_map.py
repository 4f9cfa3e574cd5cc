"""The map of a data set: a point of the plane for each track, computed once.

It lies in the hidden folder `.map` of the data set, which stays the truth, and may be deleted:

    STATE/            of one state of the data set
        about.json    how the data set was made; how many points PaCMAP or t-SNE laid out; checksums
        rows.arrow    path and hash of the audio of each row
        components.npz, coordinates.npy    their principal components, float32 `(rows, components)`
        unfinished/   what an interrupted PaCMAP is resumed from
        points.npz    float32 `(rows, 2)`; it is the last to appear

Checksums are compared when a file is opened; those of `.npz` are within it.

Tracks that came since are placed where those lie that sound most like them, so that the others
stay where one knows them. When these are more than a quarter, the map is made anew.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mar.embedding.components import Components, principal
from mar.embedding.projection import project
from mar.embedding.provenance import difference
from mar.errors import InputError
from mar.util import arrays, plain_data
from mar.util.atomic import make_folder, whole
from mar.util.checksums import crc32c, file_crc32c
from mar.util.lock import FolderLock
from mar.util.progress import Progress

if TYPE_CHECKING:
    import pandas

    from mar.embedding.store import Embeddings

FOLDER = ".map"
_ABOUT, _ROWS, _POINTS = "about.json", "rows.arrow", "points.npz"
_COMPONENTS, _COORDINATES = "components.npz", "coordinates.npy"
_FILES = {_ABOUT, _ROWS, _POINTS, _COMPONENTS, _COORDINATES}
_ABOUT_FORM = {
    "provenance": Mapping[str, object],
    "laid_out": int,
    "checksums": Mapping[str, int],
    "checksum": int,  # of the others
}
_PLACED = 0.25  # share of what was laid out, that may be placed beside it
_NEIGHBOURS = 5  # that tell where a track is placed
_ROWS_AT_ONCE = 1024
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class StoredMap:
    """A finished map.

    Attributes:
        folder: where it lies.
    """

    folder: pathlib.Path

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """How the data set was made (`provenance`), how many points were `laid_out`, `checksums`.

        Raises:
            InputError: it is damaged, as all that is read of a map.
        """
        with self._reading():
            about = plain_data.read(self.folder / _ABOUT, _ABOUT_FORM)
            if about.pop("checksum") != _checksum(about):
                raise ValueError(f"the checksum of {_ABOUT} differs")
            return about

    @functools.cached_property
    def rows(self) -> pa.Table:
        """The columns `path` and `audio_hash`, in the order of the points."""
        path = self._checked(_ROWS)
        with self._reading(), pa.memory_map(path) as file:
            return pa.ipc.open_file(file).read_all()

    @functools.cached_property
    def points(self) -> np.ndarray:
        """float32 `(rows, 2)`, within 0…1, or a little beyond."""
        with self._reading():
            (points,) = arrays.read_npz(self.folder / _POINTS, ["points"])
        return points

    @functools.cached_property
    def coordinates(self) -> np.ndarray:
        """float32 `(rows, components)`, memory-mapped."""
        path = self._checked(_COORDINATES)
        with self._reading():
            return np.load(path, mmap_mode="r")

    @functools.cached_property
    def components(self) -> Components:
        """What the coordinates are along."""
        with self._reading():
            names = ["mean", "axes"]
            return Components(*arrays.read_npz(self.folder / _COMPONENTS, names))

    def _checked(self, name: str) -> str:
        path, known = self.folder / name, self.about["checksums"].get(name)
        with self._reading():
            if file_crc32c(path) != known:
                raise ValueError(f"the checksum of {name} differs")
        return str(path)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            folder = self.folder.parent
            raise InputError(
                f"{folder}: damaged ({error}); delete it, and the map is made anew"
            ) from None

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Where other embeddings `(n, dimensions)` belong: `(n, 2)`.

        Each at the median of the points of the tracks that are most like it, which lies among most
        of them even where they are in two places.
        """
        return self.placed(self.components(vectors))

    def placed(self, coordinates: np.ndarray) -> np.ndarray:
        """As `place`, of coordinates `(n, components)`: some at a time, as memory is bounded."""
        points = np.empty((len(coordinates), 2), np.float32)
        for first in range(0, len(coordinates), _ROWS_AT_ONCE):
            some = slice(first, first + _ROWS_AT_ONCE)
            near = _nearest(self.components.directions(coordinates[some]), self._directions())
            points[some] = np.median(self.points[near], axis=1)
        return points

    def _directions(self) -> Iterator[np.ndarray]:
        for first in range(0, len(self.coordinates), 4 * _ROWS_AT_ONCE):
            some = self.coordinates[first : first + 4 * _ROWS_AT_ONCE]
            yield self.components.directions(some)

    def to_pandas(self) -> "pandas.DataFrame":
        """Columns `path`, `x`, `y`."""
        import pandas

        x, y = self.points.T.astype(np.float64)
        return pandas.DataFrame({"path": self.rows["path"].to_pylist(), "x": x, "y": y})


def stored_map(embeddings: "Embeddings") -> StoredMap:
    """The map of a data set, which is made, or brought up to date, if need be.

    Raises:
        InputError: there are fewer than three tracks; it cannot be written; another process makes
            it; or more tracks than t-SNE takes, without PaCMAP.
    """
    folder = embeddings.folder / FOLDER
    state = folder / embeddings.version[:32]
    if _is_finished(state):
        return StoredMap(state)
    if len(embeddings) < 3:
        raise InputError(
            f"{embeddings.folder}: expected at least three tracks for a map, got {len(embeddings)}"
        )
    make_folder(folder)
    with FolderLock(folder):
        earlier = _earlier(folder, embeddings)
        make_folder(state)
        if not (state / _ABOUT).exists() and not (
            earlier is not None and _extend(embeddings, earlier, state)
        ):
            _reduce(embeddings, state)
        if not _is_finished(state):
            _lay_out(state)
        _remove_others(folder, state)
    return StoredMap(state)


def _remove_others(folder: pathlib.Path, state: pathlib.Path) -> None:
    """Removes other states, and what a run that was killed had not finished."""
    for other in folder.iterdir():
        if other != state and other.is_dir():
            shutil.rmtree(other)
    for path in state.iterdir():
        if path.name not in _FILES:
            shutil.rmtree(path)


def _is_finished(state: pathlib.Path) -> bool:
    return (state / _POINTS).exists()


def _earlier(folder: pathlib.Path, embeddings: "Embeddings") -> StoredMap | None:
    """The finished map of an earlier state of this data set."""
    finished = [path for path in folder.iterdir() if _is_finished(path)]
    if not finished:
        return None
    latest = StoredMap(max(finished, key=lambda path: path.stat().st_mtime))
    return None if difference(latest.about["provenance"], embeddings.provenance) else latest


def _reduce(embeddings: "Embeddings", state: pathlib.Path) -> None:
    """Writes what a map is laid out from: the rows, and their coordinates."""
    _LOG.info("%s: principal components of %d tracks", embeddings.folder, len(embeddings))
    components = principal(
        lambda: (vectors for _, vectors in embeddings.finite_vectors()), embeddings.dimensions
    )
    _write_components(state, components)
    paths, coordinates = _coordinates(embeddings, components, None)
    order = np.argsort(np.array(paths, object), kind="stable")
    _write_rows(embeddings, state, [paths[row] for row in order], coordinates[order], len(paths))


def _coordinates(
    embeddings: "Embeddings", components: Components, some: list[str] | None
) -> tuple[list[str], np.ndarray]:
    """The paths whose embeddings are finite, of some or of all, and their coordinates."""
    count = len(embeddings) if some is None else len(some)
    paths: list[str] = []
    coordinates = np.empty((count, components.axes.shape[1]), np.float32)
    with Progress(count, "track") as progress:
        for names, vectors in embeddings.finite_vectors(some):
            coordinates[len(paths) : len(paths) + len(names)] = components(vectors)
            paths += names
            progress.update(len(names))
    return paths, coordinates[: len(paths)]


def _lay_out(state: pathlib.Path) -> None:
    """Computes the points of the rows that were written, or resumes that."""
    rows = StoredMap(state)
    unfinished = state / "unfinished"
    make_folder(unfinished)
    directions = rows.components.directions(rows.coordinates)
    _write_points(state, project(directions, unfinished=unfinished))
    shutil.rmtree(unfinished)


def _extend(embeddings: "Embeddings", earlier: StoredMap, state: pathlib.Path) -> bool:
    """Writes the map with what came placed, and without what is gone, unless that is too much."""
    hashes = embeddings.audio_hashes()
    known = zip(*(column.to_pylist() for column in earlier.rows.columns), strict=True)
    row_of = {
        path: row
        for row, (path, audio) in enumerate(known)
        if path in hashes and audio == hashes[path]
    }
    new = [path for path in hashes if path not in row_of]
    placed = len(row_of) + len(new) - earlier.about["laid_out"]
    if max(placed, len(new)) > _PLACED * earlier.about["laid_out"] or len(row_of) < len(new):
        return False
    paths, coordinates = _coordinates(embeddings, earlier.components, new)
    points = earlier.placed(coordinates)
    kept = list(row_of.values())
    both = [*row_of, *paths]
    order = np.argsort(np.array(both, object), kind="stable")
    coordinates = np.concatenate([earlier.coordinates[kept], coordinates])[order]
    _write_components(state, earlier.components)
    laid_out = earlier.about["laid_out"]
    _write_rows(embeddings, state, [both[row] for row in order], coordinates, laid_out)
    _write_points(state, np.concatenate([earlier.points[kept], points])[order])
    return True


def _nearest(targets: np.ndarray, batches: Iterator[np.ndarray]) -> np.ndarray:
    """Which rows of all batches are most like each target, by their products: `(targets, k)`."""
    best: np.ndarray = np.empty((len(targets), 0), np.float32)
    rows: np.ndarray = np.empty((len(targets), 0), np.int64)
    first = 0
    for batch in batches:
        numbers = np.broadcast_to(np.arange(first, first + len(batch)), (len(targets), len(batch)))
        first += len(batch)
        best = np.concatenate([best, targets @ batch.T], axis=1)
        rows = np.concatenate([rows, numbers], axis=1)
        taken = np.argsort(-best, axis=1, kind="stable")[:, :_NEIGHBOURS]
        best, rows = (np.take_along_axis(each, taken, axis=1) for each in (best, rows))
    return rows


def _write_components(state: pathlib.Path, components: Components) -> None:
    with whole(state / _COMPONENTS) as unfinished:
        np.savez(unfinished, mean=components.mean, axes=components.axes)


def _write_rows(
    embeddings: "Embeddings",
    state: pathlib.Path,
    paths: list[str],
    coordinates: np.ndarray,
    laid_out: int,
) -> None:
    """Writes rows, their coordinates, and what they are of, by which they count."""
    hashes = embeddings.audio_hashes()
    of_rows = pa.array([hashes[path] for path in paths], pa.string())
    table = pa.table({"path": pa.array(paths, pa.string()), "audio_hash": of_rows})
    with (
        whole(state / _ROWS) as unfinished,
        pa.OSFile(str(unfinished), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as file,
    ):
        file.write_table(table)
    with whole(state / _COORDINATES) as unfinished:
        np.save(unfinished, np.asarray(coordinates, np.float32))
    about = {
        "provenance": embeddings.provenance,
        "laid_out": laid_out,
        "checksums": {name: file_crc32c(state / name) for name in (_ROWS, _COORDINATES)},
    }
    with whole(state / _ABOUT) as unfinished:
        unfinished.write_text(json.dumps({**about, "checksum": _checksum(about)}), encoding="utf-8")


def _checksum(about: Mapping[str, Any]) -> int:
    return crc32c(json.dumps(about).encode())


def _write_points(state: pathlib.Path, points: np.ndarray) -> None:
    with whole(state / _POINTS) as unfinished:
        np.savez(unfinished, points=np.asarray(points, np.float32))
