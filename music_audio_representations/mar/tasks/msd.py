"""The Million Song Dataset's Last.fm tags as MSDS: 241,889 tracks, 50 tags.

Files: jongpillee's `MSD_split` (`filtered_list_{train,test}.cP`, `50tagList.txt`), and labels from
`msd_id_to_tag_vector.cP` or from keunwoochoi's `{train,valid,test}_{x_msd_id.txt,y.npy}`, or from
musicnn's `*_gt_msd.tsv`. The audio of a track is looked for at its 7digital path, where the files
tell it, and at `<id[2]>/<id[3]>/<id[4]>/<id>`.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo
from mar.util import plain_data

TRAIN_ITEMS = 201_680  # of filtered_list_train.cP; the others are for validation
_PARENT = "MSD_split_for_tagging"
_CITATION = "T. Bertin-Mahieux, D. P. W. Ellis, B. Whitman, P. Lamere, ISMIR 2011"


def read(folder: pathlib.Path) -> Items:
    """The conventional split (paper, footnote 4)."""
    labels = readers.read_lines(readers.find(folder, "MSD_split/50tagList.txt"))
    listed = readers.read_list(readers.find(folder, "MSD_split/filtered_list_train.cP"))
    tested = readers.read_list(readers.find(folder, "MSD_split/filtered_list_test.cP"))
    ids = listed + tested
    valid = len(listed) - TRAIN_ITEMS
    splits = ["train"] * TRAIN_ITEMS + ["valid"] * valid + ["test"] * len(tested)
    if valid <= 0:
        raise InputError(
            f"{folder}: filtered_list_train.cP: expected {TRAIN_ITEMS} tracks and those for "
            f"validation behind them, found {len(listed)} in all"
        )
    rows = read_labels(folder, len(labels))
    unlabelled = [id for id in ids if id not in rows]
    if unlabelled:
        raise InputError(
            f"{folder}: {len(unlabelled)} of {len(ids)} tracks have no labels, e.g. "
            f"{', '.join(unlabelled[:5])}. They lie in MSD_split/msd_id_to_tag_vector.cP, or in "
            f"{_PARENT}/{{train,valid,test}}_x_msd_id.txt with _y.npy"
        )
    return Items(
        ids,
        audio_paths(ids, folder),
        splits,
        labels,
        np.stack([rows[id] for id in ids]),
        with_suffixes=False,
    )


def read_labels(folder: pathlib.Path, labels: int) -> dict[str, np.ndarray]:
    """uint8 `(labels,)` of each track id, from whichever of the three sources are there."""
    vectors = readers.find_optional(folder, "MSD_split/msd_id_to_tag_vector.cP")
    if vectors:
        mapping = readers.read_mapping(vectors)
        rows = {id: np.ravel(vector).astype(np.uint8) for id, vector in mapping.items()}
        for id, row in rows.items():
            if row.shape != (labels,):
                raise InputError(f"{vectors}: {id}: expected {labels} labels, found {len(row)}")
        return rows
    rows = {}
    for split in ("train", "valid", "test"):
        listed = readers.find_optional(folder, f"{_PARENT}/{split}_x_msd_id.txt")
        flags = readers.find_optional(folder, f"{_PARENT}/{split}_y.npy")
        if listed and flags:
            ids = readers.read_lines(listed)
            targets = readers.read_flags(flags, (len(ids), labels))
            rows.update(zip(ids, targets, strict=True))
    for name in ("train", "val", "test"):
        path = readers.find_optional(folder, f"data/index/msd/{name}_gt_msd.tsv")
        if path:
            rows.update(read_ground_truth(path, labels))
    return rows


def read_ground_truth(path: pathlib.Path, labels: int) -> dict[str, np.ndarray]:
    """uint8 `(labels,)` of each track id of a `track_id<TAB>[0, 1, …]` file."""
    rows = {}
    for number, line in enumerate(readers.read_lines(path), 1):
        id, _, vector = line.partition("\t")
        try:
            rows[id] = np.array(plain_data.parsed(vector), np.uint8)
        except (ValueError, OverflowError, TypeError):
            raise InputError(f"{path}: line {number}: expected `id<TAB>[0, 1, …]`") from None
        if rows[id].shape != (labels,):
            raise InputError(f"{path}: line {number}: expected {labels} labels")
    return rows


def audio_paths(ids: Sequence[str], folder: pathlib.Path) -> list[tuple[str, ...]]:
    """Candidate paths of each track or song id, the official one first."""
    previews = _preview_paths(folder)
    paths = []
    for id in ids:
        candidates: tuple[str, ...] = (f"{id[2:3]}/{id[3:4]}/{id[4:5]}/{id}.mp3", f"{id}.mp3")
        preview = previews.get(id)
        if preview:
            candidates = (preview, preview.replace(".clip", ""), *candidates)
        paths.append(candidates)
    return paths


def _preview_paths(folder: pathlib.Path) -> dict[str, str]:
    """`5/5/5504670.clip.mp3` of the track ids whose 7digital path the files tell."""
    to_number = readers.find_optional(folder, "MSD_split/MSD_id_to_7D_id.pkl")
    to_path = readers.find_optional(folder, "MSD_split/7D_id_to_path.pkl")
    if to_number and to_path:
        paths = readers.read_mapping(to_path)
        numbers = readers.read_mapping(to_number)
        return {id: paths[number] for id, number in numbers.items() if number in paths}
    previews: dict[str, str] = {}
    for split in ("train", "valid", "test"):
        listed = readers.find_optional(folder, f"{_PARENT}/{split}_x_msd_id.txt")
        named = readers.find_optional(folder, f"{_PARENT}/{split}_x_filename.txt")
        if listed and named:
            ids, names = readers.read_lines(listed), readers.read_lines(named)
            if len(ids) != len(names):
                raise InputError(
                    f"{folder}: {_PARENT}: {len(ids)} ids but {len(names)} file names in {split}"
                )
            clips = (name.removesuffix(".npy") + ".clip.mp3" for name in names)
            previews.update(zip(ids, clips, strict=True))
    return previews


TASKS = (
    TaskInfo(
        "MSDS",
        read,
        "multilabel",
        labels=50,
        counts={"train": 201680, "valid": 11774, "test": 28435},
        citation=_CITATION,
        licence="Lists MIT (music_dataset_split); Last.fm tags for research; no audio",
    ),
)
