"""The paper's fifteen evaluation tasks, other protocols on their data, and anyone's own."""

import difflib
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from mar.errors import ConfigError, InputError
from mar.tasks import (
    amm,
    emomusic,
    giantsteps,
    gtzan,
    jamendo,
    magnatagatune,
    msd,
    msd_cleaned,
    mumu,
    nsynth,
    protocols,
)
from mar.tasks.base import Items, TaskInfo
from mar.tasks.folder import Reading, is_own, own_task
from mar.tasks.locating import alternatives, folder_of, locate
from mar.util.download import cache_folder
from mar.util.files import below
from mar.util.groups import Separation

_COLLECTIONS = (
    *(msd, msd_cleaned, amm, mumu, magnatagatune),
    *(nsynth, gtzan, emomusic, giantsteps, jamendo),
)
TASKS = {task.name: task for collection in _COLLECTIONS for task in collection.TASKS}
PROTOCOLS = {task.name: task for task in protocols.TASKS}
NAMED = {**TASKS, **PROTOCOLS}


class Task:
    """An evaluation task with its items.

    Args:
        source: name of one of the paper's tasks, in whatever case, or path of your own folder of
            class folders or table, or `tags:genre:FOLDER`, see `mar.tasks.folder`.
        metadata: folder with the official files of one of the paper's; None for where
            `mar fetch` puts them.
        separated_by: your own alone: "artist", "album" or "folder", of which all or nothing is in
            one part; None for the column `artist`, or else `album`, of a table.
        label_column: your own table alone: the column with the labels, where it is not called so,
            or several, see `mar.tasks.labels`.
        label_separator: your own alone: what stands between several labels of a file; empty for
            nothing, None for what is usual there.

    Attributes:
        info: what is known of it without its items, e.g. `info.citation`.
        items: the `Items`: `items.ids`, `.paths`, `.artists` and what follows.

    Raises:
        InputError: there is no such task, or its files are missing or not what they should be.
        ConfigError: it is not to be read so.
    """

    def __init__(
        self,
        source: str | os.PathLike,
        metadata: str | os.PathLike | None = None,
        separated_by: Separation | None = None,
        label_column: str | Sequence[str] = (),
        label_separator: str | None = None,
    ) -> None:
        chosen = (label_column,) if isinstance(label_column, str) else tuple(label_column)
        reading = Reading(separated_by, chosen, label_separator)
        self.info = find_task(source, reading)
        own = NAMED.get(self.info.name) is not self.info
        if not own and reading != Reading():
            given = [name for name, value in reading._asdict().items() if value not in (None, ())]
            raise ConfigError(
                f"{self.info.name}: expected {' and '.join(given)} with a folder or table of your "
                f"own, got it with a task whose labels and split are official"
            )
        self.items: Items = self.info.load(
            source if own else metadata or fetched_folder(self.info.name)
        )

    @property
    def name(self) -> str:
        """As in the paper's tables, or that of the folder or table."""
        return self.info.name

    @property
    def kind(self) -> str:
        """`multilabel`, `multiclass`, `key` or `regression`."""
        return self.info.kind

    @property
    def protocol(self) -> str:
        """`paper`, `own`, or the name of another split."""
        return self.info.protocol

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of its metrics, the one that is optimised first."""
        return self.info.metrics

    @property
    def windows(self) -> dict[str, float | None]:
        """How items are embedded: parameters of `mar.Windows`."""
        return self.info.windows

    @property
    def labels(self) -> list[str]:
        """Names of the labels, classes or targets."""
        return self.items.labels

    @property
    def splits(self) -> list[str]:
        """`train`, `valid` or `test` of each item."""
        return self.items.splits

    @property
    def folds(self) -> np.ndarray | None:
        """Of few examples, which are tested by turns: see `Items`."""
        return self.items.folds

    @property
    def targets(self) -> np.ndarray:
        """`(items, labels)`: 0/1, one-hot, or float32 values."""
        return self.items.targets

    def __repr__(self) -> str:
        counts = f"{len(self.items.ids)} items, {len(self.labels)} labels"
        return f"<Task {self.name}: {self.kind}, {counts}>"

    def hash(self) -> str:
        """SHA-256 (hex) of the items, their splits (or folds), labels and targets."""
        items = self.items
        parts = json.dumps([items.ids, items.paths, items.splits, items.labels])
        targets = np.ascontiguousarray(items.targets)
        folds = b"" if items.folds is None else items.folds.tobytes()
        return hashlib.sha256(parts.encode() + targets.tobytes() + folds).hexdigest()

    def rows(self, split: str) -> np.ndarray:
        """Indices of the items of a split, in the official order."""
        return np.flatnonzero(np.asarray(self.splits) == split)

    def locate(self, paths: Iterable[str]) -> list[str | None]:
        """Which of `paths` is each item's audio; None where none is.

        A collection that was converted is found too, and an official one in a folder below, see
        `mar.tasks.locating`.

        Raises:
            InputError: two paths fit one item.
        """
        wanted, there = self.items.paths, list(paths)
        try:
            located = locate(wanted, there, self.items.with_suffixes)
            if any(located) or self.protocol == "own" or not (folder := folder_of(wanted, there)):
                return located
            below = (path.removeprefix(folder) for path in there if path.startswith(folder))
            located = locate(wanted, below, self.items.with_suffixes)
            return [None if path is None else f"{folder}{path}" for path in located]
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None

    def audio(self, root: str | os.PathLike[str]) -> list[str]:
        """The path, below `root`, that each item's audio has there.

        That of an item whose audio is not there is the official one.

        Raises:
            InputError: no item's audio is there, two files fit one item, or there is no such
                folder.
        """
        located = self.locate(sorted(below(root)))
        if not any(located):
            raise InputError(
                f"{root}: expected the audio of {self.name} in this folder, such as "
                f"{alternatives(self.items.paths[0])[0]}, found none of its {len(located)} items"
            )
        return [
            path or alternatives(official)[0]
            for path, official in zip(located, self.items.paths, strict=True)
        ]


def find_task(name: str | os.PathLike, reading: Reading = Reading()) -> TaskInfo:  # noqa: B008
    """The `TaskInfo` of this name, in whatever case, or of a collection of one's own.

    Args:
        name: or path, see `Task`.
        reading: how one's own is read.

    Raises:
        InputError: there is none, or it is not what it should be.
        ConfigError: it is not to be read so.
    """
    if (task := paper_task(name)) is not None:
        return task
    if is_own(name):
        return own_task(name, reading)
    nearest = difflib.get_close_matches(str(name), NAMED, n=1)
    raise InputError(
        f"{name}: expected a task ({', '.join(NAMED)}), or a folder of class folders, a table of "
        f"labels, or tags:genre:FOLDER{f'; did you mean {nearest[0]}?' if nearest else ''}"
    )


def paper_task(name: str | os.PathLike) -> TaskInfo | None:
    """The task of this name, in whatever case, also where a file is called so; or None.

    It is one of the paper's, or another protocol on its data.
    """
    by_name = {_plain(title): task for title, task in NAMED.items()}
    return by_name.get(_plain(name))


def fetched_folder(name: str) -> pathlib.Path:
    """Where the official files of a task, or the published probes, are put by `mar fetch`."""
    shared = NAMED[name].files_of if name in NAMED else None
    return cache_folder() / "tasks" / (shared or name)


def _plain(name: str | os.PathLike) -> str:
    return str(name).lower().replace("_", "").replace("-", "")
