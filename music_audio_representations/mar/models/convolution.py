"""Grouped convolutions, on every backend and processor."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def convolve(x: Any, kernel: Any, strides: Sequence[int]) -> Any:
    """Convolution with padding `same`, in as many groups as the kernel's depth implies.

    Args:
        x: `(batch, height, width, channels_in)`.
        kernel: `(height, width, channels_in / groups, channels_out)`.
        strides: along height and width.

    Returns:
        `(batch, height / stride, width / stride, channels_out)`, rounded up.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.conv(x, kernel, strides, "same", data_format="channels_last")
    # `ops.conv` sends grouped convolutions through a nested XLA function: three times slower on a
    # CPU (benchmarks/convolution.py).
    import tensorflow as tf

    groups = x.shape[-1] // kernel.shape[2]
    if groups == 1 or _has_grouped_gradients(x.dtype):
        return tf.nn.conv2d(x, kernel, strides, "SAME")
    return _with_gradients_by_group(x, kernel, strides, groups)


@functools.cache
def _has_grouped_gradients(dtype: Any) -> bool:
    """Whether TensorFlow has gradients of grouped convolutions of a type here.

    On GPUs and in oneDNN it has. Its own kernels for CPUs have the forward pass alone; oneDNN is on
    by default only where the processor has AVX-512, and has bfloat16 only there.
    """
    import tensorflow as tf

    with tf.init_scope():  # at once, though a graph is being built
        try:
            tf.raw_ops.Conv2DBackpropFilter(
                input=tf.ones((1, 1, 1, 2), dtype),
                filter_sizes=(1, 1, 1, 2),
                out_backprop=tf.ones((1, 1, 1, 2), dtype),
                strides=[1, 1, 1, 1],
                padding="SAME",
            )
        except tf.errors.InvalidArgumentError:
            return False
    return True


def _with_gradients_by_group(x: Any, kernel: Any, strides: Sequence[int], groups: int) -> Any:
    """`tf.nn.conv2d`, whose gradients are those of each group, side by side."""
    import tensorflow as tf

    how = {"strides": [1, *strides, 1], "padding": "SAME"}

    @tf.custom_gradient
    def convolution(x: Any, kernel: Any) -> Any:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            of_groups = (tf.split(tensor, groups, -1) for tensor in (x, kernel, upstream))
            of_x, of_kernel = [], []
            for inputs, weights, outputs in zip(*of_groups, strict=True):
                gradient = {"out_backprop": outputs, **how}
                of_x.append(
                    tf.raw_ops.Conv2DBackpropInput(
                        input_sizes=tf.shape(inputs), filter=weights, **gradient
                    )
                )
                of_kernel.append(
                    tf.raw_ops.Conv2DBackpropFilter(
                        input=inputs, filter_sizes=tf.shape(weights), **gradient
                    )
                )
            return tf.concat(of_x, -1), tf.concat(of_kernel, -1)

        return tf.nn.conv2d(x, kernel, strides, "SAME"), gradients

    return convolution(x, kernel)
