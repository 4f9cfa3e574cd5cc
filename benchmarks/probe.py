"""Speed of training probes on the CPU, beside Keras's `Model.fit`.

    python benchmarks/probe.py [--seconds 20]

Measured in one run, on random features as large as the task's:

* MTT's probe of Table 2 (25,860 x 1728, batches of 256): milliseconds a step, and what share of
  this machine's rate of matrix products that is, counting the products of a step alone;
* NSynth_P's linear probe (1728 to 112, batches of 64): milliseconds a step, and minutes for its
  800,000 steps;
* the same by `Model.fit`: as it is, and with the best of several `steps_per_execution`.
"""

import contextlib
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from mar.probing.probe import MLP, Examples, train

FLAGS = flags.FLAGS
flags.DEFINE_float("seconds", 20.0, "About how long each measurement takes.")

CONFIGS = pathlib.Path(__file__).parents[1] / "configs" / "probe"
DIMENSIONS = 1728
STEPS_PER_EXECUTION = (1, 10, 100, 500)


def matrix_rate(seconds):
    """Floating-point operations a second of products of 2048 x 2048 matrices, the median."""
    matrix, marks = tf.random.normal((2048, 2048)), [time.perf_counter()]
    while marks[-1] - marks[0] < seconds:
        tf.matmul(matrix, matrix).numpy()
        marks.append(time.perf_counter())
    return 2 * 2048**3 / np.median(np.diff(marks))


def probe(name, steps):
    """The shipped configuration with this many steps."""
    path = "MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"
    decay = f"{path}.schedule.ScoochCosineDecay.decay_steps={max(1, steps - 1000)}"
    return MLP.load(CONFIGS / f"{name}.yaml", [decay])


def examples(items, labels, one_hot):
    generator = np.random.default_rng(0)
    features = generator.standard_normal((items, DIMENSIONS), dtype=np.float32)
    if one_hot:
        return Examples(
            features, np.eye(labels, dtype=np.uint8)[generator.integers(labels, size=items)]
        )
    return Examples(features, (generator.random((items, labels)) < 0.05).astype(np.uint8))


def our_step(name, known, seconds):
    """Median seconds a step, without the first call, which compiles."""
    marks = []

    def stop(done, loss):
        marks.append((done, time.perf_counter()))
        if marks[-1][1] - marks[0][1] > seconds and len(marks) > 3:
            raise StopIteration

    mlp = probe(name, 1_000_000)
    with contextlib.suppress(StopIteration):
        train(mlp, known, mlp.batch_size, progress=stop)
    steps, times = np.diff(np.array(marks), axis=0).T
    return np.median(times / steps)


def fit_step(name, known, seconds, steps_per_execution):
    """Median seconds a step of `Model.fit` on arrays."""
    mlp = probe(name, 1_000_000)
    model = mlp.build(DIMENSIONS, known.targets.shape[1])
    model.compile(mlp.optimizer.build(), mlp.loss.build(), steps_per_execution=steps_per_execution)
    rows = 1000 * mlp.batch_size
    features, targets = known.features[:rows], known.targets[:rows].astype(np.float32)
    model.fit(features, targets, mlp.batch_size, verbose=0)
    marks = [time.perf_counter()]
    while marks[-1] - marks[0] < seconds or len(marks) < 3:
        model.fit(features, targets, mlp.batch_size, verbose=0)
        marks.append(time.perf_counter())
    return np.median(np.diff(marks)) / (len(features) / mlp.batch_size)


def main(argv):
    del argv
    seconds = FLAGS.seconds
    keras.utils.set_random_seed(0)
    known = examples(25860, 50, one_hot=False)
    before = matrix_rate(seconds / 4)
    step = our_step("MTT", known, seconds)
    rate = (before + matrix_rate(seconds / 4)) / 2
    products = 256 * 2 * (2 * DIMENSIONS * 512 + 3 * 512 * 50)  # no gradient of the input
    print(f"matrix products: {rate / 1e9:.0f} GFLOP/s")
    print(
        f"MTT: {1e3 * step:.2f} ms a step, {products / step / 1e9:.0f} GFLOP/s, "
        f"{products / step / rate:.0%} of the matrix products' rate; 30,000 steps in "
        f"{30_000 * step / 60:.1f} min"
    )
    known = examples(64_000, 112, one_hot=True)
    step = our_step("NSynth_P", known, seconds)
    print(f"NSynth_P: {1e3 * step:.3f} ms a step; 800,000 steps in {800_000 * step / 60:.1f} min")
    fits = {count: fit_step("NSynth_P", known, seconds / 2, count) for count in STEPS_PER_EXECUTION}
    best = min(fits, key=fits.get)
    print(f"Model.fit as it is: {1e3 * fits[1]:.2f} ms a step, {fits[1] / step:.1f} x ours")
    print(
        f"Model.fit with steps_per_execution={best}: {1e3 * fits[best]:.2f} ms a step, "
        f"{fits[best] / step:.1f} x ours"
    )


if __name__ == "__main__":
    app.run(main)
