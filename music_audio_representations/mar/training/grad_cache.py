"""Gradients of large batches in little memory.

The batch is gone through in chunks of its rows. Nothing in the network joins examples, and what is
random in it comes with the rows, so that the result is the gradient of the whole batch.
"""

import tensorflow as tf


def whole_gradients(forward, loss, rows, variables):
    """Gradients of a loss in one pass, which holds the activations of all rows.

    Args:
        forward: a function of rows to their outputs, float32 `(n, …)`.
        loss: a function of outputs and rows to a scalar, and a dictionary of scalars to be logged.
        rows: tensors `(n, …)`, nested in any way.
        variables: list of those to be differentiated by.

    Returns:
        the loss, its dictionary, and the list of gradients.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        value, measures = loss(forward(rows), rows)
    return value, measures, tape.gradient(value, variables, unconnected_gradients="zero")


def cached_gradients(forward, loss, rows, variables, microbatch):
    """As `whole_gradients`, with the activations of one chunk at a time (Gao et al., 2021).

    For a loss that compares examples with one another. A first pass computes all outputs and keeps
    nothing else; the gradient by the outputs then drives a backward pass chunk by chunk.

    Args:
        microbatch: rows in a chunk; divides n.
    """
    chunks = _chunks(rows, microbatch)
    outputs = tf.map_fn(forward, chunks, parallel_iterations=1, fn_output_signature=tf.float32)
    outputs = tf.reshape(outputs, (-1, *outputs.shape[2:]))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(outputs)
        value, measures = loss(outputs, rows)
    directions = _chunks(tape.gradient(value, outputs), microbatch)

    def gradients(chunk):
        rows, direction = chunk
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            along = tf.reduce_sum(forward(rows) * direction)
        return tape.gradient(along, variables, unconnected_gradients="zero")

    return value, measures, _summed(gradients, (chunks, directions), _zeros(variables))


def accumulated_gradients(forward, loss, rows, variables, microbatch):
    """As `cached_gradients`, in one pass, for a loss that is a mean over rows.

    Nothing but the loss itself is logged: the dictionary is empty.
    """
    chunks = _chunks(rows, microbatch)

    def gradients(chunk):
        value, _, found = whole_gradients(forward, loss, chunk, variables)
        return [value, *found]

    sums = _summed(gradients, chunks, [tf.zeros(()), *_zeros(variables)])
    count = tf.cast(_length(chunks), tf.float32)
    value, *found = [total / count for total in sums]
    return value, {}, found


def _chunks(rows, size):
    """`(n, …)` to `(n / size, size, …)`, in each tensor."""
    return tf.nest.map_structure(lambda t: tf.reshape(t, (-1, size, *t.shape[1:])), rows)


def _summed(function, chunks, zeros):
    """The sums over all chunks of what a function of one returns: a list like `zeros`."""

    def add(index, sums):
        found = function(tf.nest.map_structure(lambda tensor: tensor[index], chunks))
        return index + 1, [total + part for total, part in zip(sums, found, strict=True)]

    count = _length(chunks)
    _, sums = tf.while_loop(lambda index, _: index < count, add, (0, zeros), parallel_iterations=1)
    return sums


def _zeros(variables):
    return [tf.zeros(variable.shape, variable.dtype) for variable in variables]


def _length(chunks):
    return tf.shape(tf.nest.flatten(chunks)[0])[0]
