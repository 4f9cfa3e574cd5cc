"""Folders of buckets (`s3://bucket/music`, `gs://…`): what is in them, copied to the disk and back.

Names of files are no parts of addresses: they may have any characters.
"""

import contextlib
import os
import posixpath
from typing import IO, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from mar.errors import InputError
from mar.records import storage

_COPIED_BYTES = 8 * 2**20  # at a time


class Listed(NamedTuple):
    """A file in a bucket.

    Attributes:
        name: relative to the folder that was listed.
        size: bytes.
        mtime_ns: when it was written, nanoseconds.
    """

    name: str
    size: int
    mtime_ns: int


def files_below(folder: str, missing_ok: bool = False) -> list[Listed]:
    """All files below a folder of a bucket (`s3://bucket/music`), sorted by name.

    Args:
        folder: its address.
        missing_ok: whether a folder that is not there counts as empty: buckets have no others.

    Raises:
        InputError: there is no such folder, or it cannot be listed.
    """
    from pyarrow import fs

    shown = without_options(folder)
    if storage.scheme(folder) not in storage.ARROW_SCHEMES:
        raise InputError(f"{shown}: expected an address that begins with s3:// or gs://")
    with storage.named(shown):
        filesystem, path = storage.arrow(folder)
        root = path.rstrip("/")
        if filesystem.get_file_info(root).type is fs.FileType.File:
            raise InputError(f"{shown}: expected a folder, got a file; give the folder above it")
        selector = fs.FileSelector(root, allow_not_found=missing_ok, recursive=True)
        found = filesystem.get_file_info(selector)
    return sorted(
        Listed(info.path[len(root) + 1 :], info.size, info.mtime_ns)
        for info in found
        if info.is_file
    )


def without_options(folder: str) -> str:
    """The address of a folder as it may be noted: without access keys and options.

    s3://key:secret@bucket/music/?region=eu-west-1    s3://bucket/music
    music/                                            music/
    """
    if not storage.is_remote(folder):
        return folder
    parts = urlsplit(folder)
    bucket = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, bucket, parts.path.rstrip("/"), "", ""))


def exists(folder: str, name: str) -> bool:
    """Whether a folder of a bucket has a file of this name, which is no part of an address.

    Raises:
        InputError: it cannot be asked.
    """
    from pyarrow import fs

    with storage.named(f"{without_options(folder)}/{name}"):
        filesystem, path = storage.arrow(folder)
        info = filesystem.get_file_info(posixpath.join(path, name))
    return info.type is not fs.FileType.NotFound


def put(folder: str, name: str, content: bytes) -> None:
    """Writes a small file into a folder of a bucket.

    Raises:
        InputError: it cannot be written.
    """
    with storage.named(f"{without_options(folder)}/{name}", "written"):
        filesystem, path = storage.arrow(folder)
        with filesystem.open_output_stream(posixpath.join(path, name)) as stream:
            stream.write(content)


def upload(file: str | os.PathLike[str], folder: str, name: str) -> tuple[int, int]:
    """Copies a file into a folder of a bucket, where it appears when all of it is there.

    Returns:
        Its size in bytes and the time at which it was written, nanoseconds, as it is listed.

    Raises:
        InputError: it cannot be written.
    """
    with storage.named(f"{without_options(folder)}/{name}", "written"):
        filesystem, path = storage.arrow(folder)
        target = posixpath.join(path, name)
        with open(file, "rb") as source, filesystem.open_output_stream(target) as stream:
            while content := source.read(_COPIED_BYTES):
                stream.write(content)
        info = filesystem.get_file_info(target)
        if info.size != os.stat(file).st_size:
            filesystem.delete_file(target)
            raise OSError("it arrived with another size, and was deleted")
    return info.size, info.mtime_ns


def delete(folder: str, name: str) -> None:
    """Deletes a file of a folder of a bucket, if it is there.

    Raises:
        InputError: it cannot be deleted.
    """
    with storage.named(f"{without_options(folder)}/{name}", "deleted"):
        filesystem, path = storage.arrow(folder)
        with contextlib.suppress(FileNotFoundError):
            filesystem.delete_file(posixpath.join(path, name))


def copy(folder: str, name: str, file: IO[bytes]) -> None:
    """Copies a file of a folder of a bucket into one that is open.

    Raises:
        InputError: it cannot be read. What the disk raises stays OSError.
    """
    with storage.named(f"{without_options(folder)}/{name}"):
        filesystem, path = storage.arrow(folder)
        source = filesystem.open_input_file(posixpath.join(path, name))
    with source:
        while True:
            with storage.named(f"{without_options(folder)}/{name}"):
                content = source.read(_COPIED_BYTES)
            if not content:
                return
            file.write(content)
