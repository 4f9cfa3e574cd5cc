"""Keeps a folder of embeddings in order: what was replaced goes, what is gone is removed, small
parts become large ones.

Each step leaves a data set that reads the same, so that a kill at any moment loses nothing and the
next run goes on: a part appears whole, and what it replaces is deleted after that. In between rows
are there twice, and that of the later part counts.
"""

import os
import pathlib
import time
import uuid
from collections.abc import Collection

from mar.embedding import npz, parts
from mar.embedding.latest import LatestRows
from mar.embedding.parts import Part
from mar.errors import InputError
from mar.util.atomic import remove_abandoned
from mar.util.lock import FolderLock

_PART_BYTES = 128e6  # a larger part is left as it is


def tidy(folder: pathlib.Path, dropped: Collection[str] = ()) -> None:
    """Removes rows that later ones replace, and those of some paths; the lock is the caller's.

    Several processes may do so at a time: the latest row of a path is never removed.

    Args:
        folder: of the data set.
        dropped: paths whose rows go, and the embeddings that have files of their own.
    """
    parts.settled(lambda: _tidied(folder, dropped))


def _tidied(folder, dropped):
    opened = parts.open_all(folder)
    index = LatestRows(opened)
    kept = [latest.copy() for latest in index.latest]
    for path in dropped:
        if path in index.paths():
            number, row = index.place(path)
            kept[number][row] = False
            if opened[number].provenance["format"] == "npz" and npz.has_name(path):
                npz.path_of(folder, path).unlink(missing_ok=True)
    for part, rows in zip(opened, kept, strict=True):  # earlier ones first
        if not rows.all():
            part.keep(rows)


def prune(folder: str | os.PathLike) -> int:
    """Removes the files that are gone from a data set, with their embeddings.

    Args:
        folder: of the data set.

    Returns:
        How many.

    Raises:
        InputError: there is no data set, or another process writes into it.
    """
    place = _existing(folder)
    with FolderLock(place):
        remove_abandoned(place)
        gone = LatestRows(parts.open_all(place)).gone
        tidy(place, gone)
    return len(gone)


def compact(folder: str | os.PathLike) -> tuple[int, int]:
    """Makes few large parts of many small ones.

    Args:
        folder: of the data set.

    Returns:
        How many parts there were, and are.

    Raises:
        InputError: there is no data set, or another process writes into it.
    """
    place = _existing(folder)
    with FolderLock(place) as lock:
        remove_abandoned(place)
        before = len(parts.open_all(place))
        tidy(place)
        opened = parts.open_all(place)
        parts.refuse_mixture(opened)
        merge_small(place, opened, lock)
        return before, len(parts.open_all(place))


def merge_small(folder: pathlib.Path, opened: list[Part], lock: FolderLock) -> None:
    """Makes few large parts of some of a folder's, whose lock is the caller's."""
    written = max((part.written for part in opened), default=0)
    for number, group in enumerate(_small(opened), 1):
        lock.check()
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"
        parts.merge(folder / f"part-{name}.parquet", group, written + number)
        for part in group:
            part.path.unlink()


def _small(opened: list[Part]) -> list[list[Part]]:
    """Parts to be merged, in groups of about `_PART_BYTES`; what is half as large stays.

    70 MB, 1 MB, 90 MB, 2 MB, 3 MB      [1 MB, 2 MB, 3 MB]
    """
    groups: list[list[Part]] = [[]]
    size = 0.0
    for part in opened:
        of_part = part.path.stat().st_size
        if of_part >= _PART_BYTES / 2:
            continue
        if size + of_part > _PART_BYTES:
            groups.append([])
            size = 0.0
        groups[-1].append(part)
        size += of_part
    return [group for group in groups if len(group) > 1]


def _existing(folder):
    folder = pathlib.Path(folder).expanduser()
    if not parts.open_all(folder):
        raise InputError(f"{folder}: holds no embeddings (no .parquet file that mar embed wrote)")
    return folder
