"""Readers of the files that collections are distributed in.

They execute nothing, and tell apart what looks alike: a table from one that a spreadsheet program
has saved again, an array from the pointer that Git LFS leaves in its place.
"""

import io
import math
import os
import pathlib
import pickle
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mar.errors import InputError
from mar.util import arrays, plain_data, tables, text

Path = str | os.PathLike[str]

_LFS = b"version https://git-lfs.github.com/spec/v1"
_CP_ITEM = re.compile(r"a?S'(.*)'")


def find(folder: Path, name: str) -> pathlib.Path:
    """The path of an upstream file below a folder.

    Args:
        folder: any of the levels on the upstream path.
        name: path of the file in the upstream repository or archive; it may be gzipped here.

    Raises:
        InputError: there is none.
    """
    path = find_optional(folder, name)
    if path is None:
        raise InputError(
            f"{folder}: expected {name} of the official distribution (or {name}.gz) in this "
            f"folder, found none. `mar fetch TASK` downloads what may be, and tells "
            f"where the rest is to be had"
        )
    return path


def find_optional(folder: Path, name: str) -> pathlib.Path | None:
    """As `find`, but None where there is none."""
    parts = pathlib.PurePosixPath(name).parts
    for start in range(len(parts)):
        path = pathlib.Path(folder).joinpath(*parts[start:])
        for candidate in (path, path.with_name(f"{path.name}.gz")):
            if candidate.exists():
                return candidate
    return None


def read_bytes(path: Path) -> bytes:
    """A file's content, gunzipped where its name ends in `.gz`.

    Raises:
        InputError: it cannot be read, or is a Git LFS pointer.
    """
    data = text.read_bytes(path)
    if data.startswith(_LFS):
        raise InputError(
            f"{path}: expected the file itself, found a Git LFS pointer to it. Run `git lfs pull` "
            f"in the clone that it came from, or `mar fetch TASK`"
        )
    return data


def read_text(path: Path) -> str:
    """The text of a file, line ends as they are, see `mar.util.text`.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    return text.decode(read_bytes(path), path)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends; the last one need not have an end."""
    return text.lines(read_text(path))


def read_table(path: Path, columns: Sequence[str], delimiter: str = ",") -> list[dict[str, str]]:
    """Rows of a delimited table with a header, as dictionaries of stripped strings.

    See `read_rows` for the arguments and for what is refused.
    """
    header, rows = read_rows(path, columns, delimiter)
    return [dict(zip(header, (cell.strip() for cell in row), strict=True)) for row in rows]


def read_rows(
    path: Path, columns: Sequence[str], delimiter: str = ","
) -> tuple[list[str], Iterator[list[str]]]:
    """A delimited table: its header, and an iterator over the rows as lists of strings.

    Args:
        path: the file.
        columns: names that must be in the header.
        delimiter: between the cells.

    Raises:
        InputError: the header lacks a column, most often because a spreadsheet program saved the
            file again; or a row has more or fewer cells than the header.
    """
    content = read_text(path)
    try:
        header, rows = tables.parse(path, content, columns, delimiter)
    except InputError as error:
        raise InputError(f"{error}{_spreadsheet_hint(content, delimiter)}") from None
    return header, _checked_rows(path, rows, header)


def _checked_rows(
    path: Path, rows: Iterator[tuple[int, list[str]]], header: Sequence[str]
) -> Iterator[list[str]]:
    for number, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}: {tables.ragged(number, row, header)}")
        yield row


def _spreadsheet_hint(content: str, delimiter: str) -> str:
    first = text.lines(content)[0] if content else ""
    if delimiter not in first and any(mark in first for mark in tables.DELIMITERS):
        return ". It looks as if a spreadsheet program had saved it again: fetch the original"
    return ""


def read_array(path: Path, shape: Sequence[int | None] | None = None) -> np.ndarray:
    """A `.npy` array without pickled objects.

    Args:
        path: the file, perhaps gzipped.
        shape: the expected one, with None for any length; None for any shape.

    Raises:
        InputError: it is no such array.
    """
    array = arrays.parsed(path, read_bytes(path))
    if shape is not None and (
        len(shape) != array.ndim
        or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True))
    ):
        shown = " x ".join("any" if want is None else str(want) for want in shape)
        raise InputError(f"{path}: expected an array of {shown}, found {array.shape}")
    return array


def read_flags(path: Path, shape: Sequence[int | None]) -> np.ndarray:
    """A `.npy` array of 0 and 1 as uint8; see `read_array`."""
    array = read_array(path, shape)
    if not np.isin(array, (0, 1)).all():
        raise InputError(f"{path}: expected an array of 0 and 1, found other values")
    return array.astype(np.uint8)


def read_numbered(path: Path, separator: str) -> list[tuple[int, str]]:
    """The entries `<row><separator><name>` of a `.npy` array of strings, as `(row, name)`s.

    Raises:
        InputError: it is no such array.
    """
    entries = []
    for entry in read_array(path, (None,)).tolist():
        row, mark, name = str(entry).partition(separator)
        if not mark or not row.isdigit():
            raise InputError(f"{path}: expected entries '<row>{separator}<name>', found {entry!r}")
        entries.append((int(row), name))
    return entries


def number(text: str, path: Path) -> float:
    """A finite number in a cell of a table.

    Args:
        text: of the cell.
        path: of the table, for the error message.

    Raises:
        InputError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: expected a number, found {text!r}")
    return value


def read_list(path: Path) -> list[str]:
    """The strings of a `.cP` list: a Python 2 pickle of protocol 0, read line by line.

    Raises:
        InputError: it is no such list.
    """
    lines = read_lines(path)
    if lines[:1] != ["(lp1"] or lines[-1] != "a.":
        raise InputError(
            f"{path}: expected a pickled list of strings in text form ('(lp1' … 'a.'), found "
            f"{lines[:1]!r:.60}"
        )
    return [match[1] for line in lines if (match := _CP_ITEM.fullmatch(line))]


def read_json(path: Path) -> Any:
    """A JSON file, read at once; for large ones see `mar.tasks.json_stream`.

    Raises:
        InputError: it is no valid JSON.
    """
    content = read_text(path)
    try:
        return plain_data.parsed(content)
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


class _Described:
    """A pickle's description of a NumPy array or dtype, which NumPy itself would trust blindly."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """The array."""
        _, shape, kind, is_fortran, raw = self.state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        dtype = np.dtype(kind.arguments[0]).newbyteorder(kind.state[1])
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if is_fortran else "C")


class _PlainData(pickle._Unpickler):
    """Strings, numbers, lists, dictionaries and NumPy arrays; anything else is refused.

    Python's own implementation: that in C reserves memory for whatever index a pickle remembers
    something under, up to sixteen times four thousand million bytes.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return lambda text, encoding: text.encode("latin1")
        if module.split(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype"):
            return _Described
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not plain data")


def read_mapping(path: Path) -> dict[str, Any]:
    """The dictionary of strings to strings, numbers or arrays in a Python 2 `.pkl` or `.cP` file.

    No class is ever looked up, so nothing in the file can be executed.

    Raises:
        InputError: it is no such file.
    """
    data = read_bytes(path)
    try:
        mapping = _PlainData(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(mapping, dict):
            raise ValueError(f"expected a dictionary, found {type(mapping).__name__}")
        return {k: v.array() if isinstance(v, _Described) else v for k, v in mapping.items()}
    except Exception as error:  # a damaged pickle may ask for anything
        raise InputError(f"{path}: not a pickle of plain data: {error}") from None
