"""Embeddings in files of their own, one `.npz` for each audio file."""

import json
import os
import pathlib

import numpy as np

from mar.errors import InputError
from mar.util import arrays
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


def read(folder: str | os.PathLike, path: str, dimensions: int) -> np.ndarray:
    """The `embedding` of a path, float32 `(…, dimensions)`; the archive has a checksum.

    Raises:
        InputError: it is not there, or damaged.
    """
    file = path_of(folder, path)
    try:
        (embedding,) = arrays.read_npz(file, ["embedding"])
        if embedding.dtype != np.float32 or embedding.shape[-1:] != (dimensions,):
            raise InputError(f"{file}: an array {embedding.shape} of {embedding.dtype}")
        return embedding
    except (InputError, FileNotFoundError) as error:
        raise InputError(f"{error}; delete it, and run mar.embed again") from None


def has_name(path: str) -> bool:
    """Whether the name is short enough for a file."""
    return len(path_of("", path).name.encode()) <= _NAME_BYTES


def write(
    folder: str | os.PathLike, provenance: dict, path: str, times: np.ndarray, values: np.ndarray
) -> None:
    """Writes the file of a path, whole or not at all.

    Args:
        folder: of the data set.
        provenance: how it was made.
        path: of the audio file, as the data set has it.
        times: `(windows,)` seconds.
        values: `(windows, dimensions)`.
    """
    file = path_of(folder, path)
    make_folder(file.parent)
    with whole(file, beside=folder) as unfinished, open(unfinished, "wb") as opened:
        np.savez(
            opened,
            embedding=values.mean(axis=0) if provenance["store"] == "mean" else values,
            timestamps=times,
            provenance=json.dumps(provenance),
        )
