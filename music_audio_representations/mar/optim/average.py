"""The exponential moving average of a model's weights (Polyak and Juditsky, 1992)."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf


class WeightAverage(tf.Module):
    """Follows variables, and takes their place while they are looked at.

    After step t (the first is 0) the average is `d · average + (1 - d) · variable`, where d is the
    smaller of `decay` and `(1 + t) / (10 + t)`: it soon forgets the initial weights, as that of
    `tf.train.ExponentialMovingAverage` does.

    Args:
        decay: the largest d.
        variables: `tf.Variable`s, whose present values the averages begin with; to be made under
            the scope of the strategy that has them.

    Attributes:
        averages: a variable for each.
    """

    def __init__(self, decay: float, variables: Sequence[tf.Variable]) -> None:
        super().__init__(name="average")
        self._decay = decay
        self._variables = list(variables)
        self.averages = [tf.Variable(v.read_value(), trainable=False) for v in self._variables]

    def update(self, step: tf.Tensor) -> None:
        """Follows the variables after a step, an int64 scalar: in a replica, that replica's."""
        count = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self._decay, (1.0 + count) / (10.0 + count))
        for average, variable in zip(self.averages, self._variables, strict=True):
            change = share * (average.read_value() - variable.read_value())
            tf.raw_ops.AssignSubVariableOp(resource=average.handle, value=change)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it, the variables have the averages' values."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self):
        for average, variable in zip(self.averages, self._variables, strict=True):
            value = variable.numpy()
            variable.assign(average.numpy())
            average.assign(value)
