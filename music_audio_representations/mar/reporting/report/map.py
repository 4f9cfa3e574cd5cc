"""The report's map: test tracks as points, their labels, nearest neighbours and sound."""

import base64
import csv
import io
import os
import pathlib
from multiprocessing.pool import ThreadPool

import av
import numpy as np

from mar.audio import decode
from mar.embedding.projection import project
from mar.embedding.store import Embeddings
from mar.errors import InputError

LABELS = ("key", "instrument", "genre", "meter", "tempo_bpm")
NEIGHBOURS = 5
MOST_TRACKS = 320  # with the sound of more, the page would exceed its 5 MB
CLIP_SECONDS = 5.0
_CLIP_RATE, _CLIP_BITS = 16000, 14000  # Hz, bits/s
_FIFTHS = ("Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B")


def read_tracks(data):
    """The rows of `tracks.csv` of the test part, dictionaries, ordered by id.

    Of more than `MOST_TRACKS`, so many, evenly among the ids and so among the genres.

    Raises:
        InputError: there is no such table.
    """
    path = pathlib.Path(data) / "tracks.csv"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: not the table of tracks: {error}") from None
    rows.sort(key=lambda row: row["id"])
    kept = np.linspace(0, len(rows) - 1, min(len(rows), MOST_TRACKS)).round().astype(int)
    return [rows[row] for row in kept]


def build(tracks, representations, audio=None):
    """What the map draws, as plain data.

    Args:
        tracks: from `read_tracks`.
        representations: `{name: folder of embeddings}`.
        audio: folder that the tracks' paths are relative to; None for a map without sound.
    """
    return {
        "titles": [row["title"] for row in tracks],
        "labels": [_label(name, [row[name] for row in tracks]) for name in LABELS],
        "representations": [
            {"name": name, **_arrange(_vectors(folder, tracks))}
            for name, folder in representations.items()
        ],
        "clips": audio and _clips([pathlib.Path(audio) / row["path"] for row in tracks]),
    }


def _vectors(folder, tracks):
    """Mean embeddings `(tracks, dimensions)`."""
    embeddings, paths = Embeddings(folder), [row["path"] for row in tracks]
    if missing := sorted(set(paths) - set(embeddings.paths)):
        raise InputError(
            f"{folder}: expected embeddings of all test tracks, {len(missing)} are missing, "
            f"the first is {missing[0]}"
        )
    return embeddings.means(paths)


def _arrange(vectors):
    """Points of the plane, and the tracks that are nearest by cosine similarity, best first."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    similarities = unit @ unit.T
    np.fill_diagonal(similarities, -np.inf)  # which comes last, and is left out of few tracks too
    nearest = np.argsort(-similarities, axis=1, kind="stable")
    nearest = nearest[:, : min(NEIGHBOURS, len(vectors) - 1)]
    return {
        "points": np.round(project(vectors), 4).tolist(),
        "nearest": nearest.tolist(),
        "similarities": np.round(np.take_along_axis(similarities, nearest, 1), 3).tolist(),
    }


def _label(name, values):
    """A label's name, its values, and its classes in the order of their colours."""
    if name == "tempo_bpm":
        return {"name": "tempo", "values": [round(float(value)) for value in values]}
    order = _around_the_fifths if name == "key" else str
    return {"name": name, "values": values, "classes": sorted(set(values) - {""}, key=order)}


def _around_the_fifths(key):
    """Neighbours are related: every major key is followed by its relative minor."""
    tonic, mode = key.split()
    fifths = _FIFTHS.index(tonic) - (3 if mode == "minor" else 0)
    return fifths % len(_FIFTHS), mode


def _clips(paths):
    with ThreadPool(len(os.sched_getaffinity(0))) as pool:
        return pool.map(clip, paths)


def clip(path):
    """The middle five seconds of a file, as Opus in base64."""
    samples = np.concatenate(list(decode.blocks(path, _CLIP_RATE)))
    length = int(CLIP_SECONDS * _CLIP_RATE)
    first = max(0, (len(samples) - length) // 2)
    samples = samples[first : first + length]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=_CLIP_RATE, layout="mono")
        stream.bit_rate = _CLIP_BITS
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = _CLIP_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
