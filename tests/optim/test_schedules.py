import math

import numpy as np
import pytest
import tensorflow as tf

from helpers import published
from mar.errors import ConfigError
from mar.optim.adam import ScoochAdam
from mar.optim.schedules import ScoochCosineDecay, WarmupSchedule
from mar.util import yaml_file


def warmup(**changes):
    settings = {
        "cold_learning_rate": 1e-5,
        "warm_learning_rate": 1e-3,
        "warmup_steps": 10,
        "schedule": {"ScoochCosineDecay": {"initial_learning_rate": 1e-4, "decay_steps": 40}},
    }
    return WarmupSchedule(**{**settings, **changes})


def expected(step):
    """Straight from the definitions; the line and the cosine do not meet, as in MuMu's probes."""
    if step < 10:
        return 1e-5 + (1e-3 - 1e-5) * step / 10
    return 1e-4 * (1 + math.cos(math.pi * min(step - 10, 40) / 40)) / 2


def test_a_line_then_the_schedule_from_its_own_beginning():
    rate = warmup().build()
    steps = [0, 1, 5, 9, 10, 11, 30, 49, 50, 60]
    assert [float(rate(step)) for step in steps] == pytest.approx(
        [expected(step) for step in steps], abs=1e-9
    )
    assert warmup().steps == 50


def test_the_initial_step_shifts_all_steps():
    rate = warmup(initial_step=7).build()
    steps = [0, 2, 3, 20]
    found = [float(rate(step)) for step in steps]
    assert found == pytest.approx([expected(step + 7) for step in steps], abs=1e-9)
    assert warmup(initial_step=7).steps == 43


def test_a_cosine_ends_at_its_share():
    rate = ScoochCosineDecay(initial_learning_rate=2.0, decay_steps=10, alpha=0.25).build()
    assert [float(rate(step)) for step in (0, 5, 10, 99)] == pytest.approx([2, 1.25, 0.5, 0.5])


def test_the_schedule_overrules_the_constant_rate():
    schedule = {"ScoochCosineDecay": {"initial_learning_rate": 0.7, "decay_steps": 5}}
    for settings, expected in (({}, 0.3), ({"schedule": schedule}, 0.7)):
        adam = ScoochAdam(learning_rate=0.3, **settings).build([])
        rate, _, _ = adam.coefficients(tf.constant(0, tf.int64))
        assert float(rate) == pytest.approx(expected)


def test_lengths_that_cannot_be_meant_are_refused():
    with pytest.raises(ConfigError, match="decay_steps: expected at least 1, got 0"):
        ScoochCosineDecay(initial_learning_rate=1.0, decay_steps=0).build()
    with pytest.raises(ConfigError, match="warmup_steps: expected at least 0, got -1"):
        warmup(warmup_steps=-1).build()


def test_published_schedules_reach_their_rates_and_end_at_zero():
    paths = published.configurations("models/probes/*/*.yml")
    assert len(paths) in (4, 94)
    for path in paths:
        adam = ScoochAdam.from_config(yaml_file.read(path)["MLP"]["optimizer"])
        rate, schedule = adam.schedule.build(), adam.schedule
        assert float(rate(0)) == 0
        assert float(rate(schedule.warmup_steps)) == pytest.approx(
            schedule.schedule.initial_learning_rate
        )
        assert float(rate(schedule.steps)) == pytest.approx(0, abs=1e-9)
        rising = [float(rate(step)) for step in np.linspace(0, schedule.warmup_steps - 1, 5)]
        assert rising == sorted(rising)
