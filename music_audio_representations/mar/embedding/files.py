"""The audio files of a catalogue, and the keys under which their embeddings are found."""

import dataclasses
import os
import pathlib
import re
import sys
import zlib
from collections.abc import Sequence

from mar.errors import InputError
from mar.util import tables, text
from mar.util.names import spelled

STDIN = "-"
LISTS = {".txt", ".m3u", ".m3u8"}
# What a file in a folder must be called to be taken for audio.
AUDIO = re.compile(
    r"\.(3gp|aac|ac3|aif[cf]?|aiff|alac|amr|ape|au|avi|caf|dsf|flac|flv|m4[abv]|mk[av]|mov|mp[234c]|"
    r"mpe?ga?|og[agv]|opus|snd|spx|tta|voc|w64|wave?|webm|wm[av]|wv)$",
    re.IGNORECASE,
)
_SHOWN = 5  # of the files that a list names in vain


@dataclasses.dataclass(frozen=True)
class AudioItem:
    """One file to embed.

    Attributes:
        key: the path under which its embedding is found: relative to the folder that was given, or
            as it stands in the list (absolute, if that leads out of its folder). Bytes that are not
            UTF-8 are written as `\\xNN`.
        path: where it is.
        expected: whether it is meant to be audio: listed, or called so.
    """

    key: str
    path: str
    expected: bool = True


def find(inputs: Sequence[str]) -> list[AudioItem]:
    """The files to embed, sorted by key.

    Args:
        inputs: audio files, folders (searched recursively, but for hidden files) and lists (`.txt`,
            `.m3u`: a path a line, relative to the list; `#` begins a comment). How many names a
            list has is logged. `-` is a list that standard input has, of paths relative to the
            working folder.

    Raises:
        InputError: an input does not exist, a folder holds no audio, a list is not text or names no
            file that exists, or two files have the same key.
    """
    items: dict[str, AudioItem] = {}
    for given in inputs:
        if os.path.isdir(given):
            found = list(_in_folder(given))
            if not any(item.expected for item in found):
                raise InputError(
                    f"{given}: holds no audio ({len(found)} other files); is its disk mounted?"
                )
        elif given == STDIN:
            found = _in_list("standard input", "", sys.stdin.buffer.read())
        elif not os.path.lexists(given):
            raise InputError(f"{given}: no such file or folder")
        elif pathlib.Path(given).suffix.lower() in LISTS:
            found = _in_list(given, os.path.dirname(given), text.read_bytes(given))
        else:
            found = [AudioItem(key(os.path.basename(given)), given)]
        for item in found:
            other = items.setdefault(item.key, item)
            if not _same(other.path, item.path):
                raise InputError(
                    f"{other.path} and {item.path} would both be called {item.key!r}; "
                    "embed them into different folders, or give the folder above them"
                )
    return [items[key] for key in sorted(items)]


def _in_folder(root):
    """Every file below a folder, and the folders in it that hold nothing but ought to."""

    def item(path, expected):
        return AudioItem(key(os.path.relpath(path, root)), path, expected)

    closed: list[OSError] = []
    seen = set()
    for folder, folders, files in os.walk(root, onerror=closed.append, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if _is_audio(folder) and not folders and not files:
            yield item(folder, expected=True)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                path = os.path.join(folder, name)
                yield item(path, _is_audio(path))
    for error in closed:
        yield item(error.filename, expected=True)


def _in_list(path, folder, content):
    """The files that a list names, relative to a folder, each once, as the disk spells them."""
    # Names may be bytes that are no text, as some tools write them; then there are such files.
    lines = text.lines(text.decode(content, path, "surrogateescape"))
    names = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    if not names:
        raise InputError(f"{path}: expected a path a line, found none")
    items: dict[str, AudioItem] = {}
    absent = []
    for number, line in names:
        name = spelled(folder, line)
        target, normal = os.path.join(folder, name), os.path.normpath(name)
        outside = normal.split(os.sep)[0] == os.pardir
        item = AudioItem(key(os.path.abspath(target) if outside else normal), target)
        items.setdefault(item.key, item)
        if not os.path.lexists(target):
            _refuse_undecoded(path, number, line)
            absent.append(line)
    if len(absent) == len(names):
        shown = "".join(f"\n  {name}" for name in absent[:_SHOWN])
        raise InputError(
            f"{path}: none of the {len(names)} files that it names exists; expected paths that are "
            f"absolute, or relative to the list's folder. The first:{shown}"
        )
    tables.log_account(path, len(names), len(items))
    return items.values()


def _refuse_undecoded(path, number, line):
    """Raises InputError where a line is not UTF-8, and no name of a file in these bytes either."""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: line {number}: expected a path in UTF-8 (or a list in UTF-16 with its "
            f"byte-order mark), found the byte {os.fsencode(line[error.start])[0]:#04x}; save the "
            f"list as UTF-8"
        ) from None


def _is_audio(path):
    return bool(AUDIO.search(path))


def key(path: str | bytes | os.PathLike) -> str:
    """A path as text: bytes that are not UTF-8 are written as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _same(one, other):
    return os.path.normpath(one) == os.path.normpath(other)


def shard_of(key: str, shards: int) -> int:
    """Which of so many machines has a file: that depends on its key alone."""
    return zlib.crc32(key.encode()) % shards
