"""Anyone's own collection: a folder of folders, or a table.

`folder/label/file`: every sub-folder is a class. A table (with commas, semicolons or tabs, see
`mar.util.tables`) has a column `path`, relative to the audio root, and one of

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
from mar.tasks.base import Items, Kind, TaskInfo, multi_hot, one_hot
from mar.tasks.giantsteps import KEYS, parse_key
from mar.tasks.readers import number
from mar.util import tables, text
from mar.util.names import printable

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
    name = printable(source.stem if source.is_file() else source.resolve().name)
    if source.is_dir():
        return _own(name, read_folder, "multiclass")
    header, _ = tables.parse(source, text.read_text(source), ["path"], tables.DELIMITERS)
    given = [column for column in _COLUMNS if column in header]
    if len(given) != 1:
        raise InputError(
            f"{source}: expected one of the columns {', '.join(_COLUMNS)} beside path, found "
            f"{', '.join(header)}"
        )
    reader = functools.partial(read_table, column=given[0])
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


def read_table(path: pathlib.Path, column: str) -> Items:
    """The rows of a table.

    Args:
        path: of the table.
        column: the one with the labels, a key of `_COLUMNS`.
    """
    table = tables.read(path, ["path", column], ["split", "artist"], blank=["labels"])
    paths, values = table["path"], table[column]
    places = [f"{path}: row {number}" for number in table.numbers]
    strata: Sequence[str]
    if column == "target":
        labels, targets, strata = ["target"], _numbers(values, places), ["all"] * len(table)
    elif column == "labels":
        tags = [[tag.strip() for tag in value.split("|") if tag.strip()] for value in values]
        labels = sorted({tag for names in tags for tag in names})
        targets, strata = multi_hot(tags, labels), ["all"] * len(table)
    elif column == "key":
        strata = _keys(values, places)
        labels, targets = KEYS, one_hot(strata, KEYS)
    else:
        labels, strata = sorted(set(values)), values
        targets = one_hot(values, labels)
    artists = table.columns.get("artist")
    if "split" in table.columns:
        splits = [
            {"validation": "valid", "val": "valid"}.get(part, part) for part in table["split"]
        ]
    else:
        splits = _split(paths, strata, artists or paths)
    return Items(paths, paths, splits, labels, targets, artists)


def _keys(values: Sequence[str], places: Sequence[str]) -> list[str]:
    keys = []
    for value, place in zip(values, places, strict=True):
        key = parse_key(value)
        if key is None:
            raise InputError(f"{place}: expected keys such as 'Eb minor', found {value!r}")
        keys.append(key)
    return keys


def _numbers(values: Sequence[str], places: Sequence[str]) -> np.ndarray:
    return np.array([[number(*cell)] for cell in zip(values, places, strict=True)], np.float32)


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
