"""Makes the index of a data set, or brings it up to date; see `mar.embedding.search_index`.

Files are only added, and count from the moment at which `index.json` is replaced; what it does not
name any more is removed then. However this is interrupted, the earlier index is whole.

What is new becomes a segment of its own, together with those segments at the end that are not much
longer: their number grows with the logarithm of that of the rows.

    segments of 1000, 300, 20 rows; 15 are new      1000, 300, 35
    10 are new                                      1000, 300, 35 + 10 = 45
"""

import itertools
import json
import logging
import pathlib
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from mar.embedding import search_index
from mar.embedding.neighbours import units_of
from mar.embedding.search_index import (
    CHECKED,
    FOLDER,
    MANIFEST,
    SCHEMA,
    SearchIndex,
    Segment,
    faiss,
)
from mar.util.atomic import make_folder, whole
from mar.util.checksums import file_crc32c
from mar.util.lock import FolderLock

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

SMALLEST = 20_000  # tracks; so few are compared one by one within a second
_SEGMENT_ROWS = 1_000_000
_GROWTH = 4  # times the rows that cells were made for: they are made anew
_KEPT = 0.5  # share of the rows of segments that must be left
_CELLS = 2  # times the root of the number of rows
_TRAINING_ROWS, _ITERATIONS = 32, 10  # for each cell
_MOST_TRAINING_ROWS = 200_000
_ROWS_AT_ONCE = 8192
_FAR = 10.0
_LOG = logging.getLogger(__name__)

Rows = tuple[list[str], list[str | None], np.ndarray]  # paths, hashes, unit vectors


class Summary(NamedTuple):
    """What became of an index.

    Attributes:
        tracks: how many it has.
        added: how many of them it had not, or not with this audio.
        removed: how many it has no longer, or not with that audio.
    """

    tracks: int
    added: int
    removed: int


def index(embeddings: "Embeddings") -> Summary | None:
    """Makes or extends the index of a data set.

    Returns:
        What was done; None where the data set is so small that it needs none.

    Raises:
        InputError: Faiss is not installed, the index is of another data set or model, or another
            process makes it.
    """
    library = faiss()
    if len(embeddings) < SMALLEST:
        return None
    folder = embeddings.folder / FOLDER
    make_folder(folder)
    with FolderLock(folder):
        manifest = search_index.read(embeddings)
        _remove_unused(folder, manifest)
        old = None if manifest is None else search_index.opened(embeddings)
        if manifest is None or old is None:
            added, gone = len(embeddings), 0
        elif manifest["version"] == embeddings.version:
            return Summary(len(old), 0, 0)
        else:
            added, gone = len(old.missing), old.gone
        if manifest is None or old is None or not _is_fit(embeddings, old, manifest):
            manifest = _new(library, embeddings)
        else:
            manifest = _extended(library, embeddings, old, manifest)
        _write_json(folder / MANIFEST, manifest)
        _remove_unused(folder, manifest)
    return Summary(manifest["tracks"], added, gone)


def _is_fit(embeddings: "Embeddings", old: SearchIndex, manifest: dict[str, Any]) -> bool:
    """Whether an index is worth extending: its cells are fine enough, and most rows still count."""
    most_count = len(old) >= _KEPT * sum(map(len, old.kept))
    return most_count and len(embeddings) < _GROWTH * manifest["trained_rows"]


def _new(library: Any, embeddings: "Embeddings") -> dict[str, Any]:
    """The manifest of an index of all."""
    folder = embeddings.folder / FOLDER
    trained = _trained(library, embeddings)
    name = f"{uuid.uuid4().hex}.trained"
    with whole(folder / name) as unfinished:
        library.write_index(trained, str(unfinished))
    segments = _write_segments(library, folder, trained, _of_data_set(embeddings, None))
    kept = [np.ones(rows, bool) for _, rows in segments]
    about = {"trained": name, "trained_rows": len(embeddings), "checksums": {}}
    return _described(embeddings, segments, kept, about)


def _extended(
    library: Any, embeddings: "Embeddings", old: SearchIndex, manifest: dict[str, Any]
) -> dict[str, Any]:
    """The manifest of an index with what is missing, and without what is gone."""
    folder = embeddings.folder / FOLDER
    segments = [(s.folder.name, len(mask)) for s, mask in zip(old.segments, old.kept, strict=True)]
    kept = list(old.kept)
    if old.missing:
        taken, rows = len(segments), len(old.missing)
        while taken and int(kept[taken - 1].sum()) <= min(2 * rows, _SEGMENT_ROWS - rows):
            taken -= 1
            rows += int(kept[taken].sum())
        absorbed = map(_of_segment, old.segments[taken:], kept[taken:])
        batches = itertools.chain(*absorbed, _of_data_set(embeddings, old.missing))
        trained = library.read_index(search_index.checked(folder, manifest, manifest["trained"]))
        new = _write_segments(library, folder, trained, batches)
        segments, kept = segments[:taken] + new, kept[:taken]
        kept += [np.ones(count, bool) for _, count in new]
    return _described(embeddings, segments, kept, manifest)


def _described(
    embeddings: "Embeddings",
    segments: Sequence[tuple[str, int]],
    kept: Sequence[np.ndarray],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of segments, `(name, rows)`; writes which of their rows count.

    Args:
        embeddings: the data set.
        segments: in their order.
        kept: of each, which of its rows count.
        about: on which file they are trained, and the checksums that are known.
    """
    folder = embeddings.folder / FOLDER
    name = f"{uuid.uuid4().hex}.npy"
    with whole(folder / name) as unfinished:
        np.save(unfinished, np.concatenate([np.zeros(0, bool), *kept]))
    files = [name, about["trained"]]
    files += [f"{segment}/{part}" for segment, _ in segments for part in CHECKED]
    known = about["checksums"]
    return {
        "trained": about["trained"],
        "trained_rows": about["trained_rows"],
        "checksums": {f: known[f] if f in known else file_crc32c(folder / f) for f in files},
        "schema": SCHEMA,
        "folder": str(embeddings.folder.resolve()),
        "provenance": embeddings.provenance,
        "version": embeddings.version,
        "tracks": sum(int(mask.sum()) for mask in kept),
        "segments": [segment for segment, _ in segments],
        "ends": np.cumsum([rows for _, rows in segments]).tolist(),
        "kept": name,
    }


def _trained(library: Any, embeddings: "Embeddings") -> Any:
    """An inverted file without rows, whose cells fit the data set; reads that once."""
    cells = max(1, int(_CELLS * len(embeddings) ** 0.5))
    rows = min(len(embeddings), _TRAINING_ROWS * cells, _MOST_TRAINING_ROWS)
    generator = np.random.default_rng(0)
    sample = np.empty((rows, embeddings.dimensions), np.float32)
    seen = 0
    for _, vectors in embeddings.finite_vectors():  # reservoir sampling (Vitter, 1985), batch-wise
        numbers = np.arange(seen, seen + len(vectors))
        places = np.where(numbers < rows, numbers, generator.integers(0, numbers + 1))
        taken = places < rows
        sample[places[taken]] = units_of(vectors[taken])
        seen += len(vectors)
    sample = _with_zeros_far(sample[:seen])
    trained = library.index_factory(embeddings.dimensions, f"IVF{min(cells, max(1, seen))},RaBitQ")
    trained.cp.niter = _ITERATIONS
    trained.cp.min_points_per_centroid = 1
    trained.train(sample)
    _LOG.info("%s: %d cells made from %d tracks", embeddings.folder, cells, len(sample))
    return trained


def _of_data_set(embeddings: "Embeddings", paths: Collection[str] | None) -> Iterator[Rows]:
    """Yields rows of the data set, of these paths or of all."""
    hashes = embeddings.audio_hashes()
    for names, vectors in embeddings.finite_vectors(paths):
        yield (
            names,
            [hashes[name] for name in names],
            units_of(vectors),
        )


def _of_segment(segment: Segment, kept: np.ndarray) -> Iterator[Rows]:
    """Yields those rows of a segment that count."""
    rows = np.flatnonzero(kept)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[first : first + _ROWS_AT_ONCE]
        columns = segment.table.take(pa.array(some))
        yield columns["path"].to_pylist(), columns["audio_hash"].to_pylist(), segment.units(some)


def _write_segments(
    library: Any, folder: pathlib.Path, trained: Any, batches: Iterator[Rows]
) -> list[tuple[str, int]]:
    """Writes rows as segments of bounded length; returns `(name, rows)` of each."""
    written = []
    batches = iter(batches)
    for batch in batches:
        name = uuid.uuid4().hex
        with whole(folder / name) as unfinished:
            rows = _write_segment(library, unfinished, trained, itertools.chain([batch], batches))
        written.append((name, rows))
        _LOG.info("%s: %d tracks written", folder.parent, sum(rows for _, rows in written))
    return written


def _write_segment(
    library: Any, folder: pathlib.Path, trained: Any, batches: Iterator[Rows]
) -> int:
    """Writes one segment of at most so many rows, and leaves the others; returns how many."""
    folder.mkdir()
    paths: list[str] = []
    hashes: list[str | None] = []
    checksums: list[int] = []
    trained.reset()
    with open(folder / "units.f32", "wb") as file:
        for names, of_names, units in batches:
            paths += names
            hashes += of_names
            checksums += search_index.checksums(units)
            file.write(units.tobytes())
            trained.add(_with_zeros_far(units.copy()))
            if len(paths) >= _SEGMENT_ROWS:
                break
    library.write_index(trained, str(folder / "codes.faiss"))
    table = pa.table(
        {
            "path": pa.array(paths, pa.string()),
            "audio_hash": pa.array(hashes, pa.string()),
            "checksum": pa.array(checksums, pa.uint32()),
        }
    )
    with (
        pa.OSFile(str(folder / "rows.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as out,
    ):
        out.write_table(table)
    return len(paths)


def _with_zeros_far(units: np.ndarray) -> np.ndarray:
    """Unit vectors, and in place of zeros, which are at distance 1 from all, what is far from all.

    By cosine similarity zeros are like nothing; by distance they are nearer than a cosine of 0.4.
    """
    units[~units.any(axis=1)] = _FAR
    return units


def _write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(content), encoding="utf-8")


def _remove_unused(folder: pathlib.Path, manifest: dict[str, Any] | None) -> None:
    """Removes what the manifest does not name: of an index before, or of a run that was killed."""
    used = {MANIFEST}
    if manifest is not None:
        used |= {*manifest["segments"], manifest["kept"], manifest["trained"]}
    for path in folder.iterdir():
        if path.name in used or path.name.startswith(".writer"):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
