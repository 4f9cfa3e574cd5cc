"""Single notes with their pitch and family of instruments: the NSynth of this data set.

No program in one part of the split plays a sample that one in another part plays too, at whatever
pitch and through whatever filter, so that instruments are tested that were never heard.
"""

import dataclasses

import numpy as np

from examples.miniature.dataset.performance import deck
from examples.miniature.dataset.splits import SPLITS, shares

SECONDS = 3.0
# For each family its range, and its programs for training, validation and test. The others do not
# sound at the pitch of their key, the organs among them, or share samples with another part.
FAMILIES = {
    "bass": ((28, 55), (33, 35, 36, 39), (34,), (32, 37)),
    "brass": ((43, 77), (57, 58, 59, 60), (61, 62, 63), (56,)),
    "flute": ((60, 91), (72, 74, 79), (75, 76), (73,)),
    "guitar": ((40, 79), (24, 25, 29, 30), (26,), (27, 28)),
    "mallet": ((53, 91), (11, 15, 108), (10,), (12,)),
    "piano": ((41, 84), (0, 1, 2, 3, 6), (5,), (4,)),
    "plucked": ((41, 84), (45, 105, 106), (107,), (46, 104)),
    "reed": ((46, 79), (64, 66, 69, 70), (67,), (65, 68, 71)),
    "strings": ((41, 84), (42, 43, 44, 48, 49), (50,), (40, 41)),
    "synth": ((41, 84), (88, 89, 90, 95), (81, 87), (80,)),
    "voice": ((48, 79), (53, 54), (85,), (52,)),
}
_HELD_SECONDS = (1.2, 2.0)
_ONSET_SECONDS = (0.0, 0.1)
_VELOCITY = (50, 115)


@dataclasses.dataclass(frozen=True)
class Note:
    """One note of the data set.

    Attributes:
        id: its name.
        split: "train", "valid" or "test".
        program: General MIDI program, counted from 0.
        pitch: MIDI note number.
        instrument: a key of `FAMILIES`.
        seed: of all that is drawn while it is played.
    """

    id: str
    split: str
    program: int
    pitch: int
    instrument: str
    seed: int


def plan(count: int, seed: int = 0) -> list[Note]:
    """`count` notes: families alike in number, keys and programs going round in shuffled order."""
    generator = np.random.default_rng([seed, 1])
    notes = []
    for part, split in enumerate(SPLITS):
        counts = shares(count, len(FAMILIES))[split]
        for (family, (bounds, *programs)), wanted in zip(FAMILIES.items(), counts, strict=True):
            keys = deck(range(bounds[0], bounds[1] + 1), generator)
            turns = deck(programs[part], generator)
            for _ in range(wanted):
                note = Note(
                    id=f"{family}_{len(notes):04d}",
                    split=split,
                    program=next(turns),
                    pitch=next(keys),
                    instrument=family,
                    seed=int(generator.integers(2**31)),
                )
                notes.append(note)
    return notes


def perform(note: Note) -> list[tuple[float, float, int, int]]:
    """As `performance.perform`: the single note, with onset, length and loudness."""
    generator = np.random.default_rng([note.seed, 0])
    onset, held = generator.uniform(*_ONSET_SECONDS), generator.uniform(*_HELD_SECONDS)
    return [(onset, held, note.pitch, int(generator.uniform(*_VELOCITY)))]
