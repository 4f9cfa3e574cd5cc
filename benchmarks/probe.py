"""Training probes on the CPU, on random features as large as the task's.

    python -m benchmarks.probe [--rounds 3]

MTT's probe of Table 2 (25,860 × 1728, batches of 256, 512 hidden units, 50 labels) and NSynth_P's
linear one (1728 to 112, batches of 64), 500 steps of each. The same by Keras's `Model.fit`, as it
is and with 100 steps an execution; by PyTorch; MTT's by scikit-learn's `MLPClassifier`. The limit
are the products of matrices that a step has; of the linear one, also the operations that no step
can be without, and nothing else.
"""

import contextlib
import pathlib
import time
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import contest, environments, limits
from mar.probing.mlp import MLP
from mar.probing.probe import Examples, train

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 3, "Turns of each.")

CONFIGS = pathlib.Path(__file__).parents[1] / "configs" / "probe"
DIMENSIONS, STEPS = 1728, 500
HIDDEN = {50: 512, 112: 0}  # units, by the number of labels
MULTIPLICATIONS = {
    "MTT": 256 * (2 * DIMENSIONS * 512 + 3 * 512 * 50),
    "NSynth_P": 64 * 2 * DIMENSIONS * 112,
}


def probe(name: str) -> MLP:
    """The shipped configuration, of more steps than are taken."""
    path = "MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"
    return MLP.load(
        CONFIGS / f"{name}.yaml", [f"{path}.schedule.ScoochCosineDecay.decay_steps=999000"]
    )


def examples(items: int, labels: int, one_hot: bool) -> Examples:
    """Random features and labels: one for each item, or some."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((items, DIMENSIONS), dtype=np.float32)
    if one_hot:
        targets = np.eye(labels, dtype=np.uint8)[generator.integers(labels, size=items)]
    else:
        targets = (generator.random((items, labels)) < 0.05).astype(np.uint8)
    return Examples(features, targets)


def ours(mlp: MLP, known: Examples) -> contest.Cost:
    """Our training, from the first report of its progress on, before which it compiles."""
    marks = []

    def stop(done, loss):
        marks.append((done, time.perf_counter()))
        if done - marks[0][0] >= STEPS:
            raise StopIteration

    with contextlib.suppress(StopIteration):
        train(mlp, known, mlp.batch_size, progress=stop)
    (first, began), (last, ended) = marks[0], marks[-1]
    return contest.Cost((ended - began) * STEPS / (last - first))


def fit(mlp: MLP, known: Examples, steps_per_execution: int):
    """`Model.fit` over as many items."""
    model = mlp.build(DIMENSIONS, known.targets.shape[1])
    model.compile(
        keras.optimizers.Adam(), mlp.loss.build(), steps_per_execution=steps_per_execution
    )
    rows = np.arange(STEPS * mlp.batch_size) % len(known.features)
    features, targets = known.features[rows], known.targets[rows].astype(np.float32)
    return lambda: model.fit(features, targets, mlp.batch_size, verbose=0)


def scikit_learn(mlp: MLP, known: Examples):
    """`MLPClassifier` of the same width and batch, for as many steps, in whole epochs."""
    from sklearn.neural_network import MLPClassifier

    epochs = -(-STEPS * mlp.batch_size // len(known.features))
    steps = epochs * len(known.features) / mlp.batch_size

    def turn():
        classifier = MLPClassifier((512,), batch_size=mlp.batch_size, max_iter=epochs, tol=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it did not converge
            _, seconds = contest.timed(lambda: classifier.fit(known.features, known.targets))
        return contest.Cost(seconds * STEPS / steps)

    return turn


def bare(mlp: MLP, known: Examples):
    """What no step of a linear probe can be without: its rows, two products, Adam's update."""
    features = tf.constant(known.features)
    kernel = tf.Variable(tf.zeros((DIMENSIONS, known.targets.shape[1])))
    adam = mlp.optimizer.build([kernel])
    rows = np.random.default_rng(0).integers(len(known.features), size=(STEPS, mlp.batch_size))

    @tf.function
    def steps():
        coefficients = adam.coefficients(tf.range(STEPS, dtype=tf.int64))
        for index in tf.range(STEPS):
            batch = tf.gather(features, tf.constant(rows)[index])
            slopes = tf.matmul(batch, batch @ kernel, transpose_a=True)
            adam.apply([slopes], *(values[index] for values in coefficients))

    return steps


def pytorch(mlp: MLP, known: Examples):
    """A loop as anyone would write it, in an environment that has PyTorch: a program."""
    sizes = (*known.targets.shape, STEPS, mlp.batch_size, HIDDEN[known.targets.shape[1]])
    return contest.program(environments.mule_torch("probe", *sizes, DIMENSIONS))


def main(_):
    keras.utils.set_random_seed(0)
    for name, known in {
        "MTT": examples(25860, 50, one_hot=False),
        "NSynth_P": examples(64_000, 112, one_hot=True),
    }.items():
        mlp = probe(name)
        with pytorch(mlp, known) as others:
            measure(name, mlp, known, {"PyTorch": others})


def measure(name: str, mlp: MLP, known: Examples, others: dict) -> None:
    """A row."""
    operations = 2 * MULTIPLICATIONS[name] * STEPS  # no gradient of the input
    contestants = {
        "mar": lambda: ours(mlp, known),
        "Model.fit": fit(mlp, known, 1),
        "Model.fit, 100 steps an execution": fit(mlp, known, 100),
        **others,
        "matrix products": lambda: contest.Cost(operations / limits.products()),
    }
    if name == "MTT":
        contestants["scikit-learn"] = scikit_learn(mlp, known)
    else:
        contestants["its four operations alone"] = bare(mlp, known)
    contest.run(
        f"probe-{name}",
        f"{STEPS} steps of {name}'s probe",
        contestants,
        aims=dict.fromkeys({"Model.fit", "scikit-learn", "PyTorch"} & {*contestants}, 5.0),
        rounds=FLAGS.rounds,
        limit="matrix products",
        work=STEPS,
        unit="steps",
    )


if __name__ == "__main__":
    app.run(main)
