"""How a collection of one's own is split."""

import os

import numpy as np
import pytest

from helpers.distributions import ITEMS
from helpers.own_collections import sides, write_table
from mar.errors import ConfigError, InputError
from mar.tasks import Task


def test_a_table_with_artists_is_split_between_them(tmp_path):
    rows = [f"{n}.mp3,{'ab'[n % 2]},artist {n % 15}" for n in range(90)]
    loaded = Task(write_table(tmp_path / "songs.csv", ["path,label,artist", *rows]))
    sides = {}
    for artist, split in zip(loaded.items.artists, loaded.splits, strict=True):
        assert sides.setdefault(artist, split) == split
    assert set(sides.values()) == set(ITEMS)


def test_albums_and_folders_are_kept_together(tmp_path):
    """The album decides where no artist is known; folders, or albums beside artists, if asked."""
    rows = [
        f"{n % 24}/{n}.mp3,{'ab'[n % 2]},artist {n % 14},{'' if n % 13 == 0 else f'album {n % 18}'}"
        for n in range(120)
    ]
    both = write_table(tmp_path / "both.csv", ["path,label,artist,album", *rows])
    albums = [f"{path},{label},{album}" for path, label, _, album in (r.split(",") for r in rows)]
    albums = write_table(tmp_path / "albums.csv", ["path,label,album", *albums])
    names = {
        "artist": [f"artist {n % 14}" for n in range(120)],
        "album": [None if n % 13 == 0 else f"album {n % 18}" for n in range(120)],
        "folder": [str(n % 24) for n in range(120)],
    }
    given = [(both, None, "artist"), (both, "album", "album"), (albums, None, "album")]
    for path, separated_by, kept in [*given, (both, "folder", "folder")]:
        splits = Task(path, separated_by=separated_by).splits
        assert set(splits) == set(ITEMS)
        for name, names_of in names.items():
            of_name = {n: side for n, side in sides(names_of, splits).items() if n is not None}
            whole = all(len(side) == 1 for side in of_name.values())
            assert whole == (name == kept), (separated_by, name)
    with pytest.raises(InputError, match=r"albums\.csv: expected a column artist"):
        Task(albums, separated_by="artist")
    with pytest.raises(ConfigError, match="MTT: .*of your own"):
        Task("MTT", separated_by="artist")


def test_class_folders_are_split_by_the_folders_in_them(tmp_path):
    for label in ("dub", "ska"):
        for number in range(60):
            file = tmp_path / label / f"album {number % 10}" / f"{number}.flac"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    loaded = Task(tmp_path, separated_by="folder")
    folders = [os.path.dirname(path) for path in loaded.items.paths]
    assert all(len(side) == 1 for side in sides(folders, loaded.splits).values())
    assert {split: len(loaded.rows(split)) for split in ITEMS} == {
        **{"train": 72, "valid": 24, "test": 24}
    }
    assert any(len(side) > 1 for side in sides(folders, Task(tmp_path).splits).values())


@pytest.mark.parametrize(
    ("separated_by", "columns", "of_row", "message"),
    [
        (None, "artist", lambda n: "Ann", "as many files or artists in all, .* found 15 and 1"),
        ("album", "album", lambda n: f"{n % 2}", "files or albums in all, .* found 15 and 2"),
        ("artist", "artist", lambda n: f"{n % 6}", "at least 3 artists, .* found at most 2"),
        ("album", "album,split", lambda n: f"x,{'train' if n else 'test'}", "'x' in test and in t"),
        (None, "album,split", lambda n: f"x,{'train' if n else 'test'}", "each album in one split"),
    ],
)
def test_splits_that_cannot_be_made_are_told(tmp_path, separated_by, columns, of_row, message):
    rows = [f"{n}.mp3,{'abc'[n % 3]},{of_row(n)}" for n in range(45)]
    path = write_table(tmp_path / "songs.csv", [f"path,label,{columns}", *rows])
    with pytest.raises(InputError, match=message):
        Task(path, separated_by=separated_by)


def turns(loaded):
    """Checks the folds of a task: returns, by repetition and fold, the items that are tested."""
    assert loaded.folds is not None
    assert loaded.folds.shape[1] == len(loaded.items.ids)
    assert set(loaded.splits) == {"test"}
    assert len({tuple(numbers) for numbers in loaded.folds}) > 1, "orders are alike"
    return [
        [np.flatnonzero(numbers == fold) for fold in range(numbers.max() + 1)]
        for numbers in loaded.folds
    ]


@pytest.mark.parametrize("counts", [(3, 3, 3), (3, 4), (4, 4, 4, 4, 4), (3, 3, 6), (1, 3, 3)])
def test_few_examples_of_a_class_are_tested_by_turns(tmp_path, counts):
    classes = [label for label, count in zip("abcde", counts, strict=False) for _ in range(count)]
    rows = [f"{n}.mp3,{label}" for n, label in enumerate(classes)]
    loaded = Task(write_table(tmp_path / "songs.csv", ["path,label", *rows]))
    for folds in turns(loaded):
        assert len(folds) == min(count for count in counts if count > 1)
        for tested in folds:
            left = np.delete(loaded.targets, tested, axis=0).sum(axis=0)
            assert all(left[np.array(counts) > 1] > 0), "a class that is not learnt"
            assert np.ptp(loaded.targets[tested].sum(axis=0)) <= 1 or counts != (3, 3, 3)
    assert Task(tmp_path / "songs.csv").hash() == loaded.hash()


def test_few_groups_are_kept_together_by_turns(tmp_path):
    rows = [f"{n}.mp3,{'abc'[n % 3]},{n % 4}" for n in range(45)]
    loaded = Task(write_table(tmp_path / "songs.csv", ["path,label,artist", *rows]))
    artists = np.array(loaded.items.artists)
    for folds in turns(loaded):
        for tested in folds:
            assert not {*artists[tested]} & {*np.delete(artists, tested)}
    others = [f"{n}.mp3,{'abc'[n % 3]},{n // 3 % 4}" for n in range(45)]
    write_table(tmp_path / "songs.csv", ["path,label,artist", *others])
    assert Task(tmp_path / "songs.csv").hash() != loaded.hash()


def test_few_examples_of_labels_are_spread(tmp_path):
    rows = [f"{n}.mp3,{'a|b' if n % 2 else 'c'}" for n in range(7)]
    loaded = Task(write_table(tmp_path / "songs.csv", ["path,labels", *rows]))
    for folds in turns(loaded):
        assert all(loaded.targets[tested].sum(axis=0).min() >= 1 for tested in folds)
    values = write_table(tmp_path / "tempo.csv", ["path,target", "a,80", "b,90", "c,99", "d,100"])
    assert all(len(folds) == 4 for folds in turns(Task(values)))


def test_rare_labels_beside_frequent_ones_do_not_prevent_a_split(tmp_path):
    rows = [f"{n}.mp3,{'ab'[n % 2]}{f'|rare {n // 2}' if n < 40 else ''}" for n in range(100)]
    loaded = Task(write_table(tmp_path / "songs.csv", ["path,labels", *rows]))
    assert loaded.folds is None
    assert len(loaded.labels) == 22
    assert set(loaded.splits) == set(ITEMS)


def test_a_folder_of_files_alone_cannot_be_split_by_folders(tmp_path):
    for name in (f"{label}/{n}.wav" for label in "abcdef" for n in range(10)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="at least 3 folders, .* found at most 1"):
        Task(tmp_path, separated_by="folder")
