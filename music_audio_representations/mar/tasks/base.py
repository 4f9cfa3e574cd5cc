"""What every evaluation task has in common (paper, section 3 and Tables 1 and 2)."""

import dataclasses
import logging
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from mar.errors import InputError
from mar.tasks.locating import Paths, alternatives

SPLITS = ("train", "valid", "test")
# Of the paper's section 3, but for NSynth's notes.
WINDOWS = {"window_seconds": 3.0, "hop_seconds": 2.0, "first_centre_seconds": None}
logger = logging.getLogger(__name__)
_UNDECODED = re.compile(r"[\udc80-\udcff]")  # bytes of a file's name that are not UTF-8
_OUTSIDE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")  # how an absolute path begins

Kind = Literal["multilabel", "multiclass", "key", "regression"]
METRICS = {  # the one that is optimised first
    "multilabel": ("map", "roc-auc"),
    "multiclass": ("accuracy",),
    "key": ("weighted", "weighted_both_fifths", "accuracy"),
    "regression": ("r2",),
}


@dataclasses.dataclass(frozen=True)
class Items:
    """The items of a task, one entry each.

    Attributes:
        ids: the collection's own name of each item.
        paths: where its audio lies below the audio root; alternatives in a tuple, the official
            one first. See `mar.tasks.locating` on files that are called otherwise.
        splits: "train", "valid" or "test".
        labels: names of the labels, classes or targets.
        targets: `(items, labels)`: 0/1, one-hot, or float32 values.
        artists: one name or tuple of names per item, or None where the files do not tell.
        with_suffixes: whether the collection's own files tell the suffixes of the paths.
        folds: int `(repeats, items)`: of few examples, in which fold of each repetition an item is
            tested by what all other folds train; their split is "test". None where splits say.
        seconds: of audio, as the collection's own files tell it; None where they do not.
    """

    ids: list[str]
    paths: Sequence[Paths]
    splits: list[str]
    labels: list[str]
    targets: np.ndarray
    artists: Sequence[str | tuple[str, ...]] | None = None
    with_suffixes: bool = True
    folds: np.ndarray | None = None
    seconds: Sequence[float] | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The splits that there must be items in."""
        return SPLITS if self.folds is None else ("test",)


@dataclasses.dataclass(frozen=True)
class TaskInfo:
    """What is known of an evaluation task without its items.

    Attributes:
        name: as in the paper's tables, e.g. "NSynth_P".
        read: function of a folder with the official files → `Items`.
        kind: "multilabel", "multiclass", "key" or "regression".
        protocol: which items, labels, split and probe: "paper" as the paper has them, "own" for a
            collection of one's own, or another name, see `mar.tasks.protocols`.
        source: who defined the protocol, where that is not who is to be cited for the data.
        differs: a sentence on why numbers differ from those of the paper's protocol; empty for it.
        files_of: the task whose official files it has; None for its own.
        labels: number of labels known; None for a collection of one's own.
        counts: known number of items of each split; or of all of them under "total".
        probe: name of its probe's shipped configuration, in `configs/probe`; None for `name`.
        constraint: the search that Table 2 allows: None, "[24]" or "[2]".
        windows: how items are embedded: parameters of `mar.audio.windows.Windows`.
        disjoint: the splits between which no artist may be shared.
        unreadable: ids of items whose audio is known to be broken in some distributions.
        citation: whom to cite.
        licence: of annotations and audio, in short.
        unit: of values, such as "BPM"; empty for a number without one.
    """

    name: str
    read: Callable[[pathlib.Path], Items]
    kind: Kind
    protocol: str = "paper"
    source: str = ""
    differs: str = ""
    files_of: str | None = None
    labels: int | None = None
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    probe: str | None = None
    constraint: str | None = None
    windows: dict[str, float | None] = dataclasses.field(default_factory=lambda: dict(WINDOWS))
    disjoint: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    unit: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, the one that is optimised first."""
        return METRICS[self.kind]

    def load(self, folder: str | os.PathLike) -> Items:
        """Reads and checks the items.

        Args:
            folder: where the official files lie.

        Returns:
            The `Items`. Counts that differ from the known ones are logged as warnings.

        Raises:
            InputError: a file is missing or is not what it should be; an item is in two splits;
                splits that must not share artists do; a path leads out of the audio root.
        """
        folder = pathlib.Path(folder)
        items = self.read(folder)
        _check_lengths(items, folder)
        _check_paths(items.paths, folder)
        _check_splits(self, items, folder)
        for problem in _unexpected_counts(self, items):
            logger.warning("%s: %s: %s", self.name, folder, problem)
        return items


def one_hot(classes: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """uint8 `(items, labels)` of the items' class names."""
    column = {label: index for index, label in enumerate(labels)}
    targets = np.zeros((len(classes), len(labels)), np.uint8)
    targets[np.arange(len(classes)), [column[name] for name in classes]] = 1
    return targets


def multi_hot(tags: Sequence[Iterable[str]], labels: Sequence[str]) -> np.ndarray:
    """uint8 `(items, labels)` of the items' tag lists; tags that are no labels are left out."""
    column = {label: index for index, label in enumerate(labels)}
    targets = np.zeros((len(tags), len(labels)), np.uint8)
    for row, names in enumerate(tags):
        targets[row, [column[name] for name in names if name in column]] = 1
    return targets


def _check_lengths(items, folder):
    counts = {len(items.ids), len(items.paths), len(items.splits), len(items.targets)}
    if len(counts) > 1:
        raise InputError(
            f"{folder}: its files do not belong together: {len(items.ids)} ids, "
            f"{len(items.splits)} splits, {len(items.targets)} rows of labels"
        )
    if not items.ids:
        raise InputError(f"{folder}: holds no item")


def _check_paths(paths, folder):
    for candidates in paths:
        for path in alternatives(candidates):
            parts = path.replace("\\", "/").split("/")
            if ".." in parts or _OUTSIDE.match(path):
                raise InputError(
                    f"{folder}: expected paths below the audio root, found {path!r}, which leads "
                    f"out of it"
                )
            if _UNDECODED.search(path):
                raise InputError(f"{folder}: expected names in UTF-8, found {path!r}; rename it")


def _check_splits(task, items, folder):
    unknown = set(items.splits) - set(SPLITS)
    if unknown:
        raise InputError(f"{folder}: expected the splits {', '.join(SPLITS)}, found {unknown}")
    seen: dict[str, str] = {}
    for id, split in zip(items.ids, items.splits, strict=True):
        if id in seen:
            where = f"in {seen[id]} and in {split}" if seen[id] != split else f"twice in {split}"
            raise InputError(f"{folder}: the item {id!r} is {where}; expected it once")
        seen[id] = split
    if not task.disjoint or items.artists is None:
        return
    sides: dict[str, str] = {}
    for names, split in zip(items.artists, items.splits, strict=True):
        for name in names if isinstance(names, tuple) else (names,):
            other = sides.setdefault(name, split)
            if other != split and {other, split} <= set(task.disjoint):
                raise InputError(
                    f"{folder}: {task.name} is separated by artists, but {name!r} is in {other} "
                    f"and in {split}"
                )


def _unexpected_counts(task, items):
    """Sentences on counts that differ from the known ones, and on labels that cannot be learnt."""
    counts = {split: items.splits.count(split) for split in SPLITS}
    counts["total"] = len(items.ids)
    for name, expected in task.counts.items():
        if counts[name] != expected:
            yield f"expected {expected} items ({name}), found {counts[name]}"
    if task.labels is not None and task.labels != len(items.labels):
        yield f"expected {task.labels} labels, found {len(items.labels)}"
    splits = np.asarray(items.splits)
    for split in items.parts:
        targets = items.targets[splits == split]
        if not len(targets):
            raise InputError(f"{task.name}: the split {split!r} has no item")
        constant = [
            label
            for label, lowest, highest in zip(
                items.labels, targets.min(axis=0), targets.max(axis=0), strict=True
            )
            if lowest == highest
        ]
        if len(constant) == len(items.labels) or (constant and task.kind == "regression"):
            which = ", ".join(map(str, constant)) if task.kind == "regression" else "every label"
            raise InputError(
                f"{task.name}: expected labels that differ between items, but {which} is constant "
                f"in the split {split!r} ({len(targets)} items): nothing can be learnt or "
                f"measured there"
            )
        if constant:
            shown = ", ".join(map(str, constant[:5])) + ("…" if len(constant) > 5 else "")
            yield f"constant in {split} ({len(constant)} labels): {shown}"
