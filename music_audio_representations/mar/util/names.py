"""Names of files as the disk spells them.

Unicode writes `é` in one character (NFC, what one types) or in two (NFD, what macOS stores). A
table may have one and the disk the other:

    the table's path     Beyoncé/Halo.wav            (NFC)
    the folder's entry   Beyonce\\u0301/Halo.wav      (NFD): this is what is opened
"""

import functools
import os
import pathlib
import re
import unicodedata
from collections.abc import Mapping

from mar.errors import InputError


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): equal for all spellings of a name."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def printable(name: str | os.PathLike[str]) -> str:
    """A name as text that every file can hold and every font can draw.

    Bytes that are not UTF-8 are written as `\\xNN`, and so are control characters.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text)


def check_folder(what: str, name: str) -> None:
    """Raises an InputError unless a name can be that of a folder.

    Args:
        what: has this name.
        name: is to become the folder's.
    """
    if name in ("", ".", "..") or "/" in name:
        raise InputError(f"{what}: expected a name, which becomes a folder's, got {name!r}")


def plain(path: str) -> str:
    """A path without `./` and doubled slashes: `./a//b.wav` is `a/b.wav`."""
    return str(pathlib.PurePosixPath(path))


def spelled(root: str | os.PathLike[str], path: str) -> str:
    """A path as the disk spells it, part by part; as it is where there is nothing of this name.

    Args:
        root: the folder that it is relative to.
        path: relative or absolute.

    Raises:
        InputError: two files have this name, in two spellings that both differ from it.
    """
    if path.isascii() or os.path.lexists(os.path.join(root, path)):
        return path
    parent, name = os.path.split(path)
    parent = spelled(root, parent)
    folder = os.path.join(root, parent) or os.curdir
    alike = _entries(folder).get(composed(name), ())
    if len(alike) > 1:
        raise InputError(
            f"{folder}: {path} may be {' or '.join(map(ascii, sorted(alike)))}, which differ in "
            f"their Unicode form alone; rename one"
        )
    return os.path.join(parent, alike[0] if alike else name)


def _entries(folder: str) -> Mapping[str, tuple[str, ...]]:
    """The names in a folder by their composed form; none where it cannot be read."""
    try:
        return _listed(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=16)
def _listed(folder: str, changed: int) -> dict[str, tuple[str, ...]]:
    """As `_entries`, of the folder as it was when it was last changed."""
    entries: dict[str, tuple[str, ...]] = {}
    for name in os.listdir(folder):
        if not name.isascii():
            entries[composed(name)] = (*entries.get(composed(name), ()), name)
    return entries
