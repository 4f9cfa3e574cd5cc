"""MTG-Jamendo (Bogdanov et al., 2019): all 183 tags, the top 50, and 56 moods and themes.

Files: `data/splits/split-0/autotagging[_top50tags|_moodtheme]-{train,validation,test}.tsv`, in
which each tag of a row has a field of its own. Audio: `14/214.mp3`, or `14/214.low.mp3` of the set
`audio-low`.
"""

import functools
import pathlib
import re
from typing import Any

from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo, multi_hot

_HEADER = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
_SECONDS = re.compile(r"\d+(\.\d+)?")
_PARTS = {"train": "train", "valid": "validation", "test": "test"}


def read(folder: pathlib.Path, subset: str) -> Items:
    """Tracks of the official split 0.

    Args:
        folder: of the official files.
        subset: how the names of the three files begin, such as "autotagging_moodtheme".
    """
    ids, paths, splits, artists, seconds, tags = [], [], [], [], [], []
    for split, part in _PARTS.items():
        path = readers.find(folder, f"data/splits/split-0/{subset}-{part}.tsv")
        header, *rows = readers.read_lines(path)
        if header.split("\t") != _HEADER:
            raise InputError(f"{path}: expected the columns {_HEADER}, found {header!r:.120}")
        for number, row in enumerate(rows, 2):
            fields = row.split("\t")
            tagged = len(fields) >= len(_HEADER) and all("---" in tag for tag in fields[5:])
            if not tagged or not _SECONDS.fullmatch(fields[4]):
                raise InputError(
                    f"{path}: line {number}: expected five fields and tags `category---name`, "
                    f"each in a field of its own, found {row!r:.120}"
                )
            ids.append(fields[0])
            artists.append(fields[1])
            paths.append((fields[3], f"{fields[3].removesuffix('.mp3')}.low.mp3"))
            seconds.append(float(fields[4]))
            tags.append(fields[5:])
            splits.append(split)
    labels = sorted({tag for names in tags for tag in names})
    targets = multi_hot(tags, labels)
    return Items(ids, paths, splits, labels, targets, artists, seconds=seconds)


def _task(name: str, subset: str, **settings: Any) -> TaskInfo:
    return TaskInfo(
        name,
        functools.partial(read, subset=subset),
        "multilabel",
        disjoint=("train", "valid", "test"),
        citation="D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra, ML4MD 2019",
        licence="Metadata CC BY-NC-SA 4.0; audio under Creative Commons licences, per track",
        **settings,
    )


TASKS = (
    _task(
        "Jam-50",
        "autotagging_top50tags",
        labels=50,
        counts={"train": 32136, "valid": 10888, "test": 11356},
    ),
    _task(
        "Jam-All",
        "autotagging",
        labels=183,
        counts={"train": 32859, "valid": 11101, "test": 11565},
    ),
    _task(
        "Jam-MT",
        "autotagging_moodtheme",
        labels=56,
        counts={"train": 9949, "valid": 3802, "test": 4231},
    ),
)
