"""The whole data set: the same bytes however it is made, and labels that are heard in the audio."""

import collections
import csv
import json
import os
import signal
from importlib import metadata

import librosa
import numpy as np
import pytest
import soundfile

import mar
from examples.miniature.dataset import compositions
from helpers.processes import run_python
from helpers.resources import needs
from helpers.small_records import contents
from mar.records import table
from mar.tasks import Task

SIZE = ("--tracks", 24, "--notes", 55)
TASKS = ("genre", "instrument", "key", "meter", "pitch", "tempo")
# After the fifth file of the worker, either it or the command is killed.
KILLED = """
import os, pathlib, signal, sys, time
from mar.util import atomic
from examples.miniature.dataset import build

folder, victim = sys.argv[1:]
finish, finished = atomic.finish, []

def fatal(unfinished, path, *arguments):
    finish(unfinished, path, *arguments)
    finished.append(path)
    if len(finished) == 5:
        os.kill(os.getpid() if victim == "worker" else os.getppid(), signal.SIGKILL)
        time.sleep(60)
        pathlib.Path(folder, "orphan").touch()

if __name__ == "__main__":
    build.build(pathlib.Path(folder, "data"), 24, 55, workers=1)
else:
    atomic.finish = fatal
"""


def command(folder, *arguments):
    return run_python("-m", "examples.miniature.dataset", "--output", folder, *arguments)


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The smallest data set, made by the command in two processes."""
    needs("music21", "pretty_midi")
    folder = tmp_path_factory.mktemp("built") / "data"
    process = command(folder, *SIZE, "--workers", 2)
    assert process.returncode == 0, process.stderr
    assert "built; see README.md" in process.stdout
    return folder


# ------------------------------------------------------------------------------------------ making


@pytest.mark.slow
def test_killed_and_run_again_it_has_the_same_bytes(data, tmp_path):
    """In one process; the worker is killed after five files, the command after five more."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    folder = tmp_path / "data"
    for victim, finished in (("worker", 5), ("command", 10)):
        killed = run_python(script, tmp_path, victim)
        if victim == "worker":
            assert "InputError" in killed.stderr
            assert "a worker process was killed (out of memory?)" in killed.stderr
        else:
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            assert not (tmp_path / "orphan").exists(), "the worker did not end with the command"
        audio = sorted(folder.glob("*/*.flac"))
        assert len(audio) == finished
        for path in audio:
            assert path.read_bytes() == (data / path.relative_to(folder)).read_bytes()
        assert not (folder / "README.md").exists()
    before = {path: path.stat().st_mtime_ns for path in audio}
    process = command(folder, *SIZE, "--workers", 1)
    assert process.returncode == 0, process.stderr
    assert contents(folder) == contents(data)
    assert {path: path.stat().st_mtime_ns for path in audio} == before, "done again"


def test_a_second_call_does_nothing_and_another_one_is_refused(data):
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    process = command(data, *SIZE)
    assert (process.returncode, "is whole already" in process.stdout) == (0, True)
    for change in (("--seed", 1), ("--tracks", 25), ("--notes", 56)):
        process = command(data, *SIZE, *change)
        assert process.returncode == 1
        assert process.stderr.startswith(f"error: {data}: expected {{")
        assert f"'{change[0][2:]}': {change[1]}" in process.stderr
    settings = json.loads((data / "settings.json").read_text())
    packages = {name: metadata.version(name) for name in ("music21", "pretty_midi")}
    assert settings["made_with"] == {"mar": mar.__version__, **packages}
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_other_folders_are_refused(tmp_path):
    """Most of all one with a README of its own, which is no data set that is whole."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    process = command(tmp_path / "mine")
    assert process.returncode == 1
    assert "mine: expected an empty folder, found README.md there" in process.stderr
    assert os.listdir(tmp_path / "mine") == ["README.md"]
    process = command(tmp_path / "mine" / "README.md")
    assert process.returncode == 1
    assert process.stderr.startswith("error: ")
    assert "cannot be written" in process.stderr


def test_the_earlier_command_names_its_successor():
    process = run_python("-m", "mar.quickstart", "--output", "x")
    assert process.returncode == 1
    assert process.stderr.startswith("error: mar.quickstart is now python -m examples.miniature.")


def test_help_and_wrong_use():
    process = run_python("-m", "examples.miniature.dataset", "--help")
    for flag in ("--output", "--tracks", "--notes", "--seed", "--workers", "Default: 1280"):
        assert flag in process.stdout
    for arguments, message in (
        ([], "--output"),
        (["--output", "x", "--tracks", 23], "--tracks"),
        (["--output", "x", "y"], "expected flags alone, got ['y']"),
    ):
        process = run_python("-m", "examples.miniature.dataset", *arguments)
        assert process.returncode == 1
        assert message in process.stdout + process.stderr
        assert "Traceback" not in process.stderr


@pytest.mark.parametrize("package", ["music21", "pretty_midi"])
def test_a_missing_extra_is_told_with_what_installs_it(tmp_path, package):
    hiding = f"""
import runpy, sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *arguments):
        return None if name == {package!r} else self.finder.find_spec(name, *arguments)

sys.meta_path[:] = map(Hiding, sys.meta_path)
runpy.run_module("examples.miniature.dataset", run_name="__main__", alter_sys=True)
"""
    process = run_python("-c", hiding, "--output", tmp_path / "data")
    assert process.returncode == 1
    install = "pip install 'music-audio-representations[quickstart]'"
    expected = f"error: the package {package} is not installed; the data set needs it: {install}\n"
    assert process.stderr.endswith(expected)
    assert "Traceback" not in process.stderr


# ----------------------------------------------------------------------------------------- tables


def test_every_label_is_in_the_tables(data):
    tracks, singles = rows(data / "tracks.csv"), rows(data / "notes.csv")
    assert (len(tracks), len(singles)) == (24, 55)
    assert {row["path"] for row in tracks + singles} == {
        path.relative_to(data).as_posix() for path in data.rglob("*.flac")
    }
    listed = (data / "audio.m3u").read_text().splitlines()
    assert listed == [row["path"] for row in tracks + singles]
    genres = collections.Counter(row["genre"] for row in tracks)
    assert set(genres) == set(compositions.GENRES)
    assert max(genres.values()) - min(genres.values()) <= 3, "one in each part"
    assert collections.Counter(row["split"] for row in tracks) == {
        "train": 14,
        "valid": 5,
        "test": 5,
    }
    groups = {(row["group"], row["split"]) for row in tracks}
    assert len(groups) == len({group for group, _ in groups}), "a group in two parts"


def test_tables_for_records_hold_the_labels_and_no_test_tracks(data):
    vocabulary = table.read_vocabulary(data / "labels.txt")
    tracks = {row["id"]: row for row in rows(data / "tracks.csv")}
    for split, count in (("train", 14), ("valid", 5)):
        listed = table.read_tracks(data / f"{split}.csv", vocabulary)
        assert len(listed.rows) == count
        for track in listed.rows.to_pylist():
            row = tracks[track["id"]]
            assert row["split"] == split
            assert track["path"] == row["path"]
            names = {listed.vocabulary[label] for label in track["labels"]}
            assert names == {row["instrument"], row["genre"], row["meter"]}


@pytest.mark.parametrize("name", TASKS)
def test_tasks_are_read_with_their_labels(data, name):
    loaded = Task(data / "tasks" / f"{name}.csv")
    expected = rows(data / ("notes.csv" if name == "pitch" else "tracks.csv"))
    assert list(loaded.items.paths) == [row["path"] for row in expected]
    assert list(loaded.splits) == [row["split"] for row in expected]
    assert loaded.kind == {"key": "key", "tempo": "regression"}.get(name, "multiclass")
    if name == "tempo":
        tempi = [float(row["tempo_bpm"]) for row in expected]
        np.testing.assert_allclose(2 ** loaded.targets[:, 0], tempi, rtol=1e-4)
    else:
        found = [loaded.labels[column] for column in loaded.targets.argmax(axis=1)]
        assert found == [row[name] for row in expected]
        assert (loaded.targets.sum(axis=1) == 1).all()


def test_the_readme_is_honest(data):
    text = (data / "README.md").read_text(encoding="utf-8")
    plain = " ".join(text.replace("*", "").split())
    assert "These are compositions played by sampled instruments, not recordings." in plain
    assert "24 tracks of 20 s and 55 single notes of 3 s" in plain
    for said in ("GNU General Public License", "TimGM6mb.sf2", "Do not pass on the audio", "BSD"):
        assert said in plain
    for split, tracks, singles in (("train", 14, 33), ("valid", 5, 11), ("test", 5, 11)):
        assert f"| {split} | {tracks} | " in text
        assert f" | {singles} |\n" in text
    assert "{" not in text


# ------------------------------------------------------------------------------------------ audio


def test_audio_has_its_length_rate_and_level(data):
    for path in data.rglob("*.flac"):
        samples, rate = soundfile.read(path)
        seconds = 20 if path.parent.name == "tracks" else 3
        assert (rate, samples.shape) == (16000, (seconds * 16000,))
        peak, rms = np.abs(samples).max(), np.sqrt(np.mean(samples**2))
        assert peak <= 0.9701
        level = 20 * np.log10(rms)
        assert level < -17.9
        assert level > -26.1 or peak > 0.969, "as loud as is drawn, or as can be"


def test_pitches_are_heard(data):
    """By YIN; a note begins within 0.1 s and is held for 1.2 s."""
    right = []
    for row in rows(data / "notes.csv"):
        samples, rate = soundfile.read(data / row["path"], dtype="float32")
        pitch = librosa.yin(
            samples[rate // 4 : rate], fmin=36, fmax=2200, sr=rate, frame_length=2048
        )
        right.append(abs(np.median(librosa.hz_to_midi(pitch)) - int(row["pitch"])) < 0.5)
    assert np.mean(right) >= 0.9


def test_keys_are_heard(data):
    """By the profiles of Aarden and Essen, on chroma: 1 of 24 would be right by chance."""
    profiles = {
        "major": (17.77, 0.15, 14.93, 0.16, 19.80, 11.36, 0.29, 22.06, 0.15, 8.15, 0.23, 4.95),
        "minor": (18.26, 0.74, 14.05, 16.86, 0.70, 14.44, 0.70, 18.62, 4.57, 1.93, 7.38, 1.76),
    }
    right = []
    for row in rows(data / "tracks.csv"):
        samples, rate = soundfile.read(data / row["path"], dtype="float32")
        chroma = librosa.feature.chroma_stft(y=samples, sr=rate, n_fft=4096, tuning=0.0).mean(
            axis=1
        )
        likeness = {
            compositions.key_name(tonic, mode): np.corrcoef(np.roll(profile, tonic), chroma)[0, 1]
            for mode, profile in profiles.items()
            for tonic in range(12)
        }
        right.append(max(likeness, key=likeness.get) == row["key"])
    assert len(right) == 24
    assert sum(right) >= 8
