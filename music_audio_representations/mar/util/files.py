"""Files that are read as a whole: what is none, never ends or is too large is refused."""

import os
import stat
from collections.abc import Callable, Iterator

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


def walk(
    folder: Path, onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, into links to folders too, but into no folder twice: links may form a circle.

    Args:
        folder: where to begin.
        onerror: is called with the error of each folder that cannot be listed.
    """
    seen = set()
    for base, folders, names in os.walk(folder, onerror=onerror, followlinks=True):
        status = os.stat(base)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield base, folders, names


def below(folder: Path, onerror: Callable[[OSError], object] | None = None) -> Iterator[str]:
    """The paths of all files below a folder, relative to it; arguments as those of `walk`."""
    for base, _, names in walk(folder, onerror):
        for name in names:
            yield os.path.relpath(os.path.join(base, name), folder)


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
