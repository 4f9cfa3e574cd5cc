"""Which audio files a data set is made of, and their labels: CSV, TSV, Parquet, AudioSet."""

import collections
import csv
import logging
import os
import pathlib
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mar.errors import ConfigError, InputError

SCHEMA = pa.schema([("id", pa.string()), ("path", pa.string()), ("labels", pa.list_(pa.int32()))])
_SEGMENT = re.compile(r'([\w-]{11}), (\d+\.\d{3}), (\d+\.\d{3}), "([^" ,]+(?:,[^" ,]+)*)"\n?')
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
        keys: what tables call them; the same, but for AudioSet.
    """

    names: list
    keys: list


@dataclass(frozen=True)
class Items:
    """What is to be read.

    Attributes:
        table: rows of `SCHEMA`: id, path, and indices into `names`, in ascending order.
        names: the vocabulary.
    """

    table: pa.Table
    names: list


def read_vocabulary(path):
    """A text file with one label a line, or AudioSet's `class_labels_indices.csv`."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from None
    if lines[:1] == ["index,mid,display_name"]:
        rows = list(csv.DictReader(lines))
        if [row["index"] for row in rows] != [str(index) for index in range(len(rows))]:
            raise InputError(f"{path}: expected the indices 0, 1, 2 … in order")
        vocabulary = Vocabulary([row["display_name"] for row in rows], [row["mid"] for row in rows])
    else:
        vocabulary = Vocabulary(lines, lines)
    if "" in vocabulary.keys:
        raise InputError(f"{path}: line {vocabulary.keys.index('') + 1} is an empty label")
    _refuse_duplicates(vocabulary.keys, f"{path}: the label")
    return vocabulary


def read_items(path, vocabulary=None, separator="|", audio=None, clip_name="{ytid}"):
    """Reads a table of audio files.

    Args:
        path: CSV, TSV or Parquet with the columns `id`, `path` and, where there are labels,
            `labels` (others are ignored); or one of AudioSet's own segment files.
        vocabulary: `Vocabulary`; None takes all labels of the table, sorted.
        separator: between the labels of a track; in Parquet they may be lists.
        audio: AudioSet only: the folder in which the clips lie, however deep.
        clip_name: AudioSet only: the clips' file names without suffix, with the fields `ytid`,
            `start` and `end` (seconds).

    Returns:
        `Items`, in the table's order.

    Raises:
        InputError: not such a file, a duplicate id, an empty label or one outside the vocabulary.
        ConfigError: no separator, or other fields in `clip_name`.
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
    return Items(pa.table(columns, schema=SCHEMA), vocabulary.names)


def _is_audioset(path):
    try:
        with open(path, "rb") as file:
            return file.read(len(_SEGMENTS_HEADER)) == _SEGMENTS_HEADER.encode()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _read_columns(path, separator):
    table = _read_table(path)
    repeated = {name for name in table.column_names if table.column_names.count(name) > 1}
    if repeated & {"id", "path", "labels"}:
        raise InputError(f"{path}: expected each column once, got {table.column_names}")
    missing = {"id", "path"} - set(table.column_names)
    if missing:
        raise InputError(
            f"{path}: expected the columns id, path and labels; {' and '.join(sorted(missing))} "
            f"missing in {table.column_names}"
        )
    ids, paths = _texts(path, table, "id"), _texts(path, table, "path")
    for column, values in (("id", ids), ("path", paths)):
        empty = next((row for row, value in enumerate(values, 1) if not value), None)
        if empty:
            raise InputError(f"{path}: row {empty}: the {column} is empty")
    labels = [[]] * len(ids)
    if "labels" in table.column_names:
        cells = table["labels"].to_pylist()
        labels = [_split(path, *row, separator) for row in zip(ids, cells, strict=True)]
    return ids, paths, labels


def _read_table(path):
    suffix = pathlib.Path(path).suffix.lower()
    try:
        if suffix == ".parquet":
            return pq.read_table(path)
        if suffix in (".csv", ".tsv"):
            parse = pyarrow.csv.ParseOptions(
                delimiter="\t" if suffix == ".tsv" else ",", newlines_in_values=True
            )
            text = dict.fromkeys(("id", "path", "labels"), pa.string())
            convert = pyarrow.csv.ConvertOptions(column_types=text)
            return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    raise InputError(f"{path}: expected a .csv, .tsv or .parquet file, or AudioSet's segments")


def _texts(path, table, name):
    """A column as strings; what is no column of them is refused."""
    try:
        return table[name].cast(pa.string()).to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{path}: the column {name}: expected text, got {error}") from None


def _split(path, track, cell, separator):
    """The labels in one cell, each once."""
    if cell is None or cell in ("", []):
        return []
    labels = cell.split(separator) if isinstance(cell, str) else cell
    if not isinstance(labels, list) or not all(isinstance(each, str | None) for each in labels):
        raise InputError(f"{path}: the track {track!r}: expected labels as text, got {cell!r}")
    labels = [label.strip() if label else "" for label in labels]
    if "" in labels:
        raise InputError(f"{path}: the track {track!r} has an empty label in {cell!r}")
    return list(dict.fromkeys(labels))


def _read_segments(path, audio, clip_name):
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


def _clip_stem(clip_name, ytid, start, end):
    try:
        return clip_name.format(ytid=ytid, start=start, end=end)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"the clips' name: expected text with fields such as {{ytid}}, {{start:.0f}} or "
            f"{{end:.0f}}, got {clip_name!r} ({error})"
        ) from None


def _segments(path):
    """Rows of AudioSet's own files; copies changed in passing are refused, not guessed."""
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
        logging.warning(
            "%s: its header announces %s segments, it has %d", path, announced[1], number - 3
        )


def _clips(folder):
    """Paths of the audio files in a folder, relative to it, by file name without suffix."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            stem, suffix = os.path.splitext(name)
            path = os.path.relpath(os.path.join(parent, name), folder)
            if suffix.lower() not in _CLIP_SUFFIXES:
                continue
            if stem in found:
                raise InputError(f"{folder}: two files for one clip: {found[stem]} and {path}")
            found[stem] = path
    if not found:
        raise InputError(f"{folder}: holds no clips ({' '.join(sorted(_CLIP_SUFFIXES))})")
    return found


def _indices(path, ids, labels, vocabulary):
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


def _refuse_duplicates(values, what):
    if len(set(values)) == len(values):
        return
    value, count = collections.Counter(values).most_common(1)[0]
    raise InputError(f"{what} {value!r} occurs {count} times; expected once")
