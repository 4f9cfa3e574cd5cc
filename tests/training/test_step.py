"""The step: replicas, chunks and one device agree; what is random comes with the examples."""

import pathlib

import numpy as np
import pytest

import runs
from shared import run_python

KINDS = ["supervised", "contrastive"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return runs.records(tmp_path_factory.mktemp("records") / "set")


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_have_the_gradients_of_the_whole_batch(records, kind):
    loss, measures, whole = runs.gradients(kind, records)
    chunked_loss, chunked_measures, chunked = runs.gradients(kind, records, microbatch=2)
    np.testing.assert_allclose(chunked_loss, loss, rtol=1e-5)
    assert measures.keys() == chunked_measures.keys()
    for name, value in measures.items():
        np.testing.assert_allclose(chunked_measures[name], value, rtol=1e-5, err_msg=name)
    squares = sum(np.sum((a - b) ** 2) for a, b in zip(whole, chunked, strict=True))
    total = sum(np.sum(np.square(a)) for a in whole)
    assert np.sqrt(squares / total) < 1e-5
    moving = [np.abs(gradient).max() > 0 for gradient in whole]
    assert np.mean(moving) > 0.9  # a standardised kernel of one weight stays


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("replicas", "microbatch"), [(2, 2), (4, None)])
def test_replicas_train_as_one_device_does(records, kind, replicas, microbatch):
    script = """
import sys
import tensorflow as tf
import runs
kind, records, replicas, microbatch = sys.argv[1:]
runs.logical_cpus(4)
one = runs.train(tf.distribute.OneDeviceStrategy("CPU:0"), kind, records)
devices = [f"CPU:{number}" for number in range(int(replicas))]
strategy = tf.distribute.MirroredStrategy(devices)
several = runs.train(strategy, kind, records, int(microbatch) or None)
runs.assert_equal_runs(one, several)
print("equal")
"""
    here = pathlib.Path(__file__).parent
    process = run_python("-c", script, kind, records, replicas, microbatch or 0, cwd=here)
    assert "equal" in process.stdout, process.stderr


def test_draws_depend_on_seed_step_and_view_alone(records):
    objective, _ = runs.parts("contrastive", records)
    one, again, other = (objective.draw(1, step, 8, 6) for step in (2, 2, 3))
    for name, values in one.items():
        np.testing.assert_array_equal(values, again[name])
        assert not np.array_equal(values, other[name])
        assert not np.array_equal(values[:, 0], values[:, 1])
    assert one["depth"].shape == (8, 2, 6)
    assert 0 <= one["depth"].min() < one["depth"].max() < 1
