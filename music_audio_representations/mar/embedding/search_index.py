"""The index of a data set's mean embeddings: near tracks in milliseconds, however many there are.

It lies in the hidden folder `.search` of the data set, which stays the truth: `mar.embedding.
indexing` makes it, and it may be deleted. `index.json` there says which of the other files count:

    index.json          of which data set, in which state; the segments, and checksums
    SEGMENT/rows.arrow  path and hash of the audio of each row, and the checksum of its unit
    SEGMENT/units.f32   its mean embedding, at length 1
    SEGMENT/codes.faiss the same in a bit a dimension, in the cells of an inverted file
    KEPT.npy            whether a row counts still, of all segments' rows
    NAME.trained        the inverted file without rows

A query looks for many candidates in the nearest cells (IVF), by their codes (RaBitQ: Gao and Long,
2024), and takes the best of them by the units. What is opened lies in memory maps. The checksums of
files are compared when they are opened; those of units, which are most of it, where they are read.
How it was chosen: docs/design/search.md.
"""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mar.embedding.choosing import Choice, Neighbour
from mar.embedding.provenance import difference
from mar.errors import InputError
from mar.util import arrays, plain_data
from mar.util.checksums import crc32c, file_crc32c

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

FOLDER, MANIFEST, SCHEMA = ".search", "index.json", 1
CHECKED = ("rows.arrow", "codes.faiss")  # of a segment: what is damaged in them crashes Faiss
_FORM = {
    **{"schema": int, "folder": str, "provenance": Mapping[str, object], "version": str},
    **{"segments": tuple[str, ...], "ends": tuple[int, ...], "kept": str, "trained": str},
    **{"tracks": int, "trained_rows": int, "checksums": Mapping[str, int]},
}
_PROBES = 32  # cells that are searched
_CANDIDATES = 20  # by their codes, for each track that is wanted
_SCANNED = 2_000  # rows of which so few are wanted are compared one by one
_ROWS_AT_ONCE = 8192
_TRIES = 3  # to open what is replaced meanwhile
_LOG = logging.getLogger(__name__)


def faiss() -> Any:
    """The library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import faiss as library
    except ImportError:
        raise InputError(
            "the index for searching needs Faiss: pip install music-audio-representations[search]"
        ) from None
    return library


def bits(mask: np.ndarray) -> np.ndarray:
    """A mask as Faiss reads it."""
    return np.packbits(mask, bitorder="little")


@dataclasses.dataclass(frozen=True)
class Segment:
    """Some rows of an index, which are never changed.

    Attributes:
        folder: where it lies.
        dimensions: of an embedding.
    """

    folder: pathlib.Path
    dimensions: int

    @functools.cached_property
    def table(self) -> pa.Table:
        """The columns `path`, `audio_hash` and `checksum`."""
        with pa.memory_map(str(self.folder / "rows.arrow")) as file:
            return pa.ipc.open_file(file).read_all()

    @functools.cached_property
    def _checksums(self) -> np.ndarray:
        return self.table["checksum"].to_numpy()

    @functools.cached_property
    def _units(self) -> np.ndarray:
        units = np.memmap(self.folder / "units.f32", np.float32, "r")
        return units.reshape(-1, self.dimensions)

    @property
    def sizes(self) -> set[int]:
        """How many rows its files have: one number, unless they are damaged."""
        return {len(self._units), self.codes.ntotal, len(self)}

    def units(self, rows: np.ndarray) -> np.ndarray:
        """The unit vectors of rows, float32 `(n, dimensions)`.

        Raises:
            InputError: one is not as it was written.
        """
        units = self._units[rows]
        if checksums(units) != self._checksums[rows].tolist():
            index = self.folder.parent
            raise damaged(index.parent, f"units of {self.folder.name} are not as they were written")
        return units

    @functools.cached_property
    def codes(self) -> Any:
        """The inverted file, memory-mapped."""
        library = faiss()
        return library.read_index(str(self.folder / "codes.faiss"), library.IO_FLAG_MMAP_IFC)

    def __len__(self) -> int:
        return len(self.table)

    def path(self, row: int) -> str:
        """The path of a row."""
        return self.table["path"][row].as_py()

    def candidates(
        self, target: np.ndarray, count: int, probes: int, wanted: np.ndarray
    ) -> np.ndarray:
        """Rows that are near `(dimensions,)` by their codes, out of a mask of them."""
        library = faiss()
        selector = None
        if not wanted.all():
            selector = library.IDSelectorBitmap(bits(wanted))
        parameters = library.IVFRaBitQSearchParameters(nprobe=probes, qb=8, sel=selector)
        _, rows = self.codes.search(target[None], min(count, len(self)), params=parameters)
        return rows[0][rows[0] >= 0]

    def similarities(self, rows: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The cosine similarities of rows, in rising order, to a unit vector."""
        similarities = np.empty(len(rows), np.float32)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = slice(first, first + _ROWS_AT_ONCE)
            similarities[some] = self.units(rows[some]) @ target
        return np.clip(similarities, -1, 1)  # rounded, it may be 1.0000001


class SearchIndex:
    """An open index, compared with the data set as it is now.

    Args:
        embeddings: the `mar.Embeddings`.
        manifest: as `read` returns it.

    Attributes:
        segments: the `Segment`s.
        kept: of each segment, which rows are in the data set still, bool `(rows,)`.
        gone: how many of its rows are not in the data set any more, or of other audio now.
        missing: paths of the data set that are not in it, or of other audio now, sorted.
    """

    def __init__(self, embeddings: "Embeddings", manifest: Mapping[str, Any]) -> None:
        folder = embeddings.folder / FOLDER
        self._embeddings = embeddings
        self.segments = [
            Segment(folder / name, embeddings.dimensions) for name in manifest["segments"]
        ]
        for segment in manifest["segments"]:
            for part in CHECKED:
                checked(folder, manifest, f"{segment}/{part}")
        kept = arrays.read_npy(checked(folder, manifest, manifest["kept"]))
        self.kept = np.split(kept, manifest["ends"][:-1])
        for segment, kept in zip(self.segments, self.kept, strict=True):
            if segment.sizes != {len(kept)}:
                raise ValueError(f"{segment.folder.name} has files of {segment.sizes} rows")
        self._masks = functools.lru_cache(maxsize=4)(self._masks_of)
        self.gone, self.missing = 0, list[str]()
        if manifest["version"] != embeddings.version:
            self._compare()

    def _compare(self) -> None:
        """Finds out what came and went since it was made."""
        hashes = self._embeddings.audio_hashes()
        for segment, kept in zip(self.segments, self.kept, strict=True):
            columns = (segment.table[name].to_pylist() for name in ("path", "audio_hash"))
            for row, (path, known) in enumerate(zip(*columns, strict=True)):
                if not kept[row]:
                    continue
                if path in hashes and hashes[path] == known:
                    del hashes[path]
                else:
                    kept[row] = False
                    self.gone += 1
        self.missing = sorted(hashes)

    def __len__(self) -> int:
        return sum(int(np.count_nonzero(kept)) for kept in self.kept)

    @functools.cached_property
    def _row_of(self) -> dict[str, tuple[int, int]]:
        """Segment and row of each path."""
        return {
            path: (number, row)
            for number, (segment, kept) in enumerate(zip(self.segments, self.kept, strict=True))
            for row, path in enumerate(segment.table["path"].to_pylist())
            if kept[row]
        }

    def search(
        self, target: np.ndarray, choice: Choice, among: Collection[str] | None = None
    ) -> list[Neighbour]:
        """The tracks that are chosen for a unit vector, out of all that it has, or of some."""
        wanted = self.kept if among is None else self._masks(frozenset(among))
        count = sum(int(np.count_nonzero(mask)) for mask in wanted)
        if count <= max(_SCANNED, 10 * choice.k):
            rows = [np.flatnonzero(mask) for mask in wanted]
            return choice.best(self._tracks(rows, target, choice))
        cells = max(segment.codes.nlist for segment in self.segments)
        # Of a tenth of the rows, ten times as many cells have as many near ones.
        share = count / sum(len(mask) for mask in wanted)
        probes, number = int(min(cells, _PROBES / share)), choice.k + len(choice.left_out)
        while True:
            rows = [
                np.sort(segment.candidates(target, number * _CANDIDATES, probes, mask))
                for segment, mask in zip(self.segments, wanted, strict=True)
            ]
            best = choice.best(self._tracks(rows, target, choice))
            if len(best) == choice.k or (probes == cells and number >= count):
                return best
            number, probes = 4 * number, min(cells, 4 * probes)

    def _masks_of(self, among: frozenset[str]) -> list[np.ndarray]:
        """Which rows of each segment are of these paths."""
        masks = [np.zeros(len(kept), bool) for kept in self.kept]
        for path in among & self._row_of.keys():
            number, row = self._row_of[path]
            masks[number][row] = True
        return masks

    def _tracks(
        self, rows: list[np.ndarray], target: np.ndarray, choice: Choice
    ) -> Iterator[Neighbour]:
        """Yields those tracks of rows of each segment that may be chosen."""
        for segment, of_segment in zip(self.segments, rows, strict=True):
            similarities = segment.similarities(of_segment, target)
            best = choice.candidates(similarities)
            pairs = zip(of_segment[best].tolist(), similarities[best].tolist(), strict=True)
            for row, similarity in pairs:
                yield Neighbour(similarity, segment.path(row))


def opened(embeddings: "Embeddings") -> SearchIndex | None:
    """The index of a data set; None where there is none.

    Raises:
        InputError: as `read`; or it is damaged, or has nothing of this data set.
    """
    for _ in range(_TRIES):
        manifest = read(embeddings)
        if manifest is None:
            return None
        try:
            index = SearchIndex(embeddings, manifest)
        except FileNotFoundError:  # another process replaced it meanwhile
            continue
        except (OSError, ValueError, KeyError, RuntimeError, pa.ArrowException) as error:
            raise damaged(embeddings.folder, error) from None
        if manifest["ends"] and not len(index):
            raise InputError(
                f"{embeddings.folder / FOLDER}: is the index of {manifest['folder']}, and has none "
                f"of the {len(embeddings)} tracks of {embeddings.folder}; delete it, and run mar "
                f"index {embeddings.folder}"
            )
        if index.missing:
            _LOG.info(
                "%s: %d tracks are not in the index, and are compared one by one; mar index adds "
                "them",
                embeddings.folder,
                len(index.missing),
            )
        return index
    raise damaged(embeddings.folder, "a file of it is missing")


def checked(folder: pathlib.Path, manifest: Mapping[str, Any], name: str) -> str:
    """The path of a file of an index, whose checksum fits.

    Raises:
        OSError: it cannot be read.
        ValueError: it is another than the manifest says.
    """
    path = folder / name
    if file_crc32c(path) != manifest["checksums"].get(name):
        raise ValueError(f"the checksum of {name} differs")
    return str(path)


def checksums(units: np.ndarray) -> list[int]:
    """Of each row of `(n, dimensions)`."""
    return [crc32c(unit.tobytes()) for unit in units]


def damaged(folder: pathlib.Path, reason: Exception | str) -> InputError:
    """The error that the index of a folder of embeddings is damaged."""
    return InputError(
        f"{folder / FOLDER}: damaged ({str(reason).strip().partition(chr(10))[0]}); delete it, and "
        f"run mar index {folder}"
    )


def read(embeddings: "Embeddings") -> dict[str, Any] | None:
    """What the index of a data set says of itself; None where there is none.

    Raises:
        InputError: it is damaged, of a later version, or of another data set or model.
    """
    path = embeddings.folder / FOLDER / MANIFEST
    try:
        manifest = plain_data.read(path, {"schema": int})
        if manifest["schema"] <= SCHEMA:
            plain_data.checked(manifest, _FORM)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise damaged(embeddings.folder, error) from None
    if manifest["schema"] > SCHEMA:
        raise InputError(f"{path}: a later version of mar made it; install that")
    if differing := difference(manifest["provenance"], embeddings.provenance):
        raise InputError(
            f"{path.parent}: is the index of {manifest['folder']}, not of {embeddings.folder}"
            f"{differing}; delete it, and run mar index {embeddings.folder}"
        )
    return manifest
