"""A data set of embeddings in pieces of a few of its files, on which work is shared and resumed."""

import collections
import copy
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator

from mar.embedding.parts import Part
from mar.embedding.store import Embeddings
from mar.errors import InputError

PIECE_BYTES = 32e6  # on disk: 5,000 means of 1,728 dimensions, a second's work of one core


def cut(embeddings: Embeddings, paths: Iterable[str] | None = None) -> list[Embeddings]:
    """Data sets of some of its Parquet files each, in their order, that have no path in common.

    They can be pickled; what is not in `paths` is in none of them.

    Args:
        embeddings: the data set.
        paths: which of its embedded files; None for all.

    Raises:
        InputError: a file is gone.
    """
    if paths is None:
        paths = (path for path in embeddings._part_of if path in embeddings)
    paths_of = collections.defaultdict(list)
    for path in paths:
        paths_of[embeddings._part_of[path]].append(path)
    pieces = []
    for numbers in _grouped(embeddings, sorted(paths_of)):
        piece = copy.copy(embeddings)
        piece.__dict__.pop("paths", None)  # as it was asked for before
        piece._folder = embeddings.folder.absolute()
        piece._parts = [_absolute(embeddings._parts[number]) for number in numbers]
        piece._failures = {}
        piece._part_of = {
            path: place for place, number in enumerate(numbers) for path in paths_of[number]
        }
        pieces.append(piece)
    return pieces


def identity(piece: Embeddings) -> str:
    """A hash of what it holds, as far as names, sizes and times of its Parquet files tell.

    Raises:
        InputError: a file is gone.
    """
    states = [(part.path.name, _state(part.path)) for part in piece._parts]
    files = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
    return hashlib.sha256(json.dumps([files, list(piece._part_of)]).encode()).hexdigest()


def _grouped(embeddings: Embeddings, numbers: list[int]) -> Iterator[list[int]]:
    group: list[int] = []
    held = 0
    for number in numbers:
        held += _state(embeddings._parts[number].path).st_size
        group.append(number)
        # Of the format npz, the embeddings lie elsewhere.
        if held >= PIECE_BYTES or embeddings.provenance["format"] == "npz":
            yield group
            group, held = [], 0
    if group:
        yield group


def _state(path: pathlib.Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise InputError(f"{path}: gone; a run changes its folder: open it anew") from None


def _absolute(part: Part) -> Part:
    """For processes whose folder is another."""
    return dataclasses.replace(part, path=part.path.absolute())
