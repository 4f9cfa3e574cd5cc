"""Nearest tracks by cosine similarity of their mean embeddings."""

import heapq
import itertools
import os
import pathlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mar.audio import isolated
from mar.embedding import files
from mar.errors import InputError

if TYPE_CHECKING:
    from mar.embedding.embedder import Embedder
    from mar.embedding.store import Embeddings


class Neighbour(NamedTuple):
    """One track: its cosine similarity, −1…1, and its path in the data set."""

    similarity: float
    path: str


def nearest(
    embeddings: "Embeddings",
    query: str | os.PathLike | np.ndarray,
    k: int = 10,
    model: str | None = None,
) -> list[Neighbour]:
    """The tracks of a data set that are most similar to one.

    The data set is read once, in batches: it may be larger than memory.

    Args:
        embeddings: the `mar.Embeddings`.
        query: the path of a track as the data set has it, which is left out; any audio file, which
            is embedded as those of the data set were, if it has not its audio; or a vector
            `(dimensions,)`.
        k: how many.
        model: where the model of the data set is, if it was moved.

    Returns:
        The best `k` (all, where there are fewer), best first.

    Raises:
        InputError: the query cannot be embedded, or is of another length.
    """
    key, vector = (
        (None, query)
        if isinstance(query, np.ndarray)
        else _query(embeddings, os.fspath(query), model)
    )
    if vector.shape != (embeddings.dimensions,) or not np.isfinite(vector).all():
        raise InputError(
            f"{embeddings.folder}: expected a query of {embeddings.dimensions} finite values, got "
            f"the shape {vector.shape}"
        )
    best: list[Neighbour] = []
    for paths, vectors in embeddings.vectors():
        norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector)
        similarities = vectors @ vector / np.maximum(norms, 1e-12)
        tracks = map(Neighbour, similarities.tolist(), paths)
        others = (track for track in tracks if track.path != key)
        best = heapq.nsmallest(k, itertools.chain(best, others), _rank)
    return best


def _rank(track: Neighbour) -> tuple[float, str]:
    return -track.similarity, track.path


def _query(
    embeddings: "Embeddings", track: str, model: str | None
) -> tuple[str | None, np.ndarray]:
    """The path that a data set has of a track, or None, and its mean embedding."""
    if not os.path.isfile(track):
        key = files.key(track)
        return key, embeddings.mean(key)
    with isolated.decoder() as decoder:
        audio_hash = decoder.audio_hash(track)
    if (same_file := _key(embeddings, track, audio_hash)) is not None:
        return same_file, embeddings.mean(same_file)
    if same := embeddings.paths_of_audio(audio_hash):
        return None, embeddings.mean(same[0])
    return None, _embedder(embeddings, model)(track).mean


def _key(embeddings: "Embeddings", track: str, audio_hash: str) -> str | None:
    """The path under which a data set has this very file: the end of its own, and its audio.

    /music/rock/a.wav    may be called music/rock/a.wav, rock/a.wav or a.wav there: the first of
                         these that has the same audio, or, where version 0.1.0 did not note it, the
                         same size and time of change
    """
    status, names = os.stat(track), pathlib.Path(os.path.abspath(track)).parts
    ends = [os.path.abspath(track), *("/".join(names[first:]) for first in range(1, len(names)))]
    for key in map(files.key, ends):
        if key in embeddings:
            row = embeddings.row(key)
            noted = row.get("audio_hash")
            unchanged = (row["size"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
            if noted == audio_hash or (noted is None and unchanged):
                return key
    return None


def _embedder(embeddings: "Embeddings", model: str | None) -> "Embedder":
    """The `Embedder` that a data set was made with."""
    from mar.audio.windows import Windows
    from mar.embedding.embedder import Embedder

    made = embeddings.provenance
    source = model or made["model_source"]
    names = ("window_seconds", "hop_seconds", "first_centre_seconds")
    windows = Windows(**{name: made[name] for name in names if made.get(name) is not None})
    try:
        embedder = Embedder(source, windows, precision=made["precision"])
    except InputError as error:
        raise InputError(
            f"{error}. --model says where the model of {embeddings.folder} is"
        ) from None
    if embedder.provenance["model"] != made["model"]:
        raise InputError(
            f"{source}: another model than that of {embeddings.folder}; give its --model"
        )
    return embedder
