"""Official files that are damaged, changed or missing are refused."""

import numpy as np
import pytest

from helpers.distributions import WRITERS
from mar.errors import InputError
from mar.tasks import TASKS, Task


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


def test_artists_in_two_splits_of_an_official_file_are_refused(tmp_path):
    WRITERS["Jam-All"](tmp_path)
    file = tmp_path / "data" / "splits" / "split-0" / "autotagging-test.tsv"
    changed(file, b"artist_test", b"artist_train")
    with pytest.raises(InputError, match="'artist_train' is in train and in test"):
        Task("Jam-All", tmp_path)
