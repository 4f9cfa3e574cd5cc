"""What is meant by a track that somebody names: its vector, and the path that a data set has of it.

A track is the path of a file, as the data set has it or as the disk has it. What neither of them
has is refused before a model is loaded.
"""

import functools
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mar.audio import isolated
from mar.embedding import files, provenance
from mar.errors import InputError

if TYPE_CHECKING:
    from mar.audio.windows import Windows
    from mar.embedding.embedder import Embedder
    from mar.embedding.store import Embeddings

Track = str | os.PathLike


class Seed(NamedTuple):
    """A track that is searched for.

    Attributes:
        path: that the data set has of this very file, or None.
        vector: float32 `(dimensions,)`.
    """

    path: str | None
    vector: np.ndarray


class _Place(NamedTuple):
    """Where the vector of a track is.

    Attributes:
        path: that the data set has of this very file, or None.
        known: a path of the data set with the same audio; None where there is none, and the file
            must be embedded.
        track: as it was named.
    """

    path: str | None
    known: str | None
    track: str


def seeds(
    embeddings: "Embeddings",
    tracks: Sequence[Track],
    model: str | None = None,
    at: float | None = None,
) -> list[Seed]:
    """The seeds that tracks are.

    Args:
        embeddings: the `mar.Embeddings`.
        tracks: paths as the data set has them, or audio files, which are embedded as those of the
            data set were if it has not their audio.
        model: where the model of the data set is, if it was moved.
        at: seconds: of the first track, the window whose centre is nearest to it is taken in place
            of the mean.

    Raises:
        InputError: one is not there, cannot be embedded, is silence, or has ended by then.
    """
    places = [_place(embeddings, os.fspath(track)) for track in tracks]
    moments = [at, *[None] * len(places)][: len(places)]
    kept = [
        _from_data_set(embeddings, place, moment)
        for place, moment in zip(places, moments, strict=True)
    ]
    embedder = _embedder(embeddings, model) if any(vector is None for vector in kept) else None
    found = []
    for place, moment, vector in zip(places, moments, kept, strict=True):
        if vector is None:
            assert embedder is not None
            vector = _embedded(embedder, embeddings, place.track, moment)
        if not vector.any():
            raise InputError(f"{place.track}: its embedding is zero, which is like nothing")
        found.append(Seed(place.path, vector))
    return found


def _place(embeddings: "Embeddings", track: str) -> _Place:
    if not os.path.isfile(track):
        key = files.key(track)
        if key not in embeddings:
            if failed := _failed(embeddings, track):
                raise InputError(f"{embeddings.folder}: {failed}")
            embeddings.row(key)  # says what is the nearest
        return _Place(key, key, track)
    try:
        with isolated.decoder() as decoder:
            audio_hash = decoder.audio_hash(track)
    except InputError as error:
        raise _with_failure(error, embeddings, track) from None
    path = _key(embeddings, track, audio_hash)
    if path is not None:
        return _Place(path, path, track)
    same = embeddings.paths_of_audio(audio_hash)
    return _Place(None, same[0] if same else None, track)


def _from_data_set(embeddings: "Embeddings", place: _Place, at: float | None) -> np.ndarray | None:
    """The vector of a track as the data set has it; None where the file must be embedded.

    Raises:
        InputError: it is in the data set, but this moment of it is not, and neither is the file.
    """
    if place.known is None:
        return None
    if at is None:
        return embeddings.mean(place.known)
    if embeddings.provenance["store"] == "timeline":
        (timeline,) = embeddings.timelines([place.known])
        return _moment(place.track, timeline.duration, timeline.times, timeline.values, at)
    if os.path.isfile(place.track):
        return None
    raise InputError(
        f"{embeddings.folder}: holds one mean per file; for a moment of {place.track}, give the "
        f"audio file itself, or embed with --store timeline"
    )


def _embedded(
    embedder: "Embedder", embeddings: "Embeddings", track: str, at: float | None
) -> np.ndarray:
    """The vector of a file."""
    try:
        embedding = embedder(track)
    except InputError as error:
        raise _with_failure(error, embeddings, track) from None
    if at is None:
        return embedding.mean
    return _moment(track, embedding.duration_seconds, embedding.times, embedding.values, at)


def _moment(
    track: str, duration: float, times: np.ndarray, values: np.ndarray, at: float
) -> np.ndarray:
    """The embedding of the window around a time."""
    if at < 0 or at > duration:  # which is NaN where nobody knows
        raise InputError(f"{track}: has no moment at {at:g} s: it lasts {duration:.1f} s")
    if not np.isfinite(times).any():
        raise InputError(
            f"{track}: it is not known when its windows are, nor which is that at {at:g} s: they "
            f"came without timestamps; leave the moment out, or import them with timestamps"
        )
    return values[np.nanargmin(np.abs(times - at))]


def _with_failure(error: InputError, embeddings: "Embeddings", track: str) -> InputError:
    """An error about a track, with what the data set knows of that."""
    failed = _failed(embeddings, track)
    return InputError(f"{error}; in {embeddings.folder}, {failed}") if failed else error


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

    made = embeddings.provenance
    source = model or made["model_source"]
    names = ("window_seconds", "hop_seconds", "first_centre_seconds")
    windows = Windows(**{name: made[name] for name in names if made.get(name) is not None})
    try:
        embedder = _loaded(source, windows, made["precision"])
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


@functools.lru_cache(maxsize=1)
def _loaded(source: str, windows: "Windows", precision: Any) -> "Embedder":
    """An `Embedder`, which takes seconds to load and stays for the next query."""
    from mar.embedding.embedder import Embedder

    return Embedder(source, windows, precision=precision)
