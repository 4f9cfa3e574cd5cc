"""The step: replicas, workers, chunks and one device agree; draws come with the examples."""

import functools
import json
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from helpers import training_runs
from helpers.processes import free_port, run_python, start_python
from helpers.resources import ROOT
from mar.audio.logmel import standardize
from mar.training.losses import nt_xent

KINDS = ["supervised", "contrastive", "hard_negatives", "joint"]
FEW = ["supervised", "hard_negatives", "joint"]  # which is contrastive too
# Trains some kinds under a strategy, in a process of its own: a process has one strategy for good.
SCRIPT = """
import sys
import numpy as np, tensorflow as tf
from helpers import training_runs
records, results, replicas, microbatch, *kinds = sys.argv[1:]
if replicas == "workers":
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
else:
    training_runs.logical_cpus(int(replicas))
    strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(int(replicas))])
microbatch = int(microbatch) or None
for kind in kinds:
    np.savez(f"{results}-{kind}.npz", **training_runs.train(strategy, kind, records, microbatch))
"""
# Chunks on JAX, as `benchmarks/train_step.py` has them. A network of two layers compiles soon;
# its residual is dropped by the draws.
CHUNKS_ON_JAX = """
import numpy as np
from jax import numpy as jnp
import train_step
from mar.training.objectives import ContrastiveObjective, SupervisedObjective

rng = np.random.default_rng(0)
for objective_class in (ContrastiveObjective, SupervisedObjective):
    objective = objective_class(mixup={"Mixup": {}})
    batch, draws = train_step.arrays(objective, 8, 1)
    shapes = (96, 8), (8, train_step.LABELS)
    values = [rng.normal(size=shape).astype(np.float32) for shape in shapes]

    def outputs(values, rows):
        def model(inputs, training):
            snippets, depth = inputs
            hidden = jnp.tanh(snippets.mean(axis=(2, 3)) @ values[0])
            return (hidden + jnp.square(hidden) * (depth >= 0.5)) @ values[1]

        return objective.outputs(model, *rows, batch)

    def loss(outputs, rows):
        return objective.loss(outputs, *rows, batch)[0]

    def gradients(microbatch):
        return train_step.jax_gradients(
            outputs, loss, values, (batch, draws), microbatch, objective.separable
        )

    whole, chunked = gradients(None), gradients(2)
    np.testing.assert_allclose(chunked[0], whole[0], rtol=1e-5)
    for ours, theirs in zip(chunked[1], whole[1], strict=True):
        assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(theirs)
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return training_runs.records(tmp_path_factory.mktemp("records") / "set")


@pytest.fixture(scope="module")
def alone(records):
    """What one device does, by kind."""
    return functools.cache(
        functools.partial(
            training_runs.train, tf.distribute.OneDeviceStrategy("CPU:0"), records=records
        )
    )


def start(*arguments, **environment):
    return start_python("-c", SCRIPT, *arguments, stderr=subprocess.STDOUT, **environment)


def assert_trained_as(alone, process, results, kinds):
    output, _ = process.communicate()
    assert process.returncode == 0, output
    for kind in kinds:
        training_runs.assert_equal_runs(alone(kind=kind), np.load(f"{results}-{kind}.npz"))


@pytest.mark.parametrize(
    "kind",
    [
        "supervised",
        pytest.param("contrastive", marks=pytest.mark.slow),  # as hard negatives are
        "hard_negatives",
        "joint",
    ],
)
def test_chunks_have_the_gradients_of_the_whole_batch(records, kind):
    loss, measures, whole = training_runs.gradients(kind, records)
    chunked_loss, chunked_measures, chunked = training_runs.gradients(kind, records, microbatch=2)
    np.testing.assert_allclose(chunked_loss, loss, rtol=1e-5)
    assert measures.keys() == chunked_measures.keys()
    for name, value in measures.items():
        np.testing.assert_allclose(chunked_measures[name], value, rtol=1e-5, err_msg=name)
    squares = sum(np.sum((a - b) ** 2) for a, b in zip(whole, chunked, strict=True))
    total = sum(np.sum(np.square(a)) for a in whole)
    rounding = 1e-4 if kind == "joint" else 1e-5  # augmentations pass through powers and back
    assert np.sqrt(squares / total) < rounding
    moving = [np.abs(gradient).max() > 0 for gradient in whole]
    assert np.mean(moving) > 0.9  # a standardised kernel of one weight stays


def test_recomputing_changes_no_gradient(records):
    _, _, held = training_runs.gradients("supervised", records)
    _, _, again = training_runs.gradients("supervised", records, recompute=True)
    for ours, theirs in zip(again, held, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_chunks_on_jax_have_the_gradients_of_the_whole_batch():
    process = run_python("-c", CHUNKS_ON_JAX, cwd=ROOT / "benchmarks", KERAS_BACKEND="jax")
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("replicas", "microbatch", "kinds"),
    [(2, 2, FEW), (4, None, KINDS)],
)
def test_replicas_train_as_one_device_does(records, alone, tmp_path, replicas, microbatch, kinds):
    process = start(records, tmp_path / "replicas", replicas, microbatch or 0, *kinds)
    assert_trained_as(alone, process, tmp_path / "replicas", kinds)


@pytest.mark.slow
def test_two_workers_train_as_one_device_does(records, alone, tmp_path):
    """Two processes, each with its half of the batch, which they go through in chunks."""
    cluster = {"worker": [f"localhost:{free_port()}" for _ in range(2)]}
    configurations = [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]
    processes = [
        start(
            *(records, tmp_path / f"worker{index}", "workers", 2, *FEW),
            TF_CONFIG=configuration,
        )
        for index, configuration in enumerate(configurations)
    ]
    for index, process in enumerate(processes):
        assert_trained_as(alone, process, tmp_path / f"worker{index}", FEW)


def test_draws_depend_on_seed_step_and_view_alone(records):
    objective, _ = training_runs.parts("contrastive", records)
    one, again, other = (objective.draw(1, step, 8, 6) for step in (2, 2, 3))
    assert one.keys() == {"anchors", "positives"}
    for view, draws in one.items():
        assert draws.keys() == {"depth", "partners", "gains"}
        for name, values in draws.items():
            np.testing.assert_array_equal(values, again[view][name])
            assert not np.array_equal(values, other[view][name])
            assert (view == "anchors") == np.array_equal(values, one["anchors"][name])
        assert draws["depth"].shape == (8, 6)
        assert 0 <= draws["depth"].min() < draws["depth"].max() < 1


def test_hard_negatives_have_draws_of_their_own_and_change_no_others(records):
    objective, _ = training_runs.parts("hard_negatives", records)
    pairs, draws = (objective.draw(1, 2, 8, 6, negatives) for negatives in (0, 2))
    negatives = draws.pop("negatives")
    assert negatives["depth"].shape == (8, 2, 6)
    seen = [negatives, *({n: v[:, None] for n, v in of.items()} for of in pairs.values())]
    for name in ("depth", "partners", "gains"):
        columns = np.concatenate([of_view[name] for of_view in seen], axis=1)
        assert len({column.tobytes() for column in np.moveaxis(columns, 1, 0)}) == 4
        for view, of_view in draws.items():
            np.testing.assert_array_equal(of_view[name], pairs[view][name])


def test_hard_negatives_join_the_loss_mixed_as_they_were_drawn(records):
    """The loss of a model that is a matrix, whose examples are mixed here, one by one."""
    objective, dataset = training_runs.parts("hard_negatives", records)
    dataset = dataset.replace(hard_negatives=2)
    batch, draws = dataset.read(3, 0), objective.draw(3, 0, 8, 1, 2)
    matrix = np.random.default_rng(0).normal(size=(96, 8)).astype(np.float32)

    def project(snippets):
        return tf.reduce_mean(snippets[..., 0], axis=2) @ matrix

    def model(inputs, training):
        return project(inputs[0])

    outputs = objective.outputs(model, batch, draws, batch)
    loss, _ = objective.loss(outputs, batch, draws, batch)

    def projection(example, view, *slot):
        gain, partner = (draws[view][name][(example, *slot)] for name in ("gains", "partners"))
        ours, theirs = (batch[view][(row, *slot)].astype(np.float32) for row in (example, partner))
        return project(standardize((gain * ours + (1 - gain) * theirs)[None]))[0]

    anchors, positives = (
        np.stack([projection(example, view) for example in range(8)]) for view in objective.views
    )
    negatives = np.array(
        [[projection(example, "negatives", slot) for slot in (0, 1)] for example in range(8)]
    )
    losses, _ = nt_xent(anchors, positives, objective.temperature, negatives)
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
    assert abs(loss - np.mean(nt_xent(anchors, positives, objective.temperature)[0])) > 1e-3
