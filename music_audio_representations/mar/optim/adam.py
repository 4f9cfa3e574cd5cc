"""Adam as it is configured; `fused_adam` has what runs, and needs TensorFlow."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mar.config import Configurable, Param
from mar.optim.schedules import Schedule
from mar.util.kinds import NonNegativeFloat, PositiveFloat, Rate

if TYPE_CHECKING:
    import tensorflow as tf

    from mar.optim.fused_adam import FusedAdam


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

    @property
    def steps(self) -> int:
        """Steps until the learning rate is constant: the schedule's length, 0 without one."""
        return 0 if self.schedule is None else self.schedule.steps

    def build(self, variables: Iterable["tf.Variable"]) -> "FusedAdam":
        """Builds the optimizer of some variables, under the scope of the strategy that has them.

        Args:
            variables: `tf.Variable`s, in the order in which gradients come.
        """
        from mar.optim.fused_adam import FusedAdam

        return FusedAdam(self, variables)
