"""Embeddings in files of their own, one `.npz` for each audio file."""

import json
import os
import pathlib
from typing import Any

import numpy as np

from mar.errors import InputError
from mar.util.arrays import read_npz
from mar.util.atomic import make_folder, whole

_NAME_BYTES = 255  # that a file's name may have


def path_of(folder: str | os.PathLike, path: str) -> pathlib.Path:
    """Where the `.npz` file of a path lies.

    Raises:
        InputError: the path leads out of the folder.
    """
    if os.pardir in path.split("/"):
        raise InputError(f"{folder}: the path {path!r} leads out of the folder of its data set")
    return pathlib.Path(folder) / f"{path.lstrip('/')}.npz"


def read(
    folder: str | os.PathLike, path: str, dimensions: int, audio_hash: str | None
) -> np.ndarray:
    """The `embedding` of a path, float32 `(…, dimensions)`; the archive has a checksum.

    Args:
        folder: of the data set.
        path: of the audio file, as the data set has it.
        dimensions: of an embedding.
        audio_hash: of the audio, as its row says; between the writing of the two, they differ.

    Raises:
        InputError: it is not there, is damaged, or is that of another audio.
    """
    file = path_of(folder, path)
    try:
        embedding, *noted = read_npz(file, ["embedding"], ["audio_hash"])
        if noted and audio_hash is not None and str(noted[0]) != audio_hash:
            raise InputError(f"{file}: the embedding of another audio than its row says")
        if embedding.dtype != np.float32 or embedding.shape[-1:] != (dimensions,):
            raise InputError(f"{file}: an array {embedding.shape} of {embedding.dtype}")
        return embedding
    except (InputError, FileNotFoundError) as error:
        raise InputError(f"{error}; delete it, and run mar embed again") from None


def has_name(path: str) -> bool:
    """Whether the name is short enough for a file."""
    return len(path_of("", path).name.encode()) <= _NAME_BYTES


def write(
    folder: str | os.PathLike,
    provenance: dict,
    path: str,
    audio_hash: str | None,
    times: np.ndarray,
    values: np.ndarray,
) -> None:
    """Writes the file of a path, whole or not at all.

    Args:
        folder: of the data set.
        provenance: how it was made.
        path: of the audio file, as the data set has it.
        audio_hash: of its audio.
        times: `(windows,)` seconds.
        values: `(windows, dimensions)`.
    """
    file = path_of(folder, path)
    arrays: dict[str, Any] = {
        "embedding": values.mean(axis=0) if provenance["store"] == "mean" else values,
        "timestamps": times,
        "provenance": json.dumps(provenance),
    }
    if audio_hash is not None:
        arrays["audio_hash"] = audio_hash
    make_folder(file.parent)
    with whole(file, beside=folder) as unfinished, open(unfinished, "wb") as opened:
        np.savez(opened, **arrays)
