"""What a supervised training step of SF-NFNet-F0 takes in time and memory, on one device.

    python benchmarks/step_memory.py [--batch 16] [--microbatch 4] [--repeats 3] [--width 1]

Ways: as it is; with `Trainer.microbatch`; with `Trainer.recompute`; with both; compiled by XLA
(`jit_compile`). Each runs in a process of its own. Prints the median seconds of a step, the seconds
of the first, and by how much the first three steps raised the peak of the process's memory.
"""

import os
import resource
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch", 16, "Snippets per step.")
flags.DEFINE_integer("microbatch", 4, "Rows in a chunk.")
flags.DEFINE_integer("repeats", 3, "Timed steps.")
flags.DEFINE_float("width", 1.0, "Factor on the channels; below 1 to try this script.")
flags.DEFINE_string("way", None, "The way to be measured in this process; by default all in turn.")
WAYS = ("as it is", "microbatch", "recompute", "microbatch recompute", "jit_compile")
LABELS = 500


def step_of(way):
    """A function that takes a step and returns its loss."""
    import tensorflow as tf

    from mar.models.layers import NFBlock
    from mar.models.projectors import with_head
    from mar.models.sfnfnet import SfNfNetF0
    from mar.optim.adam import ScoochAdam
    from mar.training.objectives import SupervisedObjective
    from mar.training.step import train_step

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    objective = SupervisedObjective(mixup={"Mixup": {}})
    network = SfNfNetF0(width=FLAGS.width).build(300, explicit_draws=True)
    for block in network.layers:
        if isinstance(block, NFBlock):
            block.recompute = "recompute" in way
    model = with_head(network, objective.projector.build(network.output.shape[1], LABELS))
    adam = ScoochAdam().build(variable.value for variable in model.trainable_variables)
    rng = np.random.default_rng(0)
    batch = {
        "snippets": rng.random((FLAGS.batch, 300, 96)).astype(np.float16),
        "labels": (rng.random((FLAGS.batch, LABELS)) < 0.02).astype(np.float32),
    }
    draws = objective.draw(0, 0, FLAGS.batch, model.inputs[1].shape[1])
    batch, draws = tf.nest.map_structure(tf.constant, (batch, draws))
    microbatch = FLAGS.microbatch if "microbatch" in way else None

    @tf.function(autograph=False, jit_compile=way == "jit_compile")
    def step(batch, draws, number):
        return train_step(model, adam, objective, batch, draws, number, microbatch)

    number = tf.constant(0, tf.int64)
    return lambda: float(step(batch, draws, number)["loss"])


def peak():
    """Of the memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(way):
    """Prints a line."""
    step = step_of(way)
    before, seconds = peak(), []
    for _ in range(1 + FLAGS.repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    first, *others = seconds
    print(
        f"{way}: {np.median(others):.2f} s a step, the first {first:.1f} s, "
        f"{peak() - before:.2f} GB more",
        flush=True,
    )


def main(_):
    if FLAGS.way is not None:
        measure(FLAGS.way)
        return
    print(f"batch {FLAGS.batch}, microbatch {FLAGS.microbatch}, {os.cpu_count()} CPUs", flush=True)
    for way in WAYS:
        if subprocess.call([sys.executable, *sys.argv, "--way", way]):
            print(f"{way}: failed", flush=True)


if __name__ == "__main__":
    app.run(main)
