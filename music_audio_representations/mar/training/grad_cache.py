"""Gradients of large batches in little memory.

The batch is gone through in chunks of its rows. Nothing in the network joins examples, and what is
random in it comes with the rows, so that the result is the gradient of the whole batch.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Forward = Callable[[Any], tf.Tensor]
Loss = Callable[[tf.Tensor, Any], tuple[tf.Tensor, dict[str, tf.Tensor]]]
Gradients = tuple[tf.Tensor, dict[str, tf.Tensor], list[tf.Tensor]]


def gradients(
    forward: Forward,
    loss: Loss,
    rows: Any,
    variables: list[tf.Variable],
    microbatch: int | None = None,
    separable: bool = False,
) -> Gradients:
    """Gradients of the loss of a batch, with the activations of so many rows at a time.

    Args:
        forward: a function of rows to their outputs, float32 `(n, …)`.
        loss: a function of outputs and rows to a scalar, and a dictionary of scalars to be logged.
        rows: tensors `(n, …)`, nested in any way.
        variables: those to be differentiated by.
        microbatch: rows in a chunk, which divide n; None: all in one pass.
        separable: whether the loss is a mean over rows that do not see one another. Of chunks,
            nothing but the loss itself is logged then.

    Returns:
        the loss, its dictionary, and the gradients.
    """
    if microbatch is None:
        return _whole_gradients(forward, loss, rows, variables)
    if separable:
        return _accumulated_gradients(forward, loss, rows, variables, microbatch)
    return _cached_gradients(forward, loss, rows, variables, microbatch)


def _whole_gradients(forward, loss, rows, variables):
    """In one pass, which holds the activations of all rows."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        value, measures = loss(forward(rows), rows)
    return value, measures, tape.gradient(value, variables, unconnected_gradients="zero")


def _cached_gradients(forward, loss, rows, variables, microbatch):
    """For a loss that compares examples with one another (Gao et al., 2021).

    A first pass computes all outputs and keeps nothing else. By the chain rule the gradient is

        d loss / d weights = Σ over chunks of (d loss / d outputs) · (d outputs / d weights)

    whose first factor needs the outputs alone, and whose second is then computed chunk by chunk,
    as the gradient of the chunk's outputs along that fixed direction.
    """
    chunks = _chunks(rows, microbatch)
    outputs = tf.map_fn(forward, chunks, parallel_iterations=1, fn_output_signature=tf.float32)
    outputs = tf.reshape(outputs, (-1, *outputs.shape[2:]))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(outputs)
        value, measures = loss(outputs, rows)
    directions = _chunks(tape.gradient(value, outputs), microbatch)

    def along_direction(chunk):
        rows, direction = chunk
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            along = tf.reduce_sum(forward(rows) * direction)
        return tape.gradient(along, variables, unconnected_gradients="zero")

    return value, measures, _summed(along_direction, (chunks, directions), _zeros(variables))


def _accumulated_gradients(forward, loss, rows, variables, microbatch):
    """In one pass, for a loss that is a mean over rows; the dictionary is empty."""
    chunks = _chunks(rows, microbatch)

    def of_chunk(chunk):
        value, _, gradients_of_chunk = _whole_gradients(forward, loss, chunk, variables)
        return [value, *gradients_of_chunk]

    sums = _summed(of_chunk, chunks, [tf.zeros(()), *_zeros(variables)])
    count = tf.cast(_length(chunks), tf.float32)
    value, *means = [total / count for total in sums]
    return value, {}, means


def _chunks(rows, size):
    """`(n, …)` to `(n / size, size, …)`, in each tensor."""
    return tf.nest.map_structure(lambda t: tf.reshape(t, (-1, size, *t.shape[1:])), rows)


def _summed(function, chunks, zeros):
    """The sums over all chunks of what a function of one returns: a list like `zeros`."""

    def add(index, sums):
        parts = function(tf.nest.map_structure(lambda tensor: tensor[index], chunks))
        return index + 1, [total + part for total, part in zip(sums, parts, strict=True)]

    count = _length(chunks)
    _, sums = tf.while_loop(lambda index, _: index < count, add, (0, zeros), parallel_iterations=1)
    return sums


def _zeros(variables):
    return [tf.zeros(variable.shape, variable.dtype) for variable in variables]


def _length(chunks):
    return tf.shape(tf.nest.flatten(chunks)[0])[0]
