"""Folders of buckets (`s3://bucket/music`, `gs://…`): what is in them, copied to the disk and back.

Names of files are no parts of addresses: they may have any characters.
"""

import contextlib
import os
import pathlib
import posixpath
from typing import IO, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from mar.errors import ConfigError, InputError
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


def on_disk(location: storage.Location) -> pathlib.Path:
    """The path of what is written on a disk alone; `~` is the home folder.

    Raises:
        ConfigError: it is an address.
    """
    if storage.is_remote(location):
        raise ConfigError(
            f"{without_options(os.fspath(location))}: expected a place on a disk to write to; copy "
            "it to the bucket afterwards"
        )
    return pathlib.Path(location).expanduser()


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
        # Whatever ends an upload, pyarrow closes its stream, and what was sent is an object then.
        unfinished = posixpath.join(posixpath.dirname(target), f".{posixpath.basename(name)}.part")
        try:
            with open(file, "rb") as source, filesystem.open_output_stream(unfinished) as stream:
                while content := source.read(_COPIED_BYTES):
                    stream.write(content)
            if filesystem.get_file_info(unfinished).size != os.stat(file).st_size:
                raise OSError("it arrived with another size, and was deleted")
            filesystem.move(unfinished, target)
        except BaseException:
            with contextlib.suppress(OSError):  # what went wrong first is what is told
                filesystem.delete_file(unfinished)
            raise
        info = filesystem.get_file_info(target)
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
