"""A JSON file that is one large object, entry by entry, in memory that does not grow with it."""

import gzip
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any, TextIO

from mar.errors import InputError
from mar.util import files, text

_SPACE = re.compile(r"[\s,]*")
_COLON = re.compile(r"\s*:\s*")
_DECODER = json.JSONDecoder()
_MOST_CHARACTERS = 1 << 26  # of one entry


def entries(
    path: str | os.PathLike[str], chunk_characters: int = 1 << 20
) -> Iterator[tuple[str, Any]]:
    """Yields the `(key, value)` pairs of the object, in order.

    Args:
        path: the file, perhaps gzipped.
        chunk_characters: how many are read at a time.

    Raises:
        InputError: it is not such an object.
    """
    path = pathlib.Path(path)
    files.refuse_others(path)
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            yield from _stream(file, path, chunk_characters)
    except InputError:
        raise
    except (*text.DAMAGED, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _stream(file: TextIO, path: pathlib.Path, chunk_characters: int) -> Iterator[tuple[str, Any]]:
    """The pairs of a JSON object, read in pieces.

    In `{"a": [1, 2], "b": 3}`, of which `{"a": [1, 2], "b` was read: the entry "a" is complete, and
    is yielded; what follows is not, so that more is read behind `"b` and the entry is tried again.
    """
    text = file.read(chunk_characters)
    position = _skip_space(text, 0)
    if text[position : position + 1] != "{":
        raise InputError(f"{path}: expected a JSON object, found {text!r:.60}")
    position += 1
    while True:
        position = _skip_space(text, position)
        if text[position : position + 1] == "}":
            return
        entry = _entry(text, position)
        if entry is not None:
            key, value, position = entry
            yield key, value
            continue
        more = file.read(chunk_characters)
        if len(text) - position > _MOST_CHARACTERS:  # each time, all of it is tried anew
            raise InputError(f"{path}: an entry of more than {_MOST_CHARACTERS} characters")
        if not more:
            raise InputError(f"{path}: not valid JSON, or truncated: {text[position:]!r:.60}")
        text, position = text[position:] + more, 0


def _skip_space(text: str, position: int) -> int:
    """Where the next thing begins, behind white space and commas."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _entry(text: str, position: int) -> tuple[str, Any, int] | None:
    """The `"key": value` at `position` and where it ends; None if it is not all there."""
    try:
        key, end = _DECODER.raw_decode(text, position)
        colon = _COLON.match(text, end)
        if colon is None:
            return None
        value, end = _DECODER.raw_decode(text, colon.end())
    except json.JSONDecodeError:
        return None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # A number at the very end of the text may continue in what is not yet read.
    return (key, value, end) if end < len(text) else None
