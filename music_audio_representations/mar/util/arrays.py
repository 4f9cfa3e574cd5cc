"""NumPy's own files, `.npy` and `.npz`, read without anything being executed or unbounded."""

import io
import os
import zipfile
from collections.abc import Sequence

import numpy as np

from mar.errors import InputError
from mar.util import files


def read_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of a `.npy` file.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is damaged, or holds objects.
    """
    return parsed(path, files.read(path))


def parsed(path: str | os.PathLike[str], data: bytes) -> np.ndarray:
    """The array that the bytes of a `.npy` file hold; the path is for messages."""
    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python, so damage may raise anything
        raise InputError(f"{path}: not a plain .npy array: {error}") from None


def read_npz(
    path: str | os.PathLike[str], names: Sequence[str], optional: Sequence[str] = ()
) -> list[np.ndarray]:
    """Arrays of a `.npz` file, which has a checksum of each; those of `optional` that it has last.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is damaged, lacks one of these arrays, or one holds objects.
    """
    data = files.read(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            there = set(archive.namelist())
            wanted = [f"{name}.npy" for name in names]
            wanted += [name for name in map("{}.npy".format, optional) if name in there]
            members = [archive.getinfo(name) for name in wanted]
            files.check_size(path, sum(member.file_size for member in members))
            contents = [archive.read(member) for member in members]
    except InputError:
        raise
    except Exception as error:  # of four modules, for each way in which a file can be damaged
        raise InputError(f"{path}: not an archive of arrays: {error}") from None
    return [parsed(path, content) for content in contents]
