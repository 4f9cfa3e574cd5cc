"""The moving average of weights, against a plain loop."""

import numpy as np
import tensorflow as tf

from mar.optim.average import WeightAverage


def test_the_average_follows_as_its_formula_says():
    weights = tf.Variable([1.0, -2.0])
    average = WeightAverage(0.6, [weights])
    expected = weights.numpy()
    for step in range(20):
        weights.assign(np.random.default_rng(step).normal(size=2))
        average.update(tf.constant(step, tf.int64))
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights.numpy()
        np.testing.assert_allclose(average.averages[0], expected, rtol=1e-5)


def test_the_average_takes_the_place_of_the_weights_for_a_while():
    weights = tf.Variable([1.0, -2.0])
    average = WeightAverage(0.9, [weights])
    weights.assign([5.0, 7.0])
    try:
        with average.in_place():
            np.testing.assert_array_equal(weights, [1, -2])
            raise KeyError
    except KeyError:
        np.testing.assert_array_equal(weights, [5, 7])
        np.testing.assert_array_equal(average.averages[0], [1, -2])
