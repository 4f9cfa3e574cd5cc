"""Labels for the tags of the files themselves: which fields heads fill, with what, in which files.

named = fields(heads, ["GS_Key=key"])  # {"GS_Key": "key", "moods": "MAR_MOODS"}
values = wanted(heads, named, embeddings)  # {"a.mp3": {"key": ("C#m",), "MAR_MOODS": …}}
outcome = Outcome()
for path, changes in outcome.of(located, values, write=True):
    …
"""

import contextlib
import dataclasses
import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mar.audio import file_tags
from mar.audio.file_tags import OWN, STANDARD, Changes, Values
from mar.errors import ConfigError, InputError, nearest
from mar.probing import tagging
from mar.probing.head import Head
from mar.util.atomic import remove_abandoned

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

_KINDS = {  # which heads a standard field can be asked of
    "genre": ("multilabel", "multiclass"),
    "key": ("key",),
    "tempo": ("regression",),
}


def fields(heads: Mapping[str, Head], asked: Sequence[str] = ()) -> dict[str, str]:
    """Which field each head fills: `MAR_` and the task's name, or a standard one.

        GS_Key                       MAR_GS_KEY
        GS_Key, with "GS_Key=key"    key: TKEY, INITIALKEY …

    Args:
        heads: by name.
        asked: `TASK=FIELD`, where it is to be a field of `mar.audio.file_tags.STANDARD`.

    Raises:
        ConfigError: there is no such head or field, it does not fit the head's kind, or two heads
            would fill one field.
    """
    standard: dict[str, str] = {}
    for pair in asked:
        task, _, field = pair.rpartition("=")
        if task not in heads or field not in STANDARD:
            raise ConfigError(
                f"--field: expected TASK=FIELD with a task of {', '.join(heads)} and a field of "
                f"{', '.join(STANDARD)}, got {pair!r}{nearest(task, heads)}"
            )
        if heads[task].kind not in _KINDS[field]:
            raise ConfigError(
                f"--field {pair}: expected a head of kind {' or '.join(_KINDS[field])} for "
                f"{field}, got {heads[task]!r}"
            )
        standard[task] = field
    named: dict[str, str] = {}
    for task in heads:
        field = standard.get(task) or _own_field(task)
        if field in named.values():
            other = next(name for name, taken in named.items() if taken == field)
            raise ConfigError(
                f"the heads of {other} and {task} would both fill {field}; write one at a time, or "
                f"give one of them another --field"
            )
        named[task] = field
    return named


def _own_field(task: str) -> str:
    """`MAR_` and the task's name in what Vorbis comments allow.

    Where letters are lost of it, a checksum keeps it apart from others.
    """
    name = re.sub(r"[^A-Z0-9]+", "_", task.upper())
    is_lossy = any(character.isalnum() and not character.isascii() for character in task)
    return OWN + name + (f"_{zlib.crc32(task.encode()):08X}" if is_lossy else "")


def wanted(
    heads: Mapping[str, Head],
    named: Mapping[str, str],
    embeddings: "Embeddings",
    paths: Collection[str] | None = None,
    top: int | None = None,
) -> dict[str, dict[str, Values]]:
    """The values that fields are to have, `{path: {field: values}}`.

    Those labels that are given, the most probable first. Where none is, a field of our own is to be
    empty, and a standard one is left alone. Values have three significant digits and their unit; in
    the standard field a tempo is a whole number, and a key is written as ID3 has it, `C#m`.

    Args:
        heads: by name.
        named: the fields, see `fields`.
        embeddings: the data set.
        paths: which of its tracks; None for all.
        top: how many of the given labels of each head at most.

    Raises:
        InputError: see `mar.probing.tagging.check`.
    """
    values: dict[str, dict[str, Values]] = {}
    most = max(len(head.labels) for head in heads.values())
    for table in tagging.tags(heads, embeddings, paths, top=most):
        for row in table.to_pylist():
            field, head = named[row["head"]], heads[row["head"]]
            of_track = values.setdefault(row["path"], {})
            if field not in STANDARD:
                of_track.setdefault(field, ())
            is_full = top is not None and len(of_track.get(field, ())) >= top
            if head.kind == "regression" or (row["decision"] and not is_full):
                of_track[field] = (*of_track.get(field, ()), text(head, field, row))
    return values


def text(head: Head, field: str, row: Mapping) -> str:
    """What is written of one row of `mar.probing.tagging.tags`."""
    label = row["label"]
    if field == "tempo":
        return str(round(row["value"]))
    if field == "key":
        tonic, mode = label.split()
        return tonic + ("m" if mode == "minor" else "")
    if head.kind != "regression":
        return label
    number = f"{float(format(row['value'], '.3g')):g}"  # 1230, not 1.23e+03
    name = [label] if len(head.labels) > 1 else []
    return " ".join([*name, number, *filter(None, [row["unit"]])])


@dataclasses.dataclass
class Outcome:
    """What became of files whose tags were to change.

    Attributes:
        changed: number of files that were changed, or would be.
        unchanged: number of files that are already as they should be.
        failures: `{path: reason}`; these files are as they were.
    """

    changed: int = 0
    unchanged: int = 0
    failures: dict[str, str] = dataclasses.field(default_factory=dict)

    def of(
        self,
        located: Mapping[str, str],
        wanted: Mapping[str, Mapping[str, Values] | None],
        write: bool,
    ) -> Iterator[tuple[str, Changes]]:
        """Goes through files, and yields those that change, with what changes.

        Args:
            located: where each file is.
            wanted: the fields of each, see `mar.audio.file_tags.write`.
            write: whether files are changed; otherwise it is only told what would be.
        """
        tidied = set()
        for key in sorted(wanted):
            try:
                if key not in located:
                    raise InputError("no such file in the folder that --files names")
                path = located[key]
                if write and (folder := os.path.dirname(os.path.realpath(path))) not in tidied:
                    # What killed runs left; where it stays, nothing else can be written either.
                    with contextlib.suppress(OSError):
                        remove_abandoned(folder)
                    tidied.add(folder)
                changes = (file_tags.write if write else file_tags.changes)(path, wanted[key])
            except InputError as error:
                self.failures[key] = str(error)
                continue
            self.changed += bool(changes)
            self.unchanged += not changes
            if changes:
                yield key, changes
