"""A supervised step of SF-NFNet-F0 in less memory: in chunks, recomputed, and compiled by XLA.

    python -m benchmarks.step_memory [--batch 16] [--microbatch 4] [--rounds 1] [--width 1]

`Trainer.microbatch`, `Trainer.recompute`, both, and `jit_compile` beside the step as it is. A
process for each turn, which takes the second step that it makes: the first one compiles.
"""

import functools

import numpy as np
from absl import app, flags

from benchmarks import contest

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch", 16, "Snippets in a batch.")
flags.DEFINE_integer("microbatch", 4, "Rows in a chunk.")
flags.DEFINE_integer("rounds", 1, "Turns of each.")
flags.DEFINE_float("width", 1.0, "Factor on the channels; below 1 to try this script.")
LABELS = 500
JIT_WIDTH = 0.125  # XLA takes too long to compile the whole width for a CPU


def step_seconds(
    rows: int, width: float, microbatch: int | None, recompute: bool, jit_compile: bool
) -> float:
    """Of the trainer's step on random snippets."""
    import tensorflow as tf

    from mar.models.layers import NFBlock
    from mar.models.projectors import with_head
    from mar.models.sfnfnet import SfNfNetF0
    from mar.optim.adam import ScoochAdam
    from mar.training.objectives import SupervisedObjective
    from mar.training.step import train_step

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    objective = SupervisedObjective(mixup={"Mixup": {}})
    network = SfNfNetF0(width=width).build(300, explicit_draws=True)
    for block in network.layers:
        if isinstance(block, NFBlock):
            block.recompute = recompute
    model = with_head(network, objective.projector.build(network.output.shape[1], LABELS))
    adam = ScoochAdam().build(variable.value for variable in model.trainable_variables)
    generator = np.random.default_rng(0)
    batch = {
        "snippets": generator.random((rows, 300, 96)).astype(np.float16),
        "labels": (generator.random((rows, LABELS)) < 0.02).astype(np.float32),
    }
    drawn = objective.draw(0, 0, rows, model.inputs[1].shape[1])
    batch, draws = tf.nest.map_structure(tf.constant, (batch, drawn))

    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(batch, draws, number):
        return train_step(model, adam, objective, batch, draws, number, microbatch)["loss"]

    step(batch, draws, tf.constant(0, tf.int64)).numpy()
    _, seconds = contest.timed(lambda: step(batch, draws, tf.constant(1, tf.int64)).numpy())
    return seconds


def main(_):
    def contestants(ways: dict[str, tuple[int | None, bool, bool]], width: float):
        return {
            name: functools.partial(contest.child, step_seconds, FLAGS.batch, width, *way)
            for name, way in ways.items()
        }

    how = {"rounds": FLAGS.rounds, "warm_up": False, "work": FLAGS.batch, "unit": "snippets"}
    as_it_is = {"as it is": (None, False, False)}
    ways = {
        "recomputed": (None, True, False),
        f"chunks of {FLAGS.microbatch}": (FLAGS.microbatch, False, False),
        f"recomputed, chunks of {FLAGS.microbatch}": (FLAGS.microbatch, True, False),
    }
    contest.run(
        "step-memory",
        f"Supervised step of {FLAGS.batch} snippets, the network {FLAGS.width:g} times as wide",
        contestants(as_it_is | ways, FLAGS.width),
        **how,
    )
    contest.run(
        "jit-compile",
        f"The same, {JIT_WIDTH:g} times as wide, compiled by XLA",
        contestants(as_it_is | {"jit_compile": (None, False, True)}, JIT_WIDTH),
        **how,
    )


if __name__ == "__main__":
    app.run(main)
