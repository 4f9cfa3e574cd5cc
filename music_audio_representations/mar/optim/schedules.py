"""Learning rates that change from step to step (paper, sections 2.1 and 3)."""

import keras
from keras import ops

from mar.config import Configurable, Param
from mar.util.kinds import NonNegativeInt, PositiveInt


class Schedule(Configurable):
    """Base class: `build()` makes a Keras learning-rate schedule, `steps` is its length."""

    @property
    def steps(self) -> int:
        """Steps until the schedule is constant."""
        raise NotImplementedError

    def build(self) -> keras.optimizers.schedules.LearningRateSchedule:
        """A Keras learning-rate schedule."""
        raise NotImplementedError


class ScoochCosineDecay(Schedule):
    """Half a cosine, from `initial_learning_rate` down to `alpha` times that."""

    initial_learning_rate: float = Param(doc="Learning rate at step 0.")
    decay_steps: PositiveInt = Param(doc="Steps until the lowest learning rate, which then stays.")
    alpha: float = Param(default=0.0, doc="Lowest learning rate as a share of the initial one.")
    name: str | None = Param(default=None, doc="Name in graphs.")

    @property
    def steps(self) -> int:
        """Steps until the schedule is constant."""
        return self.decay_steps

    def build(self) -> keras.optimizers.schedules.CosineDecay:
        """The `keras.optimizers.schedules.CosineDecay`."""
        return keras.optimizers.schedules.CosineDecay(
            self.initial_learning_rate,
            self.decay_steps,
            alpha=self.alpha,
            name=self.name or "CosineDecay",
        )


class WarmupSchedule(Schedule):
    """A line from cold to warm, then another schedule, which begins at its own step 0."""

    cold_learning_rate: float = Param(default=0.0, doc="Learning rate at step 0.")
    warm_learning_rate: float = Param(doc="Learning rate that the line ends at.")
    warmup_steps: NonNegativeInt = Param(default=1000, doc="Length of the line.")
    initial_step: int = Param(default=0, doc="Added to every step.")
    schedule: Schedule = Param(doc="What follows the line.")

    @property
    def steps(self) -> int:
        """Steps until the schedule is constant."""
        return self.warmup_steps + self.schedule.steps - self.initial_step

    def build(self) -> keras.optimizers.schedules.LearningRateSchedule:
        """A Keras learning-rate schedule."""
        return _Warmup(self, self.schedule.build())


class _Warmup(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, settings, schedule):
        self._settings, self._schedule = settings, schedule

    def __call__(self, step):
        settings = self._settings
        step = ops.cast(step, "float32") + settings.initial_step
        rise = settings.warm_learning_rate - settings.cold_learning_rate
        line = settings.cold_learning_rate + rise * step / max(settings.warmup_steps, 1)
        after = ops.maximum(step - settings.warmup_steps, 0.0)
        return ops.where(step < settings.warmup_steps, line, self._schedule(after))
