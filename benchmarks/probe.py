"""Training probes on the CPU, on random features as large as the task's.

    python -m benchmarks.probe [--rounds 3]

MTT's probe of Table 2 (25,860 × 1728, batches of 256, 512 hidden units, 50 labels) and NSynth_P's
linear one (1728 to 112, batches of 64), 500 steps of each. The same by Keras's `Model.fit`, as it
is and with 100 steps an execution; MTT's by scikit-learn's `MLPClassifier`. The limit are the
products of matrices that a step has.
"""

import contextlib
import pathlib
import time
import warnings

import keras
import numpy as np
from absl import app, flags

from benchmarks import contest, limits
from mar.probing.mlp import MLP
from mar.probing.probe import Examples, train

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 3, "Turns of each.")

CONFIGS = pathlib.Path(__file__).parents[1] / "configs" / "probe"
DIMENSIONS, STEPS = 1728, 500
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
    model.compile(mlp.optimizer.build(), mlp.loss.build(), steps_per_execution=steps_per_execution)
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


def main(_):
    keras.utils.set_random_seed(0)
    for name, known in {
        "MTT": examples(25860, 50, one_hot=False),
        "NSynth_P": examples(64_000, 112, one_hot=True),
    }.items():
        mlp = probe(name)
        operations = 2 * MULTIPLICATIONS[name] * STEPS  # no gradient of the input
        contestants = {
            "mar": lambda mlp=mlp, known=known: ours(mlp, known),
            "Model.fit": fit(mlp, known, 1),
            "Model.fit, 100 steps an execution": fit(mlp, known, 100),
            "matrix products": lambda operations=operations: contest.Cost(
                operations / limits.products()
            ),
        }
        if name == "MTT":
            contestants["scikit-learn"] = scikit_learn(mlp, known)
        contest.run(
            f"probe-{name}",
            f"{STEPS} steps of {name}'s probe",
            contestants,
            aims=dict.fromkeys({"Model.fit", "scikit-learn"} & {*contestants}, 5.0),
            rounds=FLAGS.rounds,
            limit="matrix products",
            work=STEPS,
            unit="steps",
        )


if __name__ == "__main__":
    app.run(main)
