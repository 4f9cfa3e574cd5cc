"""Optimizers."""

import keras

from mar.config import Configurable, Param
from mar.optim.schedules import Schedule
from mar.util.kinds import NonNegativeFloat, PositiveFloat, Rate


class ScoochAdam(Configurable):
    """Adam (Kingma and Ba, 2015), as all of the paper's models and probes are trained with."""

    learning_rate: NonNegativeFloat = Param(
        default=0.001, doc="Constant rate, used without a schedule."
    )
    schedule: Schedule | None = Param(
        default=None, doc="Learning rate by step; overrules the constant."
    )
    beta_1: Rate = Param(default=0.9, doc="Decay of the mean of the gradients.")
    beta_2: Rate = Param(default=0.999, doc="Decay of the mean of their squares.")
    epsilon: PositiveFloat = Param(default=1e-7, doc="Added to the root of the squares' mean.")
    amsgrad: bool = Param(default=False, doc="Whether the squares' mean may only grow.")
    name: str = Param(default="Adam", doc="Name in graphs.")

    def rate(self):
        """The learning rate: a number, or a Keras schedule."""
        return self.learning_rate if self.schedule is None else self.schedule.build()

    def build(self):
        """The `keras.optimizers.Adam`."""
        return keras.optimizers.Adam(
            self.rate(),
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            amsgrad=self.amsgrad,
            name=self.name,
        )
