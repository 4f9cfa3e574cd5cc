"""Grouped convolutions have gradients with oneDNN and without: some processors leave it off."""

import os

import pytest

from helpers.processes import run_python

COMPARED = """
import numpy as np
import tensorflow as tf
from mar.models.convolution import _has_grouped_gradients, convolve

generator = np.random.default_rng(0)

def derived(convolution, x, kernel, weights):
    with tf.GradientTape() as tape:
        tape.watch((x, kernel))
        loss = tf.reduce_sum(weights * tf.sin(convolution(x, kernel)))
    return tape.gradient(loss, (x, kernel))

for groups, size, strides in ((3, (1, 3), (1, 2)), (2, (3, 1), (1, 1)), (1, (1, 1), (1, 1))):
    x = tf.constant(generator.standard_normal((4, 13, 17, 6)), tf.float32)
    kernel = tf.constant(generator.standard_normal((*size, 6 // groups, 12)), tf.float32)

    def by_group(x, kernel):
        pairs = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1))
        return tf.concat([tf.nn.conv2d(*pair, strides, "SAME") for pair in pairs], -1)

    def ours(x, kernel):
        return convolve(x, kernel, strides)

    np.testing.assert_allclose(ours(x, kernel), by_group(x, kernel), rtol=1e-4, atol=1e-5)
    weights = tf.constant(generator.standard_normal(ours(x, kernel).shape), tf.float32)
    expected = derived(by_group, x, kernel, weights)
    of_any_batch = tf.function(
        lambda x, weights: derived(ours, x, kernel, weights),
        [tf.TensorSpec((None, *x.shape[1:])), tf.TensorSpec((None, *weights.shape[1:]))],
    )
    compiled = of_any_batch(x, weights)
    for gradients in (derived(ours, x, kernel, weights), compiled):
        for gradient, reference in zip(gradients, expected):
            np.testing.assert_allclose(gradient, reference, rtol=1e-3, atol=1e-4)
    halves = (tf.cast(array, tf.bfloat16) for array in (x, kernel, weights))
    for gradient, reference in zip(derived(ours, *halves), expected):
        scale = np.abs(reference).max()
        np.testing.assert_allclose(tf.cast(gradient, tf.float32), reference, atol=0.1 * scale)
print("by TensorFlow" if _has_grouped_gradients(tf.float32) else "by group")
"""


@pytest.mark.parametrize(("onednn", "how"), [("0", "by group"), ("1", "by TensorFlow")])
def test_gradients_are_those_of_the_groups(onednn, how):
    is_other = onednn != os.environ["TF_ENABLE_ONEDNN_OPTS"]  # TensorFlow reads it once
    process = run_python("-c", COMPARED, fresh=is_other, TF_ENABLE_ONEDNN_OPTS=onednn)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split("\n")[-2] == how
