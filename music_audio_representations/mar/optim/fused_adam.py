"""Adam in one TensorFlow operation per variable."""

import tensorflow as tf


class FusedAdam(tf.Module):
    """Updates variables as `keras.optimizers.Adam` does, in one pass over each and its moments.

    In a replica of a strategy it updates that replica's copies: give each the same gradients.

    Args:
        settings: a `ScoochAdam`.
        variables: list of `tf.Variable`s.
    """

    def __init__(self, settings, variables):
        super().__init__(name="adam")
        self._settings, self._rate = settings, settings.rate()
        self._variables = list(variables)
        self.moments = [
            [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self._variables]
            for _ in range(2 + settings.amsgrad)
        ]

    def coefficients(self, steps):
        """Learning rates and the powers of both decays at int64 steps (the first is 0)."""
        rate = self._rate(steps) if callable(self._rate) else tf.fill(tf.shape(steps), self._rate)
        exponents = tf.cast(steps + 1, tf.float32)
        powers = (
            tf.pow(beta, exponents) for beta in (self._settings.beta_1, self._settings.beta_2)
        )
        return (rate, *powers)

    def apply(self, gradients, rate, mean_power, square_power):
        """Takes one step, with the coefficients of that step."""
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
