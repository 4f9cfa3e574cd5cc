"""MuMu (Oramas et al., 2018): 147,295 tracks of the MSD, 250 genres of their albums.

Files, in the layout of the split archive: `genre_labels_<NAME>.tsv`,
`items_index_{train,val,test}_<NAME>.tsv` and `y_{train,val,test}_class_<DIM>_<NAME>.npy`. Where
the items are albums (Amazon ids), `MuMu_dataset_multi-label.csv` gives their tracks: the paper
evaluates tracks.
"""

import logging
import pathlib

import numpy as np

from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo
from mar.tasks.msd import audio_paths

_PARTS = {"train": "train", "valid": "val", "test": "test"}
_SHOWN = 5
logger = logging.getLogger(__name__)


def read(folder: pathlib.Path) -> Items:
    """Tracks of the official split."""
    labels = readers.read_lines(_only(folder, "genre_labels_*.tsv*"))
    ids: list[str] = []
    splits: list[str] = []
    parts = []
    for split, part in _PARTS.items():
        listed = [
            line.strip() for line in readers.read_lines(_only(folder, f"items_index_{part}_*"))
        ]
        path = _only(folder, f"y_{part}_class_*.npy*")
        ids += listed
        splits += [split] * len(listed)
        parts.append(readers.read_flags(path, (len(listed), len(labels))))
    targets = np.concatenate(parts)
    albums = _tracks_of_albums(folder)
    if any(id in albums for id in ids):
        ids, splits, targets = _of_tracks(folder, albums, ids, splits, targets)
    return Items(ids, audio_paths(ids, folder), splits, labels, targets, with_suffixes=False)


def _of_tracks(
    folder: pathlib.Path,
    albums: dict[str, list[str]],
    ids: list[str],
    splits: list[str],
    targets: np.ndarray,
) -> tuple[list[str], list[str], np.ndarray]:
    """Ids, splits and targets of the tracks of albums.

    Albums of which no track is known are left out. A track of several albums has the genres of all
    of them, and the last of their splits: so that nothing is tested that was trained on.
    """
    absent = [id for id in ids if id not in albums]
    if absent:
        logger.warning(
            "%s: left out %d of %d albums, of which MuMu_dataset_multi-label.csv has no track: %s",
            *(folder, len(absent), len(ids), ", ".join(absent[:_SHOWN])),
        )
    rows: dict[str, list[int]] = {}
    for row, id in enumerate(ids):
        for track in dict.fromkeys(albums.get(id, ())):
            rows.setdefault(track, []).append(row)
    shared = [track for track, of_track in rows.items() if len(of_track) > 1]
    if shared:
        logger.warning(
            "%s: %d of %d tracks are of several albums, and have the genres of all of them: %s",
            *(folder, len(shared), len(rows), ", ".join(shared[:_SHOWN])),
        )
    of_tracks = list(rows.values())
    merged = np.stack([targets[of_track].max(axis=0) for of_track in of_tracks])
    return list(rows), [splits[of_track[-1]] for of_track in of_tracks], merged


def _tracks_of_albums(folder: pathlib.Path) -> dict[str, list[str]]:
    """Track ids by Amazon id; empty where the table is not there."""
    path = readers.find_optional(folder, "MuMu_dataset/MuMu_dataset_multi-label.csv")
    if path is None:
        return {}
    header, rows = readers.read_rows(path, ["amazon_id", "MSD_track_id"])
    album, track = header.index("amazon_id"), header.index("MSD_track_id")
    tracks: dict[str, list[str]] = {}
    for row in rows:
        tracks.setdefault(row[album].strip(), []).append(row[track].strip())
    return tracks


def _only(folder: pathlib.Path, pattern: str) -> pathlib.Path:
    """The one file below a folder whose name fits the pattern."""
    paths = sorted(folder.rglob(pattern))
    if len(paths) != 1:
        raise InputError(
            f"{folder}: expected one {pattern} of MuMu's split archive, found "
            f"{', '.join(path.name for path in paths) or 'none'}"
        )
    return paths[0]


TASKS = (
    TaskInfo(
        "MuMu",
        read,
        "multilabel",
        labels=250,
        counts={"total": 147295},
        citation="S. Oramas, F. Barbieri, O. Nieto Caballero, X. Serra, TISMIR 1(1), 2018",
        licence="(c) 2017 MTG-UPF, for research; no audio",
    ),
)
