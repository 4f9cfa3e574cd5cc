"""Tables that users bring: CSV and its relatives, read strictly.

The first line names the columns. The delimiter, a comma, a semicolon or a tab, is the one under
which the expected columns are in it. Between commas and semicolons, quotation marks enclose a cell;
between tabs they are part of it, unless the first line's cells are quoted:

    path,artist             a.wav,"Simon, Paul"         a.wav | Simon, Paul
    path<TAB>artist         a.wav<TAB>"Heroes           a.wav | "Heroes
    "path"<TAB>"artist"     "a.wav"<TAB>"Heroes"        a.wav | Heroes

The csv module reads them: pandas and pyarrow fill short rows up, or go on behind a quotation mark
that is never closed.
"""

import csv
import dataclasses
import io
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from mar.errors import InputError
from mar.util import names
from mar.util.text import Path, read_text

DELIMITERS = ",;\t"
_SHOWN = 5
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Table:
    """Some columns of a table; rows that are alike in all of them are there once.

    Attributes:
        columns: `{name: cells}`.
        numbers: of the rows, as a spreadsheet counts them: the first line is row 1.
    """

    columns: Mapping[str, list[str]]
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, name: str) -> list[str]:
        return self.columns[name]


def read(
    path: Path,
    required: Sequence[str],
    optional: Collection[str] = (),
    blank: Collection[str] = (),
) -> Table:
    """Reads a table that a user has made.

    Cells are stripped of spaces, and in Unicode's composed form (NFC); those of a column `path`
    have neither `./` nor doubled slashes. How many rows there were is logged.

    Args:
        path: of the file; may be gzipped.
        required: columns that there must be.
        optional: columns that are read where there are such; others are ignored.
        blank: those of them that may have empty cells.

    Raises:
        InputError: it cannot be read, lacks a column or has one twice, has no rows, or has rows
            with more or fewer cells than the first line, or with an empty cell; names those.
    """
    header, numbered = parse(path, read_text(path), required, DELIMITERS, optional)
    places = {name: header.index(name) for name in (*required, *optional) if name in header}
    unique: dict[tuple[str, ...], int] = {}  # cells: number of the first row that has them
    refused, count = [], 0
    for count, (number, row) in enumerate(numbered, 1):  # noqa: B007
        if len(row) != len(header):
            refused.append(ragged(number, row, header))
            continue
        cells = tuple(_cleaned(name, row[place]) for name, place in places.items())
        empty = {n for n, cell in zip(places, cells, strict=True) if not cell} - set(blank)
        if empty:
            refused.append(f"row {number}: the {' and the '.join(sorted(empty))} is empty")
        else:
            unique.setdefault(cells, number)
    if refused:
        shown = "; ".join(refused[:_SHOWN]) + ("; …" if len(refused) > _SHOWN else "")
        raise InputError(
            f"{path}: refused {len(refused)} of {count} rows (the first line is row 1): {shown}"
        )
    if not count:
        raise InputError(f"{path}: expected rows below the header, found none: it has no rows")
    log_account(path, count, len(unique))
    columns = zip(places, map(list, zip(*unique, strict=True)), strict=True)
    return Table(dict(columns), list(unique.values()))


def log_account(path: Path, count: int, kept: int) -> None:
    """Logs what became of a table's rows, where none was refused."""
    _LOG.info("%s: %d rows read, 0 refused, %d duplicates", path, count, count - kept)


def parse(
    path: Path,
    text: str,
    required: Sequence[str],
    delimiters: str,
    optional: Collection[str] = (),
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The names of a table's columns, and an iterator over `(row number, cells)`.

    Cells are as they stand, and their number is not checked. Rows without any text are left out.

    Args:
        path: of the file, for messages.
        text: of the file.
        required: columns that there must be.
        delimiters: characters one of which stands between cells.
        optional: columns that may be there.

    Raises:
        InputError: it lacks a column or has one twice; or a quotation mark is not closed.
    """
    headers = {mark: _header(path, text, mark) for mark in delimiters}
    fitting = [mark for mark, header in headers.items() if set(required) <= set(header)]
    if not fitting:
        raise InputError(_without_columns(path, headers.values(), required))
    delimiter = max(fitting, key=lambda mark: len(headers[mark]))
    header = headers[delimiter]
    if repeated := [name for name in (*required, *optional) if header.count(name) > 1]:
        raise InputError(f"{path}: expected each column once, got {', '.join(repeated)} twice")
    rows = (
        (n, row) for n, row in _rows(path, text, delimiter) if n > 1 and any(map(str.strip, row))
    )
    return header, rows


def ragged(number: int, row: Sequence[str], header: Sequence[str]) -> str:
    """What is wrong with a row that has not as many cells as the header."""
    return f"row {number}: expected {len(header)} cells, found {len(row)}"


def _cleaned(name: str, cell: str) -> str:
    cell = cell.strip()
    return names.plain(cell) if name == "path" and cell else names.composed(cell)


def _header(path: Path, text: str, delimiter: str) -> list[str]:
    # Not strictly: under another delimiter than its own, a good line may look wrong.
    _, header = next(_rows(path, text, delimiter, strict=False), (1, []))
    return [names.composed(name.strip()) for name in header]


def _rows(
    path: Path, text: str, delimiter: str, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Yields all rows with their numbers, the first line too."""
    is_literal = delimiter == "\t" and not text.startswith('"')
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if is_literal else csv.QUOTE_MINIMAL,
        skipinitialspace=not is_literal,
        strict=strict,
    )
    number = 0
    try:
        for number, row in enumerate(reader, 1):
            yield number, row
    except csv.Error as error:
        raise InputError(
            f"{path}: row {number + 1} (the first line is row 1): {error}: expected quotation "
            f'marks that are closed, and doubled within a quoted cell ("12"" Mix"); between tabs '
            f"they need neither"
        ) from None


def _without_columns(path: Path, headers: Iterable[Sequence[str]], required: Sequence[str]) -> str:
    """The message on a table that lacks columns under every delimiter; shows the likeliest."""
    header = max(headers, key=lambda header: (len({*required} & {*header}), len(header)))
    missing = [name for name in required if name not in header]
    return (
        f"{path}: expected the columns {', '.join(required)}, found {', '.join(header):.200} in "
        f"the first line; {' and '.join(missing)} missing"
    )
