"""How a composition is played: everything that its edition leaves open, drawn from one seed."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from examples.miniature.dataset.compositions import GENRES, MODES, Composition
from examples.miniature.dataset.splits import shares

SECONDS = 20.0
# General MIDI programs, counted from 0.
FAMILIES = {
    "brass": (56, 57, 58, 60, 61),
    "flute": (72, 73, 74, 75),
    "guitar": (24, 25, 26, 27),
    "mallet": (8, 11, 12, 14),
    "organ": (19, 20, 21),
    "piano": (0, 1, 2, 6),
    "plucked": (45, 46, 104, 105, 107),
    "reed": (64, 65, 66, 68, 70, 71),
    "strings": (40, 41, 42, 48),
    "synth": (80, 81, 88, 90),
    "voice": (52, 53, 54),
}
TEMPI = {  # beats a minute
    "air": (90, 150),
    "chorale": (60, 100),
    "hornpipe": (65, 95),
    "jig": (95, 130),
    "march": (85, 120),
    "reel": (85, 115),
    "slip jig": (95, 130),
    "strathspey": (90, 130),
}
_JITTER_SECONDS = 0.006
_LEGATO = (0.8, 1.0)
_VELOCITY = (60, 110)
_VELOCITY_SPREAD = 7


@dataclasses.dataclass(frozen=True)
class Track:
    """One track of the data set, before it is played.

    Attributes:
        id: its name.
        composition: a `Composition`.
        split: "train", "valid" or "test".
        group: of works that are not told apart.
        tonic: pitch class that it is played in.
        instrument: a key of `FAMILIES`.
        program: one of that family's.
        tempo_bpm: beats a minute.
        seed: of all that is drawn while it is played.
    """

    id: str
    composition: Composition
    split: str
    group: str
    tonic: int
    instrument: str
    program: int
    tempo_bpm: float
    seed: int


def plan(
    works: Sequence[Composition],
    splits: Sequence[str],
    groups: Sequence[int],
    count: int,
    seed: int = 0,
) -> list[Track]:
    """The tracks of the data set.

    Each genre has the same share of every part. Its works there are taken in turn, major and minor
    alternating while there are new ones of both; families of instruments, and the tonics of each
    mode, go round in shuffled order, so that one label does not tell another.

    Args:
        works: what there is.
        splits: of each.
        groups: of each.
        count: tracks wanted.
        seed: of all draws.

    Returns:
        A list of `Track`s.
    """
    generator = np.random.default_rng(seed)
    tracks = []
    for split, share in shares(count, len(GENRES)).items():
        tonics = {mode: deck(range(12), generator) for mode in MODES}
        for genre, wanted in zip(GENRES, share, strict=True):
            families = deck(sorted(FAMILIES), generator)
            rows = [
                row
                for row, work in enumerate(works)
                if work.genre == genre and splits[row] == split
            ]
            for row in _turns(rows, works, wanted, generator):
                work, family = works[row], next(families)
                low, high = np.log(TEMPI[genre])
                number = 1 + sum(track.composition.genre == genre for track in tracks)
                tracks.append(
                    Track(
                        id=f"{genre.replace(' ', '_')}_{number:04d}",
                        composition=work,
                        split=split,
                        group=works[groups[row]].id,
                        tonic=next(tonics[work.mode]),
                        instrument=family,
                        program=int(generator.choice(FAMILIES[family])),
                        tempo_bpm=round(float(np.exp(generator.uniform(low, high))), 2),
                        seed=int(generator.integers(2**31)),
                    )
                )
    return tracks


def perform(track: Track, seconds: float = SECONDS) -> list[tuple[float, float, int, int]]:
    """The notes that are played in the first seconds, the work repeated where it is too short.

    Returns:
        A list of `(onset, duration, key, velocity)`: seconds, seconds, MIDI note number, 1 to 127.
    """
    generator = np.random.default_rng([track.seed, 0])
    work = track.composition
    up = (track.tonic - work.tonic + 6) % 12 - 6
    second = 60 / track.tempo_bpm / work.beat  # of a quarter note
    length = (work.notes[:, 0] + work.notes[:, 1]).max()
    times = -(-seconds // (length * second))
    notes = np.tile(work.notes, (int(times), 1))
    notes[:, 0] += np.repeat(np.arange(times), len(work.notes)) * length
    notes = notes[notes[:, 0] * second < seconds - 0.1]
    loud = generator.uniform(*_VELOCITY)
    onsets = notes[:, 0] * second + generator.normal(0, _JITTER_SECONDS, len(notes))
    durations = notes[:, 1] * second * generator.uniform(*_LEGATO)
    velocities = np.clip(generator.normal(loud, _VELOCITY_SPREAD, len(notes)), 1, 127)
    return list(
        zip(
            np.maximum(onsets, 0).tolist(),
            durations.tolist(),
            (notes[:, 2].astype(int) + up).tolist(),
            velocities.astype(int).tolist(),
            strict=True,
        )
    )


def _turns(rows, works, wanted, generator):
    """`wanted` of the rows: shuffled, modes alternating while both last, then all over again."""
    shuffled = generator.permutation(rows).tolist()
    by_mode = [[row for row in shuffled if works[row].mode == mode] for mode in MODES]
    pairs = [row for pair in zip(*by_mode, strict=False) for row in pair]
    order = pairs + [row for row in shuffled if row not in set(pairs)]
    return [order[turn % len(order)] for turn in range(wanted)]


def deck(values: Iterable, generator: np.random.Generator) -> Iterator:
    """Yields the values in ever newly shuffled order."""
    while True:
        yield from generator.permutation(list(values)).tolist()
