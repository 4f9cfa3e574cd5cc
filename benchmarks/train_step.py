"""Training steps of SF-NFNet-F0: what a step takes, and the first one.

    python -m benchmarks.train_step [--batch 8] [--repeats 5]
    KERAS_BACKEND=jax XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 python -m benchmarks.train_step \
        --backend jax --batch 1024,2048,3840 [--microbatch 128] [--peak_tflops 989]

On TensorFlow, two ways to take the same step are measured in turns: this package's, and the same
network with Keras's own convolution, Adam and `Model.fit`; a row of the table for each objective.

On JAX, both objectives in bfloat16 on whatever accelerator JAX sees, for each batch (snippets; a
pair is two), whole and in chunks of `--microbatch` rows. Prints snippets/s and the share of the
peak (25.5 GFLOP a snippet), or that the batch does not fit; at the end, the largest that did. A
batch is a multiple of twice the microbatch; 3840 snippets are the paper's 1920 pairs.
"""

import time

import numpy as np
from absl import app, flags

from benchmarks import contest

FLAGS = flags.FLAGS
flags.DEFINE_enum("backend", "tensorflow", ["tensorflow", "jax"], "As KERAS_BACKEND has it.")
flags.DEFINE_list("batch", "8", "Snippets per step.")
flags.DEFINE_integer("repeats", 5, "Timed repetitions.")
flags.DEFINE_integer("microbatch", 128, "Rows in a chunk.")
flags.DEFINE_float("peak_tflops", None, "Of the chip, in bfloat16.")
flags.DEFINE_float("width", 1.0, "Factor on the channels; below 1 to try this script.")
LABELS = 500
GFLOP_PER_SNIPPET = 25.5


def median_seconds(function):
    seconds = []
    for _ in range(FLAGS.repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def parts(objective_class):
    """An objective with mixup and the model with its head."""
    from mar.models.projectors import with_head
    from mar.models.sfnfnet import SfNfNetF0

    objective = objective_class(mixup={"Mixup": {}})
    network = SfNfNetF0(width=FLAGS.width).build(300, explicit_draws=True)
    outputs = LABELS if objective.separable else objective.dimensions
    head = objective.projector.build(network.output.shape[1], outputs)
    model = with_head(network, head)
    return objective, model, model.inputs[1].shape[1]


def arrays(objective, rows, blocks):
    """A batch and its draws."""
    rng = np.random.default_rng(0)
    batch = {view: rng.random((rows, 300, 96)).astype(np.float16) for view in objective.views}
    if objective.separable:
        batch["labels"] = (rng.random((rows, LABELS)) < 0.02).astype(np.float32)
    return batch, objective.draw(0, 0, rows, blocks)


def on_tensorflow(snippets):
    """Both ways in turns, for each objective."""
    from mar.training.objectives import ContrastiveObjective, SupervisedObjective

    for name, objective_class in (
        ("supervised", SupervisedObjective),
        ("contrastive", ContrastiveObjective),
    ):
        contest.run(
            f"training-step-{name}-{snippets}",
            f"{name.capitalize()} training step of the network, {snippets} snippets",
            {
                "mar": mar_way(objective_class, snippets),
                "Keras's Model.fit": keras_way(objective_class, snippets),
            },
            aims={"Keras's Model.fit": 2.5},
            rounds=FLAGS.repeats,
            work=snippets,
            unit="snippets",
        )


def mar_way(objective_class, snippets):
    """The trainer's step, as it runs on one CPU."""
    import tensorflow as tf

    from mar.optim.adam import ScoochAdam
    from mar.training.step import train_step

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    objective, model, blocks = parts(objective_class)
    rows = snippets // len(objective.views)
    adam = ScoochAdam().build(variable.value for variable in model.trainable_variables)

    @tf.function(autograph=False)
    def step(batch, draws, number):
        return train_step(model, adam, objective, batch, draws, number)

    batch, draws = tf.nest.map_structure(tf.constant, arrays(objective, rows, blocks))
    number = tf.constant(0, tf.int64)
    return lambda: step(batch, draws, number)["loss"].numpy()


def keras_way(objective_class, snippets):
    """`Model.fit` on the same network with `keras.ops.conv` in every convolution.

    What pairs lose is of the whole batch: anchors, then positives.
    """
    import keras
    import tensorflow as tf
    from keras import ops

    from mar.audio.logmel import standardize
    from mar.models import layers
    from mar.models.sfnfnet import SfNfNetF0
    from mar.training.losses import nt_xent

    def convolve(x, kernel, strides):
        return ops.conv(x, kernel, strides, "same", data_format="channels_last")

    layers.convolve, direct = convolve, layers.convolve
    objective = objective_class()
    outputs, loss = LABELS, keras.losses.BinaryCrossentropy(from_logits=True)
    if not objective.separable:
        outputs = objective.dimensions

        def loss(_, embeddings):
            return nt_xent(*ops.split(embeddings, 2), objective.temperature)[0]

    network = SfNfNetF0(width=FLAGS.width).build(300)
    head = objective.projector.build(network.output.shape[1], outputs)
    model = keras.Model(network.inputs, head(network.output))
    model.compile(keras.optimizers.Adam(), loss, jit_compile=False)
    rng = np.random.default_rng(0)
    inputs = standardize(rng.random((snippets, 300, 96)).astype(np.float16))
    labels = (rng.random((snippets, outputs)) < 0.02).astype(np.float32)
    data = tf.data.Dataset.from_tensors((inputs, labels)).cache().repeat()

    def step():
        layers.convolve = convolve  # what is traced in the first step
        model.fit(data, steps_per_epoch=1, verbose=0)
        layers.convolve = direct

    layers.convolve = direct
    return step


def on_jax(snippets):
    """Prints snippets/s of both objectives.

    Returns:
        names of what fitted into memory.
    """
    import jax
    import keras

    from mar.training.objectives import ContrastiveObjective, SupervisedObjective

    keras.config.set_dtype_policy("mixed_bfloat16")
    fitting = []
    for objective_class in (ContrastiveObjective, SupervisedObjective):
        objective, model, blocks = parts(objective_class)
        rows = snippets // len(objective.views)
        batch, draws = jax.device_put(arrays(objective, rows, blocks))
        for microbatch in (None, FLAGS.microbatch):
            way = f"chunks of {microbatch} rows" if microbatch else "whole"
            way = f"{objective_class.__name__}, {way}"
            name = f"{way}, {snippets} snippets"
            try:
                seconds = jax_seconds(objective, model, batch, draws, microbatch)
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                print(f"{name}: does not fit", flush=True)
                continue
            fitting.append(way)
            rate = snippets / seconds
            share = ""
            if FLAGS.peak_tflops:
                share = f", {rate * GFLOP_PER_SNIPPET / FLAGS.peak_tflops / 1e3:.1%} of the peak"
            print(f"{name}: {seconds:.3f} s, {rate:,.0f} snippets/s{share}", flush=True)
    return fitting


def jax_seconds(objective, model, batch, draws, microbatch):
    """Median seconds of a step, compiled."""
    import jax
    import keras

    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    fixed = [variable.value for variable in model.non_trainable_variables]

    def bound(values):
        return lambda inputs, training: model.stateless_call(
            values, fixed, inputs, training=training
        )[0]

    def step(values, state, batch, draws):
        def outputs(values, rows):
            return objective.outputs(bound(values), *rows, batch)

        def loss(outputs, rows):
            return objective.loss(outputs, *rows, batch)[0]

        value, gradients = jax_gradients(
            outputs, loss, values, (batch, draws), microbatch, objective.separable
        )
        values, state = optimizer.stateless_apply(state, gradients, values)
        return values, state, value

    compiled = jax.jit(step, donate_argnums=(0, 1))
    state = [
        jax.numpy.copy(variable.value) for variable in optimizer.variables
    ]  # donated: not the model's own
    held = [jax.numpy.copy(variable.value) for variable in model.trainable_variables], state

    def run():
        nonlocal held
        *held, value = compiled(*held, batch, draws)
        float(value)

    run()
    return median_seconds(run)


def jax_gradients(outputs, loss, values, rows, microbatch, separable):
    """As `mar.training.grad_cache.gradients` has them."""
    import jax

    def of_rows(values, rows):
        return loss(outputs(values, rows), rows)

    if microbatch is None:
        return jax.value_and_grad(of_rows)(values, rows)
    chunks = jax.tree.map(lambda a: a.reshape(-1, microbatch, *a.shape[1:]), rows)
    count = len(jax.tree.leaves(chunks)[0])
    zeros = jax.tree.map(jax.numpy.zeros_like, values)
    if separable:

        def add(sums, chunk):
            found = jax.value_and_grad(of_rows)(values, chunk)
            return jax.tree.map(jax.numpy.add, sums, found), None

        sums, _ = jax.lax.scan(add, (jax.numpy.zeros(()), zeros), chunks)
        return jax.tree.map(lambda total: total / count, sums)
    cached = jax.lax.map(lambda chunk: outputs(values, chunk), chunks)
    flat = cached.reshape(-1, *cached.shape[2:])
    value, directions = jax.value_and_grad(loss)(flat, rows)

    def add_chunk(sums, chunk):
        rows, direction = chunk
        _, pull = jax.vjp(lambda values: outputs(values, rows), values)
        return jax.tree.map(jax.numpy.add, sums, pull(direction)[0]), None

    gradients, _ = jax.lax.scan(add_chunk, zeros, (chunks, directions.reshape(cached.shape)))
    return value, gradients


def main(_):
    import keras

    if keras.backend.backend() != FLAGS.backend:
        raise app.UsageError(f"--backend: expected KERAS_BACKEND={FLAGS.backend} beside it")
    batches = sorted(map(int, FLAGS.batch))
    if FLAGS.backend == "tensorflow":
        for rows in batches:
            on_tensorflow(rows)
        return
    for snippets in batches:
        if snippets < 1 or snippets % (2 * FLAGS.microbatch):
            raise app.UsageError(
                f"--batch: expected multiples of {2 * FLAGS.microbatch}, twice --microbatch, got "
                f"{snippets}"
            )
    import jax

    largest = {way: snippets for snippets in batches for way in on_jax(snippets)}
    print(f"JAX {jax.__version__} on {jax.devices()[0].device_kind}")
    for way, snippets in largest.items():
        print(f"{way}: the largest batch that fits, of {batches}, has {snippets} snippets")


if __name__ == "__main__":
    app.run(main)
