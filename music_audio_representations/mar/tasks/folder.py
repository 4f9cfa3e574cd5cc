"""Anyone's own collection: a folder of folders, or a table.

`folder/label/file`: every sub-folder is a class. A table (`.csv`, or `.tsv` with tabs) has a
column `path`, relative to the audio root, and one of

* `label`: one class per file;
* `labels`: any number of labels per file, separated by `|`;
* `key`: a musical key, such as `Eb minor`, whose score is that of GiantSteps;
* `target`: a number.

A column `split` (train, valid, test) is used as it is; without it, three fifths are for training,
one for validation and one for testing. With a column `artist`, no artist is in two parts.
"""

import collections
import functools
import os
import pathlib
from collections.abc import Hashable, Sequence

import numpy as np

from mar.embedding.files import AUDIO
from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, Kind, TaskInfo, multi_hot, one_hot
from mar.tasks.giantsteps import KEYS, parse_key

_COLUMNS: dict[str, Kind] = {
    "label": "multiclass",
    "labels": "multilabel",
    "key": "key",
    "target": "regression",
}
_PROBES = {  # shipped configurations
    "multiclass": "classes",
    "multilabel": "tags",
    "key": "classes",
    "regression": "values",
}
_SEED = 0
_FOLDS = 5


def folder_task(source: str | os.PathLike[str]) -> TaskInfo:
    """The `TaskInfo` of a folder of class folders or of a table; `load` it with the same path.

    Raises:
        InputError: it is neither.
    """
    source = pathlib.Path(source)
    name = source.stem if source.is_file() else source.resolve().name
    if source.is_dir():
        return _own(name, read_folder, "multiclass")
    delimiter = "\t" if ".tsv" in source.suffixes else ","
    header, _ = readers.read_rows(source, ["path"], delimiter)
    given = [column for column in _COLUMNS if column in header]
    if len(given) != 1:
        raise InputError(
            f"{source}: expected one of the columns {', '.join(_COLUMNS)} beside path, found "
            f"{', '.join(header)}"
        )
    reader = functools.partial(read_table, column=given[0], delimiter=delimiter)
    return _own(name, reader, _COLUMNS[given[0]], disjoint=("train", "valid", "test"))


def _own(name, reader, kind, **settings):
    return TaskInfo(name, reader, kind, protocol="own", probe=_PROBES[kind], **settings)


def read_folder(folder: pathlib.Path) -> Items:
    """Every audio file in a sub-folder, whose name is its class."""
    files = [
        path for path in sorted(folder.glob("*/**/*")) if path.is_file() and AUDIO.search(path.name)
    ]
    paths = [path.relative_to(folder).as_posix() for path in files]
    paths = [path for path in paths if not any(part[0] == "." for part in path.split("/"))]
    if not paths:
        raise InputError(f"{folder}: expected audio files as {folder.name}/label/file, found none")
    classes = [path.split("/")[0] for path in paths]
    labels = sorted(set(classes))
    targets = one_hot(classes, labels)
    return Items(paths, paths, _split(paths, classes, paths), labels, targets)


def read_table(path: pathlib.Path, column: str, delimiter: str) -> Items:
    """The rows of a table.

    Args:
        path: of the table.
        column: the one with the labels, a key of `_COLUMNS`.
        delimiter: between the cells.
    """
    rows = readers.read_table(path, ["path", column], delimiter)
    if not rows:
        raise InputError(f"{path}: expected rows below the header, found none")
    paths = [row["path"] for row in rows]
    values = [row[column] for row in rows]
    strata: Sequence[str]
    if column == "target":
        labels, targets, strata = ["target"], _numbers(values, path), ["all"] * len(rows)
    elif column == "labels":
        tags = [[tag.strip() for tag in value.split("|") if tag.strip()] for value in values]
        labels = sorted({tag for names in tags for tag in names})
        targets, strata = multi_hot(tags, labels), ["all"] * len(rows)
    elif column == "key":
        strata = _keys(values, path)
        labels, targets = KEYS, one_hot(strata, KEYS)
    else:
        labels, strata = sorted(set(values)), values
        targets = one_hot(values, labels)
    artists = [row["artist"] for row in rows] if "artist" in rows[0] else None
    if "split" in rows[0]:
        splits = [{"validation": "valid", "val": "valid"}.get(r["split"], r["split"]) for r in rows]
    else:
        splits = _split(paths, strata, artists or paths)
    return Items(paths, paths, splits, labels, targets, artists)


def _keys(values: Sequence[str], path: pathlib.Path) -> list[str]:
    keys = []
    for value in values:
        key = parse_key(value)
        if key is None:
            raise InputError(f"{path}: expected keys such as 'Eb minor', found {value!r}")
        keys.append(key)
    return keys


def _numbers(values: Sequence[str], path: pathlib.Path) -> np.ndarray:
    return np.array([[readers.number(value, path)] for value in values], np.float32)


def _split(ids: Sequence[str], strata: Sequence[str], groups: Sequence[Hashable]) -> list[str]:
    """Three fifths train, one valid, one test: classes in proportion, no group in two parts."""
    from sklearn.model_selection import StratifiedGroupKFold

    largest = max(collections.Counter(strata).values())
    if min(len(set(groups)), largest) < _FOLDS:
        raise InputError(
            f"expected at least {_FOLDS} files of a class, and as many files or artists in all, to "
            f"split them; found {largest} and {len(set(groups))}. Give a column `split`"
        )
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SEED)
    splits = np.array(["train"] * len(ids), dtype=object)
    for name, (_, rows) in zip(("test", "valid"), folds.split(ids, strata, groups), strict=False):
        splits[rows] = name
    return splits.tolist()
