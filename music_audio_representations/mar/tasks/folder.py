"""Anyone's own collection: a folder of folders, or a table.

`folder/label/file`: every sub-folder is a class. A table (with commas, semicolons or tabs, see
`mar.util.tables`) has a column `path`, relative to the audio root, and one of

* `label`: one class per file;
* `labels`: any number of labels per file, separated by `|`;
* `key`: a musical key, such as `Eb minor`, whose score is that of GiantSteps;
* `target`: a number.

A column `split` (train, valid, test) is used as it is; without it, three fifths are for training,
one for validation and one for testing. With a column `artist`, or else `album`, no artist or album
is in two parts; `separated_by="folder"` keeps the files of a folder (`label/album/file`) together.
"""

import collections
import functools
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from mar.embedding.files import AUDIO
from mar.errors import InputError
from mar.tasks.base import SPLITS, Items, Kind, TaskInfo, multi_hot, one_hot
from mar.tasks.keys import KEYS, parse_key
from mar.tasks.readers import number
from mar.util import tables, text
from mar.util.groups import Separation, groups
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


def folder_task(source: str | os.PathLike[str], separated_by: Separation | None = None) -> TaskInfo:
    """The `TaskInfo` of a folder of class folders or of a table; `load` it with the same path.

    Args:
        source: path of the folder or table.
        separated_by: what is in one part, with all of its files; None for what a table tells.

    Raises:
        InputError: it is neither.
    """
    source = pathlib.Path(source)
    name = printable(source.stem if source.is_file() else source.resolve().name)
    if source.is_dir():
        return _own(name, functools.partial(read_folder, separated_by=separated_by), "multiclass")
    header, _ = tables.parse(source, text.read_text(source), ["path"], tables.DELIMITERS)
    given = [column for column in _COLUMNS if column in header]
    if len(given) != 1:
        raise InputError(
            f"{source}: expected one of the columns {', '.join(_COLUMNS)} beside path, found "
            f"{', '.join(header)}"
        )
    reader = functools.partial(read_table, column=given[0], separated_by=separated_by)
    disjoint = SPLITS if separated_by in (None, "artist") else ()
    return _own(name, reader, _COLUMNS[given[0]], disjoint=disjoint)


def _own(name, reader, kind, **settings):
    return TaskInfo(name, reader, kind, protocol="own", probe=_PROBES[kind], **settings)


def read_folder(folder: pathlib.Path, separated_by: Separation | None = None) -> Items:
    """Every audio file in a sub-folder, whose name is its class.

    Args:
        folder: of the sub-folders.
        separated_by: "folder" keeps the files of a folder, however deep, in one part.
    """
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
    together = groups({}, paths, separated_by, folder)
    splits = _split(paths, classes, together, separated_by)
    return Items(paths, paths, splits, labels, targets)


def read_table(path: pathlib.Path, column: str, separated_by: Separation | None = None) -> Items:
    """The rows of a table.

    Args:
        path: of the table.
        column: the one with the labels, a key of `_COLUMNS`.
        separated_by: what is in one part, with all of its files; None for the artists, or else
            the albums, of which the table has a column.
    """
    optional = ["split", "artist", "album"]
    table = tables.read(path, ["path", column], optional, blank=["labels", "album"])
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
    together = groups(table.columns, paths, separated_by, path)
    if "split" in table.columns:
        splits = [
            {"validation": "valid", "val": "valid"}.get(part, part) for part in table["split"]
        ]
        if separated_by not in (None, "artist"):  # which are checked in every task
            _check_separated(path, splits, together, separated_by)
    else:
        splits = _split(paths, strata, together, separated_by)
    return Items(paths, paths, splits, labels, targets, table.columns.get("artist"))


def _check_separated(
    path: pathlib.Path, splits: Sequence[str], together: Sequence[str | None], separated_by: str
) -> None:
    sides: dict[str, str] = {}
    for group, split in zip(together, splits, strict=True):
        if group is not None and sides.setdefault(group, split) != split:
            raise InputError(
                f"{path}: expected each {separated_by} in one split, found {group!r} in "
                f"{sides[group]} and in {split}"
            )


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


def _split(
    paths: Sequence[str],
    strata: Sequence[str],
    together: Sequence[str | None],
    separated_by: Separation | None,
) -> list[str]:
    """Three fifths train, one valid, one test: classes in proportion, no group in two parts.

    Args:
        paths: of the items.
        strata: the class of each.
        together: the group of each; None for one that is alone.
        separated_by: what the groups are, for messages.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    kind = separated_by or "artist"
    sides = [path if group is None else group for path, group in zip(paths, together, strict=True)]
    largest = max(collections.Counter(strata).values())
    if min(len(set(sides)), largest) < _FOLDS:
        raise InputError(
            f"expected at least {_FOLDS} files of a class, and as many files or {kind}s in all, to "
            f"split them; found {largest} and {len(set(sides))}. Give a column `split`"
        )
    of_classes = collections.Counter(label for label, _ in set(zip(strata, sides, strict=True)))
    if max(of_classes.values()) < len(SPLITS):
        raise InputError(
            f"expected classes of at least {len(SPLITS)} {kind}s, so that each can be learnt and "
            f"tested, found at most {max(of_classes.values())}. Give a column `split`"
        )
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SEED)
    splits = np.array(["train"] * len(paths), dtype=object)
    for name, (_, rows) in zip(("test", "valid"), folds.split(paths, strata, sides), strict=False):
        splits[rows] = name
    return splits.tolist()
