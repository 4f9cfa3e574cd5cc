"""What is in a `.keras` file: a zip archive of JSON and of weights in HDF5, refused where it is
damaged, declares more than it holds, or refers to other files.
"""

import io
import os
import pathlib
import zipfile
from typing import Any

from mar.errors import InputError
from mar.util import files, plain_data

_WEIGHTS = "model.weights.h5"
_MOST_JSON = 2**26  # bytes
_STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # of a member's flags


class Members:
    """The three members of a `.keras` file.

    Args:
        path: of the file.

    Attributes:
        metadata, config: of the JSON members.
        weights: the open `h5py.File`.

    Raises:
        InputError: the file cannot be read, is damaged, or is no `.keras` file.
    """

    def __init__(self, path: pathlib.Path) -> None:
        refuse_pointer(path)
        try:
            with zipfile.ZipFile(path) as archive:
                self.metadata = _json(archive, "metadata.json", {"keras_version": str})
                self.config = _json(archive, "config.json", {"config": dict})
                content = _content(archive, _WEIGHTS, files.MOST_BYTES)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except KeyError as error:
            raise InputError(f"{path}: a zip, but not a .keras file ({error})") from None
        except Exception as error:  # zipfile raises what it stumbles over in a damaged archive
            raise InputError(
                f"{path}: expected a whole .keras file, found a damaged or truncated one ({error})"
            ) from None
        self.weights = _opened(path, content)

    @property
    def is_of_keras2(self) -> bool:
        """Whether Keras 2 wrote the file, as it did the published weights."""
        return self.metadata["keras_version"].startswith("2.")


def refuse_pointer(path: str | os.PathLike[str]) -> None:
    """Refuses the pointer that Git LFS leaves in place of a file.

    Raises:
        InputError: it is one, or it cannot be read.
    """
    files.refuse_others(path)
    try:
        with open(path, "rb") as file:
            pointer = file.read(40).startswith(b"version https://git-lfs.github.com/spec")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if pointer:
        raise InputError(
            f"{path}: a Git LFS pointer, not the file itself. Run `git lfs pull` in the clone that "
            'it came from, or load "mule", which downloads the published weights'
        )


def _content(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    member = archive.getinfo(name)
    if member.flag_bits & _ENCRYPTED or member.compress_type not in _STORED:
        raise ValueError(f"{name} is encrypted, or compressed in an unusual way")
    if member.file_size > most:
        raise ValueError(f"{name} declares {member.file_size} bytes, expected at most {most}")
    return archive.read(member)


def _json(archive: zipfile.ZipFile, name: str, form: plain_data.Form) -> dict[str, Any]:
    return plain_data.checked(plain_data.parsed(_content(archive, name, _MOST_JSON)), form, name)


def _opened(path: pathlib.Path, content: bytes) -> Any:
    import h5py

    try:
        file = h5py.File(io.BytesIO(content))
        _check_group(file, len(content))
    except Exception as error:  # HDF5 raises what it stumbles over
        raise InputError(f"{path}: the {_WEIGHTS} in it is damaged ({error})") from None
    return file


def _check_group(group: Any, size: int) -> None:
    """Raises ValueError where what is in it lies elsewhere, or is said to be larger than the file.

    Arrays that HDF5 has not stored are as large as it is said, and zero.
    """
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{group.name}/{name} is a link to another place")
        member = group[name]
        if isinstance(member, h5py.Group):
            _check_group(member, size)
        elif member.external or member.is_virtual or member.nbytes > size:
            raise ValueError(f"{member.name}, {member.nbytes} bytes, is not in its {size} bytes")
