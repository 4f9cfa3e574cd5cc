"""NSynth (Engel et al., 2017): 305,979 notes; 112 pitches (NSynth_P), 11 families (NSynth_I).

Files: `nsynth-{train,valid,test}/examples.json`, each beside its `audio/<note>.wav`.
"""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

from mar.errors import InputError
from mar.tasks import json_stream, readers
from mar.tasks.base import Items, TaskInfo, one_hot

PITCHES = [str(pitch) for pitch in range(9, 121)]
FAMILIES = [
    *("bass", "brass", "flute", "guitar", "keyboard", "mallet"),
    *("organ", "reed", "string", "synth_lead", "vocal"),
]


def read(folder: pathlib.Path, key: str, labels: Sequence[str]) -> Items:
    """Notes of the official split.

    Args:
        folder: holds the three parts.
        key: the entry of a note that is its class.
        labels: the classes.
    """
    notes, splits, classes, known = [], [], [], set(labels)
    for split in ("train", "valid", "test"):
        path = readers.find(folder, f"nsynth-{split}/examples.json")
        if path.parent.name != f"nsynth-{split}":
            raise InputError(f"{folder}: expected nsynth-{split}/examples.json in it")
        for note, entry in json_stream.entries(path):
            name = str(entry.get(key)) if isinstance(entry, dict) else None
            if name not in known:
                raise InputError(f"{path}: {note}: expected {key} as a known class, found {name}")
            notes.append(note)
            splits.append(split)
            classes.append(name)
    paths = [
        (f"nsynth-{split}/audio/{note}.wav", f"audio/{note}.wav")
        for note, split in zip(notes, splits, strict=True)
    ]
    return Items(notes, paths, splits, list(labels), one_hot(classes, labels), with_suffixes=False)


_COMMON: dict[str, Any] = {
    "kind": "multiclass",
    "counts": {"train": 289205, "valid": 12678, "test": 4096},
    "constraint": "[2]",
    "citation": "J. Engel, C. Resnick, A. Roberts, S. Dieleman, M. Norouzi, D. Eck, K. Simonyan, "
    "ICML 2017",
    "licence": "CC BY 4.0",
}
TASKS = (
    TaskInfo(
        "NSynth_P",
        functools.partial(read, key="pitch", labels=PITCHES),
        labels=112,
        # Four adjoining windows.
        windows={"window_seconds": 1.0, "hop_seconds": 1.0, "first_centre_seconds": 0.5},
        **_COMMON,
    ),
    TaskInfo(
        "NSynth_I",
        functools.partial(read, key="instrument_family_str", labels=FAMILIES),
        labels=11,
        windows={"window_seconds": 4.0, "hop_seconds": 4.0, "first_centre_seconds": 2.0},
        **_COMMON,
    ),
)
