"""Nearest tracks by cosine similarity of their mean embeddings."""

import heapq
import itertools
import os
import pathlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mar.audio import isolated
from mar.embedding import files, provenance
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
        if key not in embeddings and (failed := _failed(embeddings, track)):
            raise InputError(f"{embeddings.folder}: {failed}")
        return key, embeddings.mean(key)
    try:
        with isolated.decoder() as decoder:
            audio_hash = decoder.audio_hash(track)
        if (same_file := _key(embeddings, track, audio_hash)) is not None:
            return same_file, embeddings.mean(same_file)
        if same := embeddings.paths_of_audio(audio_hash):
            return None, embeddings.mean(same[0])
        return None, _embedder(embeddings, model)(track).mean
    except InputError as error:
        if failed := _failed(embeddings, track):
            raise InputError(f"{error}; in {embeddings.folder}, {failed}") from None
        raise


def _failed(embeddings: "Embeddings", track: str) -> str:
    """Which file a track may be that could not be embedded, and why; or nothing."""
    names = [files.key(track), *_names(track)]
    failed = [name for name in names if name in embeddings.failures]
    return "".join(f"{name} was not embedded: {embeddings.failures[name]}" for name in failed[:1])


def _names(track: str) -> list[str]:
    """What a track may be called in a data set: the end of its path.

    /music/rock/a.wav, music/rock/a.wav, rock/a.wav, a.wav
    """
    path = os.path.abspath(track)
    names = pathlib.Path(path).parts
    return [files.key(n) for n in (path, *("/".join(names[i:]) for i in range(1, len(names))))]


def _key(embeddings: "Embeddings", track: str, audio_hash: str) -> str | None:
    """The path under which a data set has this very file: the first of its `_names` that has the
    same audio, or, where version 0.1.0 did not note it, the same size and time of change.
    """
    status = os.stat(track)
    for key in _names(track):
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
            f"another model than that of {embeddings.folder}: {provenance.model(made)} there, "
            f"{provenance.model(embedder.provenance)} here; --model says where the first one is"
        )
    return embedder
