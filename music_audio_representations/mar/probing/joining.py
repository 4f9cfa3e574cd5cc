"""Which embeddings belong to a task's items, and what a probe is given of them."""

import dataclasses
import hashlib
import logging
import pathlib
from collections.abc import Sequence

import numpy as np
import psutil

from mar.embedding.encoders import imported
from mar.embedding.store import Embeddings
from mar.errors import InputError
from mar.probing.probe import Examples
from mar.tasks import Task
from mar.tasks.base import SPLITS, WINDOWS
from mar.tasks.locating import locate

_MEMORY_SHARE = 0.6  # of what is available, that training examples may take
_COPIES = 2.2  # of the features: read, and on the device
_SHOWN = 5  # of the items without an embedding

logger = logging.getLogger(__name__)


def hashes_of_items(embeddings: Embeddings, paths: Sequence[str | None]) -> list[str | None]:
    """What tells the embeddings of items, made in one way: those of their audio, where known.

    Args:
        embeddings: the open folder of embeddings.
        paths: which embedded path is each item's, None where none is.
    """
    if embeddings.provenance.get("interface") == imported.INTERFACE:
        there = [path for path in paths if path is not None and path in embeddings]
        return [hashlib.sha256(embeddings.means(there).tobytes()).hexdigest()]
    hashes = embeddings.audio_hashes()
    return [hashes.get(path or "") for path in paths]


@dataclasses.dataclass(frozen=True)
class EmbeddedTask:
    """A task and the embeddings of its items.

    Attributes:
        task: the `Task`.
        embeddings: the open folder of embeddings.
        paths: which embedded path is each item's, None where none is.
    """

    task: Task
    embeddings: Embeddings
    paths: list[str | None]

    @property
    def missing(self) -> int:
        """Number of items without an embedding."""
        return self.paths.count(None)

    @property
    def counts(self) -> dict[str, int]:
        """`{split: number of items with an embedding}`."""
        return {split: len(self.rows(split)) for split in SPLITS}

    @property
    def folds(self) -> np.ndarray | None:
        """Those of the items with an embedding, `(repeats, items)`, see `mar.tasks.base.Items`."""
        return None if self.task.folds is None else self.task.folds[:, self.rows("test")]

    def rows(self, split: str) -> list[int]:
        """Which items of the task are in a split and have an embedding."""
        return list(self._located(split))

    def ids(self, split: str) -> list[str]:
        """The ids of these items."""
        return [self.task.items.ids[row] for row in self.rows(split)]

    def examples(self, split: str, windows: str, folder: pathlib.Path) -> Examples:
        """What a probe is trained on or applied to.

        Args:
            split: whose items.
            windows: "mean" for an item's mean embedding, "single" for each of its windows.
            folder: on whose disk windows are kept, unseen there, where memory is short.

        Raises:
            InputError: an embedding holds NaN, or single windows were not kept.
        """
        located = self._located(split)
        paths, targets = list(located.values()), self.task.targets[list(located)]
        mean = windows == "mean"
        count = len(paths) if mean else int(self.embeddings.window_counts(paths).sum())
        size = 4 * count * self.embeddings.dimensions
        fits = _COPIES * size < _MEMORY_SHARE * psutil.virtual_memory().available
        if mean:
            return Examples(self.embeddings.means(paths), targets, resident=fits)
        features, items = self.embeddings.windows(paths, None if fits else folder)
        return Examples(features, targets, items, resident=fits)

    def _located(self, split: str) -> dict[int, str]:
        """`{item: embedded path}`, of a split's items that have an embedding."""
        paths = ((row, self.paths[row]) for row in self.task.rows(split))
        return {row: path for row, path in paths if path is not None}


def join(task: Task, embeddings: Embeddings, allow_missing: bool = False) -> EmbeddedTask:
    """Finds the embeddings of a task's items.

    Args:
        task: the `Task`.
        embeddings: the open folder of embeddings.
        allow_missing: whether to go on without the items that have no embedding.

    Raises:
        InputError: embeddings are missing and that is not allowed, or are of other windows than a
            task needs, or a whole split is missing.
    """
    _check_windows(task, embeddings)
    located = task.locate(embeddings.paths)
    unusable = set(embeddings.not_finite({path for path in located if path is not None}))
    paths = [None if path in unusable else path for path in located]
    embedded = EmbeddedTask(task, embeddings, paths)
    _check_missing(embedded, [path in unusable for path in located], allow_missing)
    for split in task.items.parts:
        if not embedded.counts[split]:
            raise InputError(
                f"{embeddings.folder}: no item of {task.name}'s {split} split is in it"
            )
    return embedded


def _check_missing(embedded: EmbeddedTask, unusable: Sequence[bool], allow_missing: bool) -> None:
    """Raises an InputError, or warns, of items that have no embedding, or an unusable one."""
    task, embeddings = embedded.task, embedded.embeddings
    ids = task.items.ids
    absent = [row for row, path in enumerate(embedded.paths) if path is None]
    unexpected = [row for row in absent if ids[row] not in task.info.unreadable]
    for row in sorted(set(absent) - set(unexpected)):
        logger.warning("%s: left out, known to be unreadable", ids[row])
    if not unexpected:
        return
    shown = unexpected[:_SHOWN]
    failed = locate([task.items.paths[row] for row in shown], embeddings.failures)
    reasons = [
        f"{ids[row]} (NaN or infinite values in its embedding)"
        if unusable[row]
        else ids[row]
        if path is None
        else f"{ids[row]} ({embeddings.failures[path]})"
        for row, path in zip(shown, failed, strict=True)
    ]
    problem = (
        f"{embeddings.folder}: embeddings are missing for {len(unexpected)} of {len(ids)} items "
        f"of {task.name}, e.g. {', '.join(reasons)}"
    )
    if not allow_missing:
        raise InputError(f"{problem}. Embed them, or go on without with --allow_missing")
    logger.warning("%s", problem)


def _check_windows(task: Task, embeddings: Embeddings) -> None:
    """Refuses NSynth's notes embedded with other windows than its own; warns elsewhere.

    Representations that have no windows are taken as they are.
    """
    given = {name: embeddings.provenance.get(name) for name in WINDOWS}
    if given["window_seconds"] is None or _filled(given) == _filled(task.windows):
        return
    problem = (
        f"{embeddings.folder}: {task.name} expects windows of {_shown(task.windows)}, found "
        f"{_shown(given)}; embed with --task {task.name}"
    )
    if task.windows != WINDOWS:
        raise InputError(problem)
    logger.warning("%s", problem)


def _filled(windows: dict) -> dict:
    """Parameters of `mar.audio.windows.Windows` as numbers."""
    first = windows["first_centre_seconds"]
    return {**windows, "first_centre_seconds": windows["hop_seconds"] if first is None else first}


def _shown(windows: dict) -> str:
    filled = _filled(windows)
    return (
        f"{filled['window_seconds']:g} s every {filled['hop_seconds']:g} s, the first around "
        f"{filled['first_centre_seconds']:g} s"
    )
