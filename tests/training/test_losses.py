"""NT-Xent and binary cross-entropy against plain loops; replicas against one device."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.processes import run_python
from mar.training.losses import (
    binary_crossentropy,
    huber,
    nt_xent,
    retrieval_measures,
    supervised_nt_xent,
)


def pairs(count=12, dimensions=5, seed=0):
    return np.random.default_rng(seed).normal(size=(2, count, dimensions)).astype(np.float32)


def double_loop(anchors, positives, temperature, negatives=None):
    """The paper's formula, example by example, in float64."""
    v = np.concatenate([anchors, positives]).astype(np.float64)
    rows = len(v)
    if negatives is not None:
        v = np.concatenate([v, *negatives])
    losses = []
    for i in range(rows):
        j = (i + len(anchors)) % rows
        scores = {}
        for k in range(len(v)):
            distance = v[i] @ v[k] / np.sqrt(v[i] @ v[i]) / np.sqrt(v[k] @ v[k])
            scores[k] = np.exp(distance / temperature)
        losses.append(-np.log(scores[j] / sum(s for k, s in scores.items() if k != i)))
    return np.array(losses)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("count", [1, 2, 12])
def test_nt_xent_is_the_papers_formula(temperature, count):
    anchors, positives = pairs(count)
    found = np.array(nt_xent(anchors, positives, temperature)[0])
    assert (found.shape, found.dtype) == ((2 * count,), np.float32)
    expected = double_loop(anchors, positives, temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("hard", [1, 3])
def test_hard_negatives_are_among_the_others_of_every_example(count, hard):
    anchors, positives = pairs(count)
    negatives = np.random.default_rng(1).normal(size=(count, hard, 5)).astype(np.float32)
    losses, similarities = nt_xent(anchors, positives, 0.2, negatives)
    expected = double_loop(anchors, positives, 0.2, negatives)
    assert losses.shape == (2 * count,)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-5)
    assert (losses > nt_xent(anchors, positives, 0.2)[0]).numpy().all()
    v = np.concatenate([anchors, positives, *negatives])
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    cosines = v[: 2 * count] @ v.T - 3 * np.eye(2 * count, len(v))
    nearest = cosines.argmax(axis=1) == (np.arange(2 * count) + count) % (2 * count)
    assert float(retrieval_measures(similarities)["accuracy"]) == pytest.approx(nearest.mean())


def test_gradients_are_those_of_the_formula():
    """Against central differences of the double loop, in float64."""
    views = pairs(4, 3)
    variable = tf.Variable(views)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(nt_xent(variable[0], variable[1], 0.5)[0])
    found = tape.gradient(loss, variable).numpy()
    expected = np.zeros(views.shape)
    for place in np.ndindex(*views.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = views.astype(np.float64)
            moved[place] += step
            ends.append(double_loop(*moved, 0.5).mean())
        expected[place] = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_half_precision_is_computed_in_float32():
    anchors, positives = pairs()
    low = [tf.cast(view, tf.bfloat16) for view in (anchors, positives)]
    found, _ = nt_xent(*low)
    assert found.dtype == tf.float32
    expected = double_loop(*(tf.cast(view, tf.float32).numpy() for view in low), 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_zero_and_equal_projections_have_finite_losses_and_gradients():
    for views in (np.zeros((2, 4, 3), np.float32), np.ones((2, 4, 3), np.float32)):
        variable = tf.Variable(views)
        with tf.GradientTape() as tape:
            losses, _ = nt_xent(variable[0], variable[1])
        np.testing.assert_allclose(losses, np.log(7), rtol=1e-5)  # a guess among seven
        assert np.isfinite(tape.gradient(losses, variable)).all()


@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_replicas_together_have_the_loss_and_gradients_of_one(replicas):
    script = """
import sys
import numpy as np, tensorflow as tf
from mar.training.losses import nt_xent, retrieval_measures
replicas = int(sys.argv[1])
devices = [tf.config.LogicalDeviceConfiguration()] * replicas
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(replicas)])
views = np.random.default_rng(0).normal(size=(2, 12, 5)).astype(np.float32)
negatives = np.random.default_rng(2).normal(size=(12, 2, 5)).astype(np.float32)
weights = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)

def gradients(kernel, anchors, positives, negatives=None):
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        hard = None if negatives is None else negatives @ kernel
        losses, similarities = nt_xent(anchors @ kernel, positives @ kernel, 0.2, hard)
        loss = tf.reduce_mean(losses)
    measures = list(retrieval_measures(similarities).values())
    return losses, tape.gradient(loss, kernel), tf.stack(measures)

@tf.function
def step(*examples):
    def of_replica():
        context = tf.distribute.get_replica_context()
        rows = slice(*(12 // replicas * (context.replica_id_in_sync_group + n) for n in (0, 1)))
        parts = [part[rows] for part in examples]
        losses, gradient, measures = gradients(tf.constant(weights), *parts)
        mean = tf.distribute.ReduceOp.MEAN
        return (context.all_gather(tf.reshape(losses, (2, -1)), 1),
                *context.all_reduce(mean, [gradient, measures]))
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[-1], strategy.run(of_replica))

for examples in (views, [*views, negatives]):
    found = step(*map(tf.constant, examples))
    losses, *expected = gradients(tf.constant(weights), *map(tf.constant, examples))
    np.testing.assert_allclose(tf.reshape(found[0], [-1]), losses, rtol=1e-5, atol=1e-5)
    for one, other in zip(found[1:], expected):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
print("equal")
"""
    process = run_python("-c", script, replicas)
    assert "equal" in process.stdout, process.stderr


def test_measures_are_what_loops_find():
    anchors, noise = pairs(6)
    positives = anchors + 0.9 * noise
    v = np.concatenate([anchors, positives]).astype(np.float64)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    similarities, partners = v @ v.T, (np.arange(12) + 6) % 12
    nearest = [max((s, k) for k, s in enumerate(row) if k != i) for i, row in enumerate(v @ v.T)]
    positive = [similarities[i, partners[i]] for i in range(12)]
    negative = [
        similarities[i, k] for i in range(12) for k in range(12) if k not in (i, partners[i])
    ]
    distances = [np.sum((v[i] - v[k]) ** 2) for i in range(12) for k in range(12) if k != i]
    expected = {
        "accuracy": np.mean([k == partners[i] for i, (_, k) in enumerate(nearest)]),
        "positive_similarity": np.mean(positive),
        "negative_similarity": np.mean(negative),
        "alignment": np.mean(np.sum((v[:6] - v[6:]) ** 2, axis=1)),
        "potential": np.mean(np.exp(-2 * np.array(distances))),
    }
    measures = retrieval_measures(nt_xent(anchors, positives)[1])
    found = {name: float(measure) for name, measure in measures.items()}
    assert found == pytest.approx(expected, rel=1e-5)
    assert 0 < expected["accuracy"] < 1


def test_binary_crossentropy_is_that_of_sigmoid_outputs():
    rng = np.random.default_rng(0)
    labels, logits = rng.random((4, 6)), 3 * rng.normal(size=(4, 6))
    outputs = 1 / (1 + np.exp(-logits))
    expected = -(labels * np.log(outputs) + (1 - labels) * np.log(1 - outputs)).mean(axis=1)
    np.testing.assert_allclose(binary_crossentropy(labels, logits), expected, rtol=1e-5)
    assert np.isfinite(binary_crossentropy([[1.0, 0.0]], [[-1e4, 1e4]])).all()


def test_the_module_needs_no_tensorflow():
    script = """
import sys
import numpy as np
from mar.training.losses import nt_xent, retrieval_measures
views = np.random.default_rng(0).normal(size=(2, 12, 5)).astype(np.float32)
losses, similarities = nt_xent(*views)
assert 0 <= retrieval_measures(similarities)["accuracy"] <= 1
assert "tensorflow" not in sys.modules
print(*np.array(losses))
"""
    process = run_python("-c", script, KERAS_BACKEND="jax")
    assert process.returncode == 0, process.stderr
    expected = np.array(nt_xent(*pairs())[0])
    np.testing.assert_allclose([float(w) for w in process.stdout.split()], expected, rtol=1e-5)
    assert keras.backend.backend() == "tensorflow"


def khosla_loop(anchors, positives, labels, temperature):
    """L_out of Khosla et al. (2020), example by example; weights are shares of common labels."""
    v = np.concatenate([anchors, positives]).astype(np.float64)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    owners = np.concatenate([labels, labels])
    losses = []
    for i in range(len(v)):
        others = [k for k in range(len(v)) if k != i]
        total = sum(np.exp(v[i] @ v[k] / temperature) for k in others)
        weights = {}
        for k in others:
            union = np.sum(owners[i] | owners[k])
            weights[k] = np.sum(owners[i] & owners[k]) / union if union else 0
        weights[(i + len(anchors)) % len(v)] = 1
        terms = [w * np.log(np.exp(v[i] @ v[k] / temperature) / total) for k, w in weights.items()]
        losses.append(-sum(terms) / sum(weights.values()))
    return np.array(losses)


@pytest.mark.parametrize("count", [1, 3])
def test_supervised_nt_xent_is_khoslas_formula(count):
    """With several labels each, some alike, some without any."""
    anchors, positives = pairs()
    labels = np.random.default_rng(1).random((12, count)) < 0.5
    of_views = np.stack([labels, labels], axis=1).astype(np.float32)
    losses, _ = supervised_nt_xent(anchors, positives, of_views, 0.2)
    expected = khosla_loop(anchors, positives, labels, 0.2)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-5)


def test_without_labels_supervised_nt_xent_is_nt_xent():
    anchors, positives = pairs()
    for labels in (np.zeros((12, 2, 4), np.float32), np.repeat(np.eye(12)[:, None], 2, 1)):
        ours, _ = supervised_nt_xent(anchors, positives, labels, 0.2)
        np.testing.assert_allclose(ours, nt_xent(anchors, positives, 0.2)[0], rtol=1e-5)


def test_hubers_loss_is_kerass():
    errors = np.linspace(-3, 3, 25).astype(np.float32)
    expected = [keras.losses.Huber()([[0.0]], [[error]]) for error in errors]
    np.testing.assert_allclose(huber(errors), expected, rtol=1e-6)
