"""Other protocols on the paper's data sets, each a task of its own: its numbers are no one else's.

A protocol is which items, labels and split, and which probe. Two of one data set are two tasks, two
folders of results and two columns.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from mar.tasks import emomusic, giantsteps, gtzan, magnatagatune
from mar.tasks.base import Items, TaskInfo, one_hot

_FOLDS, _SEED, _CLIPS = 10, 0, 100
_GENRES = (
    *("blues", "classical", "country", "disco", "hiphop"),
    *("jazz", "metal", "pop", "reggae", "rock"),
)
_MARBLE = "R. Yuan et al., MARBLE, NeurIPS 2023: the constrained track, marble-bm.sheffield.ac.uk"
_MARBLE_DIFFERS = (
    "The items are the paper's, the probe is not: one hidden layer of 512 with dropout 0.2 in "
    "batches of 64 for every task, with a learning rate of six, where the paper has a probe of "
    "its own for each task."
)


def read_ten_folds(folder: pathlib.Path) -> Items:
    """All 1,000 clips of GTZAN, tested by turns in ten folds; needs no file.

    Args:
        folder: is not read.
    """
    from sklearn.model_selection import StratifiedKFold

    genres = [genre for genre in _GENRES for _ in range(_CLIPS)]
    names = [f"{genre}/{genre}.{clip:05}.wav" for genre in _GENRES for clip in range(_CLIPS)]
    folds = np.zeros((1, len(names)), np.int8)
    splitter = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    for number, (_, tested) in enumerate(splitter.split(names, genres)):
        folds[0, tested] = number
    paths = [gtzan.paths_of(name) for name in names]
    targets = one_hot(genres, _GENRES)
    return Items(names, paths, ["test"] * len(names), list(_GENRES), targets, folds=folds)


def _of(task: TaskInfo, **changes: Any) -> TaskInfo:
    return dataclasses.replace(task, **{"files_of": task.name, **changes})


def _with_marbles_probe(task: TaskInfo) -> TaskInfo:
    probe = {"multilabel": "marble_tags", "regression": "marble_values"}
    return _of(
        task,
        name=f"{task.name}_MARBLE",
        protocol="MARBLE's probe",
        probe=probe.get(task.kind, "marble_classes"),
        constraint="MARBLE",
        source=_MARBLE,
        differs=_MARBLE_DIFFERS,
    )


_MTT, _ = magnatagatune.TASKS
(_GTZAN,), (_EMO,), (_GS_KEY,) = gtzan.TASKS, emomusic.TASKS, giantsteps.TASKS
TASKS = (
    _of(
        _MTT,
        name="MTT_MTG",
        files_of="MTT_MTG",
        read=magnatagatune.read_arrays,
        protocol="MTG and MusicFM",
        probe="MTT",
        counts={"valid": 1529, "test": 4332},
        source="split/mtat of github.com/minzwon/sota-music-tagging-models (M. Won et al., SMC "
        "2020), as OMAR-RQ and MusicFM use it",
        differs=magnatagatune.UNTAGGED_DROPPED,
    ),
    _of(
        _GTZAN,
        name="GTZAN_10fold",
        read=read_ten_folds,
        protocol="ten folds",
        probe="GTZAN",
        counts={"total": 1000},
        source="G. Tzanetakis, P. Cook, IEEE TSAP 10(5), 2002: ten folds at random",
        differs="All 1,000 clips are tested by turns: repeated recordings, and other clips by the "
        "same artist, are in training and in testing (B. L. Sturm, 2013), which the fault-filtered "
        "split removes; so its accuracy is higher.",
    ),
    *map(_with_marbles_probe, (_MTT, _GTZAN, _EMO, _GS_KEY)),
)
