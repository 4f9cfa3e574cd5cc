"""One step of training, as every replica of a strategy takes it."""

import tensorflow as tf

from mar.training import grad_cache


class TrainingStep:
    """Forward, backward, update: the same on one device and on many.

    Every replica is given its own rows of the batch and the draws for all of it; gradients are
    those of the mean loss of the global batch.

    Args:
        objective: an `Objective`.
        model: as `mar.models.projectors.with_head` returns it.
        adam: a `FusedAdam` of the model's trainable variables.
        microbatch: rows of a replica's batch whose activations are held at a time; None: all.
    """

    def __init__(self, objective, model, adam, microbatch=None):
        self.objective, self.model, self.adam = objective, model, adam
        self.microbatch = microbatch
        self.variables = [variable.value for variable in model.trainable_variables]

    def __call__(self, batch, draws, step):
        """Takes a step.

        Args:
            batch: tensors `(n, …)`, this replica's part of what the data set yields.
            draws: tensors `(N, …)` as `Objective.draw` returns them.
            step: int64 scalar, 0 for the first.

        Returns:
            float32 scalars by name, the same in every replica: `loss`, what the objective measures,
            `learning_rate` and `gradient_norm`.
        """
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        loss, measures, gradients = self._gradients(*_shared(context, batch, draws))
        mean = tf.distribute.ReduceOp.MEAN
        if replicas > 1:
            gradients = context.all_reduce(mean, gradients)
        names = ["loss", *measures]
        means = context.all_reduce(mean, tf.stack([loss, *measures.values()]))
        coefficients = self.adam.coefficients(step)
        self.adam.apply(gradients, *coefficients)
        return {
            **dict(zip(names, tf.unstack(means), strict=True)),
            "learning_rate": coefficients[0],
            "gradient_norm": tf.linalg.global_norm(gradients),
        }

    def _gradients(self, batch, draws, whole):
        def forward(rows):
            return self.objective.outputs(self.model, rows, whole)

        def loss(outputs, rows):
            return self.objective.loss(outputs, rows, whole)

        arguments = forward, loss, (batch, draws), self.variables
        if self.microbatch is None:
            return grad_cache.whole_gradients(*arguments)
        if self.objective.separable:
            return grad_cache.accumulated_gradients(*arguments, self.microbatch)
        return grad_cache.cached_gradients(*arguments, self.microbatch)


def _shared(context, batch, draws):
    """A replica's batch, its rows of the draws, and the global batch where partners are taken."""
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return batch, draws, batch
    size = tf.shape(batch[0])[0]
    first = context.replica_id_in_sync_group * size
    rows = tf.nest.map_structure(lambda draw: draw[first : first + size], draws)
    whole = batch
    if "partners" in draws:
        # An input has no device yet, and the gathering of several workers asks for it.
        whole = tf.nest.map_structure(
            lambda part: context.all_gather(tf.identity(part), axis=0), batch
        )
    return batch, rows, whole
