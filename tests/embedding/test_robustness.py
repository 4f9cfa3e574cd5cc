"""What `mar robust` tells of copies is what embeddings of such copies, made by hand, are like."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import soundfile

import mar
from examples.encoders import spectrum
from helpers.processes import run_python
from helpers.resources import ROOT
from helpers.signals import music
from mar.audio.deformations import DEFORMATIONS
from mar.embedding import robustness
from mar.embedding.embedder import Embedder
from mar.probing.calibration import Rule, uncalibrated
from mar.probing.dense import Layers
from mar.probing.head import Head
from mar.probing.head_file import Parts
from mar.reporting.robustness import measure, robustness_table
from mar.tasks import Task

MODEL = "examples.encoders.spectrum:encode"
RATE, THRESHOLD, FILES = 16000, 8.0, 6


def level(samples):
    """What the head looks at: the mean level of all octaves over the paper's windows."""
    return Embedder(MODEL)(samples, RATE).mean.mean()


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Files whose levels lie 2 dB apart around the threshold; the louder ones are called loud."""
    folder = tmp_path_factory.mktemp("songs")
    rows = ["path,label,split"]
    for number in range(FILES):
        sound = 0.25 * music(5.0, RATE, 1, number)[:, 0]
        wanted = THRESHOLD + 2 * (number - FILES / 2) + 1
        sound *= 10 ** ((wanted - level(sound)) / 20)
        soundfile.write(folder / f"{number}.wav", sound, RATE, "PCM_16")
        rows.append(f"{number}.wav,{'loud' if wanted > THRESHOLD else 'quiet'},test")
    for split in ("train", "valid"):
        rows += [f"{split}{n}.wav,{label},{split}" for n, label in enumerate(("loud", "quiet"))]
    (folder / "levels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def head(songs):
    """Loud is what is above the threshold."""
    kernel = np.array([[1.0, -1.0]] * 8, np.float32) / 8
    bias = np.array([-THRESHOLD, THRESHOLD], np.float32)
    plain, one = np.zeros(8, np.float32), np.ones(8, np.float32)
    ends = np.zeros(2, np.float32), np.ones(2, np.float32)
    layers = Layers(plain, one, (kernel,), (bias,), "relu", "softmax", *ends)
    about = {
        **{"task": "levels", "kind": "multiclass", "labels": ["loud", "quiet"], "unit": ""},
        **{"pooling": "mean", "model": MODEL, "test": {}, "licence": "", "dimensions": 8},
        **{"embeddings": Embedder(MODEL).provenance},
    }
    path = songs / "head.safetensors"
    Head(Parts(layers, Rule(uncalibrated(2, True), np.full(2, 0.5)), about)).save(path)
    return path


def test_the_command_tells_cosines_and_losses(songs, head, tmp_path):
    command = [
        *("-m", "mar.robust", "--model", MODEL, "--output", tmp_path / "out", "--json"),
        *("--head", head, "--task", songs / "levels.csv", songs),
    ]
    first = run_python(*command, cwd=ROOT)
    assert first.returncode == 0, first.stderr
    rows = {row["copy"]: row for row in json.loads(first.stdout)["copies"]}
    assert rows.keys() == {
        *{each.name for each in DEFORMATIONS},
        *("original", "batch_of_1", "one_block", "flac", "matroska", "two_shards"),
    }
    for name, row in rows.items():
        assert row["files"] == FILES
        if row["promised"]:
            assert (row["cosine_low"], row["centred_low"]) == pytest.approx((1, 1), abs=1e-6), name
    # Those 1, 3 and 5 dB above the threshold are not loud any more when 6 dB quieter.
    loss = "loss levels accuracy"
    assert rows["original"][loss] == rows["mono"][loss] == 0
    assert rows["quieter"][loss] == pytest.approx(3 / FILES)
    assert rows["louder"][loss] == pytest.approx(3 / FILES)
    assert "| gain of −6 dB | 6 |" in (tmp_path / "out/robustness.md").read_text("utf-8")
    written = sorted(os.scandir(tmp_path / "out/louder"), key=lambda entry: entry.name)
    before = [(entry.name, entry.stat().st_mtime_ns) for entry in written]
    again = run_python(*command, cwd=ROOT)
    assert json.loads(again.stdout) == json.loads(first.stdout)
    for name, changed in before:
        assert os.stat(tmp_path / "out/louder" / name).st_mtime_ns == changed


def test_a_head_of_other_labels_is_refused(songs, head, tmp_path):
    """Its columns would be taken for those of other labels."""
    table = (songs / "levels.csv").read_text().replace("quiet", "silent")
    (tmp_path / "levels.csv").write_text(table)
    command = [
        *("-m", "mar.robust", "--model", MODEL, "--output", tmp_path / "out"),
        *("--head", head, "--task", tmp_path / "levels.csv", songs),
    ]
    refused = run_python(*command, cwd=ROOT)
    assert refused.returncode == 1
    assert re.search("labels of --task levels .*loud, silent.*loud, quiet", refused.stderr)
    assert not (tmp_path / "out").exists()


def test_cosines_are_those_of_copies_made_by_hand(songs, tmp_path):
    """Of the middle three seconds of files, which are louder."""
    embedder = Embedder(MODEL)
    names = ("original", "louder")
    kinds = [kind for kind in robustness.kinds(embedder, embedder) if kind.name in names]
    items = robustness.files.find([str(songs / f"{number}.wav") for number in range(FILES)])
    assert robustness.embed(embedder, kinds, items, tmp_path, 3.0) == {}
    measured = measure(tmp_path, kinds).set_index("copy")
    before, after = [], []
    for item in items:
        samples, _ = soundfile.read(item.path, dtype="float32")
        middle = samples[RATE : 4 * RATE]
        frames = [spectrum.encode(each)[1].mean(axis=0) for each in (middle, middle * 10**0.3)]
        before.append(frames[0])
        after.append(frames[1])
    before, after = np.array(before), np.array(after)
    for name, centre in (("cosine", 0), ("centred", before.mean(axis=0))):
        pairs = zip(before - centre, after - centre, strict=True)
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
        assert measured.loc["louder", name] == pytest.approx(np.mean(cosines), abs=1e-4)
        assert measured.loc["louder", f"{name}_low"] == pytest.approx(
            np.quantile(cosines, 0.05), abs=1e-4
        )
    table = robustness_table(measured.reset_index())
    assert [row[0].text for row in table.rows] == ["gain of 6 dB"]


def test_what_an_earlier_run_left_is_not_measured(songs, tmp_path):
    """Nor a file whose copies are there, but which cannot be read any more."""
    (tmp_path / "music").mkdir()
    names = ["0.wav", "3.wav", "5.wav"]
    for name in names:
        shutil.copy(songs / name, tmp_path / "music")

    def counted(code):
        command = ["-m", "mar.robust", "--model", MODEL, "--output", tmp_path / "out", "--json"]
        finished = run_python(*command, tmp_path / "music", cwd=ROOT)
        assert finished.returncode == code, finished.stderr
        return {row["files"] for row in json.loads(finished.stdout)["copies"]} if code != 1 else ()

    assert counted(0) == {3}
    (tmp_path / "music" / names[0]).unlink()
    (tmp_path / "music" / names[1]).write_bytes(b"RIFF")
    assert counted(2) == {1}
    (tmp_path / "music" / names[2]).write_bytes(b"RIFF")
    assert counted(1) == ()


def test_losses_are_those_of_the_files_of_the_run(songs, head, tmp_path):
    embedder, task = Embedder(MODEL), Task(songs / "levels.csv")
    kinds = [kind for kind in robustness.kinds(embedder, embedder) if "er" in kind.name]
    kinds = [robustness.kinds(embedder, embedder)[0], *kinds]
    paths = [f"{number}.wav" for number in range(FILES)]
    items = robustness.files.find([str(songs / path) for path in paths])
    assert robustness.embed(embedder, kinds, items, tmp_path) == {}
    measured = measure(tmp_path, kinds, {"levels": (Head(head), task)}, paths[:4])
    losses = measured.set_index("copy")["loss levels accuracy"]
    assert losses["quieter"] == pytest.approx(1 / 4)  # that which is 1 dB above the threshold


def test_two_heads_of_one_task_are_refused(songs, head, tmp_path):
    command = [
        *("-m", "mar.robust", "--model", MODEL, "--output", tmp_path / "out"),
        *("--head", head, "--head", head, "--task", songs / "levels.csv", songs),
    ]
    refused = run_python(*command, cwd=ROOT)
    assert refused.returncode == 1
    assert "expected heads of different tasks, got two of levels" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_broken_promise_is_seen(songs, tmp_path):
    """A model that looks at how many windows come at a time has another embedding alone."""
    embedder = Embedder(MODEL)

    class Together:
        """Adds the number of windows in a group."""

        def __getattr__(self, name):
            return getattr(embedder.representation, name)

        def stream(self, groups):
            for tag, values in embedder.representation.stream(groups):
                yield tag, values + len(values) * np.arange(8, dtype=np.float32)

    together = Embedder(Together())
    items = robustness.files.find([str(songs / "0.wav"), str(songs / "1.wav")])
    robustness.embed(together, robustness.kinds(together, embedder), items, tmp_path)
    measured = measure(tmp_path, robustness.kinds(together, embedder)).set_index("copy")
    assert measured.loc["batch_of_1", "cosine"] < 0.999
    assert measured.loc["flac", "cosine"] == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_decoded_is_named(songs, tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music/bad.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "music/good.wav", 0.1 * music(4.0, RATE, 1), RATE)
    command = ["-m", "mar.robust", "--model", MODEL, "--output", tmp_path / "out"]
    finished = run_python(*command, tmp_path / "music", cwd=ROOT)
    assert finished.returncode == 2
    assert "failed: 'bad.wav': " in finished.stdout
    assert len(mar.Embeddings(tmp_path / "out/mp3_64")) == 1
    refused = run_python(*command, "--head", songs / "levels.csv", tmp_path / "music", cwd=ROOT)
    assert "expected --head and --task together" in refused.stderr
