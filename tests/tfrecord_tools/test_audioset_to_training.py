"""From AudioSet's own files and a folder of clips to a trained step, by the recipe's commands."""

import json
import re
import shlex
import shutil

import pytest
import soundfile

from helpers.processes import run_python
from helpers.resources import AUDIOSET, ROOT
from helpers.signals import music
from mar.records import audioset
from mar.records.reader import RecordReader

RECIPE = ROOT / "configs" / "pretrain" / "audioset_sup.yaml"
NAMES = ["{id}.wav", "Y{id}.flac", "{id}_{start:.0f}.wav", "{id}_{start_ms}_{end_ms}.flac"]
SHRUNK = ["Trainer.steps=1", "Trainer.device=cpu", "Trainer.strategy=one_device"]
SHRUNK += ["Trainer.model.SfNfNetF0.width=0.05", "Trainer.model.SfNfNetF0.depths=[1,1,1,1]"]
SHRUNK += ["Trainer.objective.SupervisedObjective.projector.Projector.hidden_units=[16]"]
SHRUNK += [f"Trainer.{part}.SnippetDataset.batch_size=4" for part in ("dataset", "validation")]


def commands(path):
    """The commands of a recipe's header."""
    header = "\n".join(
        line[1:] for line in path.read_text().splitlines() if line.startswith("#")
    ).replace("\\\n", " ")
    lines = re.findall(r"^ +(mar .*)$", header, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.fixture
def home(tmp_path):
    """AudioSet's files as downloaded, of fewer rows; clips but for one, and one that is none."""
    tables = {
        f"{name}_segments.csv": (AUDIOSET / f"{name}_segments.csv").read_text()
        for name in ("balanced_train", "eval", "unbalanced_train")
    }
    (tmp_path / "clips" / "deeper").mkdir(parents=True)
    for number, (name, content) in enumerate(tables.items()):
        rows = content.splitlines(keepends=True)
        guitar = [row for row in rows if "/m/0342h" in row]
        kept = rows[3:9] if number else [*rows[:6], *guitar[:3]]  # comments in the first alone
        (tmp_path / name).write_text("".join(kept))
        for clip, (id, start, end, _) in enumerate(audioset.segments(tmp_path / name)):
            fields = {"start_ms": round(start * 1000), "end_ms": round(end * 1000)}
            file = NAMES[clip % 4].format(id=id, start=start, end=end, **fields)
            path = tmp_path / "clips" / ("deeper" if clip % 2 else "") / file
            soundfile.write(path, music(4.0, 16000, 1, 10 * number + clip), 16000)
            if (number, clip) == (0, 4):
                path.unlink()
            if (number, clip) == (2, 5):
                path.write_text("Video unavailable")
    shutil.copy(AUDIOSET / "class_labels_indices.csv", tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


@pytest.mark.slow
def test_from_its_download_to_a_trained_step(home):
    train, write, write_validation = commands(RECIPE)
    assert train[:2] == ["mar", "train"]
    assert write[:3] == write_validation[:3] == ["mar", "records", "write"]
    written = run_python("-m", *write, "--workers=1", cwd=home)
    assert written.returncode == 0, written.stderr
    assert "records/audioset: 10 tracks" in written.stdout
    assert "2 could not be read" in written.stderr
    assert re.search(r"^ +1 no such file$", written.stderr, re.MULTILINE)
    assert re.search(r"^ +1 not recognised", written.stderr, re.MULTILINE)
    assert run_python("-m", *write_validation, "--workers=1", cwd=home).returncode == 0
    manifest = RecordReader(home / "records" / "audioset").manifest
    assert len(manifest.header.vocabulary) == 527
    expected = {
        id: labels
        for name in ("balanced", "unbalanced")
        for id, _, _, labels in audioset.segments(home / f"{name}_train_segments.csv")
    }
    keys = [
        line.split(",")[1]
        for line in (home / "class_labels_indices.csv").read_text().splitlines()[1:]
    ]
    for track in range(len(manifest)):
        found = [keys[label] for label in manifest.labels(track)]
        assert sorted(found) == sorted(expected[manifest.id(track)])
    settings = [argument for setting in SHRUNK for argument in ("--set", setting)]
    trained = run_python("-m", *train, "--output", "run", *settings, cwd=home)
    assert trained.returncode == 0, trained.stderr
    assert (home / "run" / "model.keras").exists()
    lines = [json.loads(line) for line in (home / "run" / "metrics.jsonl").open()]
    assert {line["part"] for line in lines} == {"train", "validation"}


def test_music_alone(home):
    """Classes of the ontology, and labels that are right often enough."""
    (home / "qa_true_counts.csv").write_text("label_id,num_rated,num_true\n/m/04rlf,10,1\n")
    flags = ["--table", "balanced_train_segments.csv", "--audio", "clips", "--fail_on=none"]
    flags += ["--vocabulary", "class_labels_indices.csv", "--workers=1", "--output", "music"]
    flags += ["--ontology", AUDIOSET / "ontology.json", "--classes", "Music"]
    flags += ["--label_quality", "qa_true_counts.csv"]
    written = run_python("-m", "tfrecord_tools.write", *flags, cwd=home)
    assert written.returncode == 0, written.stderr
    music = audioset.descendants(AUDIOSET / "ontology.json", ["Music"]) - {"/m/04rlf"}
    segments = audioset.segments(home / "balanced_train_segments.csv")
    wanted = [id for id, _, _, labels in segments if music & set(labels)]
    assert 3 <= len(wanted) < 6
    left_out = f"{6 - len(wanted)} of 6 tracks have none of them and are left out"
    assert left_out in written.stdout
    manifest = RecordReader(home / "music").manifest
    failed = segments[4][0]
    assert manifest.ids.to_pylist() == [id for id in wanted if id != failed]
    assert "Guitar" in manifest.header.vocabulary
    assert not {"Music", "Speech"} & set(manifest.header.vocabulary)
