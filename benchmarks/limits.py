"""What a machine can do at most: products of matrices, and plain reads."""

import time

import numpy as np

_SIZE, _PRODUCTS = 2048, 4


def products(precision: str = "float32") -> float:
    """Floating-point operations a second of products of 2048 × 2048 matrices, on all cores."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal((_SIZE, _SIZE)), precision)
    began = time.perf_counter()
    for _ in range(_PRODUCTS):
        tf.matmul(matrix, matrix).numpy()
    return _PRODUCTS * 2 * _SIZE**3 / (time.perf_counter() - began)


def copies(byte_count: int) -> float:
    """Seconds in which so many bytes are copied from memory to memory."""
    source = np.ones(byte_count, np.uint8)
    began = time.perf_counter()
    source.copy()
    return time.perf_counter() - began
