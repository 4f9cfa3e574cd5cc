"""Embeddings in files of their own, one `.npz` for each audio file."""

import json
import os
import pathlib

import numpy as np

from mar.errors import InputError
from mar.util.atomic import make_folder, whole

_NAME_BYTES = 255  # that a file's name may have


def path_of(folder: str | os.PathLike, path: str) -> pathlib.Path:
    """Where the `.npz` file of a path lies."""
    return pathlib.Path(folder) / f"{path.lstrip('/')}.npz"


def read(folder: str | os.PathLike, path: str) -> np.ndarray:
    """The `embedding` of a path, float32; the archive has a checksum.

    Raises:
        InputError: it is not there, or damaged.
    """
    file = path_of(folder, path)
    try:
        with np.load(file) as archive:
            return archive["embedding"]
    except Exception as error:  # of three modules, for each way in which a file can be damaged
        raise InputError(
            f"{file}: cannot be read: {error}; delete it, and run mar.embed again"
        ) from None


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
