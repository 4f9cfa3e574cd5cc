"""What is drawn while works and notes are played, and what is told of it."""

import collections
import dataclasses

import numpy as np
import pytest

from examples.miniature.dataset import compositions, performance, single_notes
from examples.miniature.dataset.soundfont import SoundFont
from examples.miniature.dataset.splits import SPLITS
from helpers.resources import needs

GENRES = {genre: (1.5 if "jig" in genre else 1.0) for genre in compositions.GENRES}


def work(number=0, genre="reel", tonic=0, mode="major", length=16, beat=1.0):
    """Beats on the tonic."""
    onsets = beat * np.arange(length)
    played = np.stack([onsets, np.full(length, beat), np.full(length, 60 + tonic)], axis=1)
    return compositions.Composition(
        f"{genre} {number}", "", genre, "duple", tonic, mode, beat, played, (60 + tonic,) * length
    )


WORKS = [
    work(number, genre, number % 12, "minor" if number % 3 == 0 else "major", beat=beat)
    for genre, beat in GENRES.items()
    for number in range(30)
]
PARTS = [("train", "train", "train", "valid", "test")[number % 5] for number in range(len(WORKS))]
TRACKS = performance.plan(WORKS, PARTS, list(range(len(WORKS))), 400, seed=4)


def track(composition, **values):
    others = {"id": "", "split": "train", "group": "", "instrument": "piano", "program": 0}
    return performance.Track(**{"composition": composition, "seed": 1, **others, **values})


def test_one_seed_gives_one_plan():
    groups = list(range(len(WORKS)))
    same, other = (performance.plan(WORKS, PARTS, groups, 400, seed) for seed in (4, 5))
    facts = [[dataclasses.astuple(each)[2:] for each in plan] for plan in (TRACKS, same, other)]
    assert facts[0] == facts[1] != facts[2]
    assert len({each.id for each in TRACKS}) == len(TRACKS) == 400
    assert len({each.seed for each in TRACKS}) == 400


def test_works_stay_in_their_part_and_genres_have_equal_shares():
    part = {each.id: split for each, split in zip(WORKS, PARTS, strict=True)}
    assert all(part[each.composition.id] == each.split == part[each.group] for each in TRACKS)
    counts = collections.Counter((each.split, each.composition.genre) for each in TRACKS)
    assert set(counts.values()) == {30, 10}
    assert collections.Counter(each.split for each in TRACKS) == {
        split: share * 400 for split, share in SPLITS.items()
    }


def test_families_and_tonics_go_round():
    """So neither genre nor mode tells them: in each part, numbers differ by one at most."""
    for split in SPLITS:
        ours = [each for each in TRACKS if each.split == split]
        for genre in compositions.GENRES:
            _assert_round(
                [each.instrument for each in ours if each.composition.genre == genre],
                performance.FAMILIES,
            )
        for mode in compositions.MODES:
            _assert_round([each.tonic for each in ours if each.composition.mode == mode], range(12))
    assert all(each.program in performance.FAMILIES[each.instrument] for each in TRACKS)


def _assert_round(values, kinds):
    counts = collections.Counter(values)
    assert len(values) > 5
    assert max(counts.values()) - min(counts[kind] for kind in kinds) <= 1


def test_tempi_are_within_their_genres_bounds_and_fill_them():
    places = []
    for each in TRACKS:
        low, high = performance.TEMPI[each.composition.genre]
        places.append(np.log(each.tempo_bpm / low) / np.log(high / low))
    assert -1e-3 < min(places) < 0.02
    assert 0.98 < max(places) < 1.001
    assert np.mean(places) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("beat", [0.5, 1.0, 1.5, 2.0])
def test_beats_come_at_the_tempo_and_short_works_are_repeated(beat):
    played = performance.perform(track(work(beat=beat), tonic=0, tempo_bpm=90.0))
    onsets = np.array([onset for onset, *_ in played])
    assert len(onsets) == 30
    np.testing.assert_allclose(onsets, np.arange(30) * 60 / 90, atol=0.03)
    assert not np.array_equal(onsets, np.arange(30) * 60 / 90), "nobody plays like that"
    durations = np.array([duration for _, duration, *_ in played]) * 90 / 60
    assert ((durations >= 0.8) & (durations <= 1)).all()


@pytest.mark.parametrize("written", [0, 5, 11])
def test_works_are_transposed_by_half_an_octave_at_most(written):
    for tonic in range(12):
        played = performance.perform(track(work(tonic=written), tonic=tonic, tempo_bpm=90.0))
        (key,) = {key for _, _, key, _ in played}
        assert key % 12 == tonic
        assert -6 <= key - (60 + written) <= 5


def test_one_seed_gives_one_performance():
    one, same, other = (
        performance.perform(track(work(), tonic=0, tempo_bpm=100.0, seed=seed))
        for seed in (1, 1, 2)
    )
    assert one == same != other
    velocities = [velocity for *_, velocity in one]
    assert 1 <= min(velocities) < max(velocities) <= 127
    assert all(isinstance(velocity, int) for velocity in velocities)


# ----------------------------------------------------------------------------------- single notes


def test_notes_are_of_all_families_alike_and_within_their_ranges():
    planned = single_notes.plan(2000, seed=3)
    assert len({note.id for note in planned}) == 2000
    for split, share in SPLITS.items():
        counts = collections.Counter(note.instrument for note in planned if note.split == split)
        assert set(counts) == set(single_notes.FAMILIES)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert sum(counts.values()) == pytest.approx(2000 * share, abs=1)
    for note in planned:
        (low, high), *programs = single_notes.FAMILIES[note.instrument]
        assert low <= note.pitch <= high
        assert note.program in programs[list(SPLITS).index(note.split)]
    assert planned == single_notes.plan(2000, seed=3) != single_notes.plan(2000, seed=4)


def test_a_note_is_played_once_and_ends_in_time():
    for note in single_notes.plan(110):
        ((onset, held, key, velocity),) = single_notes.perform(note)
        assert key == note.pitch
        assert 0 <= onset < onset + held < single_notes.SECONDS
        assert 1 <= velocity <= 127
        assert single_notes.perform(note) == [(onset, held, key, velocity)]


def test_no_program_is_in_two_parts_of_the_notes():
    programs = [
        program
        for _, *parts in single_notes.FAMILIES.values()
        for part in parts
        for program in part
    ]
    assert len(set(programs)) == len(programs)
    assert set(programs).isdisjoint(
        {9, 13, 14, 16, 17, 18, 19, 31, 47, 55, 78, 86, *range(112, 128)}
    )


def test_no_sample_is_heard_in_two_parts_of_the_notes():
    needs("pretty_midi")
    soundfont = SoundFont(compositions.data_file("pretty_midi", "TimGM6mb.sf2"))
    heard = []
    for part in range(len(SPLITS)):
        programs = [
            program for _, *parts in single_notes.FAMILIES.values() for program in parts[part]
        ]
        heard.append(set().union(*map(soundfont.samples, programs)))
        assert heard[-1]
    assert len(set().union(*heard)) == sum(map(len, heard))
