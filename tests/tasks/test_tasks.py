"""The official tasks: what the tiny distributions hold."""

import numpy as np
import pytest

from helpers.distributions import ITEMS, WRITERS, mumu
from mar.audio.windows import Windows
from mar.errors import InputError
from mar.tasks import TASKS, Task, emomusic, find_task, msd
from mar.tasks.giantsteps import parse_key


@pytest.mark.parametrize("name", TASKS)
def test_every_task_finds_its_audio_and_its_splits(name, tmp_path, monkeypatch):
    assert TASKS["MSDS"].counts["train"] == msd.TRAIN_ITEMS
    monkeypatch.setattr(msd, "TRAIN_ITEMS", ITEMS["train"])  # the real ones: test_counts.py
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


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"expected a task \(MSDS, .*did you mean MTT"):
        find_task("MTTT")


def test_amms_labels_have_to_be_supplied(tmp_path):
    WRITERS["AMM"](tmp_path)
    (tmp_path / "data" / "mood_target.npy").unlink()
    with pytest.raises(InputError, match="a 0/1 array of 48 x 4 .* not distributed"):
        Task("AMM", tmp_path)
