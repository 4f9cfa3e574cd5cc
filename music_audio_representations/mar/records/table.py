"""The user's table of tracks (audio files and their labels): CSV, TSV, Parquet or AudioSet's files.

The order of the labels is subtle. The vocabulary orders them; without a vocabulary file they are
sorted by name. Each track has its label indices in ascending order, whatever the order of its cell:

    vocabulary        ["rock", "jazz"]          none: sorted, ["jazz", "rock"]
    cell "rock|jazz"  [0, 1]                    [0, 1]
    cell "jazz"       [1]                       [0]

An index therefore means nothing without its vocabulary, which the manifest holds beside it.
"""

import collections
import logging
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from mar.errors import ConfigError, InputError
from mar.util import tables, text
from mar.util.names import composed, plain

_LOG = logging.getLogger(__name__)
SCHEMA = pa.schema([("id", pa.string()), ("path", pa.string()), ("labels", pa.list_(pa.int32()))])
_SEGMENT = re.compile(r'([\w-]{11}), (\d+\.\d{3}), (\d+\.\d{3}), "([^" ,]+(?:,[^" ,]+)*)"\n?')
_CLASS_LABELS = ["index", "mid", "display_name"]
_SEGMENTS_HEADER = "# Segments csv created"
_CLIP_SUFFIXES = set(
    [
        ".aac",
        ".aif",
        ".aiff",
        ".flac",
        ".m4a",
        ".mka",
        ".mkv",
        ".mp3",
        ".mp4",
        ".oga",
        ".ogg",
        ".opus",
        ".wav",
        ".wave",
        ".webm",
        ".wma",
    ]
)


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
        rows: `SCHEMA`: id, path, and indices into `vocabulary`, in ascending order.
        vocabulary: names of the labels.
    """

    rows: pa.Table
    vocabulary: Sequence[str]


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
    path: str | os.PathLike[str],
    vocabulary: Vocabulary | None = None,
    separator: str = "|",
    audio: str | os.PathLike[str] | None = None,
    clip_name: str = "{ytid}",
) -> Tracks:
    """Reads a table of tracks.

    Args:
        path: CSV, TSV or Parquet with the columns `id`, `path` and, where there are labels,
            `labels` (others are ignored); or one of AudioSet's own segment files.
        vocabulary: labels in order; None takes all labels of the table, sorted.
        separator: between the labels of a track; in Parquet a cell may be a list.
        audio: AudioSet only: the folder in which the clips lie, however deep.
        clip_name: AudioSet only: the clips' file names without suffix, with the fields `ytid`,
            `start` and `end` (seconds).

    Returns:
        The tracks in the order of the table.

    Raises:
        InputError: it is no such file, an id occurs twice, or a label is empty or not in the
            vocabulary.
        ConfigError: there is no separator, or `clip_name` has other fields.
    """
    if not separator:
        raise ConfigError("the separator of labels: expected a character such as |, got none")
    if _is_audioset(path):
        if vocabulary is None:
            raise InputError(f"{path}: AudioSet's labels need its class_labels_indices.csv")
        ids, paths, labels = _read_segments(path, audio, clip_name)
    else:
        ids, paths, labels = _read_columns(path, separator)
    if not ids:
        raise InputError(f"{path}: has no rows")
    _refuse_duplicates(ids, f"{path}: the id")
    if vocabulary is None:
        names = sorted({label for row in labels for label in row})
        vocabulary = Vocabulary(names, names)
    indices = _indices(path, ids, labels, vocabulary)
    columns = [pa.array(ids), pa.array(paths), pa.array(indices, pa.list_(pa.int32()))]
    return Tracks(pa.table(columns, schema=SCHEMA), vocabulary.names)


def _is_audioset(path: str | os.PathLike[str]) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_SEGMENTS_HEADER)) == _SEGMENTS_HEADER.encode()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _read_columns(
    path: str | os.PathLike[str], separator: str
) -> tuple[list[str], list[str], list[list[str]]]:
    """Ids, paths and labels of a table with those columns."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix == ".parquet":
        ids, paths, cells = _read_parquet(path)
    elif suffix in (".csv", ".tsv"):
        table = tables.read(path, ["id", "path"], optional=["labels"], blank=["labels"])
        ids, paths = table["id"], table["path"]
        cells = table["labels"] if "labels" in table else [""] * len(table)
    else:
        raise InputError(f"{path}: expected a .csv, .tsv or .parquet file, or AudioSet's segments")
    labels = [_split(path, *row, separator) for row in zip(ids, cells, strict=True)]
    return ids, paths, labels


def _read_parquet(path: str | os.PathLike[str]) -> tuple[list[str], list[str], list]:
    """Ids, paths and cells with labels, each row once, as `tables.read` has them of text."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    columns = table.column_names
    if any(columns.count(name) > 1 for name in ("id", "path", "labels")):
        raise InputError(f"{path}: expected each column once, got {columns}")
    if missing := {"id", "path"} - set(columns):
        raise InputError(
            f"{path}: expected the columns id, path and labels; {' and '.join(sorted(missing))} "
            f"missing in {columns}"
        )
    ids, paths = _texts(path, table, "id"), _texts(path, table, "path")
    for column, values in (("id", ids), ("path", paths)):
        empty = next((row for row, value in enumerate(values, 1) if not value), None)
        if empty:
            raise InputError(f"{path}: row {empty}: the {column} is empty")
    labels = table["labels"].to_pylist() if "labels" in columns else [None] * len(ids)
    rows = list(zip(ids, map(plain, paths), labels, strict=True))
    unique = list({repr(row): row for row in rows}.values())
    tables.log_account(path, len(rows), len(unique))
    return [row[0] for row in unique], [row[1] for row in unique], [row[2] for row in unique]


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


def _read_segments(
    path: str | os.PathLike[str], audio: str | os.PathLike[str] | None, clip_name: str
) -> tuple[list[str], list[str], list[list[str]]]:
    """Ids, paths and labels of AudioSet's segments; a clip that is not there has its bare name."""
    if audio is None:
        raise InputError(f"{path}: AudioSet's segments need the folder of the clips")
    files = _clips(audio)
    ids, paths, labels = [], [], []
    for ytid, start, end, keys in _segments(path):
        stem = _clip_stem(clip_name, ytid, float(start), float(end))
        ids.append(ytid)
        paths.append(files.get(stem, stem))
        labels.append(list(dict.fromkeys(keys.split(","))))
    return ids, paths, labels


def _clip_stem(clip_name: str, ytid: str, start: float, end: float) -> str:
    try:
        return clip_name.format(ytid=ytid, start=start, end=end)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"the clips' name: expected text with fields such as {{ytid}}, {{start:.0f}} or "
            f"{{end:.0f}}, got {clip_name!r} ({error})"
        ) from None


def _segments(path: str | os.PathLike[str]) -> Iterator[tuple[str, ...]]:
    """Rows of AudioSet's own files; copies that a program has changed are refused, not guessed."""
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        header = [next(file, "") for _ in range(3)]
        announced = re.search(r"num_segs=(\d+)", header[1])
        number = 3
        for number, line in enumerate(file, 4):
            match = _SEGMENT.fullmatch(line)
            if not match:
                raise InputError(
                    f"{path}: line {number}: expected AudioSet's own format "
                    f'(YTID, 0.000, 10.000, "/m/…,/m/…"), got {line[:80]!r}'
                )
            yield match.groups()
    if not announced or not all(re.fullmatch("# .*[^\r]\n", line) for line in header):
        raise InputError(f"{path}: expected AudioSet's three comment lines, got {header}")
    if int(announced[1]) != number - 3:
        _LOG.warning(
            "%s: its header announces %s segments, it has %d", path, announced[1], number - 3
        )


def _clips(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Paths of the audio files in a folder, relative to it, by file name without suffix."""
    paths: dict[str, str] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            stem, suffix = os.path.splitext(name)
            path = os.path.relpath(os.path.join(parent, name), folder)
            if suffix.lower() not in _CLIP_SUFFIXES:
                continue
            if stem in paths:
                raise InputError(f"{folder}: two files for one clip: {paths[stem]} and {path}")
            paths[stem] = path
    if not paths:
        raise InputError(f"{folder}: holds no clips ({' '.join(sorted(_CLIP_SUFFIXES))})")
    return paths


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
