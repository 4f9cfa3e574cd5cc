"""Which tracks sound alike: by cosine similarity of their mean embeddings.

Every search is of one kind: for each of some vectors, the best tracks by a rule (`Choice`), out of
all or of some. Without an index it reads the data set once, in batches, which may be larger than
memory.
"""

import itertools
import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mar.embedding.choosing import Choice, Neighbour
from mar.embedding.queries import Seed, Track, seeds
from mar.errors import InputError

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

_UNLIKE = 0.5  # weight of what is disliked beside what is liked (Rocchio, 1971)
_TINY = 1e-12  # of a norm


def nearest(
    embeddings: "Embeddings",
    query: Track | Sequence[Track] | np.ndarray,
    k: int = 10,
    model: str | None = None,
    *,
    at: float | None = None,
    unlike: Sequence[Track] = (),
    among: Collection[str] | None = None,
    diverse: bool = False,
) -> list[Neighbour]:
    """The tracks of a data set that are most similar to one, or to several.

    Args:
        embeddings: the `mar.Embeddings`.
        query: the path of a track as the data set has it, which is left out; any audio file, which
            is embedded as those of the data set were, if it has not its audio; several of these,
            whose unit vectors are averaged; or a vector `(dimensions,)`.
        k: how many.
        model: where the model of the data set is, if it was moved.
        at: seconds: the moment of the query that is meant, in place of all of it.
        unlike: tracks as `query` names them, that the result shall be unlike. Half of the average
            of their unit vectors is subtracted; they are left out too.
        among: the paths that are searched, see `mar.Embeddings.select`; None for all.
        diverse: whether at most one track of a folder is in the result.

    Returns:
        The best `k` (all, where there are fewer), best first.

    Raises:
        InputError: the query cannot be embedded, or is of another length, or is silence.
    """
    given: list[Seed] = []
    named: list[Track] = []
    if isinstance(query, np.ndarray):
        given = [Seed(None, query)]
    else:
        named = [query] if isinstance(query, (str, os.PathLike)) else list(query)
    if at is not None and len(named) != 1:
        raise InputError(f"at={at:g}: expected one track, the moment of which is meant")
    found = given + seeds(embeddings, [*named, *unlike], model, at)
    likes = len(found) - len(unlike)
    if not likes:
        raise InputError("expected a track that the result shall be like, got none")
    units = units_of(np.stack([_checked(embeddings, seed.vector) for seed in found]))
    target = units[:likes].mean(axis=0)
    if unlike:
        target = target - _UNLIKE * units[likes:].mean(axis=0)
    choice = Choice(k, frozenset(seed.path for seed in found if seed.path), diverse)
    (tracks,) = search(embeddings, target[None], choice, among)
    return tracks


def between(
    embeddings: "Embeddings",
    start: Track,
    end: Track,
    k: int = 10,
    model: str | None = None,
    *,
    among: Collection[str] | None = None,
) -> list[Neighbour]:
    """A way from one track to another: tracks near evenly spaced points of the arc between them.

    Each track is there once, at the first point that it is nearest to of those that are left.

    Args:
        embeddings: the `mar.Embeddings`.
        start: as `nearest` takes it.
        end: likewise.
        k: how many tracks lie between them.
        model: where the model of the data set is, if it was moved.
        among: the paths that are searched; None for all.

    Returns:
        The tracks in order, with the similarity to their points; first and last are the two
        themselves, where the data set has these files.

    Raises:
        InputError: as `nearest`; or the two are opposite, so that there is no one arc.
    """
    return way(embeddings, seeds(embeddings, [start, end], model), k, among)


def way(
    embeddings: "Embeddings",
    ends: Sequence[Seed],
    k: int = 10,
    among: Collection[str] | None = None,
) -> list[Neighbour]:
    """As `between`, of two seeds."""
    one, other = units_of(np.stack([_checked(embeddings, seed.vector) for seed in ends]))
    angle = np.arccos(np.clip(one @ other, -1.0, 1.0))
    if angle > np.pi - 1e-3:
        raise InputError("the two tracks are opposite; expected tracks with a way between")
    shares = np.arange(1, k + 1)[:, None] / (k + 1)
    points = _part_of_sine(1 - shares, angle) * one + _part_of_sine(shares, angle) * other
    known = [seed.path for seed in ends]
    chosen: list[Neighbour] = []
    for tracks in search(embeddings, points, Choice(k, frozenset(filter(None, known))), among):
        passed = {track.path for track in chosen}
        chosen += [track for track in tracks if track.path not in passed][:1]
    first, last = ([Neighbour(1.0, path)] if path else [] for path in known)
    return [*first, *chosen, *last]


def search(
    embeddings: "Embeddings",
    targets: np.ndarray,
    choice: Choice,
    among: Collection[str] | None = None,
) -> list[list[Neighbour]]:
    """The tracks that are chosen for each of `(targets, dimensions)`, out of all or `among` some.

    By the index where there is one, and one by one what that lacks; zeros are 0 similar to all.
    """
    units, index = units_of(targets), embeddings.search_index
    if index is None:
        return _scan(embeddings, units, choice, among)
    best = [index.search(unit, choice, among) for unit in units]
    missing = [path for path in index.missing if among is None or path in among]
    if not missing:
        return best
    added = _scan(embeddings, units, choice, missing)
    return [choice.best(both) for both in map(itertools.chain, best, added)]


def _scan(
    embeddings: "Embeddings", units: np.ndarray, choice: Choice, among: Collection[str] | None
) -> list[list[Neighbour]]:
    """As `search`, of unit vectors, one by one."""
    columns = units.T
    best: list[list[Neighbour]] = [[] for _ in units]
    for paths, vectors in embeddings.finite_vectors(among):
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        similarities = vectors @ columns / np.maximum(norms, _TINY)[:, None]
        similarities = np.clip(similarities, -1, 1)  # rounded, it may be 1.0000001
        for number, column in enumerate(similarities.T):
            tracks = best[number]
            worst = tracks[-1].similarity if len(tracks) == choice.k else -np.inf
            rows = np.flatnonzero(column >= worst)
            better = (Neighbour(float(column[row]), paths[row]) for row in rows)
            best[number] = choice.best(itertools.chain(tracks, better))
    return best


def _part_of_sine(share: np.ndarray, angle: float) -> np.ndarray:
    """sin(share · angle), in proportion (Shoemake, 1985), also of angles that are zero."""
    return share * np.sinc(share * angle / np.pi)


def _checked(embeddings: "Embeddings", vector: np.ndarray) -> np.ndarray:
    """A vector that can be compared with those of the data set, or an InputError."""
    if vector.shape != (embeddings.dimensions,) or not np.isfinite(vector).all():
        raise InputError(
            f"{embeddings.folder}: expected a query of {embeddings.dimensions} finite values, got "
            f"the shape {vector.shape}"
        )
    if not vector.any():
        raise InputError(
            f"{embeddings.folder}: expected a query, got zeros, which are like nothing"
        )
    return vector


def units_of(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1, float32, in the direction of each of `(n, dimensions)`; zeros stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(norms, _TINY)).astype(np.float32)
