"""Files that appear under their names only when they are whole."""

import contextlib
import pathlib
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
        unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def remove_abandoned(folder):
    """Removes temporary files that killed processes left in a folder, once they are old enough."""
    for path in pathlib.Path(folder).glob(f".*{_MARK}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
