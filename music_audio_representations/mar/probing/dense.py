"""A probe's network as arrays, computed with NumPy alone."""

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import keras

Activation = Literal[
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid", "softplus"
]


def expit(logits: np.ndarray) -> np.ndarray:
    """The logistic function, of any shape; small probabilities keep their digits."""
    small = np.exp(-np.abs(logits))
    return np.where(np.less(logits, 0), small, np.ones_like(small)) / (1 + small)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of `(items, labels)`, along the labels."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _erf(x):
    return np.frompyfunc(math.erf, 1, 1)(x).astype(x.dtype)


ACTIVATIONS: dict[str, Callable] = {  # Keras', by their names there
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x < 0, 0.2 * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "selu": lambda x: 1.05070098 * np.where(x < 0, 1.67326324 * np.expm1(np.minimum(x, 0)), x),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2, dtype=x.dtype))),
    "silu": lambda x: x * expit(x),
    "tanh": np.tanh,
    "sigmoid": expit,
    "softplus": lambda x: np.logaddexp(x, 0),
}


@dataclasses.dataclass(frozen=True)
class Layers:
    """The arrays of a probe's network.

    Attributes:
        mean, scale: float32 `(dimensions,)`: subtracted from an embedding, and what it is divided
            by then.
        kernels: float32 `(inputs, outputs)` of each dense layer.
        biases: float32 `(outputs,)`.
        activation: of the hidden layers.
        output: what turns logits into predictions: "sigmoid", "softmax" or "linear".
        target_mean, target_scale: float32 `(labels,)`, of what values are scaled back to.
    """

    mean: np.ndarray
    scale: np.ndarray
    kernels: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    activation: str
    output: str
    target_mean: np.ndarray
    target_scale: np.ndarray

    @classmethod
    def of(cls, network: "keras.Model", activation: str, output: str) -> "Layers":
        """Those of a network that `mar.probing.mlp.MLP.build` made.

        Args:
            network: the Keras model.
            activation: of its hidden layers.
            output: see above.
        """
        layers = {layer.name: layer for layer in network.layers}
        dense = [layer for layer in network.layers if hasattr(layer, "kernel")]
        inputs, outputs = dense[0].kernel.shape[0], dense[-1].kernel.shape[1]
        mean, scale = np.zeros(inputs, np.float32), np.ones(inputs, np.float32)
        if (normalization := layers.get("normalization")) is not None:
            mean = np.asarray(normalization.mean, np.float32).reshape(inputs)
            variance = np.asarray(normalization.variance, np.float32).reshape(inputs)
            scale = np.maximum(np.sqrt(variance), np.float32(1e-7))
        target_mean, target_scale = np.zeros(outputs, np.float32), np.ones(outputs, np.float32)
        if (rescaling := layers.get("rescaling")) is not None:
            target_mean = np.asarray(rescaling.offset, np.float32)
            target_scale = np.asarray(rescaling.scale, np.float32)
        kernels = tuple(np.asarray(layer.kernel, np.float32) for layer in dense)
        biases = tuple(np.asarray(layer.bias, np.float32) for layer in dense)
        return cls(mean, scale, kernels, biases, activation, output, target_mean, target_scale)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Logits, or values, float64 `(n, labels)` of embeddings `(n, dimensions)`."""
        x = np.asarray(vectors, np.float32) - self.mean
        x /= self.scale
        hidden = ACTIVATIONS[self.activation]
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            x = x @ kernel
            x += bias
            x = hidden(x)
        x = (x @ self.kernels[-1] + self.biases[-1]).astype(np.float64)
        return x * self.target_scale + self.target_mean

    def predictions(self, logits: np.ndarray) -> np.ndarray:
        """What logits `(n, labels)` say, of that shape: probabilities, or values."""
        return {"sigmoid": expit, "softmax": softmax, "linear": _same}[self.output](logits)

    def inverse(self, predictions: np.ndarray) -> np.ndarray:
        """Logits of predictions: those of a softmax, but for a constant."""
        if self.output == "linear":
            return predictions
        predictions = np.clip(predictions, 1e-12, 1 - 1e-12)
        return np.log(predictions) - (np.log1p(-predictions) if self.output == "sigmoid" else 0)


def _same(values):
    return values
