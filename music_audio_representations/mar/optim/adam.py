"""Adam as it is configured; `fused_adam` has what runs, and needs TensorFlow."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mar.config import Configurable, Param
from mar.errors import ConfigError
from mar.optim.schedules import Schedule

if TYPE_CHECKING:
    import tensorflow as tf

    from mar.optim.fused_adam import FusedAdam


class ScoochAdam(Configurable):
    """Adam (Kingma and Ba, 2015), as all of the paper's models and probes are trained with."""

    learning_rate = Param(float, default=0.001, doc="Constant rate, used without a schedule.")
    schedule = Param(Schedule, default=None, doc="Learning rate by step; overrules the constant.")
    beta_1 = Param(float, default=0.9, doc="Decay of the mean of the gradients.")
    beta_2 = Param(float, default=0.999, doc="Decay of the mean of their squares.")
    epsilon = Param(float, default=1e-7, doc="Added to the root of the squares' mean.")
    amsgrad = Param(bool, default=False, doc="Whether the squares' mean may only grow.")
    name = Param(str, default="Adam", doc="Name in graphs.")

    def __init__(self, config=None, **parameters):
        super().__init__(config, **parameters)
        for name, holds, expected in (
            ("beta_1", 0 <= self.beta_1 < 1, "at least 0 and less than 1"),
            ("beta_2", 0 <= self.beta_2 < 1, "at least 0 and less than 1"),
            ("epsilon", self.epsilon > 0, "more than 0"),
        ):
            if not holds:
                given = getattr(self, name)
                raise ConfigError(f"ScoochAdam.{name}: expected {expected}, got {given}")

    def build(self, variables: Iterable["tf.Variable"]) -> "FusedAdam":
        """Builds the optimizer of some variables, under the scope of the strategy that has them.

        Args:
            variables: `tf.Variable`s, in the order in which gradients come.
        """
        from mar.optim.fused_adam import FusedAdam

        return FusedAdam(self, variables)
