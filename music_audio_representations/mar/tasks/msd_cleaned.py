"""MSD50, MSD100 and MSD500: cleaned tags, artist-separated (Won et al., 2021, paper's [22]).

MSD50 and MSD100 are read from `reproducible_splits.tar.gz`, unpacked: `tags.npy`,
`existing_ids.npy`, `binaries.npy` and `{train,valid,test}_ids.npy` (`"<row>//<id>"`), for MSD50
with the prefix `sub_`. MSD500 is read from `msd500.tar.gz`, unpacked (`track_tags.tsv`,
`selected_tags.tsv`), with the split's `{train,valid,test}_ids.npy` beside it. Ids may be of tracks
(TR…) or songs (SO…).
"""

import functools
import pathlib
from collections.abc import Iterator
from typing import Any

from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo, multi_hot
from mar.tasks.msd import audio_paths

MINIMUM_SCORE = 50  # Last.fm's, of the tags that count
_COLUMNS = 5  # song_id, original_tag, cleaned_tag, tag_category, score


def read_arrays(folder: pathlib.Path, prefix: str = "") -> Items:
    """MSD100, or with the prefix `sub_` MSD50."""
    labels = readers.read_array(readers.find(folder, f"{prefix}tags.npy"), (None,)).tolist()
    known = readers.read_array(readers.find(folder, f"{prefix}existing_ids.npy"), (None,)).tolist()
    path = readers.find(folder, f"{prefix}binaries.npy")
    binaries = readers.read_flags(path, (len(known), len(labels)))
    rows, ids, splits = _split_ids(folder, prefix)
    for row, id in zip(rows, ids, strict=True):
        if row >= len(known) or known[row] != id:
            raise InputError(
                f"{folder}: the split says that {id} is row {row} of {prefix}existing_ids.npy, "
                f"found {known[row] if row < len(known) else 'fewer rows'}"
            )
    return Items(ids, audio_paths(ids, folder), splits, labels, binaries[rows], with_suffixes=False)


def read_tags(folder: pathlib.Path) -> Items:
    """MSD500: the tracks with at least one tag of the vocabulary (paper, Table 1)."""
    path = readers.find(folder, "track_tags.tsv")
    selected = readers.find_optional(folder, "selected_tags.tsv")
    tags: dict[str, list[str]] = {}
    for number, row in enumerate(_tab_separated(path), 1):
        if len(row) != _COLUMNS:
            raise InputError(f"{path}: line {number}: expected {_COLUMNS} fields, found {len(row)}")
        id, _, tag, _, score = row
        if readers.number(score, f"{path}: line {number}") >= MINIMUM_SCORE:
            tags.setdefault(id, []).append(tag)
    if selected:
        labels = [row[0] for row in _tab_separated(selected) if row[0]]
    else:
        labels = sorted({tag for names in tags.values() for tag in names})
    _, ids, splits = _split_ids(folder, "")
    vocabulary = set(labels)
    kept = [row for row, id in enumerate(ids) if vocabulary & set(tags.get(id, ()))]
    ids = [ids[row] for row in kept]
    targets = multi_hot([tags[id] for id in ids], labels)
    return Items(
        ids,
        audio_paths(ids, folder),
        [splits[row] for row in kept],
        labels,
        targets,
        with_suffixes=False,
    )


def _split_ids(folder: pathlib.Path, prefix: str) -> tuple[list[int], list[str], list[str]]:
    """Row numbers, ids and splits of the three `…_ids.npy`."""
    rows, ids, splits = [], [], []
    for split in ("train", "valid", "test"):
        for row, id in readers.read_numbered(
            readers.find(folder, f"{prefix}{split}_ids.npy"), "//"
        ):
            rows.append(row)
            ids.append(id)
            splits.append(split)
    return rows, ids, splits


def _tab_separated(path: pathlib.Path) -> Iterator[list[str]]:
    return (line.split("\t") for line in readers.read_lines(path))


_COMMON: dict[str, Any] = {
    "kind": "multilabel",
    "citation": "M. Won, S. Oramas, O. Nieto, F. Gouyon, X. Serra, ICASSP 2021",
    "licence": "No licence stated; Last.fm tags for research; no audio",
}
TASKS = (
    TaskInfo(
        "MSD50",
        functools.partial(read_arrays, prefix="sub_"),
        labels=50,
        counts={"total": 35745},
        **_COMMON,
    ),
    TaskInfo("MSD100", read_arrays, labels=100, **_COMMON),
    TaskInfo("MSD500", read_tags, labels=500, **_COMMON),
)
