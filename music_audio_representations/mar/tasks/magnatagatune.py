"""MagnaTagATune (Law et al., 2009): 25,860 clips, the 50 most frequent of 188 tags.

Official files: `annotations_final.csv`. The split is by the first character of the path. Clips
without any of the 50 tags are kept, as [24] and the paper do. Other work drops them: `MTT_filtered`
is jongpillee's list of 21,105 clips, `MTT_MTG` (`mar.tasks.protocols`) minzwon's.
"""

import pathlib
from typing import Any

import numpy as np

from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo

CORRUPT = {"35644", "55753", "57881"}  # MP3s of length zero in the distribution
_SPLITS = {**dict.fromkeys("0123456789ab", "train"), "c": "valid", **dict.fromkeys("def", "test")}
_DIALECT = "tab-separated with every cell in double quotes"


def read(folder: pathlib.Path) -> Items:
    """All clips with audio."""
    path = readers.find(folder, "annotations_final.csv")
    header, rows = readers.read_rows(path, ["clip_id", "mp3_path"], "\t")
    tags = [name for name in header if name not in ("clip_id", "mp3_path")]
    if not readers.read_bytes(path).startswith(b'"clip_id"\t'):
        raise InputError(
            f"{path}: expected the official file, {_DIALECT}; it was saved again by another program"
        )
    id_column, path_column = header.index("clip_id"), header.index("mp3_path")
    tag_columns = [header.index(name) for name in tags]
    ids, paths, tagged = [], [], []
    for row in rows:
        ids.append(row[id_column])
        paths.append(row[path_column])
        tagged.append([row[column] == "1" for column in tag_columns])
    flags = np.array(tagged, np.uint8)
    # The most frequent of all annotated rows, ties in the order of the columns.
    top = np.argsort(-flags.sum(axis=0, dtype=np.int64), kind="stable")[:50]
    kept = [row for row, id in enumerate(ids) if id not in CORRUPT]
    return Items(
        ids=[ids[row] for row in kept],
        paths=[paths[row] for row in kept],
        splits=[_split(paths[row], path) for row in kept],
        labels=[tags[column] for column in top],
        targets=flags[kept][:, top],
    )


def read_filtered(folder: pathlib.Path) -> Items:
    """The clips of jongpillee's `MTAT_split`."""
    labels = readers.read_lines(readers.find(folder, "MTAT_split/top50_tags.txt"))
    ids: list[str] = []
    splits: list[str] = []
    targets = []
    for split in ("train", "valid", "test"):
        listed = readers.read_list(readers.find(folder, f"MTAT_split/{split}_list_pub.cP"))
        path = readers.find(folder, f"MTAT_split/y_{split}_pub.npy")
        targets.append(readers.read_flags(path, (len(listed), len(labels))))
        ids += listed
        splits += [split] * len(listed)
    paths = [name.removesuffix(".npy") + ".mp3" for name in ids]
    return Items(paths, paths, splits, labels, np.concatenate(targets), with_suffixes=False)


def read_arrays(folder: pathlib.Path) -> Items:
    """The clips of minzwon's arrays: `{train,valid,test}.npy`, `binary.npy` and `tags.npy`."""
    labels = readers.read_array(readers.find(folder, "tags.npy"), (None,)).tolist()
    binary = readers.read_flags(readers.find(folder, "binary.npy"), (None, len(labels)))
    rows, paths, splits = [], [], []
    for split in ("train", "valid", "test"):
        file = readers.find(folder, f"{split}.npy")
        for row, path in readers.read_numbered(file, "\t"):
            if row >= len(binary):
                raise InputError(f"{file}: row {row} of {path}: binary.npy has {len(binary)}")
            rows.append(row)
            paths.append(path)
            splits.append(split)
    return Items(paths, paths, splits, labels, binary[rows])


def _split(mp3_path: str, path: pathlib.Path) -> str:
    if mp3_path[:1] not in _SPLITS or mp3_path[1:2] != "/":
        raise InputError(f"{path}: expected paths in the folders 0 to f, found {mp3_path!r}")
    return _SPLITS[mp3_path[0]]


UNTAGGED_DROPPED = (
    "Clips without any of the 50 tags are left out, 997 of the 5,329 for testing. The paper keeps "
    "them, as [24] does, and any of them that is ranked high lowers a tag's average precision: "
    "numbers are about 0.44 to 0.49 where the paper's are about 0.40."
)
_COMMON: dict[str, Any] = {
    "kind": "multilabel",
    "labels": 50,
    "constraint": "[24]",
    "citation": "E. Law, K. West, M. I. Mandel, M. Bay, J. S. Downie, ISMIR 2009",
    "licence": "Annotations without a stated licence; audio CC BY-NC-SA (Magnatune)",
}
TASKS = (
    TaskInfo(
        "MTT",
        read,
        counts={"train": 18706, "valid": 1825, "test": 5329},
        source="R. Castellon, C. Donahue, P. Liang, ISMIR 2021, the paper's [24]",
        **_COMMON,
    ),
    TaskInfo(
        "MTT_filtered",
        read_filtered,
        protocol="filtered",
        source="MTAT_split of github.com/jongpillee/music_dataset_split (J. Lee et al., SMC 2017)",
        differs=UNTAGGED_DROPPED,
        probe="MTT",
        counts={"train": 15244, "valid": 1529, "test": 4332},
        **_COMMON,
    ),
)
