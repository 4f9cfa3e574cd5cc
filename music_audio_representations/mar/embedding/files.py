"""The audio files of a catalogue, and the keys under which their embeddings are found."""

import codecs
import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence

from mar.errors import InputError

LISTS = {".txt", ".m3u", ".m3u8"}
# What a file in a folder must be called to be taken for audio.
AUDIO = re.compile(
    r"\.(3gp|aac|ac3|aif[cf]?|aiff|alac|amr|ape|au|avi|caf|dsf|flac|flv|m4[abv]|mk[av]|mov|mp[234c]|"
    r"mpe?ga?|og[agv]|opus|snd|spx|tta|voc|w64|wave?|webm|wm[av]|wv)$",
    re.IGNORECASE,
)


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
            `.m3u`: a path a line, relative to the list; `#` begins a comment).

    Raises:
        InputError: an input does not exist, or two files have the same key.
    """
    items: dict[str, AudioItem] = {}
    for given in inputs:
        if os.path.isdir(given):
            found = _in_folder(given)
        elif not os.path.lexists(given):
            raise InputError(f"{given}: no such file or folder")
        elif pathlib.Path(given).suffix.lower() in LISTS:
            found = _in_list(given)
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


def _in_list(path):
    try:
        with open(path, "rb") as file:
            content = file.read().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    lines = [os.fsdecode(line.rstrip(b"\r")) for line in content.split(b"\n")]
    for line in lines:
        if line.strip() and not line.startswith("#"):
            target, name = os.path.join(os.path.dirname(path), line), os.path.normpath(line)
            outside = name.split(os.sep)[0] == os.pardir
            yield AudioItem(key(os.path.abspath(target) if outside else name), target)


def _is_audio(path):
    return bool(AUDIO.search(path))


def key(path: str | bytes | os.PathLike) -> str:
    """A path as text: bytes that are not UTF-8 are written as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _same(one, other):
    return os.path.normpath(one) == os.path.normpath(other)
