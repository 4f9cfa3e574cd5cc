"""The collections of audio that the paper's tasks are of, and the file that says where they lie."""

import dataclasses
import os
import pathlib
import textwrap
from typing import Any

from mar import tasks
from mar.errors import ConfigError, nearest, shown
from mar.tasks import fetching
from mar.util import yaml_file
from mar.util.atomic import whole

_HEAD = """\
# Where the audio of each collection lies, for mar reproduce.
#
# Give the folder as `audio`, and leave empty what is not at hand: its tasks are left out. An
# archive's own folders may lie in it. `metadata` is a task's folder of official files; where it is
# empty, they are downloaded, and those that mar fetch may not download are looked for beside them.
# Paths are relative to this file.
"""


@dataclasses.dataclass(frozen=True)
class Collection:
    """Audio that one or several tasks are of.

    Attributes:
        name: in the file, and of the folder of its embeddings.
        tasks: their names.
        about: what it is and how large.
        seconds: the shortest and the longest of its files as distributed, where the task's own
            files do not tell the length of each.
        is_annotated: whether its archives hold the annotations too.
    """

    name: str
    tasks: tuple[str, ...]
    about: str
    seconds: tuple[float, float]
    is_annotated: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a collection lies.

    Attributes:
        audio: its folder; None where it is not at hand.
        metadata: folders of official files by task, of those that were given.
    """

    audio: pathlib.Path | None = None
    metadata: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)


COLLECTIONS = (  # short ones first
    Collection("GTZAN", ("GTZAN",), "930 clips of 30 s in ten genres, 8 hours", (29.0, 31.0)),
    Collection("emoMusic", ("Emo",), "744 clips of 45 s, 9 hours", (44.0, 46.0)),
    Collection(
        "GiantSteps",
        ("GS_Key",),
        "1,763 excerpts of 2 minutes (four are shorter), in two repositories, 59 hours",
        (45.0, 125.0),
    ),
    Collection(
        "MagnaTagATune", ("MTT",), "25,860 clips of 29 s, 16 kHz mono, 209 hours", (28.5, 30.0)
    ),
    Collection(
        "NSynth",
        ("NSynth_P", "NSynth_I"),
        "305,979 notes of 4 s, 16 kHz mono, 340 hours",
        (3.9, 4.1),
        is_annotated=True,
    ),
    Collection(
        "MillionSong",
        ("MSDS", "MSD50", "MSD100", "MSD500", "AMM", "MuMu"),
        "previews of 30 to 60 s; 241,889 of MSDS are 3,080 hours, and the others share most",
        (28.5, 61.0),
    ),
    Collection(
        "MTG-Jamendo",
        ("Jam-50", "Jam-All", "Jam-MT"),
        "55,525 tracks in full length, 3,764 hours (17,982 of Jam-MT: 1,095)",
        (0.0, float("inf")),
    ),
)


TASKS = tuple(task for collection in COLLECTIONS for task in collection.tasks)  # of the tables


def of_task(task: str) -> Collection:
    """The collection that a task is of."""
    return next(collection for collection in COLLECTIONS if task in collection.tasks)


def template() -> str:
    """The file with nothing filled in: what each collection is, where it is had, its licence."""
    return "\n".join([_HEAD, *map(_section, COLLECTIONS)])


def write_template(path: str | os.PathLike) -> None:
    """Writes the template.

    Raises:
        InputError: it cannot be written.
    """
    with whole(path) as unfinished:
        unfinished.write_text(template(), encoding="utf-8")


def read(path: str | os.PathLike) -> dict[str, Place]:
    """Where the collections lie, by name; all of them.

    Raises:
        ConfigError: it is not such a file, or names a collection, a task or a folder that there is
            not.
    """
    given = yaml_file.document(path)
    _check_names(path, given, [collection.name for collection in COLLECTIONS], "collections")
    base = pathlib.Path(path).absolute().parent
    return {
        collection.name: _place(path, base, collection, given.get(collection.name) or {})
        for collection in COLLECTIONS
    }


def _section(collection: Collection) -> str:
    infos = [tasks.TASKS[name] for name in collection.tasks]
    sentences = dict.fromkeys(
        sentence for name in collection.tasks for sentence in fetching.elsewhere(name)
    )
    facts = [f"{collection.about}. Tasks: {', '.join(collection.tasks)}.", *sentences]
    facts += [f"Licence: {licence}." for licence in dict.fromkeys(info.licence for info in infos)]
    lines = [f"{collection.name}:"]
    for fact in facts:
        lines += textwrap.wrap(fact, 98, initial_indent="  # ", subsequent_indent="  #   ")
    lines += ["  audio:", "  metadata:", *(f"    {name}:" for name in collection.tasks)]
    return "\n".join(lines) + "\n"


def _place(path, base: pathlib.Path, collection: Collection, given: Any) -> Place:
    where = f"{path}: {collection.name}"
    _check_names(where, given, ["audio", "metadata"], "entries")
    metadata = given.get("metadata") or {}
    _check_names(f"{where}: metadata", metadata, collection.tasks, "tasks")
    folders = {
        task: _folder(f"{where}: metadata: {task}", base, folder)
        for task, folder in metadata.items()
        if folder is not None
    }
    audio = given.get("audio")
    return Place(None if audio is None else _folder(f"{where}: audio", base, audio), folders)


def _folder(where: str, base: pathlib.Path, given: Any) -> pathlib.Path:
    if not isinstance(given, str):
        raise ConfigError(f"{where}: expected a folder, got {shown(given)}")
    folder = base / pathlib.Path(given).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{where}: {folder}: expected a folder, found none; is its disk mounted?")
    return folder


def _check_names(where, given: Any, names, what: str) -> None:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: expected {what} ({', '.join(names)}), got {shown(given)}")
    for name in given:
        if name not in names:
            hint = nearest(name, names)
            raise ConfigError(f"{where}: expected {what} ({', '.join(names)}), got {name!r}{hint}")
