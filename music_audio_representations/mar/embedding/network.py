"""A model as a function from plain log-mel snippets to embeddings, in batches."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from mar.audio.logmel import LogMel, standardize
from mar.embedding.batches import Tag, in_batches
from mar.errors import ConfigError
from mar.models.layers import NFBlock, undrawn
from mar.models.saving import fingerprint, front_end
from mar.util.backends import keep_compiled

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
        self._model, self._precision = model, precision
        self.dimensions = model.output_shape[-1]
        mels = model.inputs[0].shape[1]
        fitted = _fitted(model, frames, precision)
        snippets = keras.Input((frames, mels), dtype="float32")
        x = standardize(snippets) if standardized else ops.transpose(snippets, (0, 2, 1))[..., None]
        embedding = ops.cast(fitted(x), "float32")
        if softmax:
            embedding = ops.softmax(embedding)
        self._forward = compiled(keras.Model(snippets, embedding), batch_size)

    @property
    def log_mel(self) -> LogMel:
        """The front end that the model's weights expect."""
        return front_end(self._model)

    @property
    def provenance(self) -> dict[str, Any]:
        """The weights' fingerprint, and the precision."""
        return {"model": fingerprint(self._model), "precision": self._precision}

    def __call__(self, snippets: np.ndarray) -> np.ndarray:
        """`(n, frames, mels)` plain log-mel → float32 `(n, dimensions)`."""
        (embeddings,) = (values for _, values in self.stream([(None, snippets)]))
        return embeddings

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """Embeds groups of snippets `(k, frames, mels)`, see `in_batches`."""
        return in_batches(groups, self._forward, self.batch_size, self.dimensions)


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
        made = type(layer).from_config(config)
        if isinstance(made, NFBlock):
            made.wide = _is_tensorflow_on_cpu()
        return made

    with undrawn():
        copy = keras.models.clone_model(model, spectrogram, clone_function=copied)
    for variable, original in zip(copy.variables, model.variables, strict=True):
        variable.assign(original)
    return copy


def _is_tensorflow_on_cpu():
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


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
