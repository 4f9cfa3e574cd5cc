"""Groups of works that are not told apart, and the parts that they are in."""

import collections
import dataclasses
import itertools

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from examples.miniature.dataset import splits


@dataclasses.dataclass
class Work:
    title: str
    melody: tuple


def melody(seed, length=60):
    return tuple(60 + np.random.default_rng(seed).integers(-7, 8, length).cumsum() % 24)


def transposed(notes, semitones):
    return tuple(note + semitones for note in notes)


def grouped(*works):
    return splits.groups([Work(title, notes) for title, notes in works])


def test_works_that_share_nothing_are_alone():
    assert grouped(("a b", melody(0)), ("c", melody(1)), ("b c", melody(2))) == [0, 1, 2]


def test_transposed_copies_and_like_titles_are_one_group():
    copy = transposed(melody(0), -5)
    assert grouped(("x", melody(0)), ("y", melody(1)), ("z", copy)) == [0, 1, 0]
    titles = ("The Duke's Reel", "other", "DUKES -- REEL, The", "reel: a duke's")
    assert grouped(*((title, melody(n)) for n, title in enumerate(titles))) == [0, 1, 0, 0]


def test_chains_join():
    """The first shares a melody with the second, that a title with the third, and so on."""
    works = [
        ("a", melody(0)),
        ("other", melody(9)),
        ("b", transposed(melody(0), 3)),
        ("b", melody(1)),
        ("c", melody(1)[:40] + melody(7, 20)),
    ]
    assert grouped(*works) == [0, 1, 0, 0, 0]
    assert sorted(collections.Counter(grouped(*works[::-1])).values()) == [1, 4]


@pytest.mark.parametrize(("shared", "expected"), [(24, [0, 0]), (14, [0, 1])])
def test_more_than_a_quarter_of_the_shorter_melody_is_enough(shared, expected):
    """Of 55 sequences in the shorter, 19 or 9 are in the other."""
    long = melody(0, 300)
    assert (
        grouped(("a", long), ("b", long[100 : 100 + shared] + melody(1, 60 - shared))) == expected
    )


def test_groups_are_the_components_of_the_graph_of_likeness():
    """Against a comparison of all pairs, on pairs of pieces of melodies."""
    rng = np.random.default_rng(3)
    sources = [melody(seed, 120) for seed in range(150)]
    works = []
    for _ in range(150):
        one, other = rng.integers(150, size=2)
        cut, lengths = rng.integers(70), rng.integers(3, 50, 2)
        notes = sources[one][cut : cut + lengths[0]] + sources[other][cut : cut + lengths[1]]
        works.append(Work(f"{rng.integers(1000)}", transposed(notes, rng.integers(-6, 6))))
    grams = [
        {tuple(b - a for a, b in itertools.pairwise(w)) for w in _windows(work.melody)}
        for work in works
    ]
    alike = [
        [
            a.title == b.title or len(x & y) > min(len(x), len(y)) / 4
            for b, y in zip(works, grams, strict=True)
        ]
        for a, x in zip(works, grams, strict=True)
    ]
    count, expected = connected_components(np.array(alike))
    found = splits.groups(works)
    assert 10 < count < 140
    assert len(set(zip(found, expected, strict=True))) == count == len(set(found))
    assert all(found[group] == group <= index for index, group in enumerate(found))


def _windows(notes):
    return [notes[i : i + 7] for i in range(len(notes) - 6)]


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_parts_and_genres_are_divided_alike(seed):
    rng = np.random.default_rng(seed)
    count = 600
    groups = np.minimum(np.arange(count), rng.integers(0, 2 * count, count)).tolist()
    groups = [groups[group] for group in groups]
    genres = [f"genre {groups[index] % 3}" for index in range(count)]
    parts = splits.assign(groups, genres, seed)
    assert len(set(zip(groups, parts, strict=True))) == len(set(groups))
    largest = max(collections.Counter(groups).values())
    for genre, total in collections.Counter(genres).items():
        for part, share in splits.SPLITS.items():
            given = sum((genre, part) == pair for pair in zip(genres, parts, strict=True))
            assert abs(given - share * total) <= largest
    assert parts == splits.assign(groups, genres, seed)
    assert parts != splits.assign(groups, genres, seed + 1)


@pytest.mark.parametrize(("count", "kinds"), [(24, 8), (55, 11), (1280, 8), (2000, 11), (997, 7)])
def test_shares_add_up(count, kinds):
    found = splits.shares(count, kinds)
    assert list(found) == ["train", "valid", "test"]
    assert sum(map(sum, found.values())) == count
    for split, numbers in found.items():
        assert len(numbers) == kinds
        assert max(numbers) - min(numbers) <= 1
        assert abs(sum(numbers) - splits.SPLITS[split] * count) <= 2
