"""Labels for a catalogue: heads applied to all of its embeddings, as tables.

A row is a track (or a window of it), a head and a label; of keys also how DJs write them, and of
values the value with its unit in place of a probability.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mar.embedding.store import Embeddings, Timeline
from mar.errors import ConfigError, InputError
from mar.probing.head import Head
from mar.tasks.keys import camelot, open_key

SMOOTHING_SECONDS = 10.0
_LABELLED = [
    ("head", pa.string()),
    ("label", pa.string()),
    ("probability", pa.float32()),
    ("decision", pa.bool_()),
]
_OF_KEYS = [("camelot", pa.string()), ("open_key", pa.string())]
_OF_VALUES = [("value", pa.float64()), ("unit", pa.string())]
_SPAN = [("start", pa.float64()), ("end", pa.float64())]


def named(heads: Sequence[Head]) -> dict[str, Head]:
    """Heads by the names that they have in tables: those of their tasks.

    Raises:
        ConfigError: two have one name.
    """
    by_name: dict[str, Head] = {}
    for head in heads:
        name = head.about["task"]
        if name in by_name:
            raise ConfigError(
                f"expected heads of different tasks, got two of {name}; give one at a time, "
                f"and another --output for each"
            )
        by_name[name] = head
    return by_name


def schema(heads: Mapping[str, Head], timeline: bool = False) -> pa.Schema:
    """The columns of a table of labels.

    `path`; with a timeline `start` and `end`, seconds; `head`, `label`, `probability`, `decision`
    (whether the label is given); where a head is of keys, `camelot` and `open_key`; where one gives
    values, `value` and `unit`.
    """
    kinds = {head.kind for head in heads.values()}
    columns = [("path", pa.string()), *(_SPAN if timeline else []), *_LABELLED]
    columns += _OF_KEYS if "key" in kinds else []
    columns += _OF_VALUES if "regression" in kinds else []
    return pa.schema(columns)


def check(heads: Mapping[str, Head], embeddings: Embeddings, timeline: bool) -> None:
    """That heads can label a data set.

    Raises:
        InputError: it was made in another way than what a head was trained on, or has no windows
            where these are needed.
    """
    for name, head in heads.items():
        head.check(embeddings.provenance, str(embeddings.folder))
        if (timeline or head.reads_windows) and embeddings.provenance["store"] != "timeline":
            why = "a timeline needs" if timeline else f"the head of {name} reads"
            raise InputError(
                f"{embeddings.folder}: holds one mean per file, but {why} single windows; embed "
                f"with --store timeline"
            )


def tags(
    heads: Mapping[str, Head],
    embeddings: Embeddings,
    paths: Collection[str] | None = None,
    top: int | None = None,
) -> Iterator[pa.Table]:
    """Labels of tracks, in memory that does not grow with their number.

    Args:
        heads: by name.
        embeddings: the data set.
        paths: which of its tracks; None for all.
        top: how many labels of each head, the most probable first; None for all, in their order.

    Yields:
        Tables of `schema(heads)`.

    Raises:
        InputError: see `check`.
    """
    check(heads, embeddings, timeline=False)
    columns = schema(heads)
    of_means = {name: head for name, head in heads.items() if not head.reads_windows}
    if of_means:
        for names, vectors in embeddings.vectors(paths):
            for name, head in of_means.items():
                probabilities = head.probabilities(vectors)
                yield _table(columns, {"path": names}, name, head, probabilities, top)
    of_windows = {name: head for name, head in heads.items() if head.reads_windows}
    if of_windows:
        for timelines in _batched(embeddings.timelines(paths)):
            names = [timeline.path for timeline in timelines]
            for name, head in of_windows.items():
                probabilities = np.stack([head.of_windows(each.values) for each in timelines])
                yield _table(columns, {"path": names}, name, head, probabilities, top)


def window_tags(
    heads: Mapping[str, Head], timeline: Timeline, top: int | None = None
) -> Iterator[pa.Table]:
    """Labels of each window of a track: tables of `schema(heads, timeline=True)`, one a head."""
    starts, ends = spans(timeline)
    of_windows = {"path": [timeline.path] * len(starts), "start": starts, "end": ends}
    for name, head in heads.items():
        probabilities = head.probabilities(timeline.values)
        yield _table(schema(heads, True), of_windows, name, head, probabilities, top)


def segments(
    heads: Mapping[str, Head], timeline: Timeline, seconds: float = SMOOTHING_SECONDS
) -> Iterator[pa.Table]:
    """Where in a track a label is given: tables of `schema(heads, timeline=True)`, one a head.

    Decisions are on probabilities that are averaged over the windows around. `probability` is the
    mean over the segment. Heads of values have no segments.

    Args:
        heads: by name.
        timeline: of the track.
        seconds: over which is averaged.
    """
    starts, ends = spans(timeline)
    for name, head in heads.items():
        if head.kind == "regression":
            continue
        probabilities = smoothed(head.probabilities(timeline.values), timeline.times, seconds)
        rows = [
            {
                **{"path": timeline.path, "start": starts[first], "end": ends[last], "head": name},
                **{"label": head.labels[label], "decision": True},
                "probability": probabilities[first : last + 1, label].mean(),
                **(_notations(head.labels[label]) if head.kind == "key" else {}),
            }
            for label, given in enumerate(head.decide(probabilities).T)
            for first, last in runs(given)
        ]
        rows.sort(key=lambda row: row["start"])
        yield pa.Table.from_pylist(rows, schema(heads, True))


def spans(timeline: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """Which part of a track each window stands for, float64 seconds `(windows,)`, start and end.

    Half-way to its neighbours; the first begins with the track, the last ends with it. Windows
    around 1.5, 3.5 and 5.5 s of 7 s stand for 0 to 2.5, 2.5 to 4.5 and 4.5 to 7 s.
    """
    times = np.asarray(timeline.times, np.float64)
    between = (times[1:] + times[:-1]) / 2
    duration = np.fmax(timeline.duration, times[-1])  # the former may be NaN
    return np.concatenate([[0.0], between]), np.concatenate([between, [duration]])


def smoothed(probabilities: np.ndarray, times: np.ndarray, seconds: float) -> np.ndarray:
    """Means over the windows whose centres are at most half of so many seconds away.

    Args:
        probabilities: `(windows, labels)`.
        times: of the windows' centres, rising, `(windows,)`.
        seconds: over which is averaged.
    """
    first = np.searchsorted(times, times - seconds / 2, side="left")
    behind = np.searchsorted(times, times + seconds / 2, side="right")
    sums = np.concatenate([np.zeros((1, probabilities.shape[1])), probabilities.cumsum(axis=0)])
    return (sums[behind] - sums[first]) / (behind - first)[:, None]


def runs(given: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each run of true values in `(n,)`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], given, [False]]).astype(np.int8)))
    return [(int(first), int(behind) - 1) for first, behind in edges.reshape(-1, 2)]


def _batched(timelines: Iterator[Timeline], size: int = 256) -> Iterator[list[Timeline]]:
    while batch := list(itertools.islice(timelines, size)):
        yield batch


def _table(columns, of_rows, name, head, probabilities, top):
    """A row for each track, or window, and label."""
    items, labels = probabilities.shape
    if top is None or head.kind == "regression":
        which = np.tile(np.arange(labels), (items, 1))
    else:
        which = _most_probable(probabilities, min(top, labels))
    rows, picked = np.repeat(np.arange(items), which.shape[1]), which.ravel()

    def of_labels(texts):
        return pa.array(texts, pa.string()).take(pa.array(picked))

    written = {key: pa.array(values).take(pa.array(rows)) for key, values in of_rows.items()}
    written |= {"head": pa.repeat(name, len(rows)), "label": of_labels(head.labels)}
    values = pa.array(probabilities[rows, picked])
    if head.kind == "regression":
        unit = pa.scalar(head.about["unit"] or None, pa.string())
        written |= {"value": values, "unit": pa.repeat(unit, len(rows))}
    else:
        given = pa.array(head.decide(probabilities)[rows, picked])
        written |= {"probability": values, "decision": given}
    if head.kind == "key":
        notations = [_notations(label) for label in head.labels]
        written |= {
            column: of_labels([each[column] for each in notations]) for column, _ in _OF_KEYS
        }
    return _filled(columns, written, len(rows))


def _most_probable(probabilities, count):
    """Indices of the most probable labels of each row, those first, `(rows, count)`."""
    if count < probabilities.shape[1]:
        which = np.argpartition(-probabilities, count - 1, axis=1)[:, :count]
    else:
        which = np.tile(np.arange(probabilities.shape[1]), (len(probabilities), 1))
    order = np.argsort(-np.take_along_axis(probabilities, which, axis=1), axis=1, kind="stable")
    return np.take_along_axis(which, order, axis=1)


def _notations(key):
    return {"camelot": camelot(key), "open_key": open_key(key)}


def _filled(columns, written, rows):
    """A table of these columns; those that do not apply are null."""
    arrays = [
        written[field.name].cast(field.type)
        if field.name in written
        else pa.nulls(rows, field.type)
        for field in columns
    ]
    return pa.Table.from_arrays(arrays, schema=columns)
