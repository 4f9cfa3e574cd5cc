"""Files that are read as a whole: what is none, never ends or is too large is refused."""

import os
import stat

from mar.errors import InputError

Path = str | os.PathLike[str]

MOST_BYTES = 2 * 2**30  # of a file that is read as a whole, unpacked


def refuse_others(path: Path) -> None:
    """Refuses a device or a pipe, whose end may never come; folders and absent files pass.

    Raises:
        InputError: it is one.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(
            f"{os.fspath(path)}: cannot be read: expected a file, got a device or pipe"
        )


def read(path: Path) -> bytes:
    """All bytes of a file of at most `MOST_BYTES`.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is a device or a pipe, too large, or cannot be read.
    """
    refuse_others(path)
    try:
        with open(path, "rb") as file:
            check_size(path, os.fstat(file.fileno()).st_size)
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def check_size(path: Path, size: int) -> None:
    """That so many bytes are not too many.

    Raises:
        InputError: they are.
    """
    if size > MOST_BYTES:
        raise InputError(
            f"{path}: cannot be read: expected at most {MOST_BYTES >> 20} MiB in it, got more"
        )
