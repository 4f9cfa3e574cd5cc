"""Why convolutions call TensorFlow directly: SF-NFNet-F0 with `tf.nn.conv2d` and `ops.conv`.

    python benchmarks/convolution.py [--batch 8] [--repeats 5] [--width 1]

Prints the median seconds of a forward pass and of a training step (forward, backward) each way,
measured in turns, and their ratio.
"""

import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from keras import ops

from mar.models import layers
from mar.models.sfnfnet import SfNfNetF0

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch", 8, "Snippets per step.")
flags.DEFINE_integer("repeats", 5, "Timed repetitions.")
flags.DEFINE_float("width", 1.0, "Factor on the network's channels.")


def through_keras(x, kernel, strides):
    return ops.conv(x, kernel, strides, "same", data_format="channels_last")


def compiled(convolve):
    """A forward pass and a training step with `convolve` in every convolution."""
    layers.convolve, direct = convolve, layers.convolve
    model = SfNfNetF0(width=FLAGS.width).build(300)
    x = tf.random.normal((FLAGS.batch, 96, 300, 1))

    @tf.function
    def forward():
        return model(x)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True)))
        return tape.gradient(loss, model.trainable_variables)

    forward(), step()
    layers.convolve = direct
    return {"forward": forward, "training step": step}


def main(_):
    ways = {"tf.nn.conv2d": compiled(layers.convolve), "ops.conv": compiled(through_keras)}
    seconds = {(way, what): [] for way in ways for what in ("forward", "training step")}
    for _ in range(FLAGS.repeats):
        for way, what in seconds:
            start = time.perf_counter()
            ways[way][what]()
            seconds[way, what].append(time.perf_counter() - start)
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, batch {FLAGS.batch}")
    for what in ("forward", "training step"):
        direct, keras_ = (np.median(seconds[way, what]) for way in ways)
        print(
            f"{what}: tf.nn.conv2d {direct:.2f} s, ops.conv {keras_:.2f} s, × {keras_ / direct:.2f}"
        )


if __name__ == "__main__":
    app.run(main)
