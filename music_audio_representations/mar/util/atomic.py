"""Files that appear under their names only when they are whole, and their folders."""

import contextlib
import os
import pathlib
import shutil
import time
import uuid

from mar.errors import InputError

_MARK = ".unfinished"
_ABANDONED_SECONDS = 600


@contextlib.contextmanager
def whole(path, beside=None):
    """Yields a temporary path whose file takes the name `path` when the block ends without error.

    Args:
        path: the final name; its folder exists.
        beside: folder of the temporary file, on the same file system; None for that of `path`.

    Raises:
        InputError: the system cannot write it, for want of space or permission.
    """
    path = pathlib.Path(path)
    unfinished = pathlib.Path(beside or path.parent) / f".{uuid.uuid4().hex}{_MARK}"
    try:
        yield unfinished
        finish(unfinished, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path):
    """Yields a temporary folder that takes the name `path` when the block ends without error.

    A folder that was there is replaced. Whatever the block raises, it is left as it was.

    Args:
        path: the final name; the folder above it exists.

    Raises:
        InputError: the system cannot write it, for want of space or permission.
    """
    path = pathlib.Path(path)
    unfinished, replaced = (path.parent / f".{uuid.uuid4().hex}{_MARK}" for _ in range(2))
    try:
        unfinished.mkdir()
        yield unfinished
        for written in (*unfinished.rglob("*"), unfinished):
            _to_disk(written)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, replaced)
        os.replace(unfinished, path)
        _to_disk(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def make_folder(path):
    """Makes a folder, and those above it, unless it is there.

    Raises:
        InputError: it cannot be made, or nothing can be written there.
    """
    try:
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written: no permission")


def finish(unfinished, path):
    """Gives a file its final name, once it is on the disk."""
    _to_disk(unfinished)
    os.replace(unfinished, path)
    _to_disk(pathlib.Path(path).parent)


def _to_disk(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(folder):
    """Removes what killed processes left unfinished in a folder, once it is old enough."""
    for path in pathlib.Path(folder).glob(f".*{_MARK}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
