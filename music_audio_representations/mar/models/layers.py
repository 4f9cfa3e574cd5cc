"""Building blocks of normaliser-free networks (Brock et al., 2021), in `keras.ops`.

Maps are NHWC: height is frequency, width is time.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mar.models.convolution import convolve

# Each activation times the factor that keeps a unit variance (Brock et al., 2021).
ACTIVATION_GAINS = {"gelu": 1.7015043497085571, "relu": 1.7139588594446636}
_VARIANCE_FLOOR = 1e-4
Shape = tuple[int | None, ...]
_drawn = contextvars.ContextVar("_drawn", default=True)


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Within it, layers are built with zeros as their weights, as others are read next.

    To draw 62 million takes a second, and JAX compiles the draw of every shape.
    """
    token = _drawn.set(False)
    try:
        yield
    finally:
        _drawn.reset(token)


def _initial(initializer: Any) -> Any:
    return initializer if _drawn.get() else np.zeros


def scaled_activation(x: Any, activation: str = "gelu", scale: float = 1.0) -> Any:
    """The exact (erf) GELU or the ReLU, scaled to preserve variance, times `scale`. Any shape."""
    factor = ACTIVATION_GAINS[activation] * scale  # one multiplication of the map, not two
    return (ops.gelu(x, approximate=False) if activation == "gelu" else ops.relu(x)) * factor


def global_average_pool(x: Any) -> Any:
    """`(batch, height, width, channels)` to `(batch, channels)`, averaged in float32."""
    return ops.mean(ops.cast(x, "float32"), axis=(1, 2))


def standardize_weights(kernel: Any, gain: Any) -> Any:
    """Scaled weight standardisation.

    Args:
        kernel: `(height, width, channels_in / groups, channels_out)`.
        gain: `(channels_out,)`.

    Returns:
        The effective kernel, in which each output channel has mean 0 and variance gain² / fan-in.
    """
    centred = kernel - ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
    squares = ops.sum(ops.square(centred), axis=(0, 1, 2), keepdims=True)  # variance × fan-in
    return centred * (gain * ops.rsqrt(ops.maximum(squares, _VARIANCE_FLOOR)))


@keras.saving.register_keras_serializable("mar")
class WSConv2D(keras.layers.Layer):
    """Convolution with scaled weight standardisation, padding `same`.

    The standardisation is computed in float32 whatever the compute type.

    Args:
        filters: number of output channels.
        kernel_size: (height, width).
        strides: (height, width).
        groups: number of channel groups; divides the input's channels and `filters`.

    Input `(batch, height, width, channels)`, output `(batch, ⌈height / stride⌉, ⌈width / stride⌉,
    filters)`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sequence[int],
        strides: Sequence[int] = (1, 1),
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if filters % groups:
            raise ValueError(
                f"`filters` must be a multiple of `groups`. Received: filters={filters}, "
                f"groups={groups}"
            )
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)
        self.groups = groups

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if channels is None or channels % self.groups:
            raise ValueError(
                f"The input's channels must be a multiple of `groups`. Received: "
                f"input_shape={input_shape}, groups={self.groups}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels // self.groups, self.filters),
            initializer=_initial(
                keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
            ),
            autocast=False,
        )
        self.gain = self.add_weight(
            name="gain", shape=(self.filters,), initializer=_initial("ones"), autocast=False
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.filters,), initializer=_initial("zeros")
        )

    def call(self, inputs: Any) -> Any:
        kernel = standardize_weights(*map(ops.convert_to_tensor, (self.kernel, self.gain)))
        outputs = convolve(inputs, ops.cast(kernel, self.compute_dtype), self.strides)
        return outputs + self.bias

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        sizes = zip(input_shape[1:3], self.strides, strict=True)
        strided = (size if size is None else -(-size // stride) for size, stride in sizes)
        return (input_shape[0], *strided, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "groups": self.groups,
        }


@keras.saving.register_keras_serializable("mar")
class SqueezeExcite(keras.layers.Layer):
    """Scales every channel by twice a gate in (0, 1) computed from the channels' means.

    The gates are computed in float32 whatever the compute type.

    Input and output `(batch, height, width, channels)`.
    """

    def build(self, input_shape: Shape) -> None:
        channels: Any = input_shape[-1]
        reduced = max(1, channels // 2)
        settings: dict[str, Any] = {
            "dtype": "float32",
            "kernel_initializer": _initial("glorot_uniform"),
            "bias_initializer": _initial("zeros"),
        }
        self.reduce = keras.layers.Dense(reduced, "relu", name="reduce", **settings)
        self.expand = keras.layers.Dense(channels, "sigmoid", name="expand", **settings)
        self.reduce.build((None, channels))
        self.expand.build((None, reduced))

    def call(self, inputs: Any) -> Any:
        gates = self.expand(self.reduce(global_average_pool(inputs)))
        return inputs * ops.cast(2.0 * gates, self.compute_dtype)[:, None, None, :]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@keras.saving.register_keras_serializable("mar")
class NFBlock(keras.layers.Layer):
    """Bottleneck block of a normaliser-free network.

    Args:
        channels: output channels.
        mid_channels: channels inside the bottleneck; a multiple of `groups`.
        groups: channel groups of the two spatial convolutions.
        beta: factor that brings the input back to unit variance.
        transition: whether this is the first block of its stage, whose skip path is a projection.
        frequency_stride: of a transition block.
        alpha: weight of the residual branch.
        drop_rate: probability that stochastic depth drops the residual of an example. A residual
            that is kept is not rescaled; at inference all are kept.
        activation: "gelu" or "relu", scaled.

    Call arguments:
        inputs: `(batch, height, width, channels_in)`.
        draws: `(batch,)` in [0, 1), or None. In training, the residual of example i is kept where
            `draws[i] >= drop_rate`; without draws, the layer makes its own.

    Output `(batch, ⌈height / frequency_stride⌉, width, channels)`.

    Attributes:
        recompute: whether what is within the block is computed again for the gradient instead of
            being held (Chen et al., 2016); on TensorFlow.
        wide: whether activations are computed in float32, whatever the compute type: a CPU is slow
            at the erf of bfloat16.
    """

    recompute = wide = False

    def __init__(
        self,
        channels: int,
        mid_channels: int,
        groups: int = 1,
        beta: float = 1.0,
        transition: bool = False,
        frequency_stride: int = 1,
        alpha: float = 0.2,
        drop_rate: float = 0.0,
        activation: str = "gelu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if frequency_stride > 1 and not transition:
            raise ValueError(
                "Only a transition block may have a `frequency_stride`. Received: "
                f"frequency_stride={frequency_stride}, transition={transition}"
            )
        self.channels = channels
        self.mid_channels = mid_channels
        self.groups = groups
        self.beta = beta
        self.transition = transition
        self.frequency_stride = frequency_stride
        self.alpha = alpha
        self.drop_rate = drop_rate
        self.activation = activation

        def conv(name: str, *args: Any, **kwargs: Any) -> WSConv2D:
            return WSConv2D(*args, **kwargs, dtype=self.dtype_policy, name=name)

        stride = (frequency_stride, 1)
        self.conv0 = conv("conv0", mid_channels, (1, 1))
        self.conv1 = conv("conv1", mid_channels, (1, 3), stride, groups)
        self.conv2 = conv("conv2", mid_channels, (3, 1), groups=groups)
        self.conv3 = conv("conv3", channels, (1, 1))
        self.shortcut: Any = conv("shortcut", channels, (1, 1)) if transition else None
        self.squeeze_excite = SqueezeExcite(dtype=self.dtype_policy, name="squeeze_excite")
        self.seed_generator = keras.random.SeedGenerator() if drop_rate else None

    def build(self, inputs_shape: Shape, draws_shape: Shape | None = None) -> None:
        shape = tuple(inputs_shape)
        if not self.transition and shape[-1] != self.channels:
            raise ValueError(
                f"Without a transition the input must have {self.channels} channels. Received: "
                f"inputs_shape={shape}"
            )
        if self.transition:
            self.shortcut.build(shape)
        for conv in (self.conv0, self.conv1, self.conv2, self.conv3):
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
        self.squeeze_excite.build(shape)
        self.skip_gain = self.add_weight(name="skip_gain", shape=(), initializer=_initial("zeros"))

    def call(self, inputs: Any, draws: Any = None, training: bool = False) -> Any:
        if self.recompute and training:
            import tensorflow as tf

            return tf.recompute_grad(functools.partial(self._output, training=True))(inputs, draws)
        return self._output(inputs, draws, training)

    def _output(self, inputs: Any, draws: Any, training: bool) -> Any:
        x = self._activate(inputs, self.beta)
        skip = self._project(x) if self.transition else inputs
        residual = self.conv0(x)
        residual = self.conv1(self._activate(residual))
        residual = self.conv2(self._activate(residual))
        residual = self.conv3(self._activate(residual))
        residual = self.squeeze_excite(residual)
        weight = self.skip_gain * self.alpha
        if training and self.drop_rate:
            weight = weight * self._keep(ops.shape(inputs)[0], draws)
        return skip + residual * weight

    def _activate(self, x: Any, scale: float = 1.0) -> Any:
        if not self.wide:
            return scaled_activation(x, self.activation, scale)
        activated = scaled_activation(ops.cast(x, "float32"), self.activation, scale)
        return ops.cast(activated, self.compute_dtype)

    def _project(self, x: Any) -> Any:
        if self.frequency_stride > 1:
            size = (self.frequency_stride, 1)
            x = ops.average_pool(x, size, size, "same", data_format="channels_last")
        return self.shortcut(x)

    def _keep(self, batch: Any, draws: Any) -> Any:
        if draws is None:
            draws = keras.random.uniform((batch,), seed=self.seed_generator)
        return ops.cast(draws >= self.drop_rate, self.compute_dtype)[:, None, None, None]

    def compute_output_shape(self, inputs_shape: Shape, draws_shape: Shape | None = None) -> Shape:
        batch, height, width, _ = inputs_shape
        height = None if height is None else -(-height // self.frequency_stride)
        return (batch, height, width, self.channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": self.channels,
            "mid_channels": self.mid_channels,
            "groups": self.groups,
            "beta": self.beta,
            "transition": self.transition,
            "frequency_stride": self.frequency_stride,
            "alpha": self.alpha,
            "drop_rate": self.drop_rate,
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable("mar")
class SpectrogramInput(keras.layers.Layer):
    """Passes standardised snippets on, and records the front end that the weights expect.

    Args:
        front_end: resolved configuration of a `mar.LogMel`.

    Input and output `(batch, mel bands, frames, 1)`.
    """

    def __init__(self, front_end: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.front_end = front_end

    def build(self, input_shape: Shape) -> None:
        mels = self.front_end["LogMel"]["n_mels"]
        if tuple(input_shape[1::2]) != (mels, 1):
            raise ValueError(
                f"The front end makes {mels} mel bands, so that the input must be (batch, {mels}, "
                f"frames, 1). Received: input_shape={tuple(input_shape)}"
            )

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "front_end": self.front_end}
