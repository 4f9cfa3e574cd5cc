import functools
import itertools
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest
from test_head import about, head, network
from test_probe import probe
from test_tagging import values_head
from tinytag import TinyTag

from helpers.processes import UNREAD, run_python, start_python
from helpers.signals import music, write
from helpers.small_embeddings import write_store
from mar.audio import decode
from mar.embedding.store import Embeddings
from mar.errors import ConfigError
from mar.probing import file_labels
from mar.probing.calibration import Rule, uncalibrated
from mar.probing.dense import Layers
from mar.probing.head import Head
from mar.probing.head_file import FILE, Parts
from mar.tasks.keys import KEYS

NAMES = ["a/1.mp3", "a/2.flac", "b/3.ogg", "4.m4a", "5.wav"]
FORMATS = {".mp3": "mp3", ".flac": "flac", ".ogg": "ogg", ".m4a": "m4a", ".wav": "pcm16.wav"}


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(exist_ok=True)
        kind = FORMATS[os.path.splitext(name)[1]]
        write(folder / name, kind, music(1.0, seed=number), 44100)
    return folder


@functools.cache
def moods():
    """A head that gives each label to some tracks, and none to some."""
    layers = Layers.of(network(probe(layer_widths=[5])), "relu", "sigmoid")
    plain = uncalibrated(4, exclusive=False)
    probabilities = plain(layers(np.random.default_rng(1).normal(size=(200, 6))))
    return Head(Parts(layers, Rule(plain, np.quantile(probabilities, 0.7, axis=0)), about()))


@pytest.fixture
def music_folder(songs, tmp_path):
    """Files, their embeddings, and a head."""
    shutil.copytree(songs, tmp_path / "music")
    rng = np.random.default_rng(0)
    write_store(tmp_path / "emb", {name: rng.normal(size=(2, 6)) for name in NAMES})
    moods().save(tmp_path / FILE)
    return tmp_path / "music"


def labels_of(path):
    """What another library reads in our field; several values of ID3 are one text there."""
    texts = TinyTag.get(path).other.get("mar_moods", [])
    return tuple(label.lstrip("\ufeff") for text in texts for label in text.split("\0"))


def given(embeddings):
    """The labels that a head gives each track, as a set."""
    labelled, by_path = moods(), {}
    for name in embeddings.paths:
        probabilities = labelled.probabilities(embeddings.mean(name)[None])
        decided = labelled.decide(probabilities)[0]
        by_path[name] = set(itertools.compress(labelled.labels, decided))
    return by_path


def state(folder):
    return {
        path.relative_to(folder): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


# ------------------------------------------------------------------------------------------ fields


def test_fields_are_called_after_tasks_unless_asked_for():
    heads = {"my moods!": head(), "GS_Key": head("key"), "tempo": values_head()}
    assert file_labels.fields(heads) == {
        "my moods!": "MAR_MY_MOODS_",
        "GS_Key": "MAR_GS_KEY",
        "tempo": "MAR_TEMPO",
    }
    fields = file_labels.fields({"жанр": head(), "темп": head(), "böse": head()}).values()
    assert len(set(fields)) == 3, "letters are lost, but no field is another's"
    assert all(re.fullmatch(r"MAR_[A-Z0-9_]+", field) for field in fields)
    asked = ["my moods!=genre", "GS_Key=key", "tempo=tempo"]
    assert list(file_labels.fields(heads, asked).values()) == ["genre", "key", "tempo"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["mods=genre"], "expected TASK=FIELD with a task of moods, .*did you mean 'moods'"),
        (["moods=TCON"], "a field of genre, key, tempo, got 'moods=TCON'"),
        (["moods"], "expected TASK=FIELD"),
        (["moods=key"], "expected a head of kind key for key, got <mar.Head of moods"),
        (["moods=genre", "other=genre"], "heads of moods and other would both fill genre"),
    ],
)
def test_fields_that_cannot_be_meant_are_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        file_labels.fields({"moods": head(), "other": head()}, asked)
    with pytest.raises(ConfigError, match="a b and a-B would both fill MAR_A_B; .*--field"):
        file_labels.fields({"a b": head(), "a-B": head()})


def test_the_labels_that_are_given_are_wanted_the_most_probable_first(tmp_path):
    rng = np.random.default_rng(0)
    timelines = {f"{n}.mp3": rng.normal(size=(2, 6)) for n in range(50)}
    embeddings, labelled = Embeddings(write_store(tmp_path, timelines)), moods()
    wanted = file_labels.wanted({"moods": labelled}, {"moods": "MAR_MOODS"}, embeddings)
    assert {path: set(fields["MAR_MOODS"]) for path, fields in wanted.items()} == given(embeddings)
    assert {len(fields["MAR_MOODS"]) for fields in wanted.values()} >= {0, 1, 2}
    for path, fields in wanted.items():
        probabilities = labelled(embeddings.mean(path))
        sure = [probabilities[label] for label in fields["MAR_MOODS"]]
        assert sure == sorted(sure, reverse=True)
    one = file_labels.wanted({"moods": labelled}, {"moods": "genre"}, embeddings, top=1)
    for path, fields in one.items():  # of who knows nothing, the genre stays
        expected = wanted[path]["MAR_MOODS"][:1]
        assert fields == ({"genre": expected} if expected else {})


def test_values_are_rounded_and_have_their_unit():
    tempo = values_head()
    for value, own, standard in ((123.456, "123 BPM", "123"), (1234.5, "1230 BPM", "1234")):
        row = {"label": "tempo", "value": value, "unit": "BPM"}
        assert file_labels.text(tempo, "MAR_TEMPO", row) == own
        assert file_labels.text(tempo, "tempo", row) == standard
    row = {"label": "tempo", "value": -0.012345, "unit": None}
    assert file_labels.text(tempo, "MAR_AROUSAL", row) == "-0.0123"


def test_keys_are_written_by_name_or_as_id3_has_them():
    keys = head("key")
    assert file_labels.text(keys, "MAR_KEY", {"label": "Db minor"}) == "Db minor"
    written = {key: file_labels.text(keys, "key", {"label": key}) for key in KEYS}
    assert (written["Db minor"], written["C major"]) == ("Dbm", "C")
    assert max(map(len, written.values())) <= 3 < len(set(written.values())) == 24


# ----------------------------------------------------------------------------------------- command


def test_the_command_plans_writes_and_removes(music_folder, tmp_path):
    command = ["-m", "mar.tag", "--head", tmp_path / FILE, "--files", music_folder]
    command.append(tmp_path / "emb")
    expected = given(Embeddings(tmp_path / "emb"))
    filled = [name for name in NAMES if expected[name]]
    assert len(filled) > 0
    (music_folder / "cover.jpg").write_bytes(b"no audio")
    before = state(music_folder)

    planned = run_python(*command, encoding="utf-8")
    assert planned.returncode == 0, planned.stderr
    assert state(music_folder) == before
    for name in filled:
        assert f"{name}: MAR_MOODS: – → " in planned.stdout
    assert f"{len(filled)} files would change (--write changes them)" in planned.stdout

    written = run_python(*command, "--write", encoding="utf-8")
    assert written.returncode == 0, written.stderr
    assert f"{len(filled)} files changed, {5 - len(filled)} are as they should" in written.stdout
    assert {name: set(labels_of(music_folder / name)) for name in NAMES} == expected
    now = state(music_folder)

    again = run_python(*command, "--write", encoding="utf-8")
    assert "0 files changed, 5 are as they should be, 0 failed" in again.stdout
    assert state(music_folder) == now

    removed = ["-m", "mar.tag", "--remove", "--files", music_folder]
    planned = run_python(*removed, encoding="utf-8")
    assert f"{len(filled)} files would change" in planned.stdout
    assert state(music_folder) == now
    done = run_python(*removed, "--write", encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(filled)} files changed" in done.stdout
    assert not any(labels_of(music_folder / name) for name in NAMES)
    assert (music_folder / "4.m4a").exists()


def test_what_fails_is_listed_and_costs_nothing_else(music_folder, tmp_path):
    (music_folder / "a/1.mp3").unlink()
    (music_folder / "a/2.flac").chmod(0o444)
    shutil.copy(music_folder / "5.wav", music_folder / "new.wav")
    write_store(tmp_path / "emb", {"5.wav": np.zeros((1, 6))}, ["broken.mp3"], name="1")
    (music_folder / "broken.mp3").write_bytes(b"ID3")
    command = ["-m", "mar.tag", "--head", tmp_path / FILE, "--files", music_folder]
    finished = run_python(*command, "--write", tmp_path / "emb", encoding="utf-8")
    assert finished.returncode == 2
    expected = given(Embeddings(tmp_path / "emb"))
    assert expected["a/2.flac"]
    for line in (
        "not labelled: 'a/1.mp3': no such file",
        "not labelled: 'a/2.flac': ",
        "not labelled: 'broken.mp3': truncated",
        "not labelled: 'new.wav': has no embedding",
    ):
        assert line in finished.stderr
    assert ", 4 failed" in finished.stdout
    for name in NAMES[2:]:
        assert set(labels_of(music_folder / name)) == expected[name]


def test_without_mutagen_the_extra_is_named(music_folder, tmp_path):
    script = "import sys; sys.modules['mutagen'] = None; from mar import tag; tag.cli.run(tag.main)"
    arguments = ["--head", tmp_path / FILE, tmp_path / "emb"]
    finished = run_python("-c", script, *arguments, "--files", music_folder)
    assert finished.returncode == 1
    assert "error: tags of files need mutagen" in finished.stderr
    assert "music-audio-representations[tags]" in finished.stderr
    finished = run_python("-c", script, *arguments, "--output", tmp_path / "tags.csv")
    assert finished.returncode == 0, finished.stderr  # a table needs none


def test_shards_share_the_files(music_folder, tmp_path):
    command = ["-m", "mar.tag", "--head", tmp_path / FILE, "--files", music_folder, "--write"]
    for shard in range(2):
        finished = run_python(*command, "--shard", f"{shard}/2", tmp_path / "emb")
        assert finished.returncode == 0, finished.stderr
    expected = given(Embeddings(tmp_path / "emb"))
    assert {name: set(labels_of(music_folder / name)) for name in NAMES} == expected


def test_a_kill_leaves_every_file_whole_and_the_next_run_finishes(songs, tmp_path):
    folder, rng = tmp_path / "music", np.random.default_rng(0)
    names = [f"{n % 3}/{n:03}.mp3" for n in range(150)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(songs / NAMES[0], folder / name)
    write_store(tmp_path / "emb", {name: rng.normal(size=(1, 6)) for name in names})
    moods().save(tmp_path / FILE)
    expected = given(Embeddings(tmp_path / "emb"))
    audio, plain = decode.audio_hash(songs / NAMES[0]), (songs / NAMES[0]).read_bytes()
    filled = [name for name in sorted(names) if expected[name]]

    arguments = ["--head", tmp_path / FILE, "--files", folder, "--write", tmp_path / "emb"]
    process = start_python("-m", "mar.tag", *arguments, **UNREAD)
    while process.poll() is None and (folder / filled[10]).read_bytes() == plain:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    done = 0
    for name in names:
        assert decode.audio_hash(folder / name) == audio
        labels = set(labels_of(folder / name))
        assert labels in (set(), expected[name])
        done += bool(labels)
    assert 0 < done < len(filled)
    (folder / "0" / f".{32 * '0'}.unfinished").mkdir()
    for left in folder.rglob(".*.unfinished"):
        (left / "000.mp3").touch()
        for path in (*left.iterdir(), left):
            os.utime(path, (0, 0))  # long ago

    finished = run_python("-m", "mar.tag", *arguments, encoding="utf-8")
    assert finished.returncode == 0, finished.stderr
    assert f"{len(filled) - done} files changed, {150 - len(filled) + done} are" in finished.stdout
    assert {name: set(labels_of(folder / name)) for name in names} == expected
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == set(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remove", "--files", "music", "--head", "h"], "--remove: expected --files"),
        (["--files", "music", "emb"], "expected --head"),
        (["--head", "h", "emb"], "expected --output, for a table, or --files"),
        (["--head", "h", "--output", "t.csv", "--write", "emb"], "--write and --field: expected"),
        (["--head", FILE, "--files", "other", "emb"], "has none of the 5 files .*'4.m4a'"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(music_folder, tmp_path, arguments, message):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "any.wav").write_bytes(b"RIFF")
    before = state(tmp_path)
    finished = run_python("-m", "mar.tag", *arguments, cwd=tmp_path)
    assert finished.returncode == 1
    assert re.search(message, finished.stderr), finished.stderr
    assert state(tmp_path) == before
