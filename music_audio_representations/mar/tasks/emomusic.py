"""EmoMusic (Soleymani et al., 2013): 744 clips of 45 s, mean arousal and valence of each.

Official files: `songs_info.csv` and `static_annotations.csv`; or the same values in jukemir's
`emomusic.json.gz`. The MediaEval evaluation set is the test set; the others are split by artist
as [24] does. Targets are z-scores over those others, arousal first.
"""

import hashlib
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from mar.errors import InputError
from mar.tasks import readers
from mar.tasks.base import Items, TaskInfo

TARGETS = ["a", "v"]  # arousal, valence; results are called r2_a and r2_v
CLIP_SECONDS = 45
_START, _END = "start of the segment (min.sec)", "end of the segment (min.sec)"
_SET = "Mediaeval 2013 set"
_TIME = re.compile(r"(\d+)(?:\.([0-5]?\d))?")


def read(folder: pathlib.Path) -> Items:
    """Clips with static annotations."""
    songs, annotations, path = _tables(folder)
    values = {row["song_id"]: row for row in annotations}
    songs = sorted(songs, key=lambda row: readers.number(row["song_id"], path))
    for row in songs:
        length = seconds(row[_END], path) - seconds(row[_START], path)
        if length != CLIP_SECONDS:
            raise InputError(
                f"{path}: song {row['song_id']}: expected a segment of {CLIP_SECONDS} s, found "
                f"{row[_START]} to {row[_END]} (min.sec), {length} s. A spreadsheet program may "
                f"have saved the file again: fetch the original"
            )
        if row["song_id"] not in values:
            raise InputError(f"{path}: song {row['song_id']} has no static annotation")
    ids = [row["song_id"] for row in songs]
    keys = ("mean_arousal", "mean_valence")
    raw = np.array([[readers.number(values[id][key], path) for key in keys] for id in ids])
    splits = [_split(row) for row in songs]
    development = raw[np.asarray(splits) != "test"]
    targets = (raw - development.mean(axis=0)) / development.std(axis=0)
    return Items(
        ids,
        [(f"clips_45seconds/{id}.mp3", f"{id}.mp3") for id in ids],
        splits,
        TARGETS,
        targets.astype(np.float32),
        [_letters(row["Artist"]) for row in songs],
        with_suffixes=False,
    )


def seconds(text: str, path: str | os.PathLike[str] = "songs_info.csv") -> int:
    """Seconds of a time written as `min.sec`: `0.48` is 48 s, `1.2` is 1 min 20 s, `1` is 1 min."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise InputError(f"{path}: expected a time as min.sec, found {text!r}")
    minutes, rest = match[1], match[2] or "0"
    return 60 * int(minutes) + int(rest.ljust(2, "0"))


def _tables(
    folder: pathlib.Path,
) -> tuple[list[dict[str, str]], list[dict[str, str]], pathlib.Path]:
    """Rows of the two tables, and the file that they come from."""
    path = readers.find_optional(folder, "annotations/songs_info.csv")
    if path is None and readers.find_optional(folder, "metadata/emomusic.json"):
        path = readers.find(folder, "metadata/emomusic.json")
        extras = [entry["extra"] for entry in readers.read_json(path).values()]
        songs = [extra["songs_info"] for extra in extras]
        return songs, [extra["static_annotations"] for extra in extras], path
    path = readers.find(folder, "annotations/songs_info.csv")
    songs = readers.read_table(path, ["song_id", "Artist", _START, _END, _SET])
    static = readers.find(folder, "annotations/static_annotations.csv")
    return songs, readers.read_table(static, ["song_id", "mean_arousal", "mean_valence"]), path


def _split(row: Mapping[str, str]) -> str:
    if row[_SET] == "evaluation":
        return "test"
    digest = hashlib.sha1(_letters(row["Artist"]).encode()).hexdigest()
    return "train" if int(digest, 16) % 10 < 8 else "valid"


def _letters(artist: str) -> str:
    """An artist's name in lower case: ASCII letters and single spaces."""
    kept = re.sub(r"[^a-z\s]", "", artist.lower())
    return re.sub(r"\s+", " ", kept)


TASKS = (
    TaskInfo(
        "Emo",
        read,
        "regression",
        labels=2,
        counts={"train": 504, "valid": 115, "test": 125},
        source="R. Castellon, C. Donahue, P. Liang, ISMIR 2021, the paper's [24]",
        disjoint=("train", "valid"),  # the evaluation set shares 43 artists with train
        citation="M. Soleymani, M. N. Caro, E. M. Schmidt, C.-Y. Sha, Y.-H. Yang, CrowdMM 2013",
        licence="For research; audio from the Free Music Archive",
    ),
)
