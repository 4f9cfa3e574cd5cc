"""Runs of what goes further than the paper: killed, averaged, probed, recomputed, compared."""

import csv
import dataclasses
import io
import json
import signal
import subprocess

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

import mar
from helpers import small_records, training_runs
from helpers.processes import run_python, start_python
from helpers.small_trainer import TRAIN, assert_same, finish, last_step, lines, losses, tensors
from mar.errors import ConfigError
from mar.training.checks import check_records
from mar.training.linear_probe import scores
from mar.training.trainer import Trainer

PROBED = {"batch_size": 8, "windows": "fixed", "windows_per_track": 2, "snippet_frames": 64}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return training_runs.records(tmp_path_factory.mktemp("records") / "set", tracks=24)


@pytest.fixture(scope="module")
def recipe(records, tmp_path_factory):
    """The path of one."""
    path = tmp_path_factory.mktemp("recipe") / "further.yaml"
    described(records).write(path)
    return path


def described(records, **settings):
    data = {"records": records, "batch_size": 8, "snippet_frames": 82}
    probed = {"SnippetDataset": {"records": records, **PROBED}}
    given = {
        "model": {"TwoBlocks": {"width": 0.05, "stochastic_depth": 0.6}},
        "objective": training_runs.JOINT,
        "dataset": {"LabelledPairDataset": data},
        "validation": {"LabelledPairDataset": {**data, "windows": "fixed"}},
        "optimizer": {"ScoochAdam": {"epsilon": 0.01}},
        "probe": {"LinearProbe": {"train": probed, "test": probed, "every": 5}},
        "average_decay": 0.9,
        "recompute": True,
        **{"steps": 12, "log_every": 1, "validate_every": 10, "checkpoint_every": 4},
    }
    return Trainer(**{**given, **settings})


def start(recipe, folder, interrupt=(0, -1)):
    command = ["-c", TRAIN, *map(int, interrupt), -1, "--config", recipe, "--output", folder]
    return start_python(*command, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finish(start(recipe, folder))
    return folder


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_weights_average_and_scores(recipe, finished, tmp_path):
    finish(start(recipe, tmp_path, (signal.SIGKILL, 7)), -signal.SIGKILL)
    assert last_step(tmp_path) == 5  # where a probe was due
    finish(start(recipe, tmp_path))
    assert_same(tensors(tmp_path), tensors(finished))
    assert losses(tmp_path) == losses(finished)
    for part in ("validation", "probe"):
        assert lines(tmp_path, part) == lines(finished, part)
    assert [line["step"] for line in lines(finished, "probe")] == [5, 10, 12]


def test_the_average_is_what_is_exported(finished):
    """Checkpoints are models too; what is trained is beside it."""
    exported, checkpoint = (mar.load_model(path) for path in (finished / "model.keras", finished))
    reader = tf.train.load_checkpoint(str(finished / "checkpoints"))
    names = [n for n in reader.get_variable_to_shape_map() if n.startswith("trained/")]
    assert len(names) > 10
    distances = [
        np.abs(reader.get_tensor(n) - reader.get_tensor(n.replace("trained/", "weights/"))).max()
        for n in names
    ]
    assert max(distances) > 1e-4
    for ours, theirs in zip(exported.get_weights(), checkpoint.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_probe_tells_what_embeddings_tell():
    """Nearly all of labels that are linear in them, and little of others."""
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 3)) < 0.3).astype(np.float32)
    embeddings = labels @ rng.normal(size=(3, 20)) + 0.1 * rng.normal(size=(60, 20))
    assert scores(embeddings[:40], labels[:40], embeddings[40:], labels[40:]) == {
        "average_precision": pytest.approx(1, abs=0.02)
    }
    shuffled = rng.permutation(labels[40:])
    assert (
        scores(embeddings[:40], labels[:40], embeddings[40:], shuffled)["average_precision"] < 0.8
    )


def test_a_probe_of_other_frames_is_refused(records):
    other = {"SnippetDataset": {"records": records, **PROBED, "snippet_frames": 82}}
    with pytest.raises(
        ConfigError, match="LinearProbe.train: expected snippet_frames of .*64, got"
    ):
        described(records, probe={"LinearProbe": {"train": other, "test": other}})
    moving = {"SnippetDataset": {"records": records}}
    with pytest.raises(ConfigError, match="LinearProbe.train: expected windows: fixed"):
        mar.LinearProbe(train=moving, test=moving)


def test_runs_are_compared(finished, records, tmp_path):
    (tmp_path / "other").mkdir()
    described(f"{records}-2", seed=4).write(tmp_path / "other" / "configuration.yaml")
    logged = [{"step": step, "part": "train", "loss": 2.5 - step} for step in (1, 2, 3)]
    lines_of_it = "".join(json.dumps(record) + "\n" for record in logged)
    (tmp_path / "other" / "metrics.jsonl").write_text(lines_of_it + '{"step": 4, "pa')
    picture = tmp_path / "runs.svg"
    folders = [finished, tmp_path / "other"]
    process = run_python("-m", "mar.runs", "--format", "csv", "-o", picture, *folders)
    assert process.returncode == 0, process.stderr
    one, other = csv.DictReader(io.StringIO(process.stdout))
    assert (one["run"], other["run"]) == tuple(map(str, folders))
    assert (one["step"], other["step"]) == ("12", "3")
    assert (one["Trainer.seed"], other["Trainer.seed"]) == ("0", "4")
    of_data = "Trainer.dataset.LabelledPairDataset.records"
    assert (one[of_data], other[of_data]) == (str(records), f"{records}-2")
    assert other["train.loss"] == "-0.5"
    assert "Trainer.average_decay" not in one  # which is the same
    assert float(one["train.loss"]) == losses(finished)[-1][1]
    last = lines(finished, "probe")[-1]["average_precision"]
    assert (float(one["probe.average_precision"]), other["probe.average_precision"]) == (last, "")
    assert "other, training" in picture.read_text()
    text = run_python("-m", "mar.runs", *folders).stdout
    assert [len(line.split()) for line in text.splitlines() if "Trainer.seed" in line] == [3]
    as_json = json.loads(run_python("-m", "mar.runs", "--format", "json", *folders).stdout)
    assert as_json[1]["Trainer.seed"] == 4
    refused = run_python("-m", "mar.runs", tmp_path)
    assert refused.returncode == 1
    assert "has no configuration.yaml" in refused.stderr


def test_a_probe_of_one_label_is_scored():
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 1)) < 0.5).astype(np.float32)
    embeddings = labels @ rng.normal(size=(1, 20)) + 0.1 * rng.normal(size=(60, 20))
    found = scores(embeddings[:40], labels[:40], embeddings[40:], labels[40:])
    assert found == {"average_precision": pytest.approx(1, abs=0.02)}


def test_a_probe_between_other_labels_is_refused(records, tmp_path):
    """Its columns would stand for others."""
    job = small_records.job(range(100, 820, 30))
    turned = dataclasses.replace(job, vocabulary=job.vocabulary[::-1])
    small_records.write_here(turned, tmp_path / "turned")
    other = {"SnippetDataset": {"records": str(tmp_path / "turned"), **PROBED}}
    one = {"SnippetDataset": {"records": records, **PROBED}}
    given = described(
        records, validation=None, probe={"LinearProbe": {"train": one, "test": other}}
    )
    with pytest.raises(
        ConfigError, match="LinearProbe.test: expected the vocabulary of .*, got an"
    ):
        check_records(given)


def test_a_probe_of_tracks_that_are_all_labelled_alike_is_refused(tmp_path):
    """All of the records are not, but those of its part."""
    job = small_records.job([100] * 20)
    column = job.tracks.column_names.index("labels")
    labels = pa.array([[0]] * 10 + [[1]] * 10, pa.list_(pa.int32()))
    tracks = job.tracks.set_column(column, "labels", labels)
    groups = pa.array([f"artist {track // 10}" for track in range(20)])
    tracks = tracks.append_column("group", groups)
    small_records.write_here(dataclasses.replace(job, tracks=tracks), tmp_path / "set")
    data = {"records": str(tmp_path / "set"), "held_out": 0.5, **PROBED}
    probe = {
        "LinearProbe": {
            "train": {"SnippetDataset": {**data, "part": "train"}},
            "test": {"SnippetDataset": {**data, "part": "validation"}},
        }
    }
    given = described(str(tmp_path / "set"), validation=None, probe=probe)
    with pytest.raises(ConfigError, match="all 10 tracks have the same ones"):
        check_records(given)
