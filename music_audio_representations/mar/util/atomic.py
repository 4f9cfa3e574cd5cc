"""Files and folders that appear under their names only when all of them is on the disk.

What is being written lies under its final name in a hidden folder of its own,
`.<random>.unfinished/`, on the same file system, and is then renamed. A killed process leaves at
most such a folder.
"""

import contextlib
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Iterator

from mar.errors import InputError

_MARK = ".unfinished"
_ABANDONED_SECONDS = 600


@contextlib.contextmanager
def whole(
    path: str | os.PathLike[str],
    beside: str | os.PathLike[str] | None = None,
    replaces: bool = False,
) -> Iterator[pathlib.Path]:
    """Yields a temporary path; what is written there takes its place when the block succeeds.

    Args:
        path: the final path of the file or folder; the folder that it lies in exists.
        beside: folder for the temporary path, on the same file system; None for that of `path`.
        replaces: whether a folder takes the place of another one, as a file always does.

    Yields:
        A path with the name of `path`, alone in a new folder; the block makes a file or a folder
        of it.

    Raises:
        InputError: the system cannot write it, for want of space or permission.
    """
    try:
        with appearing(path, beside, replaces) as unfinished:
            yield unfinished
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def appearing(
    path: str | os.PathLike[str],
    beside: str | os.PathLike[str] | None = None,
    replaces: bool = False,
) -> Iterator[pathlib.Path]:
    """As `whole`, but raises the system's own OSError, for callers who know the remedy."""
    path = pathlib.Path(path)
    folder = pathlib.Path(beside or path.parent) / f".{uuid.uuid4().hex}{_MARK}"
    folder.mkdir()
    try:
        yield folder / path.name
        finish(folder / path.name, path, replaces)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def finish(unfinished: pathlib.Path, path: pathlib.Path, replaces: bool = False) -> None:
    """Gives a file or folder its final path, once all of it is on the disk.

    A folder that it replaces is in its way until then, and comes back where the system refuses.
    """
    for part in unfinished.rglob("*"):
        _to_disk(part)
    _to_disk(unfinished)
    replaced = unfinished.with_name(f"{path.name}.replaced")
    try:
        if replaces and path.is_dir():
            os.replace(path, replaced)
        os.replace(unfinished, path)
    except BaseException:
        if replaced.exists() and not path.exists():
            os.replace(replaced, path)
        raise
    _to_disk(path.parent)


def _to_disk(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: str | os.PathLike[str]) -> None:
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


def remove_abandoned(folder: str | os.PathLike[str], name: str | None = None) -> None:
    """Removes what killed processes left unfinished in a folder.

    Args:
        folder: that of the files, or the one given as `beside`.
        name: of the file or folder that was being written: for the one process that writes it,
            which need not wait. None removes all that nobody has written to for ten minutes.
    """
    for unfinished in pathlib.Path(folder).glob(f".{32 * '[0-9a-f]'}{_MARK}"):
        with contextlib.suppress(FileNotFoundError):  # another process finishes it or removes it
            if name is None:
                parts = [unfinished, *unfinished.rglob("*")]
                age = time.time() - max(part.stat().st_mtime for part in parts)
                abandoned = age > _ABANDONED_SECONDS
            else:
                abandoned = (unfinished / name).exists()
            if abandoned and unfinished.is_dir():
                shutil.rmtree(unfinished)
            elif abandoned:
                unfinished.unlink()  # as version 0.1.0 left them
