"""The 24 major and minor keys, and how they are written."""

import re

TONICS = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"]
KEYS = [f"{tonic} {mode}" for mode in ("major", "minor") for tonic in TONICS]
_FLATS = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb"}
_KEY = re.compile(r"([A-Ga-g])([#b]?)\s+(major|minor)")


def parse_key(text: str) -> str | None:
    """One of `KEYS` from either data set's spelling; None where it is not one key.

    `F minor`, `f# minor<TAB>2<TAB>comment` and the two-line `#@format: key` are understood.
    """
    lines = [line for line in text.strip().splitlines() if not line.startswith("#@")]
    line = lines[0] if lines else ""
    line = re.sub(r"^key\s+\S+\s+", "", line)
    match = _KEY.fullmatch(line.split("\t")[0].strip())
    if match is None:
        return None
    tonic = match[1].upper() + match[2]
    tonic = _FLATS.get(tonic, tonic)
    return f"{tonic} {match[3]}" if tonic in TONICS else None


def camelot(key: str) -> str:
    """A key on the Camelot wheel, which DJs use: C major is 8B, A minor 8A.

    A fifth up is a step; a minor key has the number of its relative major.

    Args:
        key: one of `KEYS`.
    """
    return f"{(_fifths(key) + 7) % 12 + 1}{'A' if key.endswith('minor') else 'B'}"


def open_key(key: str) -> str:
    """A key in Open Key notation: C major is 1d, A minor 1m; see `camelot`."""
    return f"{_fifths(key) % 12 + 1}{'m' if key.endswith('minor') else 'd'}"


def _fifths(key: str) -> int:
    """How many fifths the major key with the same notes is above C: of D major and B minor, 2."""
    tonic, mode = key.split()
    semitones = TONICS.index(tonic) + (3 if mode == "minor" else 0)
    return semitones * 7 % 12
