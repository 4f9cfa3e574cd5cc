"""GTZAN genre (Tzanetakis and Cook, 2002), fault-filtered: 930 clips in 10 classes.

Files: `{train,valid,test}_filtered.txt`, one `genre/genre.000NN.wav` a line.
"""

import pathlib

from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo, one_hot


def read(folder: pathlib.Path) -> Items:
    """Clips of the three lists; the folder is the class."""
    names: list[str] = []
    splits: list[str] = []
    for split in ("train", "valid", "test"):
        lines = readers.read_lines(readers.find(folder, f"GTZAN_split/{split}_filtered.txt"))
        listed = [line.strip() for line in lines if line.strip()]
        names += listed
        splits += [split] * len(listed)
    genres = [name.split("/")[0] for name in names]
    labels = sorted(set(genres))
    paths = [paths_of(name) for name in names]
    return Items(names, paths, splits, labels, one_hot(genres, labels))


def paths_of(name: str) -> tuple[str, ...]:
    """Where the clip `genre/genre.000NN.wav` may lie."""
    return name, f"genres/{name}", name.split("/")[-1]


TASKS = (
    TaskInfo(
        "GTZAN",
        read,
        "multiclass",
        labels=10,
        source="C. Kereliuk, B. L. Sturm, J. Larsen, IEEE TMM 17(11), 2015: fault-filtered",
        counts={"train": 443, "valid": 197, "test": 290},
        unreadable=("jazz/jazz.00054.wav",),
        citation="G. Tzanetakis, P. Cook, IEEE TSAP 10(5), 2002",
        licence="Lists MIT (music_dataset_split); audio without a stated licence",
    ),
)
