"""A training step: what a replica does, and all of them at once."""

from collections.abc import Callable

import keras
import tensorflow as tf

from mar.optim.average import WeightAverage
from mar.optim.fused_adam import FusedAdam
from mar.training import distribution, grad_cache
from mar.training.objective import Objective


def train_step(
    model: keras.Model,
    optimizer: FusedAdam,
    objective: Objective,
    batch: dict[str, tf.Tensor],
    draws: dict[str, dict[str, tf.Tensor]],
    step: tf.Tensor,
    microbatch: int | None = None,
    average: WeightAverage | None = None,
) -> dict[str, tf.Tensor]:
    """Forward, backward, update: the same in each replica of any strategy.

    Gradients are those of the mean loss of the global batch.

    Args:
        model: as `mar.models.projectors.with_head` returns it.
        optimizer: of the model's trainable variables.
        objective: what is learnt.
        batch: `(n, …)` by name, this replica's part of what the data set yields.
        draws: `(N, …)`, for all of the batch, as `Objective.draw` returns them.
        step: int64 scalar, 0 for the first.
        microbatch: rows of a replica's batch whose activations are held at a time; None: all.
        average: of the model's weights, which follows them; None: there is none.

    Returns:
        float32 scalars by name, the same in every replica: `loss`, what the objective measures,
        `learning_rate` and `gradient_norm`.
    """
    draws, global_batch = distribution.shares(batch, draws)
    loss, measures, gradients = loss_gradients(
        model, objective, batch, draws, global_batch, microbatch
    )
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
    scalars = tf.stack([loss, *measures.values()])
    means = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.MEAN, scalars))
    rate, *powers = optimizer.coefficients(step)
    optimizer.apply(gradients, rate, *powers)
    if average is not None:
        average.update(step)
    return {
        **dict(zip(["loss", *measures], means, strict=True)),
        "learning_rate": rate,
        "gradient_norm": tf.linalg.global_norm(gradients),
    }


def loss_gradients(
    model: keras.Model,
    objective: Objective,
    batch: dict[str, tf.Tensor],
    draws: dict[str, dict[str, tf.Tensor]],
    global_batch: dict[str, tf.Tensor],
    microbatch: int | None = None,
) -> grad_cache.Gradients:
    """Loss, what else is measured, and gradients of a replica's rows of a batch.

    Args:
        draws: those rows of `train_step`'s; the other arguments are its own.
        global_batch: `(N, …)` by name, from which mixup takes partners.
    """

    def forward(rows: tuple[dict, dict]) -> tf.Tensor:
        return objective.outputs(model, *rows, global_batch)

    def loss(outputs: tf.Tensor, rows: tuple[dict, dict]) -> tuple[tf.Tensor, dict]:
        return objective.loss(outputs, *rows, global_batch)

    variables = [variable.value for variable in model.trainable_variables]
    rows = batch, draws
    return grad_cache.gradients(forward, loss, rows, variables, microbatch, objective.separable)


def compiled_step(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: FusedAdam,
    objective: Objective,
    microbatch: int | None = None,
    average: WeightAverage | None = None,
) -> Callable[[dict, dict, int, bool], dict[str, tf.Tensor]]:
    """`train_step` in all replicas at once: a function of batch, draws, step and a signal.

    The signal is whether this process is to stop; `signalled`, beside the measures, is the number
    of replicas that are, so that all processes stop after the same step.
    """

    def replica_step(batch, draws, step, signalled):
        measures = train_step(model, optimizer, objective, batch, draws, step, microbatch, average)
        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(signalled))
        return {**measures, "signalled": total}

    compiled = distribution.compiled(strategy, replica_step)

    def take_step(batch, draws, step, signalled):
        draws = tf.nest.map_structure(tf.constant, draws)
        return compiled(batch, draws, tf.constant(step, tf.int64), tf.constant(float(signalled)))

    return take_step
