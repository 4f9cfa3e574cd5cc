"""The trainer: interrupted and killed runs, several processes, what it leaves, what it refuses."""

import dataclasses
import json
import logging
import os
import pathlib
import shutil
import signal
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml

import mar
from helpers import small_records, training_runs
from helpers.networks import fill_golden
from helpers.processes import free_port, run_python, start_python
from helpers.resources import ROOT
from helpers.training_runs import TwoBlocks
from mar.audio.logmel import LogMel, standardize
from mar.data.pipelines import PairDataset, SnippetDataset
from mar.errors import ConfigError, InputError
from mar.models import sfnfnet
from mar.models.saving import fingerprint
from mar.records import manifest
from mar.training.checkpoints import warm_start
from mar.training.checks import check_batches, check_records
from mar.training.losses import nt_xent
from mar.training.objective import Objective
from mar.training.objectives import ContrastiveObjective, SupervisedObjective
from mar.training.trainer import Trainer

PRETRAIN = ROOT / "configs" / "pretrain"
SMALL = PRETRAIN / "small.yaml"
SMALL_NETWORK = {"TwoBlocks": {"width": 0.05}}
# `mar.train` in a process that sends itself a signal as a step begins: no race with its end. A file
# may have so many bytes, and an error of writing is as that of a full disk.
TRAIN = """
import os, resource, sys
from helpers import training_runs  # its network
from mar import train
from mar.training.objective import Objective
from mar.util import cli
number, at, limit = (int(sys.argv.pop(1)) for _ in range(3))
draw = Objective.draw

def interrupted(self, seed, step, *sizes):
    if step == at:
        os.kill(os.getpid(), number)
    return draw(self, seed, step, *sizes)

Objective.draw = interrupted
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
cli.run(train.main)
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A data set, and beside it a model with golden weights."""
    folder = tmp_path_factory.mktemp("records")
    network = TwoBlocks(width=0.05).build(training_runs.FRAMES, LogMel(small_records.FRONT_END))
    fill_golden(network)
    mar.save(network, folder / "golden.keras")
    return training_runs.records(folder / "set", tracks=24)


def overrides(records, **settings):
    """Of the small configuration: a few quick steps from golden weights, with much dropped."""
    data = {
        "dataset": "Trainer.dataset.PairDataset",
        "validation": "Trainer.validation.PairDataset",
    }
    adam = "Trainer.optimizer.ScoochAdam"
    shrunk = {"Constants.RECORDS": records, f"{adam}.epsilon": 0.01}
    shrunk["Trainer.model"] = {"TwoBlocks": {"width": 0.05, "stochastic_depth": 0.6}}
    for path in data.values():
        shrunk |= {f"{path}.batch_size": 8, f"{path}.snippet_frames": training_runs.FRAMES}
        shrunk |= {f"{path}.held_out": None, f"{path}.part": None}  # the few tracks are all used
    shrunk |= {"Trainer.initial_weights": str(pathlib.Path(records).parent / "golden.keras")}
    shrunk |= {"Trainer.steps": 30, "Trainer.checkpoint_every": 4, "Trainer.log_every": 1}
    shrunk |= {f"{adam}.schedule.WarmupSchedule.warmup_steps": 5, "Trainer.validate_every": 20}
    shrunk |= {f"Trainer.{name}": value for name, value in settings.items()}
    return [f"{name}={json.dumps(value)}" for name, value in shrunk.items()]


def trainer(records, **settings):
    return Trainer.load(SMALL, overrides(records, **settings))


def start(folder, records, *flags, interrupt=(0, -1), limit=-1, environment=None, **settings):
    """Starts `mar.train` in a process of its own.

    Args:
        interrupt: a signal, and the step at which it comes.
        limit: bytes that a file may have; -1 for any number.
    """
    sets = [argument for text in overrides(records, **settings) for argument in ("--set", text)]
    how = [*map(int, interrupt), limit]
    command = ["-c", TRAIN, *how, "--config", SMALL, "--output", folder, *sets, *flags]
    return start_python(*command, stderr=subprocess.STDOUT, **(environment or {}))


def finish(process, expected=0):
    output, _ = process.communicate()
    assert process.returncode == expected, output
    assert "Traceback" not in output
    return output


def last_step(folder):
    """Step of the latest checkpoint."""
    return int(tf.train.latest_checkpoint(folder / "checkpoints").rsplit("-", 1)[1])


def tensors(folder):
    """Every tensor of the last checkpoint."""
    reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
    shapes = reader.get_variable_to_shape_map()
    names = [name for name in shapes if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


def assert_same(ours, theirs):
    assert len(ours) > 50
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def finished(records, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finish(start(folder, records))
    return folder


def test_interrupted_runs_end_with_the_same_weights(records, finished, tmp_path):
    """Killed; out of disk space; stopped; its last checkpoint damaged."""
    finish(start(tmp_path, records, interrupt=(signal.SIGKILL, 10)), -signal.SIGKILL)
    assert last_step(tmp_path) == 8

    before, latest = tensors(tmp_path), tf.train.latest_checkpoint(tmp_path / "checkpoints")
    output = finish(start(tmp_path, records, limit=64 * 1024), 1)
    assert "error: " in output
    assert "checkpoints: the checkpoint of step 12 cannot be written" in output
    assert f"the last good one is {latest}" in output
    assert_same(before, tensors(tmp_path))

    stopped = start(tmp_path, records, interrupt=(signal.SIGTERM, 19))
    output = finish(stopped, 128 + signal.SIGTERM)
    assert f"resumes from {latest}" in output
    assert "stopped by SIGTERM" in output
    assert last_step(tmp_path) == 21

    damaged = pathlib.Path(tf.train.latest_checkpoint(tmp_path / "checkpoints") + ".index")
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert not (tmp_path / "model.keras").exists()
    output = finish(start(tmp_path, records))
    assert "ckpt-21: cannot be restored" in output
    assert f"resumes from {tmp_path}/checkpoints/ckpt-20" in output
    assert_same(tensors(tmp_path), tensors(finished))
    assert losses(tmp_path) == losses(finished)
    assert [step for step, _ in losses(tmp_path)] == list(range(1, 31))
    assert validations(tmp_path) == validations(finished)


def test_a_folder_is_written_by_one_run_at_a_time(records, finished, tmp_path):
    """The first is stopped within its run, then killed; the same command resumes it."""
    folder = tmp_path / "run"
    first = start(folder, records, interrupt=(signal.SIGSTOP, 10))
    _, status = os.waitpid(first.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), first.communicate()
    before = small_records.contents(folder)
    who = f"{folder}: -c --config .* \\(process {first.pid} on .*\\) writes into it since "
    for fresh in (False, True):
        with pytest.raises(InputError, match=who):
            trainer(records).run(folder, fresh)
    second = finish(start(folder, records, "--fresh", seed=5), 1)
    assert f"(process {first.pid} on" in second.strip().splitlines()[-1]
    assert small_records.contents(folder) == before
    first.kill()
    finish(first, -signal.SIGKILL)
    output = finish(start(folder, records))
    assert f"resumes from {folder}/checkpoints/ckpt-8" in output
    assert_same(tensors(folder), tensors(finished))
    assert [step for step, _ in losses(folder)] == list(range(1, 31))
    assert not list(folder.glob(".*"))


def test_a_run_that_lost_its_lock_writes_no_checkpoint(records, tmp_path, monkeypatch):
    """It was suspended for so long that another one took over."""
    draw = Objective.draw

    def lose(objective, seed, step, *sizes):
        if step == 5:
            (tmp_path / ".writer").unlink()
        return draw(objective, seed, step, *sizes)

    monkeypatch.setattr(Objective, "draw", lose)
    with pytest.raises(InputError, match="another process took over while this one was suspended"):
        trainer(records, validation=None).run(tmp_path)
    assert last_step(tmp_path) == 4


def test_a_finished_run_leaves_a_model_its_card_and_its_configuration(finished, records):
    model = mar.load_model(finished / "model.keras")
    assert mar.front_end(model).n_mels == 96
    rng = np.random.default_rng(0)
    logmel = rng.random((2, training_runs.FRAMES, 96)).astype(np.float32)
    exported = tf.saved_model.load(finished / "saved_model").signatures["embed_logmel"]
    embedding = exported(logmel=tf.constant(logmel))["embedding"]
    np.testing.assert_allclose(embedding, model(standardize(logmel)), rtol=1e-4, atol=1e-5)
    again = Trainer.load(finished / "configuration.yaml")
    assert again.resolved() == trainer(records).resolved()
    card = (finished / "model_card.md").read_text()
    for fact in ("24 tracks", "8 pairs", "ContrastiveObjective", again.hash(), "hop_length: 160"):
        assert fact in card, fact
    facts = json.loads((finished / "model_card.json").read_text())
    expected = {"name": "whole", "objective": "ContrastiveObjective", "tracks": 24, "labels": 7}
    expected |= {"records": records, "batch_size": 8, "unit": "pairs", "steps": 30, "seed": 0}
    expected |= {"precision": "float32", "hardware": "1 × CPU", "configuration": again.hash()}
    expected |= {"weights": fingerprint(model), "parameters": model.count_params()}
    expected |= {"dimensions": model.output_shape[1], "mar_version": mar.__version__}
    assert facts == {**facts, **expected}
    assert facts["snippets_per_second"] > 0
    assert facts["front_end"] == mar.front_end(model).resolved()["LogMel"]
    assert facts["measures"]["train"] == lines(finished, "train")[-1]
    assert facts["measures"]["validation"] == lines(finished, "validation")[-1]
    assert (finished / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert list((finished / "tensorboard").glob("events*"))
    assert tf.train.latest_checkpoint(finished / "checkpoints" / "best")
    scores = validations(finished)
    assert [score["step"] for score in scores] == [20, 30]
    assert {"accuracy", "alignment", "uniformity", "positive_similarity"} <= set(scores[0])


def test_another_configuration_is_refused_until_it_is_to_start_afresh(records, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    other = {"seed": 5, "model.TwoBlocks.width": 0.06}
    different = r"TwoBlocks.width was 0.05, is 0.06; configuration.seed was 0, is 5; .*--fresh"
    with pytest.raises(ConfigError, match=different):
        trainer(records, **other).run(folder)
    (folder / "previous-2").mkdir()
    finish(start(folder, records, "--fresh", steps=2, seed=5, validation=None))
    assert_same(tensors(folder / "previous-3"), tensors(finished))
    assert (folder / "previous-3" / "model.keras").exists()
    assert last_step(folder) == 2
    assert [step for step, _ in losses(folder)] == [1, 2]


def test_other_labels_are_another_run(records, finished, tmp_path):
    renamed = shutil.copytree(records, tmp_path / "set")
    header = manifest.read(renamed).header
    vocabulary = [f"new {label}" for label in header.vocabulary]
    table = pq.read_table(renamed / "manifest.parquet")
    header = dataclasses.replace(header, vocabulary=vocabulary)
    manifest.write(renamed / "manifest.parquet", header, table)
    folder = shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"labels.label 0 was 0, is None; .*; and 6 more"):
        trainer(str(renamed)).run(folder)


def test_a_loss_that_is_not_finite_ends_the_run(records, tmp_path):
    """After ever larger steps; the last good checkpoint is named and finite."""
    schedule = "optimizer.ScoochAdam.schedule.WarmupSchedule.warm_learning_rate"
    with pytest.raises(InputError, match="(loss|norm): expected a finite number, got") as raised:
        trainer(records, checkpoint_every=1, **{schedule: 1e25}).run(tmp_path)
    latest = tf.train.latest_checkpoint(tmp_path / "checkpoints")
    assert f"the last good checkpoint is {latest}" in str(raised.value)
    assert all(np.isfinite(value).all() for value in tensors(tmp_path).values() if value.ndim)


def test_records_that_are_cut_short_end_the_run_in_one_sentence(records, tmp_path, monkeypatch):
    copy = shutil.copytree(records, tmp_path / "set")
    draw = Objective.draw

    def cut(objective, seed, step, *sizes):
        for path in copy.glob("shard*") if step == 5 else ():
            os.truncate(path, 500)
        return draw(objective, seed, step, *sizes)

    monkeypatch.setattr(Objective, "draw", cut)
    location = {"dataset.PairDataset.records": str(copy)}
    with pytest.raises(InputError, match=r"truncated since it was opened; .*ckpt-\d+; the same"):
        trainer(records, steps=1000, validation=None, **location).run(tmp_path / "run")


def test_a_full_disk_is_told_by_what_is_logged_too(records, tmp_path):
    output = finish(start(tmp_path, records, limit=4 * 1024, checkpoint_every=100), 1)
    assert "the run's numbers cannot be written" in output


def test_two_workers_train_as_one_process_does(records, finished, tmp_path):
    """One of them is stopped, which stops both; the same commands go on."""
    cluster = {"worker": [f"localhost:{free_port()}" for _ in range(2)]}

    def both(interrupt, expected):
        workers = []
        for index in range(2):
            task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
            environment = {"TF_CONFIG": json.dumps(task)}
            interrupt_one = interrupt if index == 1 else (0, -1)
            workers.append(
                start(
                    tmp_path,
                    records,
                    interrupt=interrupt_one,
                    environment=environment,
                    strategy="multi_worker",
                )
            )
        for worker in workers:
            finish(worker, expected)

    both((signal.SIGTERM, 12), 128 + signal.SIGTERM)
    assert last_step(tmp_path) == 14
    both((0, -1), 0)
    joint, alone = (losses(folder) for folder in (tmp_path, finished))
    assert [step for step, _ in joint] == [step for step, _ in alone]
    np.testing.assert_allclose([v for _, v in joint], [v for _, v in alone], rtol=1e-4)
    for name, weights in tensors(finished).items():
        if name.startswith("weights/"):
            found = tensors(tmp_path)[name]
            np.testing.assert_allclose(found, weights, rtol=1e-4, atol=1e-5, err_msg=name)


def expected_labels(path):
    """How many labels a configuration expects of the records; 7 where it expects none."""
    (objective,) = yaml.safe_load(path.read_text())["Trainer"]["objective"].values()
    return objective.get("labels", 7)


def one_of_each_kind():
    """All shipped configurations; those that only differ in settings from another are slow."""
    kinds = set()
    for path in sorted(PRETRAIN.glob("*.yaml")):
        described = yaml.safe_load(path.read_text())["Trainer"]
        kind = (*described["objective"], *described["dataset"])
        yield pytest.param(path, marks=[pytest.mark.slow] if kind in kinds else [], id=path.stem)
        kinds.add(kind)


@pytest.mark.parametrize("path", list(one_of_each_kind()))
def test_shipped_configurations_train(path, tmp_path):
    """Two steps of each, shrunk but for what it is about."""
    labels = expected_labels(path)
    job = dataclasses.replace(
        small_records.job([1100] * 6), vocabulary=[f"label {number}" for number in range(labels)]
    )
    small_records.write_here(job, tmp_path / "records")
    settings = [f"Constants.RECORDS={tmp_path / 'records'}", "Trainer.steps=2"]
    settings += ["Trainer.device=cpu", "Trainer.strategy=one_device"]
    settings += ["Trainer.model={TwoBlocks: {width: 0.05}}"]
    (objective,) = yaml.safe_load(path.read_text())["Trainer"]["objective"]
    (dataset,) = yaml.safe_load(path.read_text())["Trainer"]["dataset"]
    settings += [f"Trainer.objective.{objective}.projector.Projector.hidden_units=[16]"]
    settings += [f"Trainer.dataset.{dataset}.batch_size=4"]
    settings += [f"Trainer.dataset.{dataset}.snippet_frames={training_runs.FRAMES}"]
    shrunk = Trainer.load(path, [*settings, "Trainer.validation=null"])
    assert shrunk.run(tmp_path / "run") is None
    assert last_step(tmp_path / "run") == 2
    assert (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize("path", sorted(PRETRAIN.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_validate_on_what_they_do_not_learn_from(path, tmp_path, caplog):
    """All do; all of an artist is on one side where the records know the artists."""
    labels = expected_labels(path)
    vocabulary = [f"label {number}" for number in range(labels)]
    artists = pa.array([f"artist {track // 4}" for track in range(20)])
    settings = [f"Constants.RECORDS={tmp_path / 'records'}"]
    for name, first in (("records", 0), ("evaluation", 20)):
        job = small_records.job([1310] * 20, ids=[f"{first + track}" for track in range(20)])
        tracks = job.tracks.append_column("group", artists)
        small_records.write_here(
            dataclasses.replace(job, tracks=tracks, vocabulary=vocabulary), tmp_path / name
        )
    if path.stem.startswith("audioset"):
        settings.append(f"Constants.VALIDATION={tmp_path / 'evaluation'}")
    described = Trainer.load(path, settings)
    check_records(described)
    assert "learnt from too" not in caplog.text
    learnt, tested = (
        [given.manifest.id(track) for track in given.tracks]
        for given in (described.dataset, described.validation)
    )
    assert tested
    assert not set(learnt) & set(tested)
    if path.stem.startswith("audioset"):
        assert (len(learnt), len(tested)) == (20, 20)
        return
    assert len(learnt) + len(tested) == 20
    sides = [{int(track) // 4 for track in side} for side in (learnt, tested)]
    assert not set.intersection(*sides)


def test_a_validation_on_what_is_learnt_from_is_warned_of(records, caplog):
    check_records(trainer(records))
    assert "24 of its 24 tracks are learnt from too" in caplog.text
    assert "held_out" in caplog.text


def test_a_validation_of_one_track_is_warned_of(tmp_path, caplog):
    small_records.data_set(tmp_path / "set", [400, 400])
    check_records(Trainer.load(SMALL, [f"Constants.RECORDS={tmp_path / 'set'}"]))
    told = [r.getMessage() for r in caplog.records if "one track alone" in r.getMessage()]
    assert ["for train," in line for line in told] == [True, False]
    assert "for validation," in told[1]


def test_no_steps_leave_the_untrained_network_and_its_scores(records, tmp_path):
    trainer(records, steps=0, initial_weights=None).run(tmp_path)
    (scores,) = validations(tmp_path)
    assert scores["step"] == 0
    assert 0 < scores["accuracy"] <= 1
    untrained = sfnfnet.untrained(trainer(records).model, training_runs.FRAMES, seed=0)
    for ours, theirs in zip(
        mar.load_model(tmp_path / "model.keras").get_weights(),
        untrained.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_partners_are_found_far_above_chance(records, tmp_path):
    settings = {"steps": 40, "validate_every": 10, "checkpoint_every": 20, "model": SMALL_NETWORK}
    trainer(records, initial_weights=None, **settings).run(tmp_path)
    first, *_, last = validations(tmp_path)
    chance = 1 / 15  # of eight pairs
    assert last["accuracy"] >= first["accuracy"] > 5 * chance
    assert last["loss"] < first["loss"]
    assert last["positive_similarity"] > last["negative_similarity"] + 0.2


def test_labels_are_learnt_and_the_best_checkpoint_is_kept(records, tmp_path):
    data = {"records": records, "batch_size": 8, "snippet_frames": training_runs.FRAMES}
    supervised = Trainer(
        model=SMALL_NETWORK,
        objective={"SupervisedObjective": {"projector": {"Projector": {"hidden_units": [32]}}}},
        dataset={"SnippetDataset": data},
        validation={"SnippetDataset": {**data, "windows": "fixed"}},
        optimizer={"ScoochAdam": {"learning_rate": 2e-3}},
        **{"steps": 24, "validate_every": 4, "checkpoint_every": 12, "microbatch": 4},
    )
    supervised.run(tmp_path)
    first, *_, last = scores = validations(tmp_path)
    assert last["average_precision"] > first["average_precision"] + 0.1
    best = max(scores, key=lambda score: score["average_precision"])
    path = tf.train.latest_checkpoint(tmp_path / "checkpoints" / "best")
    assert path.endswith(f"ckpt-{best['step']}")
    assert json.loads((tmp_path / "model_card.json").read_text())["best_step"] == best["step"]
    assert f"step {best['step']}" in (tmp_path / "model_card.md").read_text()
    exported = mar.load_model(tmp_path / "best.keras")
    assert fingerprint(exported) == fingerprint(mar.load_model(path))
    assert fingerprint(exported) == fingerprint(mar.load_model(f"{tmp_path}@best"))


def test_the_first_step_is_that_of_the_model_that_was_given(records, tmp_path):
    """Its loss is that of the model's own embeddings, with the new head on top."""
    settings = {"objective.ContrastiveObjective.mixup": None, "steps": 1, "validation": None}
    given = trainer(records, **settings, **{"model.TwoBlocks.stochastic_depth": 0.0})
    _, pretraining = given.build()
    head = pretraining.get_layer("projector")
    model = mar.load_model(given.initial_weights)
    batch = given.dataset.read(given.seed, 0)
    projections = [head(model(standardize(batch[view]))) for view in ("anchors", "positives")]
    expected = np.mean(nt_xent(*projections)[0])
    assert given.run(tmp_path) is None
    assert losses(tmp_path) == [(1, pytest.approx(expected, rel=1e-5))]


def test_training_goes_on_from_the_published_format(golden_model, tmp_path):
    """The whole network, from a file such as the published weights lie in."""
    source = str(golden_model)
    front_end = LogMel.load(ROOT / "configs" / "records" / "mule.yaml").resolved()
    job = dataclasses.replace(small_records.job([400] * 4), front_end=front_end)
    small_records.write_here(job, tmp_path / "set")
    given = Trainer(
        objective={"SupervisedObjective": {"projector": {"Projector": {"hidden_units": [8]}}}},
        dataset={"SnippetDataset": {"records": str(tmp_path / "set"), "batch_size": 2}},
        optimizer={"ScoochAdam": {}},
        initial_weights=source,
        steps=1,
    )
    network, _ = given.build()
    warm_start(network, source)
    inputs = standardize(given.dataset.read(given.seed, 0)["snippets"])
    kept = tf.ones((2, network.inputs[1].shape[1]))
    embedding = network([inputs, kept], training=True)
    np.testing.assert_allclose(embedding, mar.load_model(source)(inputs), rtol=1e-4, atol=1e-5)


def test_models_that_do_not_fit_are_refused(records, tmp_path):
    """Before anything is done to an earlier run."""
    network = TwoBlocks(width=0.2)
    mar.save(network.build(training_runs.FRAMES, mar.LogMel(level=0.5)), tmp_path / "quiet.keras")
    mar.save(network.build(training_runs.FRAMES), tmp_path / "wide.keras")
    for name, message in (
        ("quiet", "another front end"),
        ("wide", "another architecture: expected bands/kernel"),
    ):
        weights = str(tmp_path / f"{name}.keras")
        given = trainer(records, initial_weights=weights, validation=None)
        with pytest.raises(ConfigError, match=message):
            given.run(tmp_path / "run", fresh=True)
    assert not (tmp_path / "run").exists()


def test_bfloat16_in_chunks_is_nearly_float32(records, finished, tmp_path):
    trainer(records, precision="bfloat16", microbatch=2, steps=2, validation=None).run(tmp_path)
    found, expected = losses(tmp_path), losses(finished)[:2]
    assert found == [(step, pytest.approx(loss, rel=0.02)) for step, loss in expected]
    assert found != expected
    model = mar.load_model(tmp_path / "model.keras")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


def test_replicas_share_batches_evenly_or_not_at_all(tmp_path):
    """Also a last batch of the validation that leaves a replica without a row."""
    records = training_runs.records(tmp_path / "set", tracks=7)
    script = """
import sys
import test_trainer
from helpers import training_runs
from mar.errors import ConfigError
records, folder = sys.argv[1:]
training_runs.logical_cpus(2)
for part in ("dataset", "validation"):
    odd = {f"{part}.PairDataset.batch_size": 9}
    try:
        test_trainer.trainer(records, strategy="mirrored", **odd).run(folder + "/refused")
    except ConfigError as error:
        print(error)
test_trainer.two_steps(records, folder, "mirrored")
"""
    process = run_python(
        *("-c", script, records, tmp_path / "two"), cwd=pathlib.Path(__file__).parent
    )
    assert process.returncode == 0, process.stderr
    refused = "PairDataset.batch_size: expected a multiple of the 2 replicas, such as 8, got 9"
    assert process.stdout.count(refused) == 2
    assert not (tmp_path / "two" / "refused").exists()
    two_steps(records, tmp_path / "one", "one_device")
    (one,), (two,) = (validations(tmp_path / name) for name in ("one", "two"))
    assert one.pop("part") == two.pop("part")
    assert two == pytest.approx(one, rel=1e-3)


def two_steps(records, folder, strategy):
    """Trains two steps of a short network, with a validation of 6 and 1 pairs."""
    settings = {"steps": 2, "initial_weights": None, "validation.PairDataset.batch_size": 6}
    settings["model"] = {"TwoBlocks": {"width": 0.05, "stochastic_depth": 0.6}}
    trainer(records, strategy=strategy, **settings).run(folder)


def test_fewer_tracks_than_a_batch_are_warned_of(records, caplog):
    with caplog.at_level(logging.WARNING, "mar"):
        check_batches(trainer(records, **{"dataset.PairDataset.batch_size": 24}), 1)
        assert "tracks for a batch" not in caplog.text
        check_batches(trainer(records, **{"dataset.PairDataset.batch_size": 32}), 1)
    assert f"{records}: 24 tracks for a batch of 32" in caplog.text


@pytest.mark.parametrize(
    ("frames", "pairs", "identical"),
    [
        ([64, 64, 64, 64], {}, 4),
        ([64, 65, 64, 400], {}, 2),
        ([65, 66, 67, 400], {}, 0),
        ([65, 66, 67, 400], {"max_centre_distance_seconds": 0.01}, 4),
        ([64, 66, 67, 400], {"max_centre_distance_seconds": None}, 1),
        ([63, 64, 67, 400], {}, 1),
    ],
)
def test_pairs_of_one_snippet_twice_are_warned_of(frames, pairs, identical, tmp_path, caplog):
    """Fixed and random windows are drawn to see in which tracks they are."""
    small_records.data_set(tmp_path / "set", frames)
    settings = {"records": str(tmp_path / "set"), "snippet_frames": 64, **pairs}
    dataset = PairDataset(**settings, batch_size=200)
    rows, starts = dataset.indices(0, 0)
    apart = set(rows[starts["anchors"] != starts["positives"]])
    assert len(set(rows) - apart) == identical
    ContrastiveObjective().check_records(dataset)
    warnings = [r.getMessage() for r in caplog.records if "always the same one" in r.getMessage()]
    told = f"{tmp_path / 'set'}: in {identical} of {len(set(rows))} tracks"
    assert [warning.startswith(told) for warning in warnings] == [True] * (identical > 0)


@pytest.mark.parametrize(
    ("labels", "varied"),
    [
        ([[0]] * 4, False),
        ([[0, 2]] * 4, False),
        ([[]] * 4, False),
        ([[0]] * 3 + [[]], True),
        ([[0], [0], [0], [0, 1]], True),
    ],
)
def test_labels_that_all_tracks_have_are_refused(labels, varied, tmp_path):
    job = small_records.job([100] * 4)
    column = job.tracks.column_names.index("labels")
    tracks = job.tracks.set_column(column, "labels", pa.array(labels, pa.list_(pa.int32())))
    small_records.write_here(dataclasses.replace(job, tracks=tracks), tmp_path / "set")
    dataset = SnippetDataset(records=str(tmp_path / "set"))
    if varied:
        SupervisedObjective().check_records(dataset)
    else:
        with pytest.raises(ConfigError, match="all 4 tracks have the same ones: nothing can be"):
            SupervisedObjective().check_records(dataset)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"microbatch": 3}, "microbatch: expected a divisor of the 8 rows .* such as 2, got 3"),
        ({"microbatch": 0}, "microbatch: expected at least 1, got 0"),
        ({"device": "gpu"}, "device: expected a GPU, found none"),
        ({"seed": -1}, "seed: expected at least 0"),
        ({"steps": -1}, "steps: expected at least 0, got -1"),
        ({"strategy": "multi_worker"}, "strategy: multi_worker expects, .* TF_CONFIG="),
        ({"momentum": 1}, "Trainer: expected one of .*, got 'momentum'"),
        ({"dataset.PairDataset.hard_negatives": 1}, "no track has the 1063 frames"),
        ({"dataset.PairDataset.windows": "fixed"}, "expected windows: random"),
        ({"dataset.PairDataset.batch_size": 1}, "batch_size: expected at least 2, .* got 1"),
        ({"validation.PairDataset.batch_size": 1}, "batch_size: expected at least 2, .* got 1"),
        ({"validation.PairDataset.windows": "random"}, "expected windows: fixed"),
        ({"validation.PairDataset.snippet_frames": 65}, "expected snippet_frames of 64, got 65"),
        ({"objective.ContrastiveObjective.temperature": 0.0}, "expected more than 0, got 0.0"),
        ({"objective.ContrastiveObjective.dimensions": 0}, "dimensions: expected at least 1"),
        ({"objective.ContrastiveObjective.mixup.Mixup.alpha": 0}, "alpha: expected more than 0"),
        ({"optimizer.ScoochAdam.beta_2": 1.0}, "beta_2: expected at least 0 and less than 1"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_step(records, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        trainer(records, **settings).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_do_not_fit_are_refused(records, tmp_path):
    data = {"SnippetDataset": {"records": records}}
    optimizer = {"ScoochAdam": {}}
    objective = {"SupervisedObjective": {"labels": 527}}
    given = Trainer(objective=objective, dataset=data, optimizer=optimizer, steps=1)
    expected = "labels: expected records with 527 labels, got 7 in .*; labels: null takes"
    with pytest.raises(ConfigError, match=expected):
        given.run(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="expects a PairDataset, got a SnippetDataset"):
        Trainer(objective={"ContrastiveObjective": {}}, dataset=data, optimizer=optimizer, steps=1)
    with pytest.raises(ConfigError, match="steps: expected a number, since there is no schedule"):
        Trainer(objective={"SupervisedObjective": {}}, dataset=data, optimizer=optimizer)


def test_a_trainer_describes_and_a_run_opens_the_records(tmp_path):
    """What is wrong with the records is said before a folder is made."""
    described = trainer(str(tmp_path / "absent"), initial_weights=None)
    assert described.total_steps == 30
    with pytest.raises(InputError, match="absent"):
        described.run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_validation_with_other_labels_is_refused(records, tmp_path):
    vocabulary = [f"other {number}" for number in range(7)]
    other = dataclasses.replace(small_records.job([400] * 4), vocabulary=vocabulary)
    small_records.write_here(other, tmp_path / "other")
    elsewhere = {"validation.PairDataset.records": str(tmp_path / "other")}
    with pytest.raises(ConfigError, match="validation: expected the vocabulary of .*, got another"):
        trainer(records, **elsewhere).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def lines(folder, part):
    """The records of a part in `metrics.jsonl`."""
    records = map(json.loads, (folder / "metrics.jsonl").open())
    return [record for record in records if record["part"] == part]


def validations(folder):
    return lines(folder, "validation")


def losses(folder):
    """(step, loss) of every step."""
    return [(record["step"], record["loss"]) for record in lines(folder, "train")]
