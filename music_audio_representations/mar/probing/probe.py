"""How probes are trained and applied (paper, section 3 and Table 2)."""

import concurrent.futures
import dataclasses
from collections.abc import Callable

import keras
import numpy as np
from sklearn.preprocessing import StandardScaler

from mar.errors import ConfigError
from mar.probing.dense import Layers
from mar.probing.mlp import MLP

STEPS_PER_CALL = 200
_CALL_BYTES = 256 << 20  # of examples handed to one call where they do not stay in memory


class DivergedError(ConfigError):
    """The loss became NaN or infinite."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """What a probe is trained on or applied to.

    Attributes:
        features: float32 `(rows, dimensions)`, in memory or memory-mapped: one row per item or per
            window.
        targets: `(items, labels)`.
        items: int `(rows,)`: which item each row belongs to; None where rows are items.
        resident: whether the features may be held in memory a second time, for the device.
    """

    features: np.ndarray
    targets: np.ndarray
    items: np.ndarray | None = None
    resident: bool = True


def train(
    mlp: MLP,
    examples: Examples,
    batch_size: int,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> keras.Model:
    """Trains a probe.

    Batches follow one another through endlessly repeated random orders of the rows; a batch larger
    than the data has rows repeatedly.

    Args:
        mlp: the `MLP`.
        examples: the training `Examples`.
        batch_size: rows in a batch.
        seed: of weights, order and dropout.
        progress: called with (steps done, mean loss since the last call, without the kernels'
            penalty), or None.

    Returns:
        The trained Keras model. Equal seeds give equal models on one machine.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    dimensions = examples.features.shape[1]
    normalization = _moments(examples.features) if mlp.standardize else None
    are_values = mlp.standardize and mlp.loss.activation is None
    target_moments = _moments(examples.targets) if are_values else None
    model = mlp.build(dimensions, examples.targets.shape[1], seed, normalization, target_moments)
    run_steps = _training_steps(mlp, model)
    per_call = STEPS_PER_CALL
    if not examples.resident:
        per_call = max(1, min(per_call, _CALL_BYTES // (4 * batch_size * dimensions)))
    generator = np.random.default_rng(seed)
    batches = _batches(len(examples.features), batch_size, mlp.steps, per_call, generator)
    done = 0
    for features, targets, rows, target_rows in _fed(examples, batches):
        loss = float(run_steps(features, targets, rows, target_rows))
        done += len(rows)
        if not np.isfinite(loss):
            raise DivergedError(
                f"MLP: expected a finite loss, got {loss} after {done} of {mlp.steps} steps; lower "
                f"the learning rate"
            )
        if progress is not None:
            progress(done, loss)
    return model


def logits(layers: Layers, examples: Examples, rows_per_call: int = 4096) -> np.ndarray:
    """What a probe says of each item, float64 `(items, labels)`, before its output activation.

    Where rows are windows, those of the mean of their predictions.
    """
    rows = np.concatenate([layers(piece) for piece in _pieces(examples.features, rows_per_call)])
    if examples.items is None:
        return rows
    sums = np.zeros((len(examples.targets), rows.shape[1]))
    np.add.at(sums, examples.items, layers.predictions(rows))
    counts = np.bincount(examples.items, minlength=len(sums))
    return layers.inverse(sums / counts[:, None])


def layers_of(mlp: MLP, model: keras.Model) -> Layers:
    """The arrays of a network that `mlp` built."""
    return Layers.of(model, mlp.activation, mlp.loss.activation or "linear")


def predict(
    mlp: MLP, model: keras.Model, examples: Examples, rows_per_call: int = 4096
) -> np.ndarray:
    """A probe's predictions, float32 `(items, labels)`: probabilities, or values.

    Where rows are windows, the mean of an item's windows.
    """
    layers = layers_of(mlp, model)
    return layers.predictions(logits(layers, examples, rows_per_call)).astype(np.float32)


def report(
    mlp: MLP, model: keras.Model, examples: Examples, rows_per_call: int = 1024
) -> dict[str, float]:
    """The loss and the configured metrics of a probe on some examples, `{name: value}`."""
    meters = {"loss": keras.metrics.Mean()}
    loss = mlp.loss.build()
    metrics = [metric.build_metric() for metric in mlp.metrics or []]
    for first in range(0, len(examples.features), rows_per_call):
        rows = np.arange(first, min(first + rows_per_call, len(examples.features)))
        targets = examples.targets[_items(examples, rows)].astype(np.float32)
        outputs = model(np.asarray(examples.features[rows], np.float32), training=False)
        meters["loss"].update_state(loss(targets, outputs), sample_weight=len(rows))
        for metric in metrics:
            metric.update_state(targets, outputs)
    meters |= {metric.name: metric for metric in metrics}
    return {name: float(meter.result()) for name, meter in meters.items()}


def _training_steps(mlp, model):
    """A compiled function that runs one step per row of `rows` and returns the mean loss."""
    import tensorflow as tf

    loss_of = mlp.loss.build()
    variables = [variable.value for variable in model.trainable_variables]
    kernels = {id(layer.kernel.value) for layer in model.layers if hasattr(layer, "kernel")}
    adam = mlp.optimizer.build(variables)
    done = tf.Variable(0, dtype=tf.int64)

    def gradients(features, targets):
        with tf.GradientTape() as tape:
            loss = loss_of(targets, model(features, training=True))
        slopes = tape.gradient(loss, variables)
        if mlp.l2_regularization:
            slopes = [
                gradient + 2 * mlp.l2_regularization * variable
                if id(variable) in kernels
                else gradient
                for gradient, variable in zip(slopes, variables, strict=True)
            ]
        return loss, slopes

    any_rows = tf.TensorSpec((None, None), tf.int32)
    matrix = tf.TensorSpec((None, None), tf.float32)

    # A loop in so many words: that TensorFlow rewrites Python's took longer than many a training.
    @tf.function(input_signature=[matrix, matrix, any_rows, any_rows], autograph=False)
    def run_steps(features, targets, rows, target_rows):
        count = tf.shape(rows)[0]
        steps = done + tf.range(tf.cast(count, tf.int64))
        coefficients = adam.coefficients(steps)

        def step(index, total):
            batch = tf.ensure_shape(tf.gather(features, rows[index]), (None, model.input_shape[1]))
            loss, slopes = gradients(batch, tf.gather(targets, target_rows[index]))
            adam.apply(slopes, *(values[index] for values in coefficients))
            return index + 1, total + loss

        _, total = tf.while_loop(lambda index, _: index < count, step, (0, 0.0))
        done.assign_add(tf.cast(count, tf.int64))
        return total / tf.cast(count, tf.float32)

    return run_steps


def _batches(rows, batch_size, steps, per_call, generator):
    """Yields int32 `(up to per_call, batch_size)` until there were `steps` batches."""
    left = np.zeros(0, np.int32)
    for first in range(0, steps, per_call):
        count = min(per_call, steps - first)
        missing = count * batch_size - len(left)
        in_order = np.tile(np.arange(rows), (-(-missing // rows), 1))
        # As `permutation` draws them one by one, which takes longer than the steps of few rows.
        orders = generator.permuted(in_order, axis=1).astype(np.int32)
        stream = np.concatenate([left, orders.ravel()])
        left = stream[count * batch_size :]
        yield stream[: count * batch_size].reshape(count, batch_size)


def _fed(examples, batches):
    """Yields the arguments of the compiled steps for each array of batches.

    Resident features stay on the device and are gathered there. Others are read while the steps
    before them run.
    """
    import tensorflow as tf

    targets = tf.constant(examples.targets, tf.float32)
    if examples.resident:
        features = tf.convert_to_tensor(examples.features)
        for rows in batches:
            yield features, targets, rows, _items(examples, rows)
        return

    def read(rows):
        order, inverse = np.unique(rows, return_inverse=True)
        places = inverse.reshape(rows.shape).astype(np.int32)
        return np.asarray(examples.features[order]), targets, places, _items(examples, rows)

    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(read, next(batches))
        for rows in batches:
            following = reader.submit(read, rows)
            yield waiting.result()
            waiting = following
        yield waiting.result()


def _items(examples, rows):
    """The items that rows belong to, int32."""
    return rows if examples.items is None else examples.items[rows].astype(np.int32)


def _moments(features, rows_per_piece=65536):
    """Mean and variance of every dimension, float32, in one pass over memory or file.

    The variance of a constant dimension is told as 1, so that it is not divided by: what is silent
    in training and 0.3 elsewhere is then 0.3, and not millions.
    """
    scaler = StandardScaler()
    for piece in _pieces(features, rows_per_piece):
        scaler.partial_fit(piece)
    return scaler.mean_.astype(np.float32), np.square(scaler.scale_).astype(np.float32)


def _pieces(features, rows):
    return (features[first : first + rows] for first in range(0, len(features), rows))
