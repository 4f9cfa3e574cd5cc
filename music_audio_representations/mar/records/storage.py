"""Files to be read at any place, wherever they lie.

Local files are read with `pread`, `s3://` and `gs://` through `pyarrow.fs`, and every other scheme
(`hdfs://`, Azure's `az://`) through TensorFlow's file systems, some of which `tensorflow-io`
registers. A location is a path or a URI; options of `pyarrow.fs` stand in its query
(`s3://bucket/folder?region=eu-west-1`).

An open file has `size`, `read(offset, count)` and `read_into(buffer, offset)`, which may be called
from several threads at a time; it is closed when nothing refers to it any more.
"""

import concurrent.futures
import contextlib
import errno
import functools
import os
import posixpath
import stat
from urllib.parse import urlsplit, urlunsplit

from mar.errors import InputError

_ARROW_SCHEMES = ("s3", "gs", "gcs")
REMOTE_THREADS = 32


def is_remote(location):
    """Whether a location is a URI."""
    return "://" in os.fspath(location)


def open_file(location):
    """Opens a file for reading; raises InputError when it cannot be."""
    location = os.fspath(location)
    with _named(location):
        if not is_remote(location):
            return LocalFile(location)
        if _scheme(location) in _ARROW_SCHEMES:
            return ArrowFile(location)
        return TensorFlowFile(location)


def read_file(location):
    """The bytes of a file."""
    file = open_file(location)
    with _named(location):
        return file.read(0, file.size)


def beside(location, name):
    """The location of `name`, given relative to the folder in which `location` lies."""
    if is_remote(name) or os.path.isabs(name):
        return name
    if not is_remote(location):
        return os.path.join(os.path.dirname(location), name)
    parts = urlsplit(location)
    return urlunsplit(parts._replace(path=posixpath.join(posixpath.dirname(parts.path), name)))


def sizes(locations):
    """The sizes of files in bytes, None where there is none."""
    if not any(map(is_remote, locations)):
        return [_size(location) for location in locations]
    with concurrent.futures.ThreadPoolExecutor(REMOTE_THREADS) as pool:
        folders = {beside(name, "") for name in locations if _scheme(name) in _ARROW_SCHEMES}
        listed = dict(zip(folders, pool.map(_arrow_sizes, folders), strict=True))

        def size(location):
            if _scheme(location) in _ARROW_SCHEMES:
                return listed[beside(location, "")].get(_arrow(location)[1])
            return _size(location)

        return list(pool.map(size, locations))


class LocalFile:
    """A file read with `pread`, without the read-ahead that random access would waste."""

    def __init__(self, path):
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        self.size = status.st_size
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def read(self, offset, count):
        """Up to `count` bytes; fewer only at the end of the file."""
        pieces = []
        while count > 0 and (piece := os.pread(self._descriptor, count, offset)):
            pieces.append(piece)
            offset, count = offset + len(piece), count - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, buffer, offset):
        """Fills a writable buffer; returns the bytes read, fewer only at the end of the file."""
        done = os.preadv(self._descriptor, [buffer], offset)
        while 0 < done < len(buffer):  # some file systems give less at a time
            more = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            if not more:
                break
            done += more
        return done

    def __del__(self):
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


class _RemoteFile:
    def read_into(self, buffer, offset):
        data = self.read(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)


class ArrowFile(_RemoteFile):
    """A file of `pyarrow.fs`."""

    def __init__(self, location):
        filesystem, path = _arrow(location)
        self._file = filesystem.open_input_file(path)
        self.size = self._file.size()

    def read(self, offset, count):
        return self._file.read_at(count, offset)


class TensorFlowFile(_RemoteFile):
    """A file of TensorFlow's file systems.

    `FixedLengthRecordDataset` is the one public operation that reads some bytes at some place:
    `GFile` reads half a megabyte ahead.
    """

    def __init__(self, location):
        tensorflow = _tensorflow(_scheme(location))
        self._location = location
        self._records = tensorflow.data.FixedLengthRecordDataset
        self._error = tensorflow.errors.OpError
        try:
            self.size = tensorflow.io.gfile.stat(location).length
        except self._error as error:
            raise OSError(error.message) from None

    def read(self, offset, count):
        count = min(count, self.size - offset)
        if count <= 0:
            return b""
        behind = self.size - offset - count
        try:
            (record,) = self._records(self._location, count, offset, behind, buffer_size=count)
        except (self._error, ValueError) as error:
            raise OSError(getattr(error, "message", error)) from None
        return record.numpy()


def _arrow_sizes(folder):
    """Sizes of all files in a folder by path, in one request for a thousand."""
    from pyarrow import fs

    filesystem, path = _arrow(folder)
    selector = fs.FileSelector(path, allow_not_found=True)
    with _named(folder):
        return {found.path: found.size for found in filesystem.get_file_info(selector)}


def _size(location):
    if not is_remote(location):
        return os.stat(location).st_size if os.path.isfile(location) else None
    try:
        return open_file(location).size
    except InputError:
        return None


@contextlib.contextmanager
def _named(location):
    """What the file systems raise, as one sentence that begins with the location."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{location}: cannot be read: {reason}") from None


def _scheme(location):
    return urlsplit(location).scheme if is_remote(location) else ""


def _arrow(location):
    parts = urlsplit(location)
    root = urlunsplit((parts.scheme, parts.netloc, "", parts.query, ""))
    bucket = parts.netloc.rpartition("@")[2]  # keys may stand in front of it
    return _arrow_filesystem(root), bucket + parts.path


@functools.lru_cache
def _arrow_filesystem(root):
    """One client for each bucket: it holds connections and credentials."""
    from pyarrow import fs

    filesystem, _ = fs.FileSystem.from_uri(root)
    return filesystem


@functools.lru_cache
def _tensorflow(scheme):
    import tensorflow

    with contextlib.suppress(ImportError, NotImplementedError):
        import tensorflow_io  # noqa: F401  (registers file systems)
    if scheme not in tensorflow.io.gfile.get_registered_schemes():
        raise InputError(
            f"{scheme}://: no file system for it; expected s3, gs, or one that TensorFlow knows. "
            f"hdfs:// and Azure need tensorflow-io: pip install 'music-audio-representations[io]'"
        )
    return tensorflow
