"""Labels in the forms in which people have them.

Of a table's columns, those that hold the labels are one of

* `label`: one class per file; with a separator of your choice, or where files stand in several rows
  with different labels, any number of labels;
* `labels`: any number of labels, separated by `|` unless you choose otherwise;
* `key`: a musical key, such as `Eb minor`, whose score is that of GiantSteps;
* `target`, or `target [BPM]` with its unit: a number;
* all that there are, where these hold nothing but 0 and 1: a label each;
* what you choose: a column of classes, of `NAME [UNIT]` numbers, or several, whose labels are
  taken together.

    path   label                      path   air  plucked
    a.wav  air|plucked   is, with     a.wav  1    1         the labels air and plucked of a.wav,
    b.wav  plucked       "|", and     b.wav  0    1         and plucked of b.wav
"""

import logging
import os
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mar.errors import ConfigError, InputError
from mar.tasks.base import Kind, multi_hot, one_hot
from mar.tasks.keys import KEYS, parse_key
from mar.tasks.readers import number
from mar.util.tables import Table

SEPARATOR = "|"  # of a column `labels`
FACTS = ("split", "artist", "album")  # columns about a file that are no labels
_KNOWN = ("label", "labels", "key", "target")
_VALUES = re.compile(r"(.*\S) ?\[(.+)\]")
_ZERO, _ONE = ("0", "0.0"), ("1", "1.0")
_LOG = logging.getLogger(__name__)


class Labelled(NamedTuple):
    """The labels of some items.

    Attributes:
        kind: of the task.
        labels: names of the labels, classes or targets.
        targets: `(items, labels)`: 0/1, one-hot, or float32 values.
        unit: of values; empty for others.
        rows: of the table, the first one of each item.
    """

    kind: Kind
    labels: list[str]
    targets: np.ndarray
    unit: str
    rows: list[int]

    def classes(self) -> list[str] | None:
        """The class of each item; None where they have no classes."""
        if self.kind not in ("multiclass", "key"):
            return None
        return [self.labels[index] for index in self.targets.argmax(axis=1)]


def columns(
    where: str | os.PathLike[str], header: Sequence[str], chosen: Sequence[str]
) -> tuple[str, ...]:
    """Which columns of a table hold its labels.

    Args:
        where: the table, for messages.
        header: names of all of its columns.
        chosen: by the user; none for those that are called so.

    Raises:
        InputError: there is no such column, or it cannot be told which.
    """
    others = [name for name in dict.fromkeys(header) if name and name not in ("path", *FACTS)]
    if unknown := [name for name in chosen if name not in others]:
        raise InputError(
            f"{where}: expected columns that --label_column may name ({', '.join(others)}), got "
            f"{', '.join(unknown)}"
        )
    if chosen:
        return tuple(dict.fromkeys(chosen))
    known = [name for name in others if name in _KNOWN or name.startswith("target [")]
    if len(known) > 1:
        raise InputError(
            f"{where}: expected one column of labels, found {', '.join(known)}; choose with "
            f"--label_column {known[0]}"
        )
    if not known and len(others) < 2:
        remedy = f"; give --label_column {shlex.quote(others[0])}" if others else ""
        raise InputError(
            f"{where}: expected one of the columns {', '.join(_KNOWN)} beside path, found "
            f"{', '.join(header)}{remedy}"
        )
    return tuple(known or others)


def check_marks(table: Table, names: Sequence[str], where: str | os.PathLike[str]) -> None:
    """Raises an InputError where columns that nobody chose hold other cells than 0 and 1."""
    others = [name for name in names if not _are_marks(table[name])]
    if others:
        raise InputError(
            f"{where}: expected one of the columns {', '.join(_KNOWN)} beside path, or 0 and 1 "
            f"alone in all others, found {', '.join(names)}; choose with --label_column "
            f"{shlex.quote(others[0])}"
        )


def _are_marks(cells):
    return {*cells} <= {*_ZERO, *_ONE, ""}


def blank(names: Sequence[str], separator: str | None) -> list[str]:
    """Those of the columns with the labels whose cells may be empty, of files without one."""
    return [*names] if names == ("labels",) or len(names) > 1 or separator else []


def read(
    table: Table,
    names: Sequence[str],
    separator: str | None,
    where: str | os.PathLike[str],
    places: Sequence[str],
) -> Labelled:
    """What a table says of its files, each of which may be in several rows.

    Args:
        table: with `path` and the columns of the labels.
        names: of these columns.
        separator: of labels in a cell; None for the columns' own, empty for none.
        where: the table, for messages.
        places: where each row is, for messages.

    Raises:
        InputError: cells are not what they should be, or rows of a file contradict each other.
        ConfigError: a separator is given for what is not divided.
    """
    rows_of: dict[str, list[int]] = {}
    for row, path in enumerate(table["path"]):
        rows_of.setdefault(path, []).append(row)
    facts = {fact: table[fact] for fact in FACTS if fact in table.columns}
    for fact, cells in facts.items():
        _one_each(rows_of, cells, fact, places)
    rows, name = [of_path[0] for of_path in rows_of.values()], names[0]
    value = _VALUES.fullmatch(name)
    if len(names) > 1 or not (value or name in ("key", "target")):
        return _of_labels(table, names, separator, where, places, rows_of)
    if separator is not None:
        raise ConfigError(
            f"label_separator: expected a column of labels, but {name!r} of {where} holds one "
            f"{'key' if name == 'key' else 'number'} a file; leave it out"
        )
    if name == "key":
        keys = _keys(table[name], places)
        _one_each(rows_of, keys, name, places)
        return Labelled("key", KEYS, one_hot([keys[row] for row in rows], KEYS), "", rows)
    numbers = [number(cell, place) for cell, place in zip(table[name], places, strict=True)]
    _one_each(rows_of, numbers, name, places)
    title, unit = value.groups() if value else (name, "")
    targets = np.array([[numbers[row]] for row in rows], np.float32)
    return Labelled("regression", [title], targets, unit, rows)


def _of_labels(table, names, separator, where, places, rows_of):
    """Classes, or any number of labels a file."""
    rows = [of_path[0] for of_path in rows_of.values()]
    if len(names) > 1 and all(_are_marks(table[name]) for name in names):
        tags, known = _marked(table, names, places), [*names]
    else:
        tags, known = _divided(table, names, separator, where, places), None
    together = [
        [*dict.fromkeys(tag for row in of_path for tag in tags[row])]
        for of_path in rows_of.values()
    ]
    known = known or sorted({tag for of_item in together for tag in of_item})
    one_each = all(len(of_item) == 1 for of_item in together)
    if one_each and not (blank(names, separator) and len(names) == 1):
        classes = [of_item[0] for of_item in together]
        return Labelled("multiclass", known, one_hot(classes, known), "", rows)
    if not blank(names, separator):
        several = [path for path, of_item in zip(rows_of, together, strict=True) if of_item[1:]]
        shown = " and ".join(places[row].split(": ")[-1] for row in rows_of[several[0]][:2])
        _LOG.warning(
            "%s: %d of %d files have several labels (%s: %s), so it is read as any number of labels"
            " a file, not as classes",
            *(where, len(several), len(together), shown, several[0]),
        )
    return Labelled("multilabel", known, multi_hot(together, known), "", rows)


def _marked(table, names, places):
    """The names of the columns that have a 1, of each row."""
    for name in names:
        if "" in table[name]:
            place = places[table[name].index("")]
            raise InputError(f"{place}: expected 0 or 1 as {name}, found an empty cell")
    cells = zip(*(table[name] for name in names), strict=True)
    return [[n for n, cell in zip(names, row, strict=True) if cell in _ONE] for row in cells]


def _divided(table, names, separator, where, places):
    """The labels of each row."""
    if separator is None and names != ("labels",):
        for name in names:
            for cell, place in zip(table[name], places, strict=True):
                if SEPARATOR in cell:
                    raise InputError(
                        f"{place}: expected one label as {name}, found {cell!r}; for several "
                        f'labels a file give --label_separator "{SEPARATOR}", or --label_separator '
                        f'"" if that is one'
                    )
        separator = ""
    mark = SEPARATOR if separator is None else separator
    cells = zip(*(table[name] for name in names), strict=True)
    parts = ([part for c in row for part in (c.split(mark) if mark else [c])] for row in cells)
    return [[part.strip() for part in of_row if part.strip()] for of_row in parts]


def _keys(values, places):
    keys = []
    for value, place in zip(values, places, strict=True):
        key = parse_key(value)
        if key is None:
            raise InputError(f"{place}: expected keys such as 'Eb minor', found {value!r}")
        keys.append(key)
    return keys


def _one_each(rows_of, values, name, places):
    """Raises an InputError where the rows of a file differ in what a file has one of."""
    for path, rows in rows_of.items():
        for row in rows[1:]:
            if values[row] != values[rows[0]]:
                other = places[row].split(": ")[-1]
                raise InputError(
                    f"{places[rows[0]]} and {other}: expected one {name} of {path!r}, found "
                    f"{values[rows[0]]!r} and {values[row]!r}; leave one"
                )
