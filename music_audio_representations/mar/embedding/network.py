"""A model as a function from plain log-mel snippets to embeddings, in batches."""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import keras
import numpy as np
from keras import ops

from mar.audio.logmel import standardize
from mar.errors import ConfigError
from mar.models.layers import undrawn
from mar.util.backends import keep_compiled

Tag = TypeVar("Tag")
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


class Network:
    """Standardises snippets and embeds them, as one compiled function.

    Args:
        model: as `mar.load_model` or `SfNfNetF0.build` returns it, for whatever number of frames.
        frames: of a snippet.
        batch_size: snippets that are embedded at once.
        precision: "float32" or "bfloat16", of the computation; weights and results are float32.
        standardized: whether snippets are standardised (`mar.audio.logmel.standardize`).
        softmax: whether the softmax of the model's output is taken.

    Attributes:
        dimensions: of an embedding.
    """

    def __init__(
        self,
        model: keras.Model,
        frames: int,
        batch_size: int = 32,
        precision: str = "float32",
        standardized: bool = True,
        softmax: bool = False,
    ) -> None:
        if batch_size < 1 or precision not in _POLICIES:
            raise ConfigError(
                f"expected batch_size of at least 1 and precision of {' or '.join(_POLICIES)}, got "
                f"{batch_size} and {precision!r}"
            )
        self.batch_size = batch_size
        self.dimensions = model.output_shape[-1]
        mels = model.inputs[0].shape[1]
        fitted = _fitted(model, frames, precision)
        snippets = keras.Input((frames, mels), dtype="float32")
        x = standardize(snippets) if standardized else ops.transpose(snippets, (0, 2, 1))[..., None]
        embedding = ops.cast(fitted(x), "float32")
        if softmax:
            embedding = ops.softmax(embedding)
        self._forward = compiled(keras.Model(snippets, embedding), batch_size)

    def __call__(self, snippets: np.ndarray) -> np.ndarray:
        """`(n, frames, mels)` plain log-mel → float32 `(n, dimensions)`."""
        (embeddings,) = (values for _, values in self.stream([(None, snippets)]))
        return embeddings

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """Embeds groups of snippets `(k, frames, mels)`, see `in_batches`."""
        return in_batches(groups, self._forward, self.batch_size, self.dimensions)


def in_batches(
    groups: Iterable[tuple[Tag, np.ndarray]],
    forward: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
    dimensions: int,
) -> Iterator[tuple[Tag, np.ndarray]]:
    """Embeds groups of snippets, packed into full batches whatever the groups' sizes.

    With batches of 4, and groups a of 3 snippets and b of 2:

        a comes    3 snippets wait
        b comes    5 wait, the first 4 are embedded; a is whole and is yielded
        the end    the last snippet is embedded alone; b is whole too

    Args:
        groups: `(tag, snippets (k, …))`; k may be 0.
        forward: embeds at most `batch_size` snippets, `(n, …)` → `(n, dimensions)`.
        batch_size: snippets in a batch.
        dimensions: of an embedding.

    Yields:
        `(tag, embeddings (k, dimensions))` of every group, in order.
    """
    pending: collections.deque[tuple[Tag, int]] = collections.deque()
    waiting: list[np.ndarray] = []
    count = 0
    done = np.zeros((0, dimensions), np.float32)
    groups = iter(groups)
    while True:
        group = next(groups, None)
        if group is not None:
            tag, snippets = group
            pending.append((tag, len(snippets)))
            waiting.append(snippets)
            count += len(snippets)
        if count >= batch_size or (group is None and count):
            snippets = np.concatenate(waiting)
            ready = count if group is None else count - count % batch_size
            for first in range(0, ready, batch_size):
                batch = snippets[first : min(first + batch_size, ready)]
                done = np.concatenate([done, forward(batch)])
            waiting, count = [snippets[ready:]], count - ready
        while pending and pending[0][1] <= len(done):
            tag, size = pending.popleft()
            yield tag, done[:size]
            done = done[size:]
        if group is None:
            return


def _fitted(model, frames, precision):
    """The model with its weights, for `frames` frames and this precision."""
    if precision == "float32" and model.inputs[0].shape[2] in (None, frames):
        return model
    mels = model.inputs[0].shape[1]
    spectrogram = keras.Input((mels, frames, 1), name="spectrogram")
    if precision == "float32":  # the same layers, of another input
        return keras.models.clone_model(model, spectrogram, clone_function=lambda layer: layer)

    def copied(layer):
        config = layer.get_config()
        if isinstance(layer, keras.Layer) and layer.name != "pooled":  # means are taken in float32
            config["dtype"] = _POLICIES[precision]
        return type(layer).from_config(config)

    with undrawn():
        copy = keras.models.clone_model(model, spectrogram, clone_function=copied)
    for variable, original in zip(copy.variables, model.variables, strict=True):
        variable.assign(original)
    return copy


def compiled(model: keras.Model, batch_size: int) -> Callable[[np.ndarray], np.ndarray]:
    """The model as a function of at most `batch_size` NumPy rows."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        specification = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        function = tf.function(model, input_signature=[specification], autograph=False)
        return lambda rows: function(rows).numpy()
    if backend == "jax":
        import jax

        keep_compiled()
        function = jax.jit(lambda *arguments: model.stateless_call(*arguments)[0])
        kinds = (model.trainable_variables, model.non_trainable_variables)
        forward = functools.partial(function, *([v.value for v in kind] for kind in kinds))
    else:
        forward = model.predict_on_batch

    def padded(rows):
        # A compiler would start anew for every new shape.
        full = np.zeros((batch_size, *rows.shape[1:]), np.float32)
        full[: len(rows)] = rows
        return ops.convert_to_numpy(forward(full))[: len(rows)]

    return padded
