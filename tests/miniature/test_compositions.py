"""What is read from editions, against the editions, and what is not read at all."""

import pathlib
import re
import zipfile

import numpy as np
import pytest

from examples.miniature.dataset import compositions, splits
from helpers.resources import needs
from mar.errors import InputError

# Read by eye from the editions: genre, key, meter, beat in quarter notes, first notes on top.
WORKS = {
    "bwv269": ("chorale", "G major", "triple", 1.0, "G4 G4 D5 B4 A4 G4"),
    "bwv66.6": ("chorale", "Gb minor", "duple", 1.0, "C#5 B4 A4 B4 C#5 E5"),
    "bwv227.1": ("chorale", "E minor", "duple", 1.0, "B4 B4 A4 G4 F#4 E4"),
    "airdsAirs/book1/0005": ("march", "G major", "compound duple", 1.5, "D5 C5 B4 B4 B4 C5"),
    "airdsAirs/book3/0518": ("strathspey", "G major", "duple", 1.0, "G5 D5 G4 D5 B4 G4"),
    "oneills1850/0001-0050/6": ("air", "G major", "triple", 1.0, "G4 E4 D4 E4 F#4 D4"),
    "oneills1850/1556-1576/1556": ("hornpipe", "D major", "duple", 2.0, "D5 E5 F#5 E5 F#5 G5"),
    "oneills1850/1176-1275/1176": ("reel", "G minor", "duple", 2.0, "D5 C5 Bb4 G4 F4 D4"),
    "ryansMammoth/BillyORourkesJig/1": ("jig", "E minor", "compound duple", 1.5, "G5 E5 D5 B4 B4"),
    "ryansMammoth/DublinBoysJig/1": ("slip jig", "E minor", "compound triple", 1.5, "G4 A4 B4 G4"),
}
PITCHES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
TUNE = """X:1
T:A Reel
M:C|
L:1/8
K:D
d2fd Adfd|e2ge Bege|d2fd Adfd|gfed BcdB:|f2af dfaf|gfed ^cdef|gfed BAFA|d2f2 d4|]

"""


@pytest.fixture(scope="module")
def sources():
    needs("music21")
    return {source.id: source for source in compositions.sources()}


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus of one's own in place of music21's."""
    for folder in ("bach", "airdsAirs", "oneills1850", "ryansMammoth", "essenFolksong"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(compositions, "data_file", lambda package, name: tmp_path)
    return tmp_path


def tune(**fields):
    """`TUNE` with other fields, or without one."""
    text = TUNE
    for letter, value in fields.items():
        line = "" if value is None else f"{letter}:{value}\n"
        if re.search(rf"(?m)^{letter}:", text):
            text = re.sub(rf"(?m)^{letter}:.*\n", line, text)
        else:
            text = text.replace("K:", f"{line}K:")
    return text


def stated(corpus, text):
    """What the heading of the only tune in the corpus says, None if it is not a source."""
    (corpus / "airdsAirs" / "one.abc").write_text(text, "latin-1")
    found = list(compositions.sources())
    assert len(found) <= 1
    return found[0].stated if found else None


# ------------------------------------------------------------------------------------- the corpus


@pytest.mark.parametrize("name", WORKS)
def test_works_are_what_their_edition_says(sources, name):
    genre, key, meter, beat, beginning = WORKS[name]
    work = compositions.read(sources[name])
    assert (work.id, work.genre, work.meter, work.beat) == (name, genre, meter, beat)
    assert compositions.key_name(work.tonic, work.mode) == key
    expected = [
        PITCHES[note[0]] + note.count("#") - note.count("b") + 12 * (int(note[-1]) + 1)
        for note in beginning.split()
    ]
    assert list(work.melody[: len(expected)]) == expected
    onsets, durations, pitches = work.notes.T
    assert (np.diff(onsets) >= 0).all()
    assert durations.min() > 0
    assert 36 <= pitches.min() < pitches.max() <= 88
    assert set(work.melody) <= set(pitches)


def test_two_versions_of_a_chorale_are_one_group(sources):
    """BWV 18.5 in A minor (Leipzig) and in G minor (Weimar)."""
    works = [compositions.read(sources[name]) for name in ("bwv18.5-lz", "bwv269", "bwv18.5-w")]
    assert [compositions.key_name(work.tonic, work.mode) for work in works[::2]] == [
        "A minor",
        "G minor",
    ]
    assert splits.groups(works) == [0, 1, 0]


def test_there_are_enough_sources_of_each_genre_and_no_others(sources):
    genres = [source.genre for source in sources.values()]
    assert set(genres) == set(compositions.GENRES)
    assert min(map(genres.count, compositions.GENRES)) > 80
    assert len(genres) > 2500
    books = {name.split("/")[0] for name in sources if "/" in name}
    assert books == {"airdsAirs", "oneills1850", "ryansMammoth"}
    files = [source.content for source in sources.values() if source.genre == "chorale"]
    assert {(file.parent.name, file.suffix) for file in files} == {("bach", ".mxl")}


def test_no_source_states_a_restriction(sources):
    restricted = re.compile(
        r"rights reserved|non-?commercial|restrict|not be (?:copied|sold|distributed|used)"
        r"|permission (?:of|from|is|must)|legal status",
        re.IGNORECASE,
    )
    for source in sources.values():
        text = source.content
        if isinstance(text, pathlib.Path):
            with zipfile.ZipFile(text) as archive:
                text = "".join(
                    archive.open(name).read(9000).decode("latin-1") for name in archive.namelist()
                )
        assert not restricted.search(text), source.id


def test_chorales_with_more_than_four_parts_are_dropped(sources):
    for name in ("bwv190.7-inst", "bwv248.64-6"):
        assert compositions.read(sources[name]) is None


# -------------------------------------------------------------------------------- tunes, headings


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"genre": "reel", "meter": "duple", "beat": 2.0, "tonic": 2, "mode": "major"}),
        ({"M": "2/4"}, {"genre": "reel", "meter": "duple", "beat": 1.0}),
        ({"M": "6/8 % sic", "T": "A Jigg"}, {"genre": "jig", "meter": "compound duple"}),
        ({"M": "9/8", "R": "jig"}, {"genre": "slip jig", "meter": "compound triple", "beat": 1.5}),
        ({"M": "3/4", "T": "An Old Song"}, {"genre": "air", "meter": "triple", "beat": 1.0}),
        ({"M": "3/8", "T": "An Old Song"}, {"genre": "air", "beat": 0.5}),
        ({"R": "clog"}, {"genre": "hornpipe", "title": "A Reel"}),
        ({"K": "F# minor"}, {"tonic": 6, "mode": "minor"}),
        ({"K": " Ebmaj"}, {"tonic": 3, "mode": "major"}),
        ({"K": "Bm % two sharps"}, {"tonic": 11, "mode": "minor"}),
    ],
)
def test_headings_are_understood(corpus, fields, expected):
    assert stated(corpus, tune(**fields)).items() >= expected.items()


@pytest.mark.parametrize(
    "text",
    [
        tune(T="An Old Song"),
        tune(T="A Jig"),
        tune(M="6/8"),
        tune(M="5/4"),
        tune(M=None),
        tune(K="D Mixolydian"),
        tune(K="Ddor"),
        tune(K="HP"),
        tune(V="1"),
        tune(P="AB"),
        TUNE.replace(":|", ":|\nK:G\n"),
        TUNE.replace(":|", ":|\nM:6/8\n"),
        TUNE.replace(":|", ":|\nL:1/4\n"),
        TUNE.replace(":|", ":|[K:G]"),
        TUNE.replace(":|", ":|[M:3/4]"),
    ],
)
def test_tunes_without_one_genre_key_and_meter_are_dropped(corpus, text):
    assert stated(corpus, TUNE) is not None
    assert stated(corpus, text) is None


def test_other_collections_are_not_read(corpus):
    for name in ("essenFolksong/a.abc", "bach/b.krn", "bach/c.xml", "bach/d.abc"):
        (corpus / name).write_text(TUNE)
    assert list(compositions.sources()) == []


def test_tunes_in_another_key_than_stated_are_dropped():
    """Neither the last note nor the notes are those of G major."""
    needs("music21")

    def read(text, tonic, mode="major"):
        heading = {"title": "", "genre": "reel", "meter": "duple", "beat": 2.0}
        return compositions.read(
            compositions.Source("a", "reel", text, {**heading, "tonic": tonic, "mode": mode})
        )

    assert len(read(TUNE, 2).notes) == len(read(TUNE, 2).melody) == 55
    assert read(TUNE, 7) is None
    assert read(TUNE[: TUNE.index(":|")], 2) is not None, "its notes are those of the key"
    assert read(TUNE[: TUNE.index("|e2ge")], 2) is None, "too short"


# --------------------------------------------------------------------------------------- chorales


def chorale(folder, parts=4, bass="C3", key=0, meters=("4/4",), keys=(), minor=False):
    """The source of a score in C major or minor: a scale over its chords."""
    from music21 import key as keys21
    from music21 import meter, note, stream

    third = "E-" if minor else "E"
    chords = ["C G {} C", "C A- {} D", "B G D D", "C G {} E-", "F A- C F", "G B D G", "C G {} C"]
    if not minor:
        chords = [chord.replace("-", "") for chord in chords]
    score = stream.Score()
    for number in range(parts):
        part = stream.Part()
        part.append(keys21.KeySignature(key))
        for index, chord in enumerate(2 * chords):
            if index % 7 == 0 and index // 7 < len(meters):
                part.append(meter.TimeSignature(meters[index // 7]))
            if index == 7:
                part.append([keys21.KeySignature(sharps) for sharps in keys])
            name = chord.format(third).split()[::-1][number % 4]
            part.append(note.Note(f"{name}{5 - number % 4}", quarterLength=2))
        part.append(note.Note(bass if number == parts - 1 else "C4", quarterLength=4))
        score.append(part)
    path = folder / "score.musicxml"
    score.write("musicxml", path)
    return compositions.Source("score", "chorale", path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "C major duple"),
        ({"meters": ["3/2"]}, "C major triple"),
        ({"minor": True, "key": -3}, "C minor duple"),
        ({"parts": 3}, None),
        ({"parts": 5}, None),
        ({"keys": [1]}, None),
        ({"meters": ["4/4", "3/4"]}, None),
        ({"meters": ["6/8"]}, None),
        ({"bass": "G2"}, None),
        ({"bass": "A2"}, None),
        ({"key": -3}, None),
    ],
)
def test_chorales_have_four_parts_one_meter_and_a_key_that_is_sure(tmp_path, changes, expected):
    needs("music21")
    work = compositions.read(chorale(tmp_path, **changes))
    found = work and f"{compositions.key_name(work.tonic, work.mode)} {work.meter}"
    assert found == expected


def test_tied_notes_are_one():
    needs("music21")
    tied = TUNE.replace("d2f2 d4", "d2f2-f2d2")
    heading = {"title": "", "genre": "reel", "meter": "duple", "beat": 2.0, "mode": "major"}
    work = compositions.read(compositions.Source("a", "reel", tied, {**heading, "tonic": 2}))
    assert work.notes[-2:, 1].tolist() == [2.0, 1.0]
    assert len(work.melody) == 55


# ------------------------------------------------------------------------------------ other things


def test_keys_of_scales_are_recognised():
    weights = {
        "major": [3, 0, 1, 0, 2, 1, 0, 2, 0, 1, 0, 1],
        "minor": [3, 0, 1, 2, 0, 1, 0, 2, 1, 0, 1, 0.5],
    }
    for mode, scale in weights.items():
        for tonic in range(12):
            assert compositions.best_key(np.roll(scale, tonic)) == (tonic, mode)


def test_a_missing_package_or_file_is_named():
    needs("pretty_midi")
    install = r"pip install 'music-audio-representations\[quickstart\]'"
    with pytest.raises(InputError, match=f"no_such_package is not installed.*{install}"):
        compositions.data_file("no_such_package", "x")
    with pytest.raises(InputError, match=f"no_such_file: not there.*{install}"):
        compositions.data_file("pretty_midi", "no_such_file")
