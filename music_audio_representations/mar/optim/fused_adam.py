"""Adam in one TensorFlow operation per variable."""

from collections.abc import Iterable, Sequence

import tensorflow as tf

from mar.optim.adam import ScoochAdam


class FusedAdam(tf.Module):
    """Updates variables as `keras.optimizers.Adam` does, in one pass over each and its moments.

    In a replica of a strategy it updates that replica's copies: give each the same gradients.

    Args:
        settings: a `ScoochAdam`.
        variables: those that it updates.

    Attributes:
        moments: means of the gradients, of their squares and, with `amsgrad`, the largest of the
            latter: a list of variables each. A checkpoint has them by this name.
    """

    def __init__(self, settings: ScoochAdam, variables: Iterable[tf.Variable]) -> None:
        super().__init__(name="adam")
        schedule = settings.schedule
        self._rate = settings.learning_rate if schedule is None else schedule.build()
        self._settings = settings
        self._variables = list(variables)
        self.moments = [
            [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self._variables]
            for _ in range(2 + settings.amsgrad)
        ]

    def coefficients(self, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What a step depends on beside the gradients.

        Args:
            steps: int64, of any shape; the first is 0.

        Returns:
            learning rates and the powers of both decays, float32 of the same shape.
        """
        rate = self._rate(steps) if callable(self._rate) else tf.fill(tf.shape(steps), self._rate)
        exponents = tf.cast(steps + 1, tf.float32)
        powers = (
            tf.pow(beta, exponents) for beta in (self._settings.beta_1, self._settings.beta_2)
        )
        return (rate, *powers)

    def apply(
        self,
        gradients: Sequence[tf.Tensor],
        rate: tf.Tensor,
        mean_power: tf.Tensor,
        square_power: tf.Tensor,
    ) -> None:
        """Takes one step, with the `coefficients` of that step (scalars)."""
        update = tf.raw_ops.ResourceApplyAdam
        if self._settings.amsgrad:
            update = tf.raw_ops.ResourceApplyAdamWithAmsgrad
        for gradient, variable, *moments in zip(
            gradients, self._variables, *self.moments, strict=True
        ):
            handles = zip(("m", "v", "vhat"), (moment.handle for moment in moments), strict=False)
            update(
                var=variable.handle,
                beta1_power=mean_power,
                beta2_power=square_power,
                lr=rate,
                beta1=self._settings.beta_1,
                beta2=self._settings.beta_2,
                epsilon=self._settings.epsilon,
                grad=gradient,
                **dict(handles),
            )
