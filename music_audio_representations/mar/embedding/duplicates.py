"""Groups of tracks that are the same recording: under other names, bit rates and lead-ins.

What tells them is how far apart their embeddings are beside how far apart embeddings of this data
set are at all, so that one threshold does for every model.
"""

import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from mar.embedding.choosing import Choice
from mar.embedding.neighbours import search, units_of

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

# Of the mean squared distance of two tracks of the data set: see docs/design/search.md.
THRESHOLD = 0.03
_SECONDS = 15.0  # that a lead-in, or what was cut off, may last
_ROWS = 2048
_LARGEST = 200_000  # tracks of which every pair is compared, also where there is an index
_NEIGHBOURS = 20  # of each track of more, that it is compared with
_TINY = 1e-12

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, other rows, their squared distances


class Group(NamedTuple):
    """Tracks that are one recording.

    Attributes:
        paths: two or more, sorted.
        distance: the largest of those by which they were found, see `duplicates`.
    """

    paths: list[str]
    distance: float


def duplicates(embeddings: "Embeddings", threshold: float = THRESHOLD) -> list[Group]:
    """The groups of tracks of a data set that are the same recording.

    The distance of two tracks is the squared distance of their unit vectors, divided by its mean
    over all pairs of tracks: 0 for equal vectors, about 1 for any two. Those within the threshold,
    and within 15 s of each other's duration, are the same; and so are all that are connected by
    such pairs. Every pair is compared: 100,000 tracks take minutes. Of more than 200,000 that have
    an index, each is compared with its nearest 20, which connects larger groups, too: equal ones
    have the same nearest. Vectors of zeros are no recording.

    Args:
        embeddings: the `mar.Embeddings`.
        threshold: of the distance.

    Returns:
        Groups of two or more, the largest first, then by their first paths.
    """
    durations = embeddings.durations()
    with tempfile.TemporaryFile() as file:
        paths, units = _units(embeddings, file)
        seconds = np.array([durations[path] for path in paths])
        labels, largest = np.arange(len(paths)), np.zeros(len(paths))
        for one, other, distances in _close(embeddings, paths, units, threshold):
            near = ~(np.abs(seconds[one] - seconds[other]) > _SECONDS)  # or nobody knows
            one, other, distances = one[near], other[near], distances[near]
            np.maximum.at(largest, one, distances)
            np.maximum.at(largest, other, distances)
            labels = _joined(labels, one, other)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    groups = [
        Group(sorted(paths[row] for row in rows), float(largest[rows].max()))
        for rows in np.split(order, starts[1:])
        if len(rows) > 1
    ]
    return sorted(groups, key=lambda group: (-len(group.paths), group.paths))


def _units(embeddings: "Embeddings", file: IO[bytes]) -> tuple[list[str], np.ndarray]:
    """The tracks that are not zeros, and their unit vectors, memory-mapped in a file."""
    paths: list[str] = []
    for names, vectors in embeddings.finite_vectors():
        rows = np.flatnonzero(np.einsum("ij,ij->i", vectors, vectors))
        paths += [names[row] for row in rows]
        file.write(units_of(vectors[rows]).tobytes())
    file.flush()
    shape = (len(paths), embeddings.dimensions)
    return paths, np.memmap(file, np.float32, "r", shape=shape) if paths else np.zeros(shape)


def _close(
    embeddings: "Embeddings", paths: list[str], units: np.ndarray, threshold: float
) -> Iterator[Pairs]:
    """Yields the pairs within the threshold, and their distances, some at a time."""
    if len(units) < 2:
        return
    centre = units.mean(axis=0, dtype=np.float64).astype(np.float32)
    # The mean of |x - y|² over all pairs is twice the variance of unit vectors.
    spread = 2 * max(1 - float(centre @ centre), _TINY)
    if len(units) > _LARGEST and embeddings.search_index is not None:
        pairs = _nearest(embeddings, paths, units)
    else:
        pairs = _all(units, centre, threshold * spread)
    for one, other, squares in pairs:
        near = squares <= threshold * spread
        yield one[near], other[near], squares[near] / spread


def _all(units: np.ndarray, centre: np.ndarray, most: float) -> Iterator[Pairs]:
    """Yields all pairs within a squared distance."""
    blocks = [slice(first, first + _ROWS) for first in range(0, len(units), _ROWS)]
    for number, rows in enumerate(blocks):
        one = units[rows] - centre  # so that small differences are not lost in float32
        norms = np.einsum("ij,ij->i", one, one)
        for columns in blocks[number:]:
            other = units[columns] - centre
            squares = norms[:, None] + np.einsum("ij,ij->i", other, other) - 2 * one @ other.T
            squares = np.maximum(squares, 0)
            near = squares <= most
            if columns == rows:
                near = np.triu(near, 1)
            i, j = np.nonzero(near)
            yield i + rows.start, j + columns.start, squares[i, j]


def _nearest(embeddings: "Embeddings", paths: list[str], units: np.ndarray) -> Iterator[Pairs]:
    """Yields each track with those nearest to it, as the index finds them."""
    row_of = {path: row for row, path in enumerate(paths)}
    for first in range(0, len(units), _ROWS):
        some = units[first : first + _ROWS]
        found = search(embeddings, some, Choice(_NEIGHBOURS + 1))  # itself among them
        one = np.repeat(np.arange(first, first + len(some)), [len(tracks) for tracks in found])
        other = np.array([row_of.get(track.path, -1) for tracks in found for track in tracks])
        apart = (other >= 0) & (other != one)  # zeros have no row
        one, other = one[apart], other[apart]
        differences = units[one] - units[other]
        yield one, other, np.einsum("ij,ij->i", differences, differences)


def _joined(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Labels of connected tracks, once these pairs are connected too."""
    edges = np.ones(len(one), bool), (labels[one], labels[other])
    graph = sparse.coo_matrix(edges, shape=(len(labels),) * 2)
    return csgraph.connected_components(graph, directed=False)[1][labels]
