"""Anyone's own collection: a folder of folders, a table, or what files say of themselves.

* `folder/label/file`: every sub-folder is a class.
* A table (with commas, semicolons or tabs, see `mar.util.tables`) has a column `path`, relative to
  the audio root, and labels in one of the forms of `mar.tasks.labels`.
* `tags:genre:FOLDER`: the files below a folder with their genres, or another tag that FFmpeg knows;
  artists and albums are taken from the files too.

A column `split` (train, valid, test) is used as it is; without it, three fifths are for training,
one for validation and one for testing, or of few examples all by turns: `mar.tasks.splitting`. With
a column `artist`, or else `album`, no artist or album is in two parts, or the table is refused;
`separated_by="folder"` keeps the files of a folder (`label/album/file`) together.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from mar.embedding.files import AUDIO
from mar.errors import ConfigError, InputError
from mar.tasks import labels, splitting
from mar.tasks.base import Items, Kind, TaskInfo
from mar.tasks.labels import Labelled
from mar.util import tables, text
from mar.util.files import walk
from mar.util.groups import COLUMNS as GROUPS
from mar.util.groups import Separation, groups
from mar.util.names import printable

_PROBES: dict[Kind, str] = {  # shipped configurations
    "multiclass": "classes",
    "multilabel": "tags",
    "key": "classes",
    "regression": "values",
}
_TAGS = "tags:"


class Reading(NamedTuple):
    """How a collection of one's own is read; None and nothing for what it tells itself.

    Attributes:
        separated_by: what is in one part, with all of its files; None for the artists, or else
            the albums, of which there is a column.
        label_column: of a table, the columns with the labels.
        label_separator: of labels in a cell; empty for none.
    """

    separated_by: Separation | None = None
    label_column: Sequence[str] = ()
    label_separator: str | None = None


def is_own(source: str | os.PathLike[str]) -> bool:
    """Whether this is a folder, a file, or names the tags of files."""
    return str(source).startswith(_TAGS) or pathlib.Path(source).exists()


def own_task(source: str | os.PathLike[str], reading: Reading) -> TaskInfo:
    """The `TaskInfo` of a collection of one's own, which is read; `load` checks its items.

    Args:
        source: path of a folder of class folders, or of a table; or `tags:TAG:FOLDER`.
        reading: how it is read.

    Raises:
        InputError: it is none of these, or not what it should be.
        ConfigError: it is not to be read so.
    """
    if str(source).startswith(_TAGS):
        return _of_tags(str(source), reading)
    source = pathlib.Path(source)
    return _of_folder(source, reading) if source.is_dir() else _of_table(source, reading)


def _of_folder(folder, reading):
    """Every audio file in a sub-folder, whose name is its class."""
    if reading.label_column or reading.label_separator is not None:
        raise ConfigError(
            f"label_column, label_separator: expected them with a table, got a folder: {folder}"
        )
    paths = [path for path in _audio(folder) if "/" in path]
    if not paths:
        raise InputError(f"{folder}: expected audio files as {folder.name}/label/file, found none")
    names = [path.split("/")[0] for path in paths]
    table = tables.Table({"path": paths, "label": names}, range(1, len(paths) + 1))
    labelled = labels.read(table, ("label",), "", folder, paths)
    return _task(_name(folder), table, ("label",), labelled, reading, folder)


def _of_table(path, reading):
    header, _ = tables.parse(path, text.read_text(path), ["path"], tables.DELIMITERS)
    names = labels.columns(path, header, reading.label_column)
    blank = ["album", *labels.blank(names, reading.label_separator)]
    table = tables.read(path, ["path", *names], labels.FACTS, blank)
    if len(names) > 1 and not reading.label_column:
        labels.check_marks(table, names, path)
    places = [f"{path}: row {number}" for number in table.numbers]
    labelled = labels.read(table, names, reading.label_separator, path, places)
    return _task(_name(path, reading.label_column), table, names, labelled, reading, path)


def _of_tags(source, reading):
    from mar.tasks import file_tags  # with FFmpeg

    tag, _, given = source.removeprefix(_TAGS).partition(":")
    folder = pathlib.Path(given)
    if not tag or not given or not folder.is_dir():
        raise InputError(f"{source}: expected tags:TAG:FOLDER, such as tags:genre:music/")
    if reading.label_column:
        raise ConfigError(f"label_column: expected it with a table, got {source}")
    table = file_tags.read(folder, _audio(folder), tag)
    separator = reading.label_separator
    if separator is None and any(file_tags.SEPARATOR in cell for cell in table[tag]):
        separator = file_tags.SEPARATOR
    places = [f"{folder}/{path}" for path in table["path"]]
    labelled = labels.read(table, (tag,), separator, folder, places)
    return _task(_name(folder, [tag]), table, (tag,), labelled, reading, folder)


def _task(name, table, label_columns, labelled: Labelled, reading, where):
    """The task whose items are these.

    Where the artist or the album is the label, each of them is in all parts.
    """
    separated_by = reading.separated_by
    columns = {name: [cells[row] for row in labelled.rows] for name, cells in table.columns.items()}
    paths = columns["path"]
    if separated_by is None and set(label_columns) & set(GROUPS):
        columns = {name: cells for name, cells in columns.items() if name not in GROUPS}
    together = groups(columns, paths, separated_by, where)
    kind = separated_by or next((name for name in GROUPS if name in columns), "artist")
    folds = None
    if "split" in columns:
        splits = [
            {"validation": "valid", "val": "valid"}.get(part, part) for part in columns["split"]
        ]
        splitting.check_separated(where, splits, together, kind)
    else:
        pairs = zip(paths, together, strict=True)
        sides = [path if group is None else group for path, group in pairs]
        splits, folds = splitting.divided(labelled.targets, labelled.classes(), sides, kind, where)
    artists = columns.get("artist")
    known = artists if artists is not None and all(artists) else None
    items = Items(paths, paths, splits, labelled.labels, labelled.targets, known, folds=folds)
    return TaskInfo(
        name,
        lambda _: items,
        labelled.kind,
        protocol="own",
        probe=_PROBES[labelled.kind],
        unit=labelled.unit,
    )


def _name(path: pathlib.Path, chosen: Sequence[str] = ()) -> str:
    """Of a task: the file's or folder's; with the column, of whose kind it may have several."""
    name = path.stem if path.is_file() else path.resolve().name
    return printable(".".join([name, *chosen]) if len(chosen) == 1 else name).replace("/", "_")


def _audio(folder: pathlib.Path) -> list[str]:
    """The audio files below a folder, but for hidden ones, as paths relative to it; sorted."""

    def refuse(error):
        raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from None

    paths = []
    for base, folders, names in walk(folder, refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        audio = [name for name in names if AUDIO.search(name) and not name.startswith(".")]
        paths += [pathlib.Path(base, name).relative_to(folder) for name in audio]
    return [path.as_posix() for path in sorted(paths)]
