"""The fused Adam against that of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.optimizers import keras_adam
from mar.optim.adam import ScoochAdam

SCHEDULE = {
    "WarmupSchedule": {
        "warm_learning_rate": 0.1,
        "warmup_steps": 3,
        "schedule": {"ScoochCosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 20}},
    }
}


@pytest.mark.parametrize(
    "parameters",
    [
        {"learning_rate": 0.05},
        {"schedule": SCHEDULE, "beta_1": 0.8, "epsilon": 1e-3},
        {"schedule": SCHEDULE, "amsgrad": True},
    ],
)
def test_steps_are_those_of_keras(parameters):
    settings = ScoochAdam(**parameters)
    start = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    ours, theirs = [tf.Variable(start)], [keras.Variable(start)]
    fused, optimizer = settings.build(ours), keras_adam(settings)
    for step in range(10):
        gradient = tf.constant(np.random.default_rng(step).normal(size=(4, 3)), tf.float32)
        optimizer.apply([gradient * (step != 5)], theirs)
        fused.apply([gradient * (step != 5)], *fused.coefficients(tf.constant(step, tf.int64)))
        np.testing.assert_allclose(ours[0], theirs[0].value, rtol=1e-5, atol=1e-5)
    assert np.abs(ours[0].numpy() - start).max() > 0.1
