"""Compositions, with what their editions say of them, from the corpus inside `music21`.

Bach's chorales, and dances from three collections in ABC: Aird's Airs (Scotland, 1778), Ryan's
Mammoth Collection (USA, 1883) and O'Neill's Music of Ireland (1903). Each is out of copyright, and
its encoding is distributed without a restriction. The parsers are music21's.
"""

import dataclasses
import importlib.util
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from mar.errors import InputError

INSTALL = "pip install 'music-audio-representations[quickstart]'"
GENRES = ("air", "chorale", "hornpipe", "jig", "march", "reel", "slip jig", "strathspey")
DUPLE, TRIPLE = "duple", "triple"
COMPOUND_DUPLE, COMPOUND_TRIPLE = "compound duple", "compound triple"
METERS = (DUPLE, TRIPLE, COMPOUND_DUPLE, COMPOUND_TRIPLE)
TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
MODES = ("major", "minor")

_BOOKS = ("airdsAirs", "oneills1850", "ryansMammoth")
_METERS = {
    **dict.fromkeys(("2/4", "4/4", "4/2", "2/2", "C", "C|"), DUPLE),
    **dict.fromkeys(("3/4", "3/2", "3/8"), TRIPLE),
    **dict.fromkeys(("6/8", "6/4"), COMPOUND_DUPLE),
    "9/8": COMPOUND_TRIPLE,
}
_MUSICAL_METERS = {
    DUPLE: ("reel", "hornpipe", "strathspey", "march"),
    COMPOUND_DUPLE: ("jig", "march"),
    COMPOUND_TRIPLE: ("slip jig",),
}
# Quarter notes in a beat, where it is not one: of a meter, or of a genre in it.
_BEATS = {
    **{"3/8": 0.5, "6/8": 1.5, "9/8": 1.5, "3/2": 2.0, "6/4": 3.0, "2/2": 2.0, "4/2": 2.0},
    **{(genre, meter): 2.0 for genre in ("reel", "hornpipe") for meter in ("C", "C|", "4/4")},
}
_FEWEST_NOTES = 24
_WORDS = {  # in R: or else in the title; the first that is found
    "slip jig": r"slip ?jig",
    "jig": r"jig",
    "reel": r"reel",
    "hornpipe": r"hornpipe|clog",
    "strathspey": r"strathspey",
    "march": r"march",
}
_KEY = re.compile(r"([A-G])([#b]?) ?(maj|major|m|min|minor)?", re.IGNORECASE)
_FLATS = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb", "Cb": "B", "Fb": "E"}
# Krumhansl and Kessler (1982): how well each degree fits a key.
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


@dataclasses.dataclass(frozen=True)
class Composition:
    """One work as it is written.

    Attributes:
        id: its file or book, and its number there.
        title: of the work.
        genre: one of `GENRES`.
        meter: one of `METERS`.
        tonic: pitch class of the key, 0 is C.
        mode: "major" or "minor".
        beat: length of the beat in quarter notes: 1.5 in compound meters.
        notes: float64 `(notes, 3)`, in order of onset: onset and duration in quarter notes, MIDI
            note number.
        melody: MIDI note numbers of the upper part, in order.
    """

    id: str
    title: str
    genre: str
    meter: str
    tonic: int
    mode: str
    beat: float
    notes: np.ndarray
    melody: tuple


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a work that may be usable is to be read, and what is known before its notes are.

    Attributes:
        id: see `Composition`.
        genre: see `Composition`.
        content: a file, or text in ABC.
        stated: what the heading of a tune states of a `Composition`, by name.
    """

    id: str
    genre: str
    content: pathlib.Path | str
    stated: dict = dataclasses.field(default_factory=dict)


def data_file(package: str, name: str) -> pathlib.Path:
    """A file inside an installed package, which is not imported.

    Raises:
        InputError: the package is not installed, or has no such file.
    """
    found = importlib.util.find_spec(package)
    if found is None:
        raise InputError(
            f"the package {package} is not installed; the data set needs it: {INSTALL}"
        )
    path = pathlib.Path(found.origin).parent / name
    if not path.exists():
        raise InputError(f"{path}: not there; expected it in {package}. Try {INSTALL}")
    return path


def sources() -> Iterator[Source]:
    """Every `Source` in the corpus that may be usable, in a fixed order."""
    corpus = data_file("music21", "corpus")
    for path in sorted((corpus / "bach").glob("*.mxl")):
        yield Source(path.stem, "chorale", path)
    for book in _BOOKS:
        for path in sorted((corpus / book).glob("*.abc")):
            for text in re.split(r"(?m)^(?=X:)", path.read_text("latin-1"))[1:]:
                name = f"{book}/{path.stem}/{_field(text, 'X')}"
                if (stated := _stated(text)) is not None:
                    yield Source(name, stated["genre"], text, stated)


def read(source: Source) -> Composition | None:
    """The `Composition` of a source, or None where it is not usable."""
    return _read_tune(source) if source.stated else _read_chorale(source)


def key_name(tonic: int, mode: str) -> str:
    """Such as "Eb minor", as the evaluation's keys are called."""
    return f"{TONICS[tonic % 12]} {mode}"


def best_key(weights: np.ndarray) -> tuple[int, str]:
    """The key `(tonic, mode)` whose profile correlates best with 12 pitch classes' weights."""
    fits = {
        (tonic, mode): np.corrcoef(np.roll(profile, tonic), weights)[0, 1]
        for mode, profile in _PROFILES.items()
        for tonic in range(12)
    }
    return max(fits, key=fits.get)


# ------------------------------------------------------------------------------------------ dances


def _field(text, letter):
    """The first information field of this letter, without a comment; '' where there is none."""
    found = re.search(rf"(?m)^{letter}:([^%\n\r]*)", text)
    return found[1].strip() if found else ""


def _stated(text):
    """What the heading of a tune says, as a `Composition` calls it; None where it is no use."""
    several = any(len(re.findall(rf"(?m)^{letter}:", text)) > 1 for letter in "KML")
    if several or re.search(r"(?m)^[VP]:|\[[KM]:", text):
        return None
    title, time = _field(text, "T"), _field(text, "M")
    meter, key = _METERS.get(time), _KEY.fullmatch(_field(text, "K"))
    genre = _genre(_field(text, "R") or title, meter)
    if genre is None or key is None:
        return None
    return {
        "title": title,
        "genre": genre,
        "meter": meter,
        "tonic": _pitch_class(key[1].upper() + key[2]),
        "mode": "minor" if (key[3] or "").lower() in ("m", "min", "minor") else "major",
        "beat": _BEATS.get((genre, time), _BEATS.get(time, 1.0)),
    }


def _read_tune(source):
    """The tune, if it ends on the stated tonic, or its notes are those of the stated key."""
    from music21.abcFormat import ABCFile
    from music21.abcFormat.translate import abcToStreamPart

    notes = _notes([abcToStreamPart(ABCFile().readstr(source.content), _unbeamed())])
    if len(notes) < _FEWEST_NOTES:
        return None
    key = source.stated["tonic"], source.stated["mode"]
    if notes[-1, 2] % 12 != key[0] and best_key(_weights(notes)) != key:
        return None
    return Composition(source.id, **source.stated, notes=notes, melody=_pitches(notes))


def _unbeamed():
    """An empty part, in which no beams are drawn: that is more than half of music21's work."""
    from music21.stream import Part

    class Unbeamed(Part):
        def makeBeams(self, *_, **__):
            pass

    return Unbeamed()


def _genre(text, meter):
    """What a rhythm field or a title calls a tune, if its meter is that genre's."""
    if meter == TRIPLE:
        return "air"
    for genre, pattern in _WORDS.items():
        if re.search(pattern, text, re.IGNORECASE):
            if genre == "jig" and meter == COMPOUND_TRIPLE:
                return "slip jig"
            return genre if genre in _MUSICAL_METERS.get(meter, ()) else None
    return None


def _pitch_class(name):
    return TONICS.index(_FLATS.get(name, name))


# ---------------------------------------------------------------------------------------- chorales


def _read_chorale(source):
    """The chorale, if it has four parts, one key and one meter.

    Encoded modes are not reliable: the last note of the bass must be the tonic of the signature's
    major or minor, and the notes must be those of that key.
    """
    from music21 import converter, exceptions21

    try:
        score = converter.parse(source.content, forceSource=True)
    except exceptions21.Music21Exception:
        return None
    parts = list(score.parts)
    signatures = {s.sharps for s in score.recurse().getElementsByClass("KeySignature")}
    times = {t.ratioString for t in score.recurse().getElementsByClass("TimeSignature")}
    if len(parts) != 4 or len(signatures) != 1 or len(times) != 1:
        return None
    major, time = 7 * signatures.pop() % 12, times.pop()
    minor = (major + 9) % 12
    notes, soprano, bass = _notes(parts), _notes(parts[:1]), _notes(parts[-1:])
    if _METERS.get(time) not in (DUPLE, TRIPLE) or not len(soprano) or not len(bass):
        return None
    key = {major: (major, "major"), minor: (minor, "minor")}.get(int(bass[-1, 2]) % 12)
    if key is None or best_key(_weights(notes)) != key:
        return None
    return Composition(
        source.id,
        title=score.metadata.title or source.id,
        genre="chorale",
        meter=_METERS[time],
        tonic=key[0],
        mode=key[1],
        beat=_BEATS.get(time, 1.0),
        notes=notes,
        melody=_pitches(soprano),
    )


def _pitches(notes):
    return tuple(notes[:, 2].astype(int).tolist())


def _weights(notes):
    """How long each of 12 pitch classes sounds."""
    return np.bincount(notes[:, 2].astype(int) % 12, notes[:, 1], minlength=12)


def _notes(parts):
    """Notes of some parts, ties joined, without ornaments and chord symbols."""
    rows = []
    for part in parts:
        tied = {}
        for element in part.flatten().notes:
            if "Harmony" in element.classes or element.duration.isGrace:
                continue
            for note in getattr(element, "notes", [element]):
                start, length = float(element.offset), float(element.quarterLength)
                pitch, tie = note.pitch.midi, note.tie.type if note.tie else None
                if tie in ("stop", "continue") and pitch in tied:
                    tied[pitch][1] = start + length - tied[pitch][0]
                else:
                    rows.append([start, length, pitch])
                if tie in ("start", "continue"):
                    tied.setdefault(pitch, rows[-1])
                else:
                    tied.pop(pitch, None)
    rows.sort(key=lambda row: (row[0], row[2]))
    return np.array(rows, float).reshape(-1, 3)
