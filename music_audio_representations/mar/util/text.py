"""Text that users bring, whatever program wrote it: encodings and line ends.

UTF-8 with or without a byte-order mark, UTF-16 with one; lines end with LF, CRLF or CR. Whatever
else is in a line belongs to it: a song may be called `one\\u2028two`.
"""

import codecs
import gzip
import io
import os
import pathlib
import re
import zlib

from mar.errors import InputError
from mar.util import files

Path = str | os.PathLike[str]

DAMAGED = (OSError, EOFError, zlib.error)  # what reading a file may raise
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LINE_END = re.compile(r"\r\n|\r|\n")


def read_bytes(path: Path) -> bytes:
    """A file's content, gunzipped where its name ends in `.gz`; see `mar.util.files.read`.

    Raises:
        InputError: it cannot be read.
    """
    path = pathlib.Path(path)
    try:
        data = files.read(path)
        return _unpacked(data, path) if path.suffix == ".gz" else data
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from None


def _unpacked(data: bytes, path: Path) -> bytes:
    """What gzipped bytes hold; a few of them may stand for endless zeros."""
    pieces, size = [], 0
    with gzip.open(io.BytesIO(data)) as file:
        while piece := file.read(2**20):
            pieces.append(piece)
            size += len(piece)
            files.check_size(path, size)
    return b"".join(pieces)


def decode(data: bytes, path: Path, errors: str = "strict") -> str:
    """The text of a file, line ends as they are, without its byte-order mark.

    Args:
        data: content of the file.
        path: of the file, for messages.
        errors: "strict", or "surrogateescape" where bytes that are not UTF-8 may be names of files.

    Raises:
        InputError: it is neither UTF-8 nor UTF-16 with a mark; names the line.
    """
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding, "strict" if encoding == "utf-16" else errors)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "ignore")
        found = f"the byte {error.object[error.start]:#04x}"
    else:
        before, found = text.partition("\0")[0], "a zero byte"
        if len(before) == len(text):
            return text
    line = len(_LINE_END.findall(before)) + 1
    raise InputError(
        f"{path}: line {line}: expected text in UTF-8, or in UTF-16 with a byte-order mark, found "
        f"{found}; save it as UTF-8 (if it was never meant to be edited, fetch the original)"
    )


def read_text(path: Path, errors: str = "strict") -> str:
    """The text of a file, see `read_bytes` and `decode`."""
    return decode(read_bytes(path), path, errors)


def lines(text: str) -> list[str]:
    """The lines of a text without their ends; the last one need not have an end."""
    parts = _LINE_END.split(text)
    return parts if parts[-1] else parts[:-1]


def read_lines(path: Path, errors: str = "strict") -> list[str]:
    """The lines of a file without their ends, see `read_text`."""
    return lines(read_text(path, errors))
