"""A catalogue that changes from night to night: what is decoded, and what is known then."""

import os
import shutil
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from helpers.processes import run_python
from helpers.signals import music, write
from mar.audio import file_tags
from mar.audio.isolated import IsolatedDecoder
from mar.embedding import ahead, files, remembered
from mar.embedding.catalogue import Catalogue
from mar.embedding.embedder import Embedder
from mar.embedding.store import Embeddings
from mar.errors import InputError

MODEL = "logmel_mean"
KINDS = [("mean", "parquet"), ("timeline", "npz")]


@pytest.fixture
def music_folder(tmp_path):
    """Eight files in two folders, and one that is no audio."""
    folder = tmp_path / "music"
    for number, name in enumerate("abcdefgh"):
        path = folder / ("rock" if number % 2 else "jazz") / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, music(4.0, 16000, seed=number), 16000)
    (folder / "notes.pdf").write_text("no audio")
    return folder


def update(folder, output, **parameters):
    """What became of how many files."""
    summary = Catalogue(**parameters).run(MODEL, files.find([str(folder)]), output)
    return {what: count for what, count in summary.counts.items() if count}


@pytest.mark.parametrize(("store", "format"), KINDS)
def test_a_night_decodes_new_audio_alone(music_folder, tmp_path, decoded, store, format):
    kept = {"store": store, "format": format}
    jazz, rock = music_folder / "jazz", music_folder / "rock"
    assert update(music_folder, tmp_path / "out", **kept) == {"new": 8, "skipped": 1}
    assert len(decoded) == 8
    before = Embeddings(tmp_path / "out")
    means = {path: before.mean(path) for path in before.paths}
    decoded.clear()

    soundfile.write(jazz / "new.flac", music(4.0, 16000, seed=20), 16000)
    (jazz / "a.flac").rename(jazz / "A renamed.flac")
    (rock / "b.flac").rename(jazz / "b.flac")
    file_tags.write(jazz / "c.flac", {"genre": ("Jazz",)})
    os.utime(rock / "d.flac")
    soundfile.write(jazz / "e.flac", music(4.0, 16000, seed=21), 16000)
    (rock / "f.flac").unlink()
    shutil.copy(jazz / "g.flac", jazz / "g, again.flac")
    (music_folder / "notes.pdf").unlink()
    expected = {
        **{"new": 1, "changed": 1, "moved": 2, "retagged": 2, "copied": 1, "gone": 2},
        "unchanged": 2,  # g and h
    }
    assert update(music_folder, tmp_path / "out", **kept) == expected
    assert sorted(decoded) == ["e.flac", "new.flac"]
    decoded.clear()

    embeddings = Embeddings(tmp_path / "out")
    assert embeddings.paths == sorted(
        os.path.relpath(path, music_folder) for path in music_folder.rglob("*.flac")
    )
    assert embeddings.gone == ["rock/f.flac"]
    assert dict(embeddings.failures) == {}
    for new, old in {
        "jazz/A renamed.flac": "jazz/a.flac",
        "jazz/b.flac": "rock/b.flac",
        "jazz/c.flac": "jazz/c.flac",
        "jazz/g, again.flac": "jazz/g.flac",
    }.items():
        np.testing.assert_allclose(embeddings.mean(new), means[old], rtol=1e-6)
    embedder = Embedder(MODEL)
    for path in embeddings.paths:
        fresh, row = embedder(music_folder / path), embeddings.row(path)
        np.testing.assert_allclose(embeddings.mean(path), fresh.mean, rtol=1e-4, atol=1e-4)
        status = (music_folder / path).stat()
        assert (row["size"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        assert row["folder"] == str(music_folder)
    decoded.clear()
    assert update(music_folder, tmp_path / "out", **kept) == {"unchanged": 9}

    soundfile.write(rock / "f.flac", music(4.0, 16000, seed=5), 16000)  # from a backup
    assert update(music_folder, tmp_path / "out", **kept) == {"returned": 1, "unchanged": 9}
    np.testing.assert_allclose(
        Embeddings(tmp_path / "out").mean("rock/f.flac"), means["rock/f.flac"], rtol=1e-6
    )
    assert decoded == []


def test_names_that_change_places_are_moves(music_folder, tmp_path, decoded):
    """As when the tracks of an album are numbered anew."""
    update(music_folder, tmp_path / "out")
    means = {p: Embeddings(tmp_path / "out").mean(p) for p in Embeddings(tmp_path / "out").paths}
    decoded.clear()
    jazz = music_folder / "jazz"
    for old, new in (("e", "f"), ("c", "e"), ("a", "c")):
        (jazz / f"{old}.flac").rename(jazz / f"{new}.flac")
    assert update(music_folder, tmp_path / "out") == {"moved": 3, "unchanged": 6}
    embeddings = Embeddings(tmp_path / "out")
    for old, new in (("e", "f"), ("c", "e"), ("a", "c")):
        moved = embeddings.mean(f"jazz/{new}.flac")
        np.testing.assert_allclose(moved, means[f"jazz/{old}.flac"], rtol=1e-6)
    assert "jazz/a.flac" not in {*embeddings.paths, *embeddings.gone}
    assert decoded == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("ab", "a", {"gone": 1, "unchanged": 1}),
        ("abc", "", {"gone": 3}),
        ("ab", "ac", {"moved": 1, "unchanged": 1}),
        ("ab", "cd", {"moved": 2}),
        ("ab", "cde", {"moved": 2, "copied": 1}),
        ("abc", "d", {"moved": 1, "gone": 2}),
        ("a", "abc", {"copied": 2, "unchanged": 1}),
    ],
)
def test_files_of_one_audio_are_counted_each(tmp_path, before, after, expected):
    folder = tmp_path / "music"
    folder.mkdir()
    soundfile.write(folder / "other.flac", music(4.0, 16000, seed=1), 16000)
    soundfile.write(tmp_path / "one.flac", music(4.0, 16000, seed=0), 16000)
    for name in before:
        shutil.copy2(tmp_path / "one.flac", folder / f"{name}.flac")
    update(folder, tmp_path / "out")
    for name in set(before) - set(after):
        (folder / f"{name}.flac").unlink()
    for name in set(after) - set(before):
        shutil.copy2(tmp_path / "one.flac", folder / f"{name}.flac")
    expected["unchanged"] = 1 + expected.get("unchanged", 0)
    assert update(folder, tmp_path / "out") == expected
    left = {path[:-5] for path in Embeddings(tmp_path / "out").paths}
    assert left == {*after, "other"}


def test_a_folder_that_has_another_name_is_the_same(music_folder, tmp_path, decoded):
    update(music_folder, tmp_path / "out")
    decoded.clear()
    renamed = music_folder.rename(tmp_path / "musik")
    (renamed / "jazz" / "a.flac").unlink()
    assert update(renamed, tmp_path / "out") == {"moved": 7, "skipped": 1, "gone": 1}
    assert Embeddings(tmp_path / "out").gone == ["jazz/a.flac"]
    assert update(renamed, tmp_path / "out") == {"unchanged": 8}
    assert decoded == []


def test_what_lies_elsewhere_is_not_gone(music_folder, tmp_path):
    """Another folder, one file, and a list are added to the same data set."""
    update(music_folder / "jazz", tmp_path / "out")
    assert update(music_folder / "rock", tmp_path / "out") == {"new": 4}
    assert update(music_folder / "rock" / "b.flac", tmp_path / "out") == {"unchanged": 1}
    (music_folder / "rock" / "some.txt").write_text("b.flac\nd.flac\n")
    assert update(music_folder / "rock" / "some.txt", tmp_path / "out") == {"unchanged": 2}
    (music_folder / "rock" / "f.flac").unlink()
    (music_folder / "rock" / "d.flac").unlink()
    of_list = update(music_folder / "rock" / "some.txt", tmp_path / "out")
    assert of_list == {"unchanged": 1, "gone": 2}
    assert len(Embeddings(tmp_path / "out")) == 6


def test_an_empty_folder_is_refused_and_marks_nothing(music_folder, tmp_path):
    update(music_folder, tmp_path / "out")
    music_folder.rename(tmp_path / "disk")
    music_folder.mkdir()
    for content in ((), ("lost+found.txt",)):
        for name in content:
            (music_folder / name).touch()
        with pytest.raises(InputError, match=f"{music_folder}: holds no audio.*mounted"):
            update(music_folder, tmp_path / "out")
    assert len(Embeddings(tmp_path / "out")) == 8
    assert Embeddings(tmp_path / "out").gone == []


def test_shards_mark_what_is_gone_once(music_folder, tmp_path):
    update(music_folder, tmp_path / "out")
    for name in ("jazz/a.flac", "jazz/c.flac", "rock/b.flac", "rock/d.flac"):
        (music_folder / name).unlink()
    (music_folder / "rock" / "f.flac").rename(music_folder / "z.flac")
    items, counts = files.find([str(music_folder)]), []
    for shard in range(3):
        counts.append(Catalogue().run(MODEL, items, tmp_path / "out", (shard, 3)).counts)
    assert sum(count["gone"] for count in counts) >= 4  # with the one that another shard finds
    assert sum(count["moved"] for count in counts) == 1
    assert len(Embeddings(tmp_path / "out").gone) == 4
    assert update(music_folder, tmp_path / "out") == {"unchanged": 5}


# ------------------------------------------------------------------------ changes during the run


def at(monkeypatch, name, change):
    """Changes the disk where the decoder is asked for the audio of a file."""
    audio_hash = IsolatedDecoder.audio_hash

    def changed(self, path):
        if os.path.basename(path) == name:
            change()
        return audio_hash(self, path)

    monkeypatch.setattr(IsolatedDecoder, "audio_hash", changed)


def test_a_file_that_is_deleted_while_it_is_read_is_no_failure(music_folder, tmp_path, monkeypatch):
    update(music_folder, tmp_path / "out")
    os.utime(music_folder / "jazz" / "a.flac")
    soundfile.write(music_folder / "jazz" / "i.flac", music(4.0, 16000, seed=30), 16000)
    soundfile.write(music_folder / "jazz" / "j.flac", music(4.0, 16000, seed=31), 16000)
    with monkeypatch.context() as patch:
        at(patch, "a.flac", (music_folder / "jazz" / "a.flac").unlink)
        at(patch, "i.flac", (music_folder / "jazz" / "i.flac").unlink)
        assert update(music_folder, tmp_path / "out") == {"new": 1, "gone": 1, "unchanged": 8}
    embeddings = Embeddings(tmp_path / "out")
    assert embeddings.gone == ["jazz/a.flac"]
    assert dict(embeddings.failures).keys() == {"notes.pdf"}
    assert "jazz/i.flac" not in embeddings


@pytest.mark.parametrize("leaves", ["nothing", "an empty folder"])
def test_a_folder_that_is_renamed_while_it_is_read(music_folder, tmp_path, monkeypatch, leaves):
    """Or unmounted: then its place stays. It is said, and nothing is taken for gone."""
    update(music_folder, tmp_path / "out")
    for name in ("c", "e", "g"):
        os.utime(music_folder / "jazz" / f"{name}.flac")

    def rename():
        if music_folder.exists() and any(music_folder.iterdir()):
            music_folder.rename(tmp_path / "elsewhere")
            if leaves != "nothing":
                music_folder.mkdir()

    with monkeypatch.context() as patch:
        at(patch, "e.flac", rename)
        with pytest.raises(InputError, match=f"{music_folder}: .*renamed or unmounted.*run again"):
            update(music_folder, tmp_path / "out", workers=1)
    embeddings = Embeddings(tmp_path / "out")
    assert (len(embeddings), embeddings.gone) == (8, [])
    assert embeddings.failures.keys() == {"notes.pdf"}
    shutil.rmtree(music_folder, ignore_errors=True)
    again = update(tmp_path / "elsewhere", tmp_path / "out")
    assert again == {"moved": 6, "retagged": 2, "skipped": 1}


def test_a_copy_waits_for_one_that_vanishes(music_folder, tmp_path, monkeypatch):
    first, copy = music_folder / "jazz" / "1.flac", music_folder / "jazz" / "2.flac"
    soundfile.write(first, music(20.0, 16000, seed=40), 16000)
    shutil.copy(first, copy)
    pieces, is_first = ahead._pieces, ahead.Duplicates.is_first
    came = {path: threading.Event() for path in ("jazz/1.flac", "jazz/2.flac")}

    def vanishing(embedder, decoder, path, row):
        if row.path == "jazz/1.flac":
            came["jazz/2.flac"].wait()
            first.unlink()
            raise InputError("cannot be read")
        yield from pieces(embedder, decoder, path, row)

    def noting(self, row):
        if row.path == "jazz/2.flac":
            came["jazz/1.flac"].wait()  # the workers come in any order
        answer = is_first(self, row)
        if row.path in came:
            came[row.path].set()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(ahead, "_pieces", vanishing)
        patch.setattr(ahead.Duplicates, "is_first", noting)
        summary = Catalogue(workers=4).run(MODEL, files.find([str(music_folder)]), tmp_path / "out")
    ((path, reason),) = summary.failures
    assert path == "jazz/2.flac"
    assert "jazz/1.flac, with the same audio, vanished while it was read; run again" in reason
    assert update(music_folder, tmp_path / "out") == {"new": 1, "unchanged": 9}


# --------------------------------------------------------------------------- nothing to be done


def test_where_nothing_is_new_no_model_is_loaded(music_folder, tmp_path):
    """Nor TensorFlow: by a process that would show it."""
    update(music_folder, tmp_path / "out")
    script = """
import sys
from mar import embed
from mar.util import cli
try:
    cli.run(embed.main)
finally:
    print(*sorted({"tensorflow", "keras", "librosa", "sklearn"} & {*sys.modules}), ".")
"""
    command = ("-c", script, "--model", MODEL, "--output", tmp_path / "out", music_folder)
    process = run_python(*command, fresh=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == [
        f"{tmp_path / 'out'}: nothing to do, 9 already there",
        ".",
    ]
    (music_folder / "rock" / "b.flac").rename(music_folder / "moved.flac")
    (music_folder / "rock" / "d.flac").unlink()
    process = run_python(*command, fresh=True)
    assert "0 embedded, 7 already there, 0 skipped (not audio), 0 failed" in process.stdout
    assert "1 moved or renamed, 1 gone" in process.stdout
    assert process.stdout.splitlines()[-1] == "."


def test_a_model_is_remembered_by_the_content_of_its_files(tmp_path):
    model, other = tmp_path / "model.keras", tmp_path / "other.keras"
    model.write_bytes(b"weights")
    other.write_bytes(b"weights")
    asked = remembered.asked(model, windows={}, precision="float32")
    made = {"model": "f" * 64, "model_source": str(model)}
    assert remembered.recall(tmp_path, asked) is None
    remembered.remember(tmp_path, asked, made, remembered.states(str(model), str(model)))
    assert remembered.recall(tmp_path, asked) == made
    for different in ({"windows": {"a": 1}}, {"precision": "bfloat16"}):
        wanted = remembered.asked(model, **{"windows": {}, "precision": "float32", **different})
        assert remembered.recall(tmp_path, wanted) is None
    of_other = remembered.asked(other, windows={}, precision="float32")
    assert remembered.recall(tmp_path, of_other) is None
    os.utime(model)  # the same content at another time
    assert remembered.recall(tmp_path, asked) == made
    model.write_bytes(b"Weights")
    assert remembered.recall(tmp_path, asked) is None
    model.unlink()
    assert remembered.recall(tmp_path, asked) is None
    (tmp_path / ".model.json").write_text("not JSON")
    assert remembered.recall(tmp_path, asked) is None


# ---------------------------------------------------------------------------------------- silence


def test_silence_is_marked_in_the_row(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    sound = music(4.0, 44100)
    left = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * 44100)
    for name, samples in {
        "sound.wav": sound,
        "quiet.wav": 0.01 * sound,
        "near.wav": 5e-4 * sound,
        "digital.wav": 0 * sound,
        "cancelled.wav": np.stack([left, -left], axis=1),  # its embedding is that of silence
    }.items():
        soundfile.write(folder / name, samples, 44100, "FLOAT")
    write(folder / "digital.mp3", "mp3", 0 * sound, 44100)
    shutil.copy(folder / "digital.wav", folder / "copy.wav")
    update(folder, tmp_path / "out")
    silence = Embeddings(tmp_path / "out").to_pandas().set_index("path")["silence"].to_dict()
    assert silence == {
        "sound.wav": "none",
        "quiet.wav": "none",
        "near.wav": "near",
        "digital.wav": "digital",
        "copy.wav": "digital",
        "digital.mp3": "digital",
        "cancelled.wav": "digital",
    }


# --------------------------------------------------------------------------------- earlier versions


@pytest.mark.parametrize(("store", "format"), KINDS)
def test_what_an_earlier_version_left_is_taken_up(music_folder, tmp_path, decoded, store, format):
    """Rows without hash and folder, as 0.1.0 wrote them, and without folder."""
    kept = {"store": store, "format": format}
    update(music_folder, tmp_path / "out", **kept)
    before = {p: Embeddings(tmp_path / "out").mean(p) for p in Embeddings(tmp_path / "out").paths}
    forget(tmp_path / "out", {"audio_hash", "folder", "silence", "reader", "channels", "notes"})
    decoded.clear()
    (music_folder / "rock" / "h.flac").unlink()
    first = update(music_folder, tmp_path / "out", **kept)
    assert first == {"taken_up": 7, "skipped": 1, "gone": 1}
    assert Embeddings(tmp_path / "out").gone == ["rock/h.flac"]
    forget(tmp_path / "out", {"folder", "silence"})
    assert update(music_folder, tmp_path / "out", **kept) == {"taken_up": 7, "skipped": 1}
    (music_folder / "rock" / "b.flac").rename(music_folder / "z.flac")
    assert update(music_folder, tmp_path / "out", **kept) == {"moved": 1, "unchanged": 7}
    moved = Embeddings(tmp_path / "out").mean("z.flac")
    np.testing.assert_array_equal(moved, before["rock/b.flac"])
    assert decoded == []


def forget(folder, columns):
    """Takes columns out of a data set, as an earlier version would not have written them."""
    for part in folder.glob("*.parquet"):
        table = pq.read_table(part)
        pq.write_table(table.drop_columns(sorted(columns & {*table.column_names})), part)


def test_a_file_does_not_take_the_place_of_another_that_is_there(tmp_path):
    """Folders that are embedded one after another; sizes and times may even be the same."""
    folders = {name: tmp_path / name for name in ("one", "copy", "other", "later")}
    for name, folder in folders.items():
        folder.mkdir()
        tone = music(4.0, 16000, seed=name in ("other", "later"))
        soundfile.write(folder / "01.wav", tone, 16000)
        os.utime(folder / "01.wav", (name == "later", name == "later"))
    assert len({(folder / "01.wav").stat().st_size for folder in folders.values()}) == 1
    output = tmp_path / "out"
    update(folders["one"], output)
    mean = Embeddings(output).mean("01.wav")
    for name in ("other", "later"):
        with pytest.raises(InputError, match=f"has '01.wav' of {folders['one']}, which is another"):
            update(folders[name], output)
        np.testing.assert_array_equal(Embeddings(output).mean("01.wav"), mean)
    assert update(folders["copy"], output) == {"moved": 1}  # of the same audio
    assert update(folders["copy"], output) == {"unchanged": 1}
    (tmp_path / "link").symlink_to(folders["copy"])
    assert update(tmp_path / "link", output) == {"unchanged": 1}
    shutil.rmtree(folders["copy"])
    assert update(folders["later"], output) == {"changed": 1}
