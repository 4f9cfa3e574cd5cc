"""Runs that are killed, stopped, out of disk space, begun twice, or of several processes."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from helpers import small_records
from helpers.processes import free_port
from helpers.small_trainer import (
    assert_same,
    finish,
    last_step,
    losses,
    start,
    tensors,
    trainer,
    validations,
)
from mar.errors import ConfigError, InputError
from mar.records import manifest
from mar.training.checkpoints import CONTENT, Checkpoints
from mar.training.objective import Objective
from mar.util.lock import FolderLock


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


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("id", lambda ids: [f"{ids[0]}!", *ids[1:]]),
        ("labels", lambda labels: [*labels[1:], labels[0]]),
        ("group", lambda groups: ["an artist", *groups[1:]]),
        ("checksum", lambda checksums: [checksums[0] ^ 1, *checksums[1:]]),
    ],
)
def test_records_that_have_changed_are_another_run(records, finished, tmp_path, column, change):
    changed = shutil.copytree(records, tmp_path / "set")
    small_records.rewrite_manifest(changed, **{column: change})
    folder = shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(ConfigError, match="another run: data.ids_labels_groups_checksums was"):
        trainer(str(changed)).run(folder)


def test_the_best_by_another_validation_is_not_compared_with(records, tmp_path, monkeypatch):
    """The other one is of noise, whose tracks cannot be told apart."""
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = {"steps": 8, "validate_every": 2}
    draw = Objective.draw

    def fail(objective, seed, step, *sizes):
        if step == 5:
            raise InputError("a power cut")
        return draw(objective, seed, step, *sizes)

    small_records.data_set(tmp_path / "noise", [400] * 24)
    other = {"validation.PairDataset.records": str(tmp_path / "noise")}
    with monkeypatch.context() as patch:
        patch.setattr(Objective, "draw", fail)
        with pytest.raises(InputError, match="a power cut"):
            trainer(records, **settings).run("~/run")
    before = [score["accuracy"] for score in validations(tmp_path / "run")]
    trainer(records, **settings, **other).run("~/run")
    after = [score["accuracy"] for score in validations(tmp_path / "run")[-3:]]
    assert max(after) < min(before)
    best = tf.train.latest_checkpoint(tmp_path / "run" / "checkpoints" / "best")
    score = tf.train.load_variable(best, "score/.ATTRIBUTES/VARIABLE_VALUE")
    assert score == pytest.approx(max(after))


def test_the_best_score_of_an_earlier_version_stays(tmp_path):
    weights = {"weight": tf.Variable([1.0])}
    step, score = tf.Variable(3, dtype=tf.int64), tf.Variable(0.5)
    earlier = tf.train.Checkpoint(weights=weights, step=step, score=score)
    tf.train.CheckpointManager(earlier, tmp_path, 3).save(checkpoint_number=3)
    (tmp_path / "run.json").write_text('{"data": {}}')
    facts = {"data": {CONTENT: "hash"}}
    with FolderLock(tmp_path) as lock:
        saved = Checkpoints(tmp_path, 3, {"weights": weights}, facts, lock, validated_on=7)
        assert saved.restore() == 3
        saved.save_best(4, 0.4)
        assert not (tmp_path / "best").exists()
        saved.save_best(5, 0.6)
        assert (tmp_path / "best" / "ckpt-5.index").exists()


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


def test_a_run_whose_checkpoints_are_gone_is_not_mixed_with_another(records, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    shutil.rmtree(folder / "checkpoints")
    before = small_records.contents(folder)
    with pytest.raises(ConfigError, match="whose checkpoints are gone, .*; --fresh sets it aside"):
        trainer(records).run(folder)
    assert small_records.contents(folder) == before
