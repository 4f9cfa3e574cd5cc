"""AllMusic moods (Korzeniowski et al., 2021): 66,993 tracks of the MSD, 188 moods of their albums.

Files: `metadata.csv`, `moods.txt` and `{train,val,test}_idx.npy` of fdlm/listening-moods, and
`mood_target.npy`, multi-hot in the order of the metadata's rows; it is not distributed.
"""

import pathlib

from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo
from mar.tasks.msd import audio_paths


def read(folder: pathlib.Path) -> Items:
    """Tracks of the artist-separated split."""
    rows = readers.read_table(readers.find(folder, "data/metadata.csv"), ["artist_id", "track_id"])
    labels = readers.read_lines(readers.find(folder, "data/moods.txt"))
    path = readers.find_optional(folder, "data/mood_target.npy")
    if path is None:
        raise InputError(
            f"{folder}: expected mood_target.npy, a 0/1 array of {len(rows)} x {len(labels)} in "
            f"the order of metadata.csv and moods.txt. AllMusic's labels are not distributed: "
            f"the album's moods have to be licensed from its owner"
        )
    targets = readers.read_flags(path, (len(rows), len(labels)))
    order: list[int] = []
    splits: list[str] = []
    for split, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        path = readers.find(folder, f"data/{name}_idx.npy")
        indices = readers.read_array(path, (None,))
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(rows):
            raise InputError(
                f"{path}: expected rows 0 to {len(rows) - 1}, found {indices.min()} to "
                f"{indices.max()}"
            )
        order += indices.tolist()
        splits += [split] * len(indices)
    ids = [rows[row]["track_id"] for row in order]
    artists = [rows[row]["artist_id"] for row in order]
    return Items(
        ids, audio_paths(ids, folder), splits, labels, targets[order], artists, with_suffixes=False
    )


TASKS = (
    TaskInfo(
        "AMM",
        read,
        "multilabel",
        labels=188,
        counts={"train": 53585, "valid": 6695, "test": 6713},
        disjoint=("train", "valid", "test"),
        citation="F. Korzeniowski, O. Nieto, M. McCallum, M. Won, S. Oramas et al., ISMIR 2021",
        licence="Split BSD 3-clause style (Pandora Media); labels not distributed; no audio",
    ),
)
