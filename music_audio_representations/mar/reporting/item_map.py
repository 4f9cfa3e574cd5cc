"""The report's map: test items as points, their labels, nearest neighbours and sound."""

import base64
import dataclasses
import io
import itertools
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence
from multiprocessing.pool import ThreadPool

import av
import numpy as np
from sklearn.neighbors import NearestNeighbors

from mar.audio import isolated
from mar.embedding.projection import project
from mar.embedding.store import Embeddings
from mar.tasks import Task
from mar.tasks.locating import locate

NEIGHBOURS = 5
MOST_ITEMS = 320  # with the sound of more, the page would exceed its 5 MB
CLIP_SECONDS = 5.0
_CLIP_RATE, _CLIP_BITS = 16000, 14000  # Hz, bits/s

logger = logging.getLogger("mar")


@dataclasses.dataclass(frozen=True)
class Colouring:
    """What colours the points.

    Attributes:
        name: of the labels.
        values: of every item: a class, or a number; "" where the item has none.
        classes: in the order of their colours; None for numbers.
        unit: of the numbers.
    """

    name: str
    values: list[str | float]
    classes: list[str] | None = None
    unit: str = ""


def build(
    titles: Sequence[str],
    colourings: Sequence[Colouring],
    representations: Mapping[str, np.ndarray],
    clips: Sequence[str | None] | None = None,
    noun: str = "item",
) -> dict:
    """What the map draws, as plain data.

    Args:
        titles: of the items.
        colourings: by which they can be coloured.
        representations: `{name: mean embeddings (items, dimensions)}`.
        clips: sound of every item, see `clip`, None where there is none; None for no sound at all.
        noun: what an item is called.

    Raises:
        InputError: there are fewer than three items.
    """
    arranged = [{"name": name, **_arrange(vectors)} for name, vectors in representations.items()]
    return {
        "noun": noun,
        "titles": list(titles),
        "labels": [dataclasses.asdict(colouring) for colouring in colourings],
        "representations": arranged,
        "opens": _opens(colourings, arranged),
        "clips": None if clips is None else list(clips),
    }


def _opens(colourings, arranged):
    """`[representation, colouring]`: whose neighbours share a class most often beyond chance."""
    beyond: dict[tuple[int, int], float] = {}
    for (first, representation), (second, colouring) in itertools.product(
        enumerate(arranged), enumerate(colourings)
    ):
        values = np.array(colouring.values, str)
        known = values != ""
        if colouring.classes is not None and known.any():
            shares = values[np.array(representation["nearest"])] == values[:, None]
            alike = (values[known, None] == values[None, known]).sum(axis=1) - 1
            chance = alike.mean() / max(1, known.sum() - 1)
            beyond[first, second] = shares[known].mean() - chance
    return [*max(beyond, key=lambda view: beyond[view])] if beyond else [0, 0]


def of_tasks(
    tasks: Sequence[Task],
    embeddings: Mapping[str, Embeddings],
    audio: str | os.PathLike | None = None,
) -> dict:
    """What the map draws of the test items of tasks: those with an embedding in every data set.

    Args:
        tasks: whose labels colour the items.
        embeddings: `{name: Embeddings}`, at least one.
        audio: folder that the embeddings' paths are relative to; None for a map without sound.

    Raises:
        InputError: there are fewer than three items.
    """
    first, *_ = embeddings.values()
    paths = {name: _counterparts(first.paths, each.paths) for name, each in embeddings.items()}
    shared = [path for path in first.paths if all(path in others for others in paths.values())]
    rows = [_test_rows(task, shared) for task in tasks]
    tested = {item for places in rows for item in places}
    for name, each in embeddings.items():
        unusable = set(each.not_finite([paths[name][item] for item in tested]))
        tested = {item for item in tested if paths[name][item] not in unusable}
    rows = [{item: row for item, row in places.items() if item in tested} for places in rows]
    if missing := sum(len(task.rows("test")) for task in tasks) - sum(map(len, rows)):
        logger.warning("the map leaves out %d test items without an embedding", missing)
    items = evenly(sorted(tested), MOST_ITEMS)
    vectors = {
        name: each.means([paths[name][item] for item in items]) for name, each in embeddings.items()
    }
    return build(
        titles=items,
        colourings=[
            colouring
            for task, places in zip(tasks, rows, strict=True)
            for colouring in _colourings(task, [places.get(item) for item in items])
        ],
        representations=vectors,
        clips=None if audio is None else read_clips([pathlib.Path(audio) / item for item in items]),
    )


def evenly(items: Sequence, most: int) -> list:
    """Of more than `most`, so many, evenly along their order."""
    kept = np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)
    return [items[place] for place in kept]


def _test_rows(task, paths):
    """The rows of a task's test items by their audio's path, where embedded."""
    located = task.locate(paths)
    return {located[row]: row for row in task.rows("test") if located[row] is not None}


def _counterparts(paths, others):
    """`{path: the same audio's in another data set}`, where it has one."""
    located = locate(paths, others)
    return {path: other for path, other in zip(paths, located, strict=True) if other is not None}


def _colourings(task, rows):
    """How a task colours items, None in `rows` for those that are not its own."""
    if task.kind == "regression":
        for column, label in enumerate(task.labels):
            values = ["" if r is None else float(task.targets[r, column]) for r in rows]
            name = task.name if len(task.labels) == 1 else f"{task.name}, {label}"
            yield Colouring(name, values)
        return
    # Of several labels an item has the colour of the most frequent one.
    frequency = task.targets.sum(axis=0, dtype=float)
    chosen = (task.targets * frequency).argmax(axis=1)
    known = [row is not None and bool(task.targets[row].any()) for row in rows]
    values = [
        str(task.labels[chosen[row]]) if has else "" for row, has in zip(rows, known, strict=True)
    ]
    classes = [label for label in map(str, task.labels) if label in set(values)]
    yield Colouring(task.name, values, classes)


def _arrange(vectors):
    """Points of the plane, and the items that are nearest by cosine similarity, best first."""
    count = min(NEIGHBOURS, len(vectors) - 1)
    points = project(vectors)
    search = NearestNeighbors(n_neighbors=count, metric="cosine").fit(vectors)
    distances, nearest = search.kneighbors()  # of each item but itself
    return {
        "points": np.round(points, 4).tolist(),
        "nearest": nearest.tolist(),
        "similarities": np.round(1 - distances, 3).tolist(),
    }


def read_clips(paths: Sequence[pathlib.Path]) -> list[str | None]:
    """The `clip` of every file, None where there is no such file."""
    with ThreadPool(len(os.sched_getaffinity(0))) as pool:
        return pool.map(lambda path: clip(path) if path.exists() else None, paths)


def clip(path: str | os.PathLike) -> str:
    """The middle five seconds of a file, as Opus in base64.

    Raises:
        InputError: it cannot be decoded.
    """
    samples = np.concatenate(list(isolated.blocks(path, sample_rate=_CLIP_RATE)))
    length = int(CLIP_SECONDS * _CLIP_RATE)
    first = max(0, (len(samples) - length) // 2)
    samples = samples[first : first + length]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=_CLIP_RATE, layout="mono")
        stream.bit_rate = _CLIP_BITS
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = _CLIP_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
