"""The user's table of tracks (audio files and their labels): CSV, TSV, Parquet or AudioSet's files.

The order of the labels is subtle. The vocabulary orders them; without a vocabulary file they are
sorted by name. Each track has its label indices in ascending order, whatever the order of its cell:

    vocabulary        ["rock", "jazz"]          none: sorted, ["jazz", "rock"]
    cell "rock|jazz"  [0, 1]                    [0, 1]
    cell "jazz"       [1]                       [0]

An index therefore means nothing without its vocabulary, which the manifest holds beside it.
"""

import collections
import itertools
import os
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mar.errors import ConfigError, InputError
from mar.records import audioset
from mar.util import tables, text
from mar.util.groups import COLUMNS, Separation
from mar.util.groups import groups as groups_of
from mar.util.names import composed, plain
from mar.util.text import Path

_Columns = tuple[list[str], list[str], list[list[str]], list[str | None]]  # id, path, labels, group
SCHEMA = pa.schema([("id", pa.string()), ("path", pa.string()), ("labels", pa.list_(pa.int32()))])
_CLASS_LABELS = ["index", "mid", "display_name"]


@dataclass(frozen=True)
class Vocabulary:
    """Labels in order.

    Attributes:
        names: what they are called.
        keys: what tables call them: the same, except in AudioSet.
    """

    names: Sequence[str]
    keys: Sequence[str]


@dataclass(frozen=True)
class Tracks:
    """The tracks of a table.

    Attributes:
        rows: `SCHEMA`: id, path, and indices into `vocabulary`, in ascending order; and, where the
            tables tell, the `group` that is kept on one side of a split, see `mar.util.groups`.
        vocabulary: names of the labels.
    """

    rows: pa.Table
    vocabulary: Sequence[str]

    def of_labels(self, kept: Sequence[int]) -> "Tracks":
        """The tracks that have some of these labels, with those alone.

        Args:
            kept: indices into the vocabulary, ascending; they are the new vocabulary.
        """
        place = {label: number for number, label in enumerate(kept)}
        cells = self.rows["labels"].to_pylist()
        labels = pa.array(
            [[place[label] for label in cell if label in place] for cell in cells],
            pa.list_(pa.int32()),
        )
        column = self.rows.column_names.index("labels")
        rows = self.rows.set_column(column, "labels", labels)
        return Tracks(
            rows.filter(pc.greater(pc.list_value_length(labels), 0)),
            [self.vocabulary[label] for label in kept],
        )


def read_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
    """Reads a text file with one label a line, or AudioSet's `class_labels_indices.csv`.

    Labels are stripped of spaces, and in Unicode's composed form (NFC), as those of tables are.

    Raises:
        InputError: it cannot be read, or a label is empty or occurs twice.
    """
    labels = [composed(line.strip()) for line in text.read_lines(path)]
    if labels and re.split("[,;\t]", labels[0]) == _CLASS_LABELS:
        table = tables.read(path, _CLASS_LABELS)
        if table["index"] != [str(index) for index in range(len(table))]:
            raise InputError(f"{path}: expected the indices 0, 1, 2 … in order")
        vocabulary = Vocabulary(table["display_name"], table["mid"])
    else:
        vocabulary = Vocabulary(labels, labels)
    if "" in vocabulary.keys:
        raise InputError(f"{path}: line {vocabulary.keys.index('') + 1} is an empty label")
    _refuse_duplicates(vocabulary.keys, f"{path}: the label")
    return vocabulary


def read_tracks(
    paths: Path | Sequence[Path],
    vocabulary: Vocabulary | None = None,
    separator: str = "|",
    audio: Path | None = None,
    clip_name: str | None = None,
    separated_by: Separation | None = None,
) -> Tracks:
    """Reads tables of tracks.

    Args:
        paths: one or several: CSV, TSV or Parquet with the columns `id`, `path` and, where there
            are any, `labels`, `artist` and `album` (others are ignored); or AudioSet's own segment
            files.
        vocabulary: labels in order; None takes all labels of the tables, sorted.
        separator: between the labels of a track; in Parquet a cell may be a list.
        audio: AudioSet only: the folder in which the clips lie, however deep.
        clip_name: AudioSet only: see `mar.records.audioset.Clips`.
        separated_by: what a track's group is, see `mar.util.groups.groups`.

    Returns:
        The tracks in the order of the tables.

    Raises:
        InputError: it is no such file, an id occurs twice, or a label is empty or not in the
            vocabulary; or a table has no column to separate by.
        ConfigError: there is no separator, or `clip_name` has other fields.
    """
    if not separator:
        raise ConfigError("the separator of labels: expected a character such as |, got none")
    paths = [paths] if isinstance(paths, str | os.PathLike) else paths
    clips = None
    read: list[_Columns] = []
    for path in paths:
        if not audioset.is_segments(path):
            read.append(_read_columns(path, separator, separated_by))
            continue
        if vocabulary is None:
            raise InputError(f"{path}: AudioSet's labels need its class_labels_indices.csv")
        if audio is None:
            raise InputError(f"{path}: AudioSet's segments need the folder of the clips")
        clips = clips or audioset.Clips(audio, clip_name)
        read.append(_read_segments(path, clips))
    ids, files, labels, groups = (
        list(itertools.chain(*column)) for column in zip(*read, strict=True)
    )
    where = ", ".join(map(str, paths))
    if not ids:
        raise InputError(f"{where}: has no rows")
    _refuse_duplicates(ids, f"{where}: the id")
    if vocabulary is None:
        names = sorted({label for row in labels for label in row})
        vocabulary = Vocabulary(names, names)
    indices = pa.array(_indices(where, ids, labels, vocabulary), pa.list_(pa.int32()))
    rows = pa.table([pa.array(ids), pa.array(files), indices], schema=SCHEMA)
    if any(groups):
        rows = rows.append_column("group", pa.array(groups, pa.string()))
    return Tracks(rows, vocabulary.names)


def _read_segments(path: Path, clips: audioset.Clips) -> _Columns:
    segments = audioset.segments(path)
    files = [clips.path(id, start, end) for id, start, end, _ in segments]
    ids, labels = [segment[0] for segment in segments], [segment[3] for segment in segments]
    return ids, files, labels, [None] * len(ids)


def _read_columns(path: Path, separator: str, separated_by: Separation | None) -> _Columns:
    """The rows of a table with those columns."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix == ".parquet":
        columns = _read_parquet(path)
    elif suffix in (".csv", ".tsv"):
        optional = ["labels", *COLUMNS]
        columns = dict(tables.read(path, ["id", "path"], optional, blank=optional).columns)
    else:
        raise InputError(f"{path}: expected a .csv, .tsv or .parquet file, or AudioSet's segments")
    ids, files = columns["id"], columns["path"]
    cells = columns.get("labels", [None] * len(ids))
    labels = [_split(path, *row, separator) for row in zip(ids, cells, strict=True)]
    return ids, files, labels, groups_of(columns, files, separated_by, path)


def _read_parquet(path: Path) -> dict[str, list]:
    """Columns by name, each row once, as `tables.read` has them of text."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    names = [name for name in ("id", "path", "labels", *COLUMNS) if name in table.column_names]
    if any(table.column_names.count(name) > 1 for name in names):
        raise InputError(f"{path}: expected each column once, got {table.column_names}")
    if missing := {"id", "path"} - set(names):
        raise InputError(
            f"{path}: expected the columns id, path and labels; {' and '.join(sorted(missing))} "
            f"missing in {table.column_names}"
        )
    columns = {name: _texts(path, table, name) for name in names if name != "labels"}
    for name in ("id", "path"):
        empty = next((row for row, value in enumerate(columns[name], 1) if not value), None)
        if empty:
            raise InputError(f"{path}: row {empty}: the {name} is empty")
    columns["path"] = [plain(file) for file in columns["path"]]
    if "labels" in names:
        columns["labels"] = table["labels"].to_pylist()
    rows = list(zip(*columns.values(), strict=True))
    unique = list({repr(row): row for row in rows}.values())
    tables.log_account(path, len(rows), len(unique))
    return {name: [row[place] for row in unique] for place, name in enumerate(columns)}


def _texts(path: str | os.PathLike[str], table: pa.Table, name: str) -> list[str]:
    """A column as strings; a column that is not text is refused."""
    try:
        return table[name].cast(pa.string()).to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{path}: the column {name}: expected text, got {error}") from None


def _split(
    path: str | os.PathLike[str], track: str, cell: str | list[str | None] | None, separator: str
) -> list[str]:
    """The labels in one cell, each once."""
    if cell is None or cell in ("", []):
        return []
    parts = cell.split(separator) if isinstance(cell, str) else cell
    if not isinstance(parts, list) or not all(isinstance(part, str | None) for part in parts):
        raise InputError(f"{path}: the track {track!r}: expected labels as text, got {cell!r}")
    labels = [composed(part.strip()) if part else "" for part in parts]
    if "" in labels:
        raise InputError(f"{path}: the track {track!r} has an empty label in {cell!r}")
    return list(dict.fromkeys(labels))


def _indices(
    path: str | os.PathLike[str],
    ids: Sequence[str],
    labels: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
) -> list[list[int]]:
    """Each track's labels as indices into the vocabulary, ascending."""
    number = {key: index for index, key in enumerate(vocabulary.keys)}
    indices = []
    for track, row in zip(ids, labels, strict=True):
        unknown = [label for label in row if label not in number]
        if unknown:
            raise InputError(
                f"{path}: the track {track!r} has the label {unknown[0]!r}, which is not in the "
                f"vocabulary of {len(number)} labels"
            )
        indices.append(sorted(number[label] for label in row))
    return indices


def _refuse_duplicates(values: Sequence[str], what: str) -> None:
    if len(set(values)) == len(values):
        return
    value, count = collections.Counter(values).most_common(1)[0]
    raise InputError(f"{what} {value!r} occurs {count} times; expected once")
