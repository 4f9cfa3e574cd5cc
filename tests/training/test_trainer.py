"""The trainer: what it leaves, learns, and continues from; replicas; bfloat16."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import mar
from helpers import small_records, training_runs
from helpers.processes import run_python
from helpers.resources import ROOT
from helpers.small_trainer import (
    SMALL_NETWORK,
    lines,
    losses,
    trainer,
    validations,
)
from mar.audio.logmel import LogMel, standardize
from mar.models import sfnfnet
from mar.models.saving import fingerprint
from mar.training import model_card
from mar.training.checkpoints import warm_start
from mar.training.losses import nt_xent
from mar.training.trainer import Trainer


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
    expected = {
        "name": finished.name,
        "objective": "ContrastiveObjective",
        "tracks": 24,
        "labels": 7,
    }
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
from helpers import small_trainer, training_runs
from mar.errors import ConfigError
records, folder = sys.argv[1:]
training_runs.logical_cpus(2)
for part in ("dataset", "validation"):
    odd = {f"{part}.PairDataset.batch_size": 9}
    try:
        small_trainer.trainer(records, strategy="mirrored", **odd).run(folder + "/refused")
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


def test_a_card_counts_what_is_learnt_from(tmp_path):
    small_records.data_set(tmp_path / "set", [100, 200, 300, 400])
    data = {"records": str(tmp_path / "set"), "snippet_frames": 64, "held_out": 0.5}
    described = Trainer(
        objective={"ContrastiveObjective": {}},
        dataset={"PairDataset": {**data, "part": "train"}},
        optimizer={"ScoochAdam": {}},
        steps=1,
    )
    model = training_runs.TwoBlocks(width=0.05).build(64, LogMel(small_records.FRONT_END))
    facts = model_card.facts(described, model, [], "small", "1 CPU")
    frames = [100 * (track + 1) for track in described.dataset.tracks]
    assert 0 < facts["tracks"] == len(frames) < 4
    assert facts["hours"] == pytest.approx(sum(frames) / 100 / 3600)


def test_a_validation_of_one_pair_has_no_scores(records, tmp_path):
    small_records.data_set(tmp_path / "one", [400])
    other = {"validation.PairDataset.records": str(tmp_path / "one")}
    trainer(records, steps=1, **other).run(tmp_path / "run")
    assert validations(tmp_path / "run") == []
    assert (tmp_path / "run" / "loss.png").exists()
    assert not (tmp_path / "run" / "best.keras").exists()
