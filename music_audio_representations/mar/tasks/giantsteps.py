"""GiantSteps Key and GiantSteps MTG Key (Knees et al., 2015): 24 keys of electronic music.

The 604 tracks of `giantsteps-key-dataset` are the test set (`annotations/key/*.key`, or jukemir's
`giantsteps_clips.json.gz`). The 1,486 of `giantsteps-mtg-key-dataset` (`annotations.txt`,
`beatport_metadata.txt`) are for training and validation where their key is sure (confidence 2)
and one, split by artist as [24] does.
"""

import hashlib
import pathlib
from collections.abc import Iterator

from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo, one_hot
from mar.tasks.keys import KEYS, parse_key

_TEST, _MTG = "giantsteps-key-dataset", "giantsteps-mtg-key-dataset"


def read(folder: pathlib.Path) -> Items:
    """Test tracks of the first data set, training and validation tracks of the second."""
    rows: list[tuple[str, str, str, str, tuple[str, ...]]] = []
    for id, key in sorted(_test_keys(folder).items(), key=lambda pair: int(pair[0])):
        label = parse_key(key)
        if label is None:
            raise InputError(f"{folder}: {_TEST}: track {id}: expected a key, found {key!r}")
        rows.append((id, _TEST, "test", label, ()))
    artists, valid = _artists(folder)
    for id, key in _sure_keys(folder):
        if id not in artists:
            raise InputError(f"{folder}: {_MTG}: beatport_metadata.txt lacks the track {id}")
        split = "valid" if valid & set(artists[id]) else "train"
        rows.append((id, _MTG, split, key, artists[id]))
    rows.sort(key=lambda row: ("train", "valid", "test").index(row[2]))
    ids, homes, splits, keys, names = map(list, zip(*rows, strict=True))
    paths = [
        (f"{home}/audio/{id}.LOFI.mp3", f"audio/{id}.LOFI.mp3", f"{id}.LOFI.mp3")
        for id, home in zip(ids, homes, strict=True)
    ]
    return Items(ids, paths, splits, KEYS, one_hot(keys, KEYS), names, with_suffixes=False)


def _test_keys(folder: pathlib.Path) -> dict[str, str]:
    """Key as it is written, by track id."""
    home = readers.find_optional(folder, f"{_TEST}/annotations/key")
    if home is not None and home.is_dir() and not (home.parent / "annotations.txt").exists():
        return {
            path.name.split(".")[0]: readers.read_text(path)
            for path in home.glob("[0-9]*.LOFI.key")
        }
    path = readers.find_optional(folder, "metadata/giantsteps_clips.json")
    if path is None:
        raise InputError(f"{folder}: expected {_TEST}/annotations/key/*.LOFI.key in it, found none")
    clips = readers.read_json(path).values()
    return {str(clip["extra"]["id"]): clip["y"] for clip in clips if clip["split"] == "test"}


def _sure_keys(folder: pathlib.Path) -> Iterator[tuple[str, str]]:
    """`(id, key)` of the tracks with one key of the highest confidence."""
    path = readers.find(folder, f"{_MTG}/annotations/annotations.txt")
    for row in readers.read_table(path, ["ID", "MANUAL KEY", "C"], "\t"):
        if row["C"] == "2" and "/" not in row["MANUAL KEY"]:
            key = parse_key(row["MANUAL KEY"])
            if key is None:
                raise InputError(f"{path}: track {row['ID']}: {row['MANUAL KEY']!r} is no key")
            yield row["ID"], key


def _artists(folder: pathlib.Path) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Artists of every track of the second data set, and which of them are for validation."""
    path = readers.find(folder, f"{_MTG}/annotations/beatport_metadata.txt")
    artists = {}
    for row in readers.read_table(path, ["ID", "ARTIST"], "\t"):
        artists[row["ID"]] = tuple(name.strip() for name in row["ARTIST"].split(","))
    valid = {name for names in artists.values() for name in names if not _hashed_to_train(name)}
    for _ in range(2):  # whoever made a track with one for validation follows them
        for names in artists.values():
            if valid & set(names):
                valid |= set(names)
    return artists, valid


def _hashed_to_train(artist: str) -> bool:
    return int(hashlib.sha1(artist.lower().encode()).hexdigest(), 16) % 116 < 100


TASKS = (
    TaskInfo(
        "GS_Key",
        read,
        "key",
        labels=24,
        counts={"train": 923, "valid": 236, "test": 604},
        source="R. Castellon, C. Donahue, P. Liang, ISMIR 2021, the paper's [24]",
        disjoint=("train", "valid"),
        citation="P. Knees, A. Faraldo, P. Herrera, R. Vogl, S. Böck et al., ISMIR 2015",
        licence="No licence stated; audio previews from Beatport",
    ),
)
