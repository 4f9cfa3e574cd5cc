"""Keras models as ONNX graphs: our own layers, and those that small networks are made of.

Maps of four axes are NCHW here and NHWC in Keras; all else has Keras' axes. Kernels are
standardised once, here, and every constant factor that stands before a convolution (of the scaled
activations, of a block's input) is multiplied into its kernel.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from mar.errors import InputError
from mar.models.layers import ACTIVATION_GAINS, NFBlock, SpectrogramInput, SqueezeExcite, WSConv2D
from mar.onnx.graph import Graph

_VARIANCE_FLOOR = 1e-4  # as `mar.models.layers.standardize_weights` has it
_TO_NCHW, _TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


class Tensor(NamedTuple):
    """A tensor of the graph.

    Attributes:
        name: in the graph.
        shape: as Keras has it, without the batch: `(height, width, channels)` of a map.
    """

    name: str
    shape: tuple[int, ...]


def converted(model: keras.Model, graph: Graph, snippets: Tensor) -> Tensor:
    """Adds the nodes of a functional Keras model to a graph, and returns its output.

    Args:
        model: of one input and one output, for snippets of this shape.
        graph: to which nodes are added.
        snippets: its input, `(batch, 1, mels, frames)` in the graph, shape `(mels, frames, 1)`.

    Raises:
        InputError: the model has a layer that there is no conversion of; it is named.
    """
    tensors: dict[int, Tensor] = {}

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = operation(*args, **kwargs)
        given = [_named(arg, tensors) for arg in args]
        convert = _CONVERSIONS.get(type(operation).__name__)
        if convert is None:
            raise InputError(
                f"the model {model.name!r} has the layer {operation.name!r} "
                f"({type(operation).__name__}), which cannot be exported; expected layers of "
                f"{', '.join(sorted(_CONVERSIONS))}"
            )
        tensors[id(outputs)] = Tensor(convert(graph, operation, given), outputs.shape[1:])
        kept.append(outputs)
        return outputs

    kept: list[Any] = []  # so that no two tensors have one id
    mels, frames, _ = snippets.shape
    spectrogram = keras.Input((mels, frames, 1))
    tensors[id(spectrogram)] = snippets
    copy = keras.models.clone_model(
        model, spectrogram, clone_function=lambda layer: layer, call_function=call
    )
    return tensors[id(copy.outputs[0])]


def _named(arg, tensors):
    """An argument of a layer with `Tensor`s in place of Keras', also in lists of them."""
    if isinstance(arg, (list, tuple)):
        return [_named(each, tensors) for each in arg]
    return tensors.get(id(arg), arg)


# ----------------------------------------------------------------------------------- convolutions


def _standardized(layer: WSConv2D, factor: float) -> np.ndarray:
    """The effective kernel times a factor, OIHW; computed in float64."""
    kernel, gain = (np.asarray(weight, np.float64) for weight in _arrays(layer.kernel, layer.gain))
    centred = kernel - kernel.mean(axis=(0, 1, 2))
    squares = np.square(centred).sum(axis=(0, 1, 2))
    effective = centred * (factor * gain / np.sqrt(np.maximum(squares, _VARIANCE_FLOOR)))
    return effective.transpose(3, 2, 0, 1)


def _arrays(*weights):
    return [keras.ops.convert_to_numpy(weight) for weight in weights]


def _same(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """ONNX's pads of padding `same`, as TensorFlow has it: what is odd goes to the end.

    96 bands with kernel 3 and stride 2 give 48, the last of which reaches to band 94 + 3 = 97: one
    band is added, at the end.
    """
    totals = [
        max((-(-size // stride) - 1) * stride + reach - size, 0)
        for size, reach, stride in zip(sizes, kernel, strides, strict=True)
    ]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def _convolved(graph, name, x, kernel, bias, strides=(1, 1), groups=1, pads=(0, 0, 0, 0), **more):
    constants = (
        graph.constant(kernel.astype(np.float32), f"{name}/kernel"),
        graph.constant(bias.astype(np.float32), f"{name}/bias"),
    )
    shape = {"kernel_shape": kernel.shape[2:], "strides": strides, "group": groups, **more}
    return graph("Conv", x, *constants, name=name, pads=pads, **shape)


def _ws_conv(graph, layer, x: str, sizes, name=None, factor=1.0) -> str:
    """A WSConv2D of `factor` times its input, a map of these sizes (height, width)."""
    pads = _same(sizes, layer.kernel_size, layer.strides)
    kernel, (bias,) = _standardized(layer, factor), _arrays(layer.bias)
    return _convolved(graph, name or layer.name, x, kernel, bias, layer.strides, layer.groups, pads)


def _ws_conv_layer(graph, layer, args):
    (x,) = args
    return _ws_conv(graph, layer, x.name, x.shape[:2])


def _dense_of_maps(graph, layer, x, name):
    """A dense layer of pooled maps `(batch, channels, 1, 1)`."""
    kernel, bias = _arrays(layer.kernel, layer.bias)
    return _convolved(graph, name, x, kernel.T[:, :, None, None], bias)


# ----------------------------------------------------------------------------------------- blocks


def _activation(graph, x: str, kind: str) -> str:
    """The exact GELU or the ReLU, unscaled."""
    if kind == "relu":
        return graph("Relu", x)
    # In this form, runtimes know it for a GELU.
    erf = graph("Erf", graph("Div", x, np.float32(np.sqrt(2))))
    product = graph("Mul", x, graph("Add", erf, np.float32(1)))
    return graph("Mul", product, np.float32(0.5))


def _nf_block(graph, block: NFBlock, args):
    """As `NFBlock.call` at inference, with the factors in the kernels."""
    x = args[0]
    height, width = x.shape[:2]
    strided = -(-height // block.frequency_stride)
    gain = ACTIVATION_GAINS[block.activation]

    def conv(layer, maps, sizes, factor):
        return _ws_conv(graph, layer, maps, sizes, f"{block.name}/{layer.name}", factor)

    def activated(maps):
        return _activation(graph, maps, block.activation)

    entered = activated(x.name)
    skip = x.name
    if block.transition:
        pooled = entered
        if block.frequency_stride > 1:
            size = (block.frequency_stride, 1)
            pads = _same((height, width), size, size)
            pooled = graph("AveragePool", entered, kernel_shape=size, strides=size, pads=pads)
        skip = conv(block.shortcut, pooled, (strided, width), gain * block.beta)
    residual = conv(block.conv0, entered, (height, width), gain * block.beta)
    residual = conv(block.conv1, activated(residual), (height, width), gain)
    residual = conv(block.conv2, activated(residual), (strided, width), gain)
    residual = conv(block.conv3, activated(residual), (strided, width), gain)
    (skip_gain,) = _arrays(block.skip_gain)
    weight = float(skip_gain) * block.alpha
    gates = _gates(graph, block.squeeze_excite, residual, f"{block.name}/gates", weight)
    return graph("Add", skip, graph("Mul", residual, gates))


def _gates(graph, layer: SqueezeExcite, x, name, factor=1.0):
    """What SqueezeExcite multiplies a map by, times a factor, `(batch, channels, 1, 1)`."""
    means = graph("GlobalAveragePool", x)
    reduced = graph("Relu", _dense_of_maps(graph, layer.reduce, means, f"{name}/reduce"))
    expanded = graph("Sigmoid", _dense_of_maps(graph, layer.expand, reduced, f"{name}/expand"))
    return graph("Mul", expanded, np.float32(2.0 * factor))


def _squeeze_excite(graph, layer, args):
    return graph("Mul", args[0].name, _gates(graph, layer, args[0].name, layer.name))


# ----------------------------------------------------------------- Keras' layers and operations


def _pass(graph, layer, args):
    return args[0].name


def _gelu(graph, operation, args):
    return _activation(graph, args[0].name, "gelu")


def _relu(graph, operation, args):
    return graph("Relu", args[0].name)


def _binary(op_type: str) -> Callable:
    def convert(graph, operation, args):
        operands = (
            each.name if isinstance(each, Tensor) else np.asarray(each, np.float32) for each in args
        )
        return graph(op_type, *operands)

    return convert


def _concatenate(graph, operation, args):
    tensors = args[0]
    rank = len(tensors[0].shape) + 1
    axis = operation.axis % rank
    return graph("Concat", *(each.name for each in tensors), axis=_axes(rank)[axis])


def _mean(graph, operation, args):
    """Of a map over both of its sizes, `(batch, channels)`; of other tensors, over any axes."""
    (x,) = args
    rank = len(x.shape) + 1
    axes = [axis % rank for axis in np.atleast_1d(operation.axis)]
    if rank == 4 and axes != [1, 2]:
        raise InputError(
            f"{operation.name}: a mean of a map can be exported over its height and width, got the "
            f"axes {axes}"
        )
    return graph(
        "ReduceMean", x.name, axes=[_axes(rank)[axis] for axis in axes], keepdims=operation.keepdims
    )


def _axes(rank: int) -> list[int]:
    """Where each of Keras' axes is in the graph."""
    return [0, 2, 3, 1] if rank == 4 else list(range(rank))


def _kernel_and_bias(layer):
    (kernel,) = _arrays(layer.kernel)
    if layer.bias is None:
        return kernel, np.zeros(kernel.shape[-1], np.float32)
    return kernel, *_arrays(layer.bias)


def _conv2d(graph, layer, args):
    (x,) = args
    kernel, bias = _kernel_and_bias(layer)
    if layer.data_format != "channels_last":
        raise InputError(f"{layer.name}: expected channels_last, got {layer.data_format}")
    dilations = layer.dilation_rate
    reach = [(size - 1) * step + 1 for size, step in zip(kernel.shape, dilations, strict=False)]
    pads = _same(x.shape[:2], reach, layer.strides) if layer.padding == "same" else [0, 0, 0, 0]
    kernel = kernel.transpose(3, 2, 0, 1)
    shape = (layer.strides, layer.groups, pads)
    y = _convolved(graph, layer.name, x.name, kernel, bias, *shape, dilations=dilations)
    return _keras_activation(graph, layer, y)


def _dense(graph, layer, args):
    kernel, bias = _kernel_and_bias(layer)
    return _keras_activation(
        graph, layer, graph("Gemm", args[0].name, kernel, bias, name=layer.name)
    )


def _keras_activation(graph, layer, x):
    kinds = {"linear": None, "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
    name = layer.activation.__name__
    if name not in kinds:
        raise InputError(f"{layer.name}: the activation {name} cannot be exported")
    return graph(kinds[name], x) if kinds[name] else x


def _global_average(graph, layer, args):
    return graph("ReduceMean", args[0].name, axes=[2, 3], keepdims=int(layer.keepdims))


def _flatten(graph, layer, args):
    x = args[0].name
    if len(args[0].shape) == 3:
        x = graph("Transpose", x, perm=_TO_NHWC)
    return graph("Flatten", x, axis=1)


_CONVERSIONS: dict[str, Callable] = {
    SpectrogramInput.__name__: _pass,
    WSConv2D.__name__: _ws_conv_layer,
    NFBlock.__name__: _nf_block,
    SqueezeExcite.__name__: _squeeze_excite,
    "Cast": _pass,  # all is float32
    "Dropout": _pass,
    "Gelu": _gelu,
    "Relu": _relu,
    "ReLU": _relu,
    "Multiply": _binary("Mul"),
    "Add": _binary("Add"),
    "Concatenate": _concatenate,
    "Mean": _mean,
    "Conv2D": _conv2d,
    "Dense": _dense,
    "GlobalAveragePooling2D": _global_average,
    "Flatten": _flatten,
}
