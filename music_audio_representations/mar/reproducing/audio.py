"""Whether the audio of a collection is there: all of it, readable, and of the right length.

Nothing is decoded for it: of what was embedded, the data set tells length and failure, and of the
rest the headers of the files.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from mar.audio import isolated
from mar.embedding.store import Embeddings
from mar.errors import InputError
from mar.reproducing.collections import Collection
from mar.tasks import Task
from mar.tasks.locating import alternatives
from mar.util.processes import processors
from mar.util.progress import Progress

_SHOWN = 5
_TOLERANCE = 1.0, 0.01  # seconds, and a share of the length, by which headers may be wrong


@dataclasses.dataclass(frozen=True)
class Located:
    """The items of a task and their audio.

    Attributes:
        task: the `Task`.
        paths: of each item below the collection's folder, None where it is not there.
    """

    task: Task
    paths: list[str | None]

    def without_embedding(self, embeddings: Embeddings) -> list[str]:
        """Items without an embedding, but for those known to be broken: their official paths, or
        their paths and why not.
        """
        unreadable, items, absent = self.task.info.unreadable, self.task.items, []
        for id, official, path in zip(items.ids, items.paths, self.paths, strict=True):
            if id in unreadable or path in embeddings:
                continue
            if path is None:
                absent.append(alternatives(official)[0])
            else:
                absent.append(f"{path} ({embeddings.failures[path]})")
        return absent


@dataclasses.dataclass(frozen=True)
class Check:
    """What was found of a collection's audio.

    Attributes:
        expected: how many files its tasks need.
        there: how many of them are there.
        readable: how many of these can be read.
        right: how many of these are as long as they should be, or do not tell.
        seconds: of audio by path, of those that are readable; 0 where they do not tell.
        problems: sentences on the first five that are not there, readable and of the right length.
    """

    expected: int
    there: int
    readable: int
    right: int
    seconds: Mapping[str, float]
    problems: Sequence[str]


def check(
    collection: Collection,
    folder: pathlib.Path,
    located: Sequence[Located],
    embedded: Sequence[Embeddings],
) -> Check:
    """Checks the audio that tasks of one collection need.

    Args:
        collection: the collection.
        folder: where its audio lies.
        located: its tasks.
        embedded: data sets of what was embedded of it.
    """
    by_id: dict[str, str | None] = {}
    wanted: dict[str, tuple[float, float]] = {}
    absent: dict[str, str] = {}
    for each in located:
        items = each.task.items
        ranges = _ranges(collection, each.task)
        for id, official, path, ends in zip(
            items.ids, items.paths, each.paths, ranges, strict=True
        ):
            by_id[id] = by_id.get(id) or path
            absent[id] = alternatives(official)[0]
            if path is not None:
                wanted[path] = ends
    problems = [f"{absent[id]}: not there" for id, path in by_id.items() if path is None]
    seconds, unreadable = _lengths(folder, list(wanted), embedded)
    problems += [f"{path}: {reason}" for path, reason in unreadable.items()]
    wrong = [path for path, length in seconds.items() if not _fits(length, *wanted[path])]
    for path in wrong[:_SHOWN]:
        low, high = wanted[path]
        problems.append(f"{path}: {seconds[path]:.1f} s, expected {low:g} to {high:g} s")
    there = sum(path is not None for path in by_id.values())
    return Check(
        *(len(by_id), there, len(seconds), len(seconds) - len(wrong), seconds, problems[:_SHOWN])
    )


def _ranges(collection: Collection, task: Task) -> Iterator[tuple[float, float]]:
    """The shortest and the longest that each item's audio may be."""
    if task.items.seconds is None:
        yield from [collection.seconds] * len(task.items.ids)
        return
    for length in task.items.seconds:
        slack = _TOLERANCE[0] + _TOLERANCE[1] * length
        yield length - slack, length + slack


def _fits(length: float, low: float, high: float) -> bool:
    return not length or low <= length <= high


def _lengths(folder, paths, embedded) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds of what is readable, and why the others are not."""
    seconds: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for embeddings in embedded:
        seconds |= embeddings.durations()
        reasons |= embeddings.failures
    new = [path for path in paths if path not in seconds and path not in reasons]
    with (
        concurrent.futures.ThreadPoolExecutor(processors()) as pool,
        Progress(len(new), "file") as progress,
    ):
        announced = pool.map(lambda path: _announced(os.path.join(folder, path)), new)
        for path, told in zip(new, announced, strict=True):
            progress.update()
            if isinstance(told, str):
                reasons[path] = told
            else:
                seconds[path] = told
    readable = {path: seconds[path] for path in paths if path in seconds}
    return readable, {path: reasons[path] for path in paths if path not in seconds}


def _announced(path: str) -> float | str:
    """Seconds by a file's header, 0 where that does not tell; or why it cannot be read."""
    try:
        with isolated.decoder() as decoder:
            return decoder.estimated_seconds(path) or 0.0
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
