"""The trainer: interrupted and killed runs, several processes, what it leaves, what it refuses."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import yaml

import made
import mar
import runs
from mar.config import load
from mar.errors import ConfigError
from mar.training.run import Run
from mar.training.trainer import Trainer
from shared import ROOT, free_port, small_network

PRETRAIN = ROOT / "configs" / "pretrain"
SMALL = PRETRAIN / "small.yaml"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return runs.records(tmp_path_factory.mktemp("records") / "set", tracks=24)


def overrides(records, **settings):
    """Of the small configuration: a few quick steps."""
    data = {
        "dataset": "Trainer.dataset.PairDataset",
        "validation": "Trainer.validation.PairDataset",
    }
    shrunk = {"Constants.RECORDS": records, "Trainer.model.SfNfNetF0.width": 0.05}
    for path in data.values():
        shrunk |= {f"{path}.batch_size": 8, f"{path}.snippet_frames": runs.FRAMES}
    schedule = "Trainer.optimizer.ScoochAdam.schedule.WarmupSchedule.warmup_steps"
    shrunk |= {"Trainer.steps": 30, "Trainer.checkpoint_every": 4, "Trainer.log_every": 1}
    shrunk |= {schedule: 5, "Trainer.validate_every": 20}
    shrunk |= {f"Trainer.{name}": value for name, value in settings.items()}
    return [f"{name}={json.dumps(value)}" for name, value in shrunk.items()]


def trainer(records, **settings):
    return Trainer(load(SMALL, overrides(records, **settings)))


def start(folder, records, *flags, environment=None, limit="", **settings):
    """Starts `mar.train` in a process of its own."""
    sets = [argument for text in overrides(records, **settings) for argument in ("--set", text)]
    command = [sys.executable, "-m", "mar.train", "--config", SMALL, "--output", folder]
    command = [*map(str, command), *sets, *flags]
    if limit:
        command = ["bash", "-c", f'ulimit -f {limit}; trap "" XFSZ; exec "$@"', "limited", *command]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def finish(process, expected=0):
    output, _ = process.communicate(timeout=500)
    assert process.returncode == expected, output
    return output


def wait_for_step(folder, step, process):
    """Until a checkpoint of at least that step is there."""
    while process.poll() is None:
        latest = tf.train.latest_checkpoint(folder / "checkpoints")
        if latest and int(latest.rsplit("-", 1)[1]) >= step:
            return
        time.sleep(0.02)
    pytest.fail(process.communicate()[0])


def tensors(folder):
    """Every tensor of the last checkpoint."""
    reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
    shapes = reader.get_variable_to_shape_map()
    names = [name for name in shapes if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names}


def assert_same(ours, theirs):
    assert len(ours) > 100
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if "save_counter" not in name:
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def finished(records, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finish(start(folder, records))
    return folder


def test_a_killed_and_a_stopped_run_end_with_the_same_weights(records, finished, tmp_path):
    killed = start(tmp_path, records)
    wait_for_step(tmp_path, 8, killed)
    killed.send_signal(signal.SIGKILL)
    finish(killed, -signal.SIGKILL)
    assert not (tmp_path / "model.keras").exists()

    stopped = start(tmp_path, records)
    wait_for_step(tmp_path, 16, stopped)
    stopped.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM" in finish(stopped, 128 + signal.SIGTERM)
    assert not (tmp_path / "model.keras").exists()

    assert "goes on from" in finish(start(tmp_path, records))
    assert_same(tensors(tmp_path), tensors(finished))
    assert losses(tmp_path) == losses(finished)
    assert [step for step, _ in losses(tmp_path)] == list(range(1, 31))


def test_a_finished_run_leaves_a_model_its_card_and_its_configuration(finished, records):
    model = mar.load_model(finished / "model.keras")
    assert mar.front_end(model).n_mels == 96
    rng = np.random.default_rng(0)
    logmel = rng.random((2, runs.FRAMES, 96)).astype(np.float32)
    exported = tf.saved_model.load(finished / "saved_model").signatures["embed_logmel"]
    from mar.audio.logmel import standardize

    embedding = exported(logmel=tf.constant(logmel))["embedding"]
    np.testing.assert_allclose(embedding, model(standardize(logmel)), rtol=1e-4, atol=1e-5)
    again = Trainer(load(finished / "configuration.yaml"))
    assert again.resolved() == trainer(records).resolved()
    card = (finished / "model_card.md").read_text()
    for fact in ("24 tracks", "8 pairs", "ContrastiveObjective", again.hash(), "hop_length: 160"):
        assert fact in card, fact
    assert (finished / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert list((finished / "tensorboard").glob("events*"))
    assert tf.train.latest_checkpoint(finished / "checkpoints" / "best")
    scores = validations(finished)
    assert [score["step"] for score in scores] == [20, 30]
    assert {"accuracy", "alignment", "uniformity", "positive_similarity"} <= set(scores[0])


def test_another_configuration_is_refused_until_it_is_to_start_afresh(records, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    output = finish(start(folder, records, seed=5), 1)
    assert "configuration.seed was 0, is 5" in output
    assert "--fresh" in output
    finish(start(folder, records, "--fresh", steps=2, seed=5, validation=None))
    assert (folder / "previous-1" / "model.keras").exists()
    assert tensors(folder)["step/.ATTRIBUTES/VARIABLE_VALUE"] == 2


def test_a_loss_that_is_not_finite_ends_the_run(records, tmp_path):
    """After ever larger steps; the last good checkpoint is named and finite."""
    schedule = "Trainer.optimizer.ScoochAdam.schedule.WarmupSchedule.warm_learning_rate=1e25"
    output = finish(start(tmp_path, records, "--set", schedule, checkpoint_every=1), 1)
    latest = tf.train.latest_checkpoint(tmp_path / "checkpoints")
    assert re.search(
        r"error: (loss|gradient_norm): expected a finite number, got \S+ in step", output
    )
    assert f"the last good checkpoint is {latest}" in output
    assert all(np.isfinite(value).all() for value in tensors(tmp_path).values() if value.ndim)


def test_a_full_disk_leaves_the_checkpoint_before_whole(records, finished, tmp_path):
    """A limit of the size of files is an error of writing as a full disk is."""
    killed = start(tmp_path, records)
    wait_for_step(tmp_path, 4, killed)
    killed.kill()
    killed.communicate()
    before = tensors(tmp_path)
    output = finish(start(tmp_path, records, limit=64), 1)
    assert re.search(r"error: \S+checkpoints: the checkpoint of step \d+ cannot be written", output)
    assert f"the last good one is {tf.train.latest_checkpoint(tmp_path / 'checkpoints')}" in output
    assert_same(before, tensors(tmp_path))
    finish(start(tmp_path, records))
    assert_same(tensors(tmp_path), tensors(finished))


def test_two_workers_train_as_one_process_does(records, finished, tmp_path):
    ports = [free_port() for _ in range(2)]
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    workers = []
    for index in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {"TF_CONFIG": json.dumps(task)}
        workers.append(
            start(tmp_path, records, environment=environment, strategy="multi_worker", steps=6)
        )
    for worker in workers:
        finish(worker)
    joint, alone = (losses(folder) for folder in (tmp_path, finished))
    assert [step for step, _ in joint] == list(range(1, 7))
    np.testing.assert_allclose([v for _, v in joint], [v for _, v in alone[:6]], rtol=1e-4)


@pytest.mark.parametrize("path", sorted(PRETRAIN.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_train(path, tmp_path):
    """Two steps of each, shrunk but for what it is about."""
    labels = {"audioset_sup": 527, "musicset_sup": 500}.get(path.stem, 7)
    job = dataclasses.replace(
        made.job([400] * 6), vocabulary=[f"label {number}" for number in range(labels)]
    )
    made.write_here(job, tmp_path / "records")
    settings = [f"Constants.RECORDS={tmp_path / 'records'}", "Trainer.steps=2"]
    settings += ["Trainer.device=cpu", "Trainer.strategy=one_device"]
    settings += ["Trainer.model.SfNfNetF0.width=0.05", "Trainer.model.SfNfNetF0.depths=[1,1,1,1]"]
    (objective,) = yaml.safe_load(path.read_text())["Trainer"]["objective"]
    (dataset,) = yaml.safe_load(path.read_text())["Trainer"]["dataset"]
    settings += [f"Trainer.objective.{objective}.projector.Projector.hidden_units=[16]"]
    settings += [f"Trainer.dataset.{dataset}.batch_size=4"]
    settings += [f"Trainer.dataset.{dataset}.snippet_frames={runs.FRAMES}"]
    shrunk = Trainer(load(path, [*settings, "Trainer.validation=null"]))
    run = Run(shrunk, tmp_path / "run")
    assert run.go() is None
    assert (tmp_path / "run" / "model.keras").exists()


def test_partners_are_found_far_above_chance(records, tmp_path):
    trainer(records, steps=100, validate_every=10, checkpoint_every=50).run(tmp_path)
    first, *_, last = validations(tmp_path)
    chance = 1 / 15  # of eight pairs
    assert last["accuracy"] > max(0.5, first["accuracy"]) > 5 * chance
    assert last["loss"] < first["loss"]
    assert last["positive_similarity"] > last["negative_similarity"] + 0.2


def test_labels_are_learnt_and_the_best_checkpoint_is_kept(records, tmp_path):
    data = {"records": records, "batch_size": 8, "snippet_frames": runs.FRAMES}
    supervised = Trainer(
        model={"SfNfNetF0": {"width": 0.05, "depths": [1, 1, 1, 1]}},
        objective={"SupervisedObjective": {"projector": {"Projector": {"hidden_units": [32]}}}},
        dataset={"SnippetDataset": data},
        validation={"SnippetDataset": {**data, "windows": "fixed"}},
        optimizer={"ScoochAdam": {"learning_rate": 5e-3}},
        **{"steps": 120, "validate_every": 20, "checkpoint_every": 60, "microbatch": 4},
    )
    supervised.run(tmp_path)
    first, *_, last = scores = validations(tmp_path)
    assert last["average_precision"] > first["average_precision"] + 0.1
    best = max(scores, key=lambda score: score["average_precision"])
    path = tf.train.latest_checkpoint(tmp_path / "checkpoints" / "best")
    assert path.endswith(f"ckpt-{best['step']}")


def test_training_goes_on_from_a_model(records, finished, tmp_path):
    weights = str(finished / "model.keras")
    run = Run(trainer(records, initial_weights=weights, steps=1, validation=None), tmp_path)
    run._start_from(weights)
    expected = mar.load_model(weights).get_weights()
    for found, value in zip(run.network.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, value)


def test_models_that_do_not_fit_are_refused(records, tmp_path):
    run = Run(trainer(records, validation=None), tmp_path / "run")
    network = small_network(width=0.2)
    mar.save(network.build(runs.FRAMES, mar.LogMel(level=0.5)), tmp_path / "quiet.keras")
    with pytest.raises(ConfigError, match="another front end"):
        run._start_from(tmp_path / "quiet.keras")
    mar.save(network.build(runs.FRAMES), tmp_path / "wide.keras")
    with pytest.raises(ConfigError, match="another architecture: expected slow_stem_0/kernel"):
        run._start_from(tmp_path / "wide.keras")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"microbatch": 3}, "microbatch: expected a divisor of the 8 rows .* such as 2, got 3"),
        ({"microbatch": 0}, "microbatch: expected at least 1, got 0"),
        ({"device": "gpu"}, "device: expected a GPU, found none"),
        ({"seed": -1}, "seed: expected at least 0"),
        ({"momentum": 1}, "Trainer: expected one of .*, got 'momentum'"),
        ({"dataset.PairDataset.hard_negatives": 1}, "hard_negatives: expected 0"),
        ({"dataset.PairDataset.windows": "fixed"}, "expected windows: random"),
        ({"validation.PairDataset.windows": "random"}, "expected windows: fixed"),
        ({"validation.PairDataset.snippet_frames": 65}, "expected snippet_frames of 64, got 65"),
        ({"objective.ContrastiveObjective.temperature": 0.0}, "expected more than 0, got 0.0"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_step(records, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        trainer(records, **settings).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_do_not_fit_are_refused(records):
    data = {"SnippetDataset": {"records": records}}
    optimizer = {"ScoochAdam": {}}
    objective = {"SupervisedObjective": {"labels": 527}}
    with pytest.raises(ConfigError, match="labels: expected records with 527 labels, got 7"):
        Trainer(objective=objective, dataset=data, optimizer=optimizer, steps=1)
    with pytest.raises(ConfigError, match="expects a PairDataset, got a SnippetDataset"):
        Trainer(objective={"ContrastiveObjective": {}}, dataset=data, optimizer=optimizer, steps=1)
    with pytest.raises(ConfigError, match="steps: expected a number, since there is no schedule"):
        Trainer(objective={"SupervisedObjective": {}}, dataset=data, optimizer=optimizer)


def validations(folder):
    records = map(json.loads, (folder / "metrics.jsonl").open())
    return [r for r in records if r["part"] == "validation"]


def losses(folder):
    """(step, loss) of every step."""
    records = map(json.loads, (folder / "metrics.jsonl").open())
    return [(r["step"], r["loss"]) for r in records if r["part"] == "train"]
