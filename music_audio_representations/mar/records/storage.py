"""Files to be read at any place, wherever they lie.

Local files are read with `pread`, `s3://` and `gs://` through `pyarrow.fs`, and every other scheme
(`hdfs://`, Azure's `az://`) through TensorFlow's file systems, some of which `tensorflow-io`
registers. A location is a path or a URI; options of `pyarrow.fs` stand in its query
(`s3://bucket/folder?region=eu-west-1`).
"""

import abc
import concurrent.futures
import contextlib
import errno
import functools
import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mar.errors import InputError
from mar.util import files

Location = str | os.PathLike[str]  # a path or a URI

ARROW_SCHEMES = ("s3", "gs", "gcs")
REMOTE_THREADS = 32


def is_remote(location: Location) -> bool:
    """Whether a location is a URI."""
    return "://" in os.fspath(location)


def absolute(location: Location) -> str:
    """A location that means the same in every folder."""
    return os.fspath(location) if is_remote(location) else os.path.abspath(location)


def open_file(location: Location) -> "File":
    """Opens a file for reading.

    Raises:
        InputError: it cannot be opened.
    """
    location = os.fspath(location)
    with named(location):
        if not is_remote(location):
            return LocalFile(location)
        if scheme(location) in ARROW_SCHEMES:
            return ArrowFile(location)
        return TensorFlowFile(location)


def read_file(location: Location) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    file = open_file(location)
    with named(location):
        return file.read(0, file.size)


def beside(location: Location, name: str) -> str:
    """The location of `name`, which is relative to the folder in which `location` lies."""
    location = os.fspath(location)
    if is_remote(name) or os.path.isabs(name):
        return name
    if not is_remote(location):
        return os.path.join(os.path.dirname(location), name)
    parts = urlsplit(location)
    return urlunsplit(parts._replace(path=posixpath.join(posixpath.dirname(parts.path), name)))


def sizes(locations: Sequence[str]) -> list[int | None]:
    """The size of each file in bytes, None where there is no such file."""
    if not any(map(is_remote, locations)):
        return [_size(location) for location in locations]
    with concurrent.futures.ThreadPoolExecutor(REMOTE_THREADS) as pool:
        folders = {beside(name, "") for name in locations if scheme(name) in ARROW_SCHEMES}
        listed = dict(zip(folders, pool.map(_arrow_sizes, folders), strict=True))

        def size(location: str) -> int | None:
            if scheme(location) in ARROW_SCHEMES:
                return listed[beside(location, "")].get(arrow(location)[1])
            return _size(location)

        return list(pool.map(size, locations))


class File(abc.ABC):
    """An open file. Several threads may read it at a time; it is closed with its last reference.

    Attributes:
        size: bytes.
    """

    size: int

    @abc.abstractmethod
    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer only at the end of the file.

        Raises:
            OSError: they cannot be read.
        """

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fills a writable buffer from `offset`; returns how many bytes there were.

        They are fewer than the buffer only at the end of the file.

        Raises:
            OSError: they cannot be read.
        """
        data = self.read(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)


class LocalFile(File):
    """A file read with `pread`, without the read-ahead that random access would waste."""

    def __init__(self, path: str) -> None:
        files.refuse_others(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        self.size = status.st_size
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def read(self, offset: int, count: int) -> bytes:
        """See `File.read`."""
        pieces = []
        while count > 0 and (piece := os.pread(self._descriptor, count, offset)):
            pieces.append(piece)
            offset, count = offset + len(piece), count - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """See `File.read_into`: without a copy."""
        done = os.preadv(self._descriptor, [buffer], offset)
        while 0 < done < len(buffer):  # some file systems give less at a time
            more = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            if not more:
                break
            done += more
        return done

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


class ArrowFile(File):
    """A file of `pyarrow.fs`."""

    def __init__(self, location: str) -> None:
        filesystem, path = arrow(location)
        self._file = filesystem.open_input_file(path)
        self.size = self._file.size()

    def read(self, offset: int, count: int) -> bytes:
        """See `File.read`."""
        if offset >= self.size:  # stores refuse a range that begins behind the end
            return b""
        return self._file.read_at(count, offset)


class TensorFlowFile(File):
    """A file of TensorFlow's file systems.

    `FixedLengthRecordDataset` is the one public operation that reads only the bytes that are asked
    for: `GFile` reads half a megabyte ahead.
    """

    def __init__(self, location: str) -> None:
        tensorflow = _tensorflow(scheme(location))
        self._location = location
        self._records = tensorflow.data.FixedLengthRecordDataset
        self._error = tensorflow.errors.OpError
        try:
            self.size = tensorflow.io.gfile.stat(location).length
        except self._error as error:
            raise OSError(error.message) from None

    def read(self, offset: int, count: int) -> bytes:
        """See `File.read`."""
        count = min(count, self.size - offset)
        if count <= 0:
            return b""
        behind = self.size - offset - count
        try:
            (record,) = self._records(self._location, count, offset, behind, buffer_size=count)
        except (self._error, ValueError) as error:
            raise OSError(getattr(error, "message", error)) from None
        return record.numpy()


def _arrow_sizes(folder: str) -> dict[str, int | None]:
    """Sizes of all files in a folder by path; a store lists a thousand in one request."""
    from pyarrow import fs

    filesystem, path = arrow(folder)
    selector = fs.FileSelector(path, allow_not_found=True)
    with named(folder):
        return {file.path: file.size for file in filesystem.get_file_info(selector)}


def _size(location: str) -> int | None:
    if not is_remote(location):
        return os.stat(location).st_size if os.path.isfile(location) else None
    try:
        return open_file(location).size
    except InputError:
        return None


@contextlib.contextmanager
def named(location: Location, done: str = "read") -> Iterator[None]:
    """Turns what file systems raise into one sentence that begins with the location."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{location}: cannot be {done}: {reason}") from None


def scheme(location: str) -> str:
    return urlsplit(location).scheme if is_remote(location) else ""


def arrow(location: str) -> tuple[Any, str]:
    """The file system of a location, and the path in it."""
    parts = urlsplit(location)
    root = urlunsplit((parts.scheme, parts.netloc, "", parts.query, ""))
    bucket = parts.netloc.rpartition("@")[2]  # access keys may precede it
    return _arrow_filesystem(root), bucket + parts.path


@functools.lru_cache
def _arrow_filesystem(root: str) -> Any:
    """One client for each bucket: it holds connections and credentials."""
    from pyarrow import fs

    filesystem, _ = fs.FileSystem.from_uri(root)
    return filesystem


@functools.lru_cache
def _tensorflow(scheme: str) -> Any:
    """TensorFlow, once it knows a file system for the scheme."""
    import tensorflow

    with contextlib.suppress(ImportError, NotImplementedError):
        import tensorflow_io  # noqa: F401  (registers file systems)
    if scheme not in tensorflow.io.gfile.get_registered_schemes():
        raise InputError(
            f"{scheme}://: no file system for it; expected s3, gs, or one that TensorFlow knows. "
            f"hdfs:// and Azure need tensorflow-io: pip install 'music-audio-representations[io]'"
        )
    return tensorflow
