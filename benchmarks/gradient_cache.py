"""A contrastive step in chunks: its time and memory beside the whole batch at once.

    python -m benchmarks.gradient_cache [--pairs 128] [--rounds 2]
    python -m benchmarks.gradient_cache --full

The network at an eighth of its width, so that the whole batch fits into memory. A process for each
turn, which takes the second step that it makes: the first one compiles. `--full` is one step, the
first one, of the paper's 1,920 pairs and its network, in chunks: from ten minutes to an hour.
"""

import functools

import numpy as np
from absl import app, flags

from benchmarks import contest

FLAGS = flags.FLAGS
flags.DEFINE_integer("pairs", 128, "Pairs in a batch.")
flags.DEFINE_integer("rounds", 2, "Turns of each.")
flags.DEFINE_bool("full", False, "The paper's batch and network, in chunks alone.")
WIDTH, CHUNKS = 0.125, (16, 64)
PAPER_PAIRS, PAPER_CHUNK = 1920, 16


def step_seconds(
    pairs: int, microbatch: int | None, width: float = WIDTH, compiled: bool = True
) -> float:
    """Of the trainer's step on random pairs: the second one, or else the first."""
    import tensorflow as tf

    from mar.models.projectors import with_head
    from mar.models.sfnfnet import SfNfNetF0
    from mar.optim.adam import ScoochAdam
    from mar.training.objectives import ContrastiveObjective
    from mar.training.step import train_step

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    objective = ContrastiveObjective(mixup={"Mixup": {}})
    network = SfNfNetF0(width=width).build(300, explicit_draws=True)
    head = objective.projector.build(network.output.shape[1], objective.dimensions)
    model = with_head(network, head)
    adam = ScoochAdam().build(variable.value for variable in model.trainable_variables)
    generator = np.random.default_rng(0)
    batch = {
        view: generator.random((pairs, 300, 96)).astype(np.float16) for view in objective.views
    }
    drawn = objective.draw(0, 0, pairs, model.inputs[1].shape[1])
    batch, draws = tf.nest.map_structure(tf.constant, (batch, drawn))

    @tf.function(autograph=False)
    def step(number):
        taken = train_step(model, adam, objective, batch, draws, number, microbatch=microbatch)
        return taken["loss"]

    if compiled:
        step(tf.constant(0, tf.int64)).numpy()
    _, seconds = contest.timed(lambda: step(tf.constant(1, tf.int64)).numpy())
    return seconds


def main(_):
    if FLAGS.full:
        step = functools.partial(step_seconds, PAPER_PAIRS, PAPER_CHUNK, 1.0, False)
        contest.run(
            "gradient-cache-full",
            f"Contrastive step of {PAPER_PAIRS:,} pairs, the paper's, in chunks of {PAPER_CHUNK}",
            {"mar": functools.partial(contest.child, step)},
            rounds=1,
            warm_up=False,
            work=PAPER_PAIRS,
            unit="pairs",
        )
        return
    contestants = {
        f"chunks of {chunk} pairs": functools.partial(
            contest.child, step_seconds, FLAGS.pairs, chunk
        )
        for chunk in CHUNKS
    }
    contestants["whole batch"] = functools.partial(contest.child, step_seconds, FLAGS.pairs, None)
    contest.run(
        "gradient-cache",
        f"Contrastive step of {FLAGS.pairs} pairs, an eighth of the network's width",
        contestants,
        aims={"whole batch": 1 / 1.4},
        rounds=FLAGS.rounds,
        warm_up=False,
        work=FLAGS.pairs,
        unit="pairs",
    )


if __name__ == "__main__":
    app.run(main)
