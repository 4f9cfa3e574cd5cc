"""Reading tasks: what the tiny distributions hold, and what is refused."""

import gzip
import io
import json
import os
import pickle
import typing

import av
import numpy as np
import pytest

from helpers.distributions import ITEMS, WRITERS, cp_list, mumu
from mar.audio.windows import Windows
from mar.errors import ConfigError, InputError
from mar.tasks import TASKS, Task, emomusic, find_task, json_stream, readers
from mar.tasks.giantsteps import parse_key
from mar.tasks.locating import locate


@pytest.mark.parametrize("name", TASKS)
def test_every_task_finds_its_audio_and_its_splits(name, tmp_path):
    paths = WRITERS[name](tmp_path)
    loaded = Task(name.lower(), tmp_path)
    assert loaded.name == name
    assert loaded.info.citation
    assert loaded.info.licence
    found = [path for path in loaded.locate(paths) if path]
    assert sorted(found) == sorted(paths)
    # Converted to another format, it is the same audio.
    converted = [path[:-4] + ".FLAC" for path in paths]
    assert sorted(filter(None, loaded.locate(converted))) == sorted(converted)
    for split, count in ITEMS.items():
        if name not in ("Emo", "GS_Key", "MSDS", "MSD500"):
            assert len(loaded.rows(split)) == count
    assert loaded.targets.shape == (len(loaded.items.ids), len(loaded.labels))


def test_the_embedder_is_given_what_lies_below_the_audio_root(tmp_path):
    paths = WRITERS["NSynth_P"](tmp_path / "files")
    for path in paths[1:]:
        (tmp_path / "audio" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / path).with_suffix(".flac").touch()
    loaded = Task("NSYNTH_P", tmp_path / "files")
    located = loaded.audio(tmp_path / "audio")
    assert located[0] == paths[0]  # is not there
    assert located[1:] == [path[:-4] + ".flac" for path in paths[1:]]


@pytest.mark.parametrize(("name", "starts"), [("NSynth_P", [0, 100, 200, 300]), ("NSynth_I", [0])])
def test_windows_of_nsynths_notes_cover_their_four_seconds(name, starts):
    """401 frames of 10 ms; four consecutive windows for pitch, one for instrument (section 3)."""
    windows = Windows(**TASKS[name].windows).in_frames(0.01)
    assert np.asarray(windows.starts(401)).tolist() == starts
    assert windows.length == 400 // len(starts)


def test_a_wrong_folder_of_audio_is_told_before_any_work(tmp_path):
    WRITERS["GTZAN"](tmp_path)
    loaded = Task("GTZAN", tmp_path)
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="the audio of GTZAN in this folder, .* of its 48"):
            loaded.audio(folder)


def test_albums_become_their_tracks(tmp_path):
    paths = mumu(tmp_path, albums=True)
    loaded = Task("MuMu", tmp_path)
    assert len(loaded.items.ids) == 2 * sum(ITEMS.values()) == len(paths)
    assert all(loaded.locate(paths))
    np.testing.assert_array_equal(loaded.targets[0], loaded.targets[1])


def test_albums_without_a_track_are_left_out_and_tracks_of_several_counted_once(tmp_path, caplog):
    mumu(tmp_path, albums=True)
    table = tmp_path / "MuMu_dataset_multi-label.csv"
    head, *rows = table.read_text().splitlines()
    albums = {row.split(",")[0]: row.split(",")[2] for row in rows}
    train, test = [album for album in albums if album.startswith("B00")], "B0" + f"2{0:015d}"
    first, second, third = train[:3]
    rows = [row for row in rows if not row.startswith(first)]
    rows += [f'{album},m,{albums[second]},a,x,"Pop"' for album in (third, test)]
    table.write_text("\n".join([head, *rows]) + "\n")
    loaded = Task("MuMu", tmp_path)
    assert len(set(loaded.items.ids)) == len(loaded.items.ids) == 2 * 48 - 2
    shared = loaded.items.ids.index(albums[second])
    assert loaded.splits[shared] == "test", "what is tested was trained on"
    genres = np.load(tmp_path / "splits" / "y_train_class_4_MuMu.npy")
    tested = np.load(tmp_path / "splits" / "y_test_class_4_MuMu.npy")
    assert loaded.targets[shared].tolist() == np.max([*genres[1:3], tested[0]], axis=0).tolist()
    assert (
        f"left out 1 of 48 albums, of which MuMu_dataset_multi-label.csv has no track: {first}"
        in (caplog.text)
    )
    assert "1 of 94 tracks are of several albums" in caplog.text


@pytest.mark.parametrize("name", ["GTZAN", "Jam-MT", "MSD50", "NSynth_I"])
def test_an_official_collection_may_lie_in_folders_below(name, tmp_path):
    paths = WRITERS[name](tmp_path)
    loaded = Task(name, tmp_path)
    expected = [f"archive/of it/{path}" for path in paths]
    assert loaded.locate(["notes.txt", *expected]) == expected
    with pytest.raises(InputError, match="found as much of it in copy/ as in archive/of it/"):
        loaded.locate([*expected, *(f"copy/{path}" for path in paths)])


def test_a_table_of_ones_own_means_the_paths_that_it_has(tmp_path):
    (tmp_path / "a.csv").write_text(
        "path,label\n" + "".join(f"{n}.wav,{n % 2}\n" for n in range(40))
    )
    assert Task(tmp_path / "a.csv").locate([f"b/{n}.wav" for n in range(40)]) == [None] * 40


def test_jamendos_smaller_files_have_names_of_their_own(tmp_path):
    paths = WRITERS["Jam-MT"](tmp_path)
    small = [path.replace(".mp3", ".low.mp3") for path in paths]
    assert Task("Jam-MT", tmp_path).locate(small) == small


def test_only_tracks_with_a_tag_of_the_vocabulary_count(tmp_path):
    paths = WRITERS["MSD500"](tmp_path)
    loaded = Task("MSD500", tmp_path)
    assert len(loaded.items.ids) == sum(ITEMS.values()) - 1 == len(paths)
    assert loaded.targets[0].tolist() == [1, 0, 0, 1, 0, 0]  # not the tag scored 20


def test_minzwons_arrays_of_mtt(tmp_path):
    names = [f"{digit}/clip-{n}.mp3" for digit in "0cd" for n in range(6)]
    np.save(tmp_path / "tags.npy", np.array(["a", "b", "c"]))
    np.save(tmp_path / "binary.npy", np.tile(np.eye(3), (6, 1)))
    for split, first in (("train", 0), ("valid", 6), ("test", 12)):
        entries = [f"{row}\t{names[row]}" for row in range(first, first + 6)]
        np.save(tmp_path / f"{split}.npy", np.array(entries))
    loaded = Task("MTT_MTG", tmp_path)
    assert loaded.items.paths == names
    assert loaded.targets[4].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.48", 48), ("1.2", 80), ("1.20", 80), ("1", 60), ("2.05", 125)]
)
def test_times_of_emo(text, seconds):
    assert emomusic.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("F minor", "F minor"),
        ("f# minor\t2\tsome comment\n", "Gb minor"),
        ("#@format: key\ttimestamp(float)\tkey(string)\nkey 0 C minor\n", "C minor"),
        ("key\t0\td minor\t2\t\n", "D minor"),
        *(("B major ", "B major"), ("-", None), ("", None), ("G minor/major", None)),
        *(("F minor / G# major", None), ("A-A# minor", None), ("H minor", None)),
    ],
)
def test_keys_are_read_in_every_spelling(text, key):
    assert parse_key(text) == key


# ---------------------------------------------------------------------------- one's own collection


def write_table(path, rows):
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_folder_of_class_folders(tmp_path):
    for label, count in (("dub", 40), ("ska", 20)):
        for number in range(count):
            file = tmp_path / "my music" / label / "deeper" / f"{number}.flac"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    (tmp_path / "my music" / "dub" / "cover.jpg").touch()
    for hidden in (".cache/x.mp3", "dub/._x.mp3"):
        (tmp_path / "my music" / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / "my music" / hidden).touch()
    loaded = Task(tmp_path / "my music")
    assert (loaded.name, loaded.kind, loaded.labels) == ("my music", "multiclass", ["dub", "ska"])
    assert {split: len(loaded.rows(split)) for split in ITEMS} == {
        **{"train": 36, "valid": 12, "test": 12}
    }
    for split in ITEMS:
        assert loaded.targets[loaded.rows(split)].mean(axis=0) == pytest.approx([2 / 3, 1 / 3])
    assert Task(tmp_path / "my music").splits == loaded.splits


def test_names_that_are_not_utf8_are_refused(tmp_path):
    for number in range(12):
        path = os.path.join(os.fsencode(tmp_path), b"ab"[number % 2 :][:1], b"%d\xff.wav" % number)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").close()
    with pytest.raises(InputError, match=r"expected names in UTF-8, found .*\\udcff"):
        Task(tmp_path)


def test_a_folder_may_be_called_as_a_task_is(tmp_path):
    for name in (f"MTT/{label}/{n}.wav" for label in "ab" for n in range(10)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert Task(tmp_path / "MTT").labels == ["a", "b"]


def test_a_table_with_artists_is_split_between_them(tmp_path):
    rows = [f"{n}.mp3,{'ab'[n % 2]},artist {n % 15}" for n in range(90)]
    loaded = Task(write_table(tmp_path / "songs.csv", ["path,label,artist", *rows]))
    sides = {}
    for artist, split in zip(loaded.items.artists, loaded.splits, strict=True):
        assert sides.setdefault(artist, split) == split
    assert set(sides.values()) == set(ITEMS)


def sides(names, splits):
    """The splits that each has items in."""
    return {name: {s for n, s in zip(names, splits, strict=True) if n == name} for name in names}


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


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path):
    rows = ["path,label", *(f"{n}.mp3,{n % 2}" for n in range(20))]
    path = write_table(tmp_path / "songs.csv", rows)
    plain = Task(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert Task(path).items.paths == plain.items.paths
    assert Task(path).splits == plain.splits


def test_artists_may_have_quotation_marks(tmp_path):
    artists = [f"Artist {n}" for n in range(20)]
    artists[3], artists[9] = '"Heroes', '12" Club Mix'
    rows = [f"./{n}.wav\t{'ab'[n % 2]}\t{artist}" for n, artist in enumerate(artists)]
    loaded = Task(write_table(tmp_path / "songs.tsv", ["path\tlabel\tartist", *rows, *rows[5:7]]))
    assert loaded.items.artists == artists
    assert loaded.items.paths == [f"{n}.wav" for n in range(20)]


# ---------------------------------------------------------------------------------- which file


@pytest.mark.parametrize(
    ("wanted", "paths", "located"),
    [
        (["a/0.wav"], ["a/0.flac", "a/0.wav"], ["a/0.wav"]),
        (["a/0.wav"], ["a/0.FLAC", "a/0.json"], ["a/0.FLAC"]),
        (["a/0.wav", "a/0.flac"], ["a/0.wav", "a/0.flac"], ["a/0.wav", "a/0.flac"]),
        (["a/0.wav", "a/0.flac"], ["a/0.wav"], ["a/0.wav", None]),
        (["a/0.wav", "a/0.flac"], ["a/0.mp3"], [None, None]),
        ([("b/0.wav", "0.wav")], ["0.wav", "b/0.mp3"], ["b/0.mp3"]),
        ([("b/0.wav", "0.wav")], ["0.mp3", "0.flac", "b/0.wav"], ["b/0.wav"]),
        (["Beyonc\xe9.wav"], ["Beyonce\u0301.wav"], ["Beyonce\u0301.wav"]),
        (["Beyonce\u0301.wav"], ["Beyonc\xe9.mp3"], ["Beyonc\xe9.mp3"]),
        (["\xe9.wav"], ["e\u0301.wav", "\xe9.flac", "\xe9.wav"], ["\xe9.wav"]),
    ],
)
def test_a_file_is_its_path_with_its_suffix(wanted, paths, located):
    for order in (paths, paths[::-1]):
        assert locate(wanted, order) == located


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        (["a/0.wav"], ["a/0.flac", "a/0.mp3"]),
        ([("b/0.wav", "a/0.wav")], ["a/0.mp3", "a/0.flac"]),
        (["\u1e69.wav"], ["s\u0323\u0307.wav", "s\u0307\u0323.wav"]),
    ],
)
def test_two_files_that_fit_are_named(wanted, paths):
    named = "' and '".join(sorted(paths))
    for order in (paths, paths[::-1]):
        with pytest.raises(InputError, match=f"expected one file, but '{named}' fit"):
            locate(wanted, order)


@pytest.mark.parametrize(
    "name", ["NSynth_I", "MSD50", "AMM", "MuMu", "GS_Key", "Emo", "MTT_filtered"]
)
def test_where_lists_have_no_suffix_neither_of_two_files_is_guessed(name, tmp_path):
    paths = WRITERS[name](tmp_path)
    loaded, other = Task(name, tmp_path), f"{paths[0][:-4]}.ogg"
    assert loaded.locate([other]).count(other) == 1
    with pytest.raises(
        InputError, match=f"^{name}: .*{paths[0][:-4]}.* and .*{paths[0][:-4]}.* fit"
    ):
        loaded.locate([*paths, other])


@pytest.mark.parametrize("name", ["MTT", "GTZAN", "Jam-50"])
def test_where_lists_have_suffixes_they_count(name, tmp_path):
    paths = WRITERS[name](tmp_path)
    located = Task(name, tmp_path).locate([f"{paths[0][:-4]}.ogg", *paths])
    assert sorted(filter(None, located)) == sorted(paths)


def test_two_files_of_one_stem_are_two_items(tmp_path):
    names = [f"{label}/{n}.wav" for label in ("pop", "rock") for n in range(10)]
    names += [f"rock/{n}.flac" for n in range(5)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    loaded = Task(tmp_path)
    assert loaded.locate(names) == loaded.audio(tmp_path) == sorted(names)
    assert loaded.locate(names[:-1]).count(None) == 1


def test_tables_of_tags_and_of_numbers(tmp_path):
    rows = [f"{n}.mp3\t{'a|b' if n % 2 else 'b'}{'|c' if n % 3 else ''}" for n in range(30)]
    loaded = Task(write_table(tmp_path / "tags.tsv", ["path\tlabels", *rows]))
    assert (loaded.kind, loaded.labels) == ("multilabel", ["a", "b", "c"])
    assert loaded.targets[1].tolist() == [1, 1, 1]
    rows = [f"{n}.mp3,{90 + n / 2},{('train', 'val', 'test')[n % 3]}" for n in range(30)]
    loaded = Task(write_table(tmp_path / "tempo.csv", ["path,target,split", *rows]))
    assert loaded.kind == "regression"
    assert loaded.targets[2] == [91.0]
    assert loaded.splits[:3] == ["train", "valid", "test"]


MARKS = ["0,7,1,1", "0,8,1,0", "1,9,0,0", "1,10,0,0"]


def read_own(tmp_path, header, cells, **options):
    """`{path: names of its labels}` and the task of a table with these cells beside its paths."""
    rows = [f"{n // 2}.mp3,{cells[n % len(cells)]}" for n in range(80)]
    loaded = Task(write_table(tmp_path / "songs.csv", [header, *rows]), **options)
    tags = [
        [label for label, given in zip(loaded.labels, row, strict=True) if given]
        for row in loaded.targets
    ]
    return dict(zip(loaded.items.paths, tags, strict=True)), loaded


@pytest.mark.parametrize(
    ("header", "cells", "options", "expected"),
    [
        ("path,label", ["b;a", "b;a", "c", " c ;"], {"label_separator": ";"}, ["ab", "c"]),
        ("path,labels", ["b/a", "a/b", "c", "c"], {"label_separator": "/"}, ["ab", "c"]),
        ("path,label", ["b", "a", "c", "c"], {}, ["ab", "c"]),
        ("path,genre,x", ["b,1", "a,2", "c,3", "c,4"], {"label_column": "genre"}, ["ab", "c"]),
        ("path,t1,t2", ["b,", "a,", ",c", ",c"], {"label_column": ["t1", "t2"]}, ["ab", "c"]),
        ("path,t1,t2", ["b,a", "b,a", "c,c", "c,c"], {"label_column": ["t1", "t2"]}, ["ab", "c"]),
        ("path,a,b,c", ["1,1,0", "1,0,0", "0,0,1.0", "0,0,1"], {}, ["ab", "c"]),
        ("path,c,n,b,a", MARKS, {"label_column": ["a", "b", "c"]}, ["ab", "c"]),
    ],
)
def test_files_have_any_number_of_labels_in_the_forms_of_tables(
    tmp_path, caplog, header, cells, options, expected
):
    tags, loaded = read_own(tmp_path, header, cells, **options)
    assert loaded.kind == "multilabel"
    assert tags == {f"{n}.mp3": [*expected[n % 2]] for n in range(40)}
    told = "20 of 40 files have several labels (row 2 and row 3: 0.mp3)" in caplog.text
    assert told == (header in ("path,label", "path,genre,x") and "label_separator" not in options)


@pytest.mark.parametrize(
    ("header", "cells", "options", "name"),
    [
        ("path,label", ["a", "a", "b", "b"], {}, "songs"),
        ("path,mood,genre", ["x,a", "y,a", "z,b", "z,b"], {"label_column": "genre"}, "songs.genre"),
        ("path,a,b", ["1,0", "1,0", "0,1", "0,1"], {}, "songs"),
    ],
)
def test_files_have_a_class_in_the_forms_of_tables(tmp_path, header, cells, options, name):
    tags, loaded = read_own(tmp_path, header, cells, **options)
    assert (loaded.kind, loaded.name, loaded.labels) == ("multiclass", name, ["a", "b"])
    assert tags == {f"{n}.mp3": [*"ab"[n % 2]] for n in range(40)}


def test_a_class_is_any_text_whatever_its_normal_form(tmp_path):
    cells = ['"calm, slow"', '"the ""loud"" one"', "🎸", "Caf\xe9", "Cafe\u0301"]
    tags, loaded = read_own(tmp_path, "path,label", np.repeat(cells, 2))
    assert loaded.labels == ["Caf\xe9", "calm, slow", 'the "loud" one', "🎸"]
    assert tags["3.mp3"] == tags["4.mp3"] == ["Caf\xe9"]


def test_a_class_may_have_the_usual_separator_in_its_name(tmp_path):
    _, loaded = read_own(tmp_path, "path,label", ["a|b"] * 2 + ["c"] * 2, label_separator="")
    assert (loaded.kind, loaded.labels) == ("multiclass", ["a|b", "c"])


@pytest.mark.parametrize(
    ("header", "options", "title", "unit"),
    [
        ("path,target [BPM]", {}, "target", "BPM"),
        ("path,tempo [1/min]", {"label_column": "tempo [1/min]"}, "tempo", "1/min"),
        ("path,target", {}, "target", ""),
    ],
)
def test_values_may_have_a_unit(tmp_path, header, options, title, unit):
    _, loaded = read_own(tmp_path, header, ["80", "80.0", "95", "95"], **options)
    assert (loaded.kind, loaded.labels, loaded.info.unit) == ("regression", [title], unit)
    assert loaded.targets[:3].ravel().tolist() == [80, 95, 80]
    with pytest.raises(ConfigError, match="label_separator.*one number a file"):
        read_own(tmp_path, header, ["80", "80.0"], **options, label_separator=";")


def test_options_of_ones_own_are_refused_where_they_say_nothing(tmp_path):
    with pytest.raises(ConfigError, match="MTT: .*label_column and label_separator with"):
        Task("MTT", label_column="genre", label_separator="")
    with pytest.raises(ConfigError, match="with a table, got a folder"):
        Task(tmp_path, label_column="genre")
    path = write_table(tmp_path / "songs.csv", ["path,label,mood", "x.mp3,a,b"])
    with pytest.raises(InputError, match=r"\(label, mood\), got genre"):
        Task(path, label_column="genre")


@pytest.mark.parametrize("label", ["artist", "album"])
def test_artists_and_albums_may_be_the_labels(tmp_path, label):
    """Then each of them is in all parts, unless others are to be kept together."""
    for n in range(30):
        tags = {"artist": f"artist {n % 3}", "album": f"album {n % 3}"}
        write_tagged(tmp_path / f"{n}.flac", "flac", tags)
    loaded = Task(f"tags:{label}:{tmp_path}")
    assert loaded.labels == [f"{label} {n}" for n in range(3)]
    for part in ("train", "valid", "test"):
        assert loaded.targets[loaded.rows(part)].any(axis=0).all()
    with pytest.raises(InputError, match=f"{label}s"):
        Task(f"tags:{label}:{tmp_path}", separated_by=label)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("flac", "flac"), ("ogg", "libopus"), ("mp3", "libmp3lame"), ("m4a", "aac"), ("wav", None)],
)
def test_the_files_own_tags_are_labels(tmp_path, caplog, suffix, codec):
    for n, genre in enumerate(["Dub", "Ska", "Dub;Ska", "", *["Dub", "Ska"] * 8]):
        path = tmp_path / "music" / f"album {n % 6}" / f"{n}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tagged(path, codec or "pcm_s16le", {"genre": genre, "artist": f"Ann {n % 9}"})
    (tmp_path / "music" / f"broken.{suffix}").write_bytes(b"nothing")
    loaded = Task(f"tags:Genre:{tmp_path / 'music'}")
    assert (loaded.kind, loaded.labels) == ("multilabel", ["Dub", "Ska"])
    tagged = dict(zip(loaded.items.paths, loaded.targets.tolist(), strict=True))
    assert tagged[f"album 2/2.{suffix}"] == [1, 1]
    assert tagged[f"album 1/1.{suffix}"] == [0, 1]
    assert len(tagged) == 19
    assert f"left out 2 of 21 files, without the tag Genre or unreadable: album 3/3.{suffix}" in (
        caplog.text
    )
    by_artist = sides([f"Ann {int(p[8:].split('.')[0]) % 9}" for p in tagged], loaded.splits)
    assert all(len(splits) == 1 for splits in by_artist.values())
    whole = Task(f"tags:genre:{tmp_path / 'music'}", label_separator="")
    assert (whole.kind, whole.labels) == ("multiclass", ["Dub", "Dub;Ska", "Ska"])
    with pytest.raises(InputError, match="with the tag mood, found none of 21"):
        Task(f"tags:mood:{tmp_path / 'music'}")
    with pytest.raises(InputError, match="expected tags:TAG:FOLDER"):
        Task(f"tags:{tmp_path}")


def write_tagged(path, codec, tags):
    """A tenth of a second of silence with these tags."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=48000, layout="mono")
        for place in (file.metadata, stream.metadata):
            place.update({name: value for name, value in tags.items() if value})
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        frame.rate = 48000
        resampler = av.AudioResampler(stream.format, "mono", 48000)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            file.mux(stream.encode(piece))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["path,label,split", "../x.mp3,a,train"], "paths below the audio root, found '../x.mp3'"),
        (
            ["path,label,split", "/etc/passwd,a,train"],
            "paths below the audio root, found '/etc/passwd'",
        ),
        (["path,label,split", "C:/x.mp3,a,train"], "paths below the audio root, found 'C:/x.mp3'"),
        (["path,label,split", "..\\x.mp3,a,train"], r"paths below the audio root"),
        (["path,label,split", "x.mp3,a,train", "x.mp3,b,test"], "row 2 and row 3: .*one split of "),
        (["path,target", "x.mp3,1", "x.mp3,2"], "row 2 and row 3: .* target of 'x.mp3', found 1.0"),
        (["path,key", "x.mp3,Db minor", "x.mp3,F"], "row 3: expected keys"),
        (["path,label", "x.mp3,air|voice"], r"row 2: .*'air\|voice'.*--label_separator \"\|\""),
        (["path,genre", "x.mp3,a"], "--label_column genre"),
        (["path,artist,main genre", "x.mp3,Ann,a"], "--label_column 'main genre'"),
        (["path,genre,air", "x.mp3,a,0"], "found genre, air; .*--label_column genre"),
        (["path,air,voice", "x.mp3,0,1", "y.mp3,1,"], "row 3: expected 0 or 1 as voice"),
        (["path,label,key", "x.mp3,0,1"], "found label, key; choose with --label_column label"),
        (
            ["path,label,split,artist", "x.mp3,a,train,Ann", "y.mp3,b,test,Ann"],
            "separated by artists, but 'Ann' is in train and in test",
        ),
        (["path,label,split", "x.mp3,a,training"], "expected the splits train, valid, test"),
        (["path,label,split", "x.mp3,a,train", "y.mp3,b,train"], "the split 'valid' has no item"),
        (["path,tag", "x.mp3,a"], "one of the columns label, labels, key, target"),
        (["path,label", "x.mp3,a,b"], "refused 1 of 1 rows .*: row 2: expected 2 cells, found 3"),
        (["path,target", "x.mp3,1", "y.mp3,fast"], "row 3: expected a number, found 'fast'"),
        (["path,target", "x.mp3,1", "y.mp3,nan"], "expected a number, found 'nan'"),
        (["path,target", "x.mp3,"], "row 2: the target is empty"),
        (["path,label", "x.mp3,a", "y.mp3,"], "row 3: the label is empty"),
        (["path,labels,artist", "x.mp3,,Ann", "y.mp3,a, "], "row 3: the artist is empty"),
        (["path,label,split", "x.mp3,a,test", ",b,"], "row 3: the path and the split is empty"),
        (["path,key", "x.mp3,C major", "y.mp3,H dur"], "row 3: expected keys .* found 'H dur'"),
        (["path|label", "x.mp3|a"], r"expected the columns path, found path\|label in the first"),
        (["path,label"], "expected rows below the header"),
        (["path,label", *(f"{n}.mp3,{n % 3}" for n in range(6))], "at least 3 .* found 2 and 6"),
        (["path,label", "x.mp3,a"], "at least 3 files of a class, .* found 1 and 1"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(tmp_path, rows, message):
    path = write_table(tmp_path / "songs.csv", rows)
    with pytest.raises(InputError, match=message):
        Task(path)


def test_labels_that_are_constant_are_told(tmp_path, caplog):
    rows = [
        f"{n}.mp3,{'a|b' if n % 2 else 'b'},{('train', 'valid', 'test')[n % 3]}" for n in range(30)
    ]
    Task(write_table(tmp_path / "tags.csv", ["path,labels,split", *rows]))
    assert "constant in train (1 labels): b" in caplog.text
    rows = [f"{n}.mp3,1,{('train', 'valid', 'test')[n % 3]}" for n in range(30)]
    with pytest.raises(InputError, match=r"target is constant in the split 'train' \(10 items\)"):
        Task(write_table(tmp_path / "tempo.csv", ["path,target,split", *rows]))
    rows = [row.replace(",1,", ",only,") for row in rows]
    with pytest.raises(InputError, match="every label is constant in the split 'train'"):
        Task(write_table(tmp_path / "one.csv", ["path,label,split", *rows]))


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"expected a task \(MSDS, .*did you mean MTT"):
        find_task("MTTT")


# ------------------------------------------------------------------------------- damaged official


def changed(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("MTT", "annotations_final.csv", b'"clip_id"\t', b"clip_id\t", "mp3_path missing"),
        ("MTT", "annotations_final.csv", b"0/artist", b"z/artist", "in the folders 0 to f"),
        ("Emo", "songs_info.csv", b",0.48,", b",Jan 48,", "expected a time as min.sec"),
        ("Emo", "songs_info.csv", b",1.33,", b",1.3,", "expected a segment of 45 s"),
        ("Emo", "songs_info.csv", b"song_id,", b"song_id;", "song_id missing"),
        ("Emo", "songs_info.csv", b"\n", b"\nx", "expected a number, found 'x"),
        ("GS_Key", "giantsteps-key-dataset/annotations/key/1000.LOFI.key", b"C", b"X", "a key"),
        (
            "Jam-MT",
            "data/splits/split-0/autotagging_moodtheme-test.tsv",
            b"\tgenre---rock",
            b",genre---rock",
            "each in a field of its own",
        ),
        ("NSynth_I", "nsynth-test/examples.json", b'"bass"', b'"kazoo"', "found kazoo"),
        ("NSynth_P", "nsynth-test/examples.json", b"\n}", b"\n", "not valid JSON, or truncated"),
        (
            "MTT_filtered",
            "MTAT_split/test_list_pub.cP",
            b"(lp1",
            b"(dp1",
            "pickled list of strings",
        ),
        ("MSD100", "train_ids.npy", b"0\0\0\0/", b"9\0\0\0/", "the split says that"),
    ],
)
def test_damaged_files_are_refused(name, file, old, new, message, tmp_path):
    WRITERS[name](tmp_path)
    changed(tmp_path / file, old, new)
    with pytest.raises(InputError, match=message):
        Task(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        ("AMM", "data/mood_target.npy", lambda a: a * 0.5, "an array of 0 and 1, found other"),
        ("AMM", "data/val_idx.npy", lambda a: a - 99, "expected rows 0 to 47, found -"),
        ("MSD100", "binaries.npy", lambda a: a * 2, "an array of 0 and 1, found other"),
        (
            "MSD100",
            "train_ids.npy",
            lambda a: np.arange(len(a)),
            "entries '<row>//<name>', found 0",
        ),
        ("MTT_filtered", "MTAT_split/y_test_pub.npy", lambda a: a - 1, "an array of 0 and 1"),
    ],
)
def test_arrays_of_other_values_are_refused(name, file, change, message, tmp_path):
    WRITERS[name](tmp_path)
    np.save(tmp_path / file, change(np.load(tmp_path / file)))
    with pytest.raises(InputError, match=message):
        Task(name, tmp_path)


def test_files_saved_again_by_a_spreadsheet_are_told(tmp_path):
    WRITERS["MTT"](tmp_path)
    file = tmp_path / "annotations_final.csv"
    text = file.read_text()
    for saved in (
        text.replace("\t", ",").replace('"', ""),
        text.replace("\t", ";"),
    ):
        file.write_text(saved, encoding="utf-8")
        with pytest.raises(InputError, match="spreadsheet program had saved it again"):
            Task("MTT", tmp_path)
    file.write_text(text.replace('"', ""), encoding="utf-8")
    with pytest.raises(InputError, match="it was saved again by another program"):
        Task("MTT", tmp_path)


@pytest.mark.parametrize("name", TASKS)
def test_an_empty_folder_is_told_what_belongs_in_it(name, tmp_path):
    with pytest.raises(InputError, match="expected"):
        Task(name, tmp_path)


def test_lfs_pointers_are_told_from_arrays(tmp_path):
    WRITERS["AMM"](tmp_path)
    (tmp_path / "data" / "val_idx.npy").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 53688\n"
    )
    with pytest.raises(InputError, match=r"val_idx.npy: .*Git LFS pointer.*git lfs pull"):
        Task("AMM", tmp_path)


def test_amms_labels_have_to_be_supplied(tmp_path):
    WRITERS["AMM"](tmp_path)
    (tmp_path / "data" / "mood_target.npy").unlink()
    with pytest.raises(InputError, match="a 0/1 array of 48 x 4 .* not distributed"):
        Task("AMM", tmp_path)


def test_artists_in_two_splits_of_an_official_file_are_refused(tmp_path):
    WRITERS["Jam-All"](tmp_path)
    file = tmp_path / "data" / "splits" / "split-0" / "autotagging-test.tsv"
    changed(file, b"artist_test", b"artist_train")
    with pytest.raises(InputError, match="'artist_train' is in train and in test"):
        Task("Jam-All", tmp_path)


# ----------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("flipped", [12, 30, 200])
def test_damaged_compressed_files_are_told(tmp_path, flipped):
    path = tmp_path / "x.json.gz"
    packed = bytearray(gzip.compress(json.dumps({str(n): n * n for n in range(999)}).encode()))
    packed[flipped] ^= 255
    path.write_bytes(packed)
    for read in (readers.read_bytes, lambda path: list(json_stream.entries(path))):
        with pytest.raises(InputError, match=r"x\.json\.gz: (cannot be read|not valid JSON)"):
            read(path)


def test_damaged_arrays_and_pickles_are_told(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones((10, 5)))
    changed(path, b", 5)", b", 5(")
    with pytest.raises(InputError, match="not a plain .npy array"):
        readers.read_array(path)
    path.write_bytes(pickle.dumps({"a": "b"}, 0).replace(b"s.", b"b."))  # builds a string
    with pytest.raises(InputError, match="not a pickle of plain data"):
        readers.read_mapping(path)


def test_a_pickle_that_would_do_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    for value in (Evil(), {"a": Evil()}):
        (tmp_path / "x.cP").write_bytes(pickle.dumps(value, 0))
        with pytest.raises(InputError, match="builtin.*print, which is not plain data"):
            readers.read_mapping(tmp_path / "x.cP")


class Python2Pickler(pickle._Pickler):
    """Writes strings and bytes as Python 2 wrote its only kind of strings."""

    dispatch: typing.ClassVar = dict(pickle._Pickler.dispatch)

    def save_text(self, value):
        data = value if isinstance(value, bytes) else value.encode()
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_text


def python2_pickle(value):
    file = io.BytesIO()
    Python2Pickler(file, 2).dump(value)
    return file.getvalue()


def test_damaged_pickles_never_crash(tmp_path):
    """NumPy's own unpickling does, on some of these."""
    path = tmp_path / "x.cP"
    whole = python2_pickle({f"TR{n}": np.arange(3).reshape(1, 3) == n for n in range(3)})
    generator, refused = np.random.default_rng(0), 0
    for _ in range(3000):
        data = bytearray(whole)
        data[generator.integers(len(data))] = generator.integers(256)
        path.write_bytes(data)
        try:
            readers.read_mapping(path)
        except InputError:
            refused += 1
    assert refused > 500
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="Git LFS pointer"):
        readers.read_mapping(path)


@pytest.mark.parametrize("dump", [python2_pickle, lambda value: pickle.dumps(value, 0)])
def test_mappings_of_strings_and_arrays_are_read(tmp_path, dump):
    vectors = {f"TR{n}": np.arange(3).reshape(1, 3) % 2 == n for n in range(2)}
    vectors["TR2"] = np.arange(250, 253).reshape(1, 3)  # bytes above 127
    (tmp_path / "x.cP").write_bytes(dump(vectors))
    found = readers.read_mapping(tmp_path / "x.cP")
    assert {id: vector.ravel().tolist() for id, vector in found.items()} == {
        **{"TR0": [True, False, True], "TR1": [False, True, False], "TR2": [250, 251, 252]}
    }
    (tmp_path / "x.pkl").write_bytes(dump({"TR1": "5504670"}))
    assert readers.read_mapping(tmp_path / "x.pkl") == {"TR1": "5504670"}


def test_msds_from_jongpillees_files_alone(tmp_path):
    """Labels and 7digital paths from the pickled dictionaries."""
    WRITERS["MSDS"](tmp_path)
    home = tmp_path / "MSD_split"
    ids = readers.read_list(home / "filtered_list_train.cP")
    ids += readers.read_list(home / "filtered_list_test.cP")
    before = Task("MSDS", tmp_path).items
    distinct = {row.tobytes(): row[None] > 0 for row in before.targets}
    vectors = {id: distinct[row.tobytes()] for id, row in zip(ids, before.targets, strict=True)}
    (home / "msd_id_to_tag_vector.cP").write_bytes(pickle.dumps(vectors, 0))
    (home / "MSD_id_to_7D_id.pkl").write_bytes(python2_pickle({id: id[2:] for id in ids}))
    numbers = {id[2:]: f"8/9/{id[2:]}.clip.mp3" for id in ids}
    (home / "7D_id_to_path.pkl").write_bytes(python2_pickle(numbers))
    for file in (tmp_path / "MSD_split_for_tagging").iterdir():
        file.unlink()
    loaded = Task("MSDS", tmp_path).items
    np.testing.assert_array_equal(loaded.targets, before.targets)
    assert loaded.paths[0][0] == f"8/9/{ids[0][2:]}.clip.mp3"
    vectors[ids[0]] = vectors[ids[0]][:, 1:]
    (home / "msd_id_to_tag_vector.cP").write_bytes(pickle.dumps(vectors, 0))
    with pytest.raises(InputError, match=rf"{ids[0]}: expected \d+ labels, found"):
        Task("MSDS", tmp_path)


def test_lists_are_read_whatever_is_in_the_names(tmp_path):
    names = ["a/b-0-29.npy", "it isn't, (really)", "lp1", "S'x'"[:-1]]
    (tmp_path / "x.cP").write_text(cp_list(names))
    assert readers.read_list(tmp_path / "x.cP") == names


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_a_large_object_is_streamed_in_any_pieces(tmp_path, chunk):
    text = '{ "a" : {"x": [1, 2, {"y": "}{"}]} ,\n"b":12345, "c": "ü\\"", "d": {} }\n'
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    found = list(json_stream.entries(tmp_path / "x.json", chunk))
    assert found == [("a", {"x": [1, 2, {"y": "}{"}]}), ("b", 12345), ("c", 'ü"'), ("d", {})]
