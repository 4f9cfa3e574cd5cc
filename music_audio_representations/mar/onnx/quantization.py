"""Networks in fewer bits: int8 where measurement allows it, or float16 throughout.

int8 is static: inputs and outputs of convolutions have ranges that audio which was run through the
network fills, kernels a scale for each channel. What lies between (activations, sums, means) is
computed in float32. Convolutions with little work and few weights stay in float32, and where
measurement asks for it so do those that hurt most for the work that they save.
"""

import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from mar.onnx.agreement import Agreement
from mar.onnx.graph import Graph
from mar.onnx.ranges import BATCH, Range, ranges
from mar.onnx.runtime import lacks_vnni
from mar.onnx.waveform import EMBEDDING, SNIPPETS

LITTLE = 0.003  # share of all products, and of all weights, below which a convolution is left alone
GROUPS = 8  # of convolutions, about equal in work, whose harm is measured


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which convolutions are computed in int8, and what becomes of embeddings.

    Attributes:
        quantized: names of these convolutions.
        work: share of all products that they are.
        centred: average centred cosine with float32, on audio that was not calibrated on.
        seconds: of the processor to embed this audio, as a share of what float32 takes.
        network: the network's file.
    """

    quantized: tuple[str, ...]
    work: float
    centred: float
    seconds: float
    network: onnx.ModelProto = dataclasses.field(repr=False)

    def __str__(self) -> str:
        return (
            f"{len(self.quantized)} convolutions in int8, {self.work:.0%} of the work: centred "
            f"cosine {self.centred:.4f}, {self.seconds:.2f} of the time of float32"
        )


def choices(
    network: onnx.ModelProto,
    calibration: np.ndarray,
    held_out: np.ndarray,
    enough: Callable[[Choice], bool],
) -> Iterator[Choice]:
    """Networks in int8, from the fastest on, until one is good enough.

    First come all convolutions that are worth it. Where that is not enough, they are divided into
    groups, in their order, and the harm of each group is measured alone; then the one that harms
    most for the work that it saves is left in float, until it is enough:

        group       work    harm alone     order of leaving
        0           0.3     0.001          3
        1           0.2     0.004          1
        2           0.5     0.006          2

    Args:
        network: float32, as `mar.onnx.exporting.network_file` makes it.
        calibration, held_out: plain log-mel of different audio, `(n, frames, mels)`.
        enough: whether a choice is good enough; nothing follows it.

    Yields:
        None of a network without convolutions.
    """
    if not (convolutions := worth_it(network)):
        return
    work = work_of(network)
    groups = grouped(work, convolutions)
    quantizer = Quantizer(network, calibration)
    reference, seconds = timed(network, held_out)

    def choice(convolutions: Sequence[str]) -> Choice:
        made = quantizer(convolutions)
        embeddings, took = timed(made, held_out)
        share = sum(work[name] for name in convolutions)
        centred = Agreement.of(embeddings, reference).centred
        return Choice(tuple(convolutions), share, centred, took / seconds, made)

    together = choice([name for group in groups for name in group])
    yield together
    if enough(together):
        return
    alone = [choice(group) for group in groups]
    order = sorted(alone, key=lambda each: (1 - each.centred) / each.work)
    while order := order[:-1]:
        together = choice([name for each in order for name in each.quantized])
        yield together
        if enough(together):
            return


def worth_it(network: onnx.ModelProto) -> list[str]:
    """Convolutions whose products or whose weights, which are read for them, are not few."""
    weights = {name: float(np.prod(kernel)) for name, kernel in _kernels(network).items()}
    least, work = LITTLE * sum(weights.values()), work_of(network)
    return [name for name in work if work[name] >= LITTLE or weights[name] >= least]


def grouped(
    work: dict[str, float], convolutions: Sequence[str], groups: int = GROUPS
) -> list[list[str]]:
    """Convolutions, in their order, in groups that are about equal in work."""
    ends = np.cumsum([work[name] for name in convolutions])
    numbers = np.minimum(ends / ends[-1] * groups, groups - 1e-9).astype(int)
    made: dict[int, list[str]] = {}
    for name, number in zip(convolutions, numbers, strict=True):
        made.setdefault(int(number), []).append(name)
    return list(made.values())


def work_of(network: onnx.ModelProto) -> dict[str, float]:
    """Each convolution's share of all products, in the order of the graph."""
    products = products_of(network)
    total = sum(products.values())
    return {name: count / total for name, count in products.items()}


def products_of(network: onnx.ModelProto) -> dict[str, float]:
    """How often each convolution multiplies two numbers for one snippet."""
    shapes = onnx.shape_inference.infer_shapes(network).graph.value_info
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in shapes
    }
    return {
        name: float(np.prod(kernel) * np.prod(sizes[name][2:]))
        for name, kernel in _kernels(network).items()
    }


def _kernels(network):
    """The kernel's shape of each convolution, OIHW, in the order of the graph."""
    shapes = {constant.name: list(constant.dims) for constant in network.graph.initializer}
    return {node.name: shapes[node.input[1]] for node in network.graph.node if _is_conv(node)}


def _is_conv(node):
    return node.op_type == "Conv"


def timed(network: onnx.ModelProto, snippets: np.ndarray) -> tuple[np.ndarray, float]:
    """Embeddings `(n, dimensions)` of snippets by a network's file, and the processor's seconds.

    These, on one thread, and not those of the clock, can be compared on a machine that others use.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        network.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    batches = np.array_split(snippets, -(-len(snippets) // BATCH))
    session.run([EMBEDDING], {SNIPPETS: batches[0]})  # warms up
    began = time.process_time()
    values = [session.run([EMBEDDING], {SNIPPETS: batch})[0] for batch in batches]
    return np.concatenate(values), time.process_time() - began


# ------------------------------------------------------------------------------------------ int8


class Quantizer:
    """Makes int8 networks of one float32 network, calibrated once.

    Args:
        network: as `mar.onnx.exporting.network_file` makes it.
        snippets: plain log-mel of audio to calibrate on, `(n, frames, mels)`.
    """

    def __init__(self, network: onnx.ModelProto, snippets: np.ndarray) -> None:
        self._network = _with_gelus(network)
        convolutions = filter(_is_conv, self._network.graph.node)
        ends = {name: None for node in convolutions for name in (node.input[0], node.output[0])}
        self._ranges = ranges(self._network, list(ends), snippets)

    def __call__(self, convolutions: Collection[str]) -> onnx.ModelProto:
        """The network with these convolutions in int8."""
        source = self._network.graph
        graph = Graph("int8/")
        graph.inputs, graph.outputs = list(source.input), list(source.output)
        constants = {constant.name: constant for constant in source.initializer}
        bytes_of: dict[str, str] = {}
        for node in source.node:
            if node.name in convolutions:
                x, kernel, bias = node.input
                if x not in bytes_of:
                    bytes_of[x] = _through_bytes(graph, x, self._ranges[x])
                weights = [numpy_helper.to_array(constants.pop(name)) for name in (kernel, bias)]
                ends = self._ranges[x], self._ranges[node.output[0]]
                _convolution(graph, node, bytes_of[x], weights, *ends)
            elif node.op_type == "AveragePool":
                _average(graph, node)
            else:
                graph.nodes.append(node)
        graph.constants.extend(constants.values())
        return graph.model(opsets=self._network.opset_import)


def _with_gelus(network):
    """The network with the nodes of each GELU as one, which bytes around them would hide."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "network.onnx")
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(
            network.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["ConvActivationFusion"],
        )
        made = onnx.load(path)
    used = {node.domain for node in made.graph.node}
    opsets = [opset for opset in made.opset_import if opset.domain in used]
    del made.opset_import[:]
    made.opset_import.extend(opsets)
    return made


def _through_bytes(graph, x, values: Range, name=None):
    """A tensor rounded to bytes; runtimes leave away what follows and precedes it in float."""
    rounded = graph("QuantizeLinear", x, *values)
    return graph("DequantizeLinear", rounded, *values, name=name)


def _convolution(graph, node, x, weights, entering: Range, leaving: Range):
    """A convolution of rounded inputs with rounded weights to rounded outputs."""
    kernel, bias = weights
    channels = len(kernel)
    steps = np.maximum(np.abs(kernel).reshape(channels, -1).max(axis=1), 1e-12) / 127
    zero = weight_zero()
    whole = np.rint(kernel / steps[:, None, None, None]) + zero
    products = (steps * entering.scale).astype(np.float32)  # what one step of the sums stands for
    sums = np.rint(bias.astype(np.float64) / products)
    whole_bias = np.clip(sums, -(2**31), 2**31 - 1)
    inputs = [
        x,
        _constant(graph, f"{node.name}/kernel", whole, zero, steps.astype(np.float32)),
        _constant(graph, f"{node.name}/bias", whole_bias, np.int32(0), products),
    ]
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    (y,) = graph.nodes_of("Conv", inputs, 1, f"{node.name}/int8", attributes)
    _through_bytes(graph, y, leaving, name=node.output[0])


def weight_zero() -> np.int8 | np.uint8:
    """What stands for a weight of 0, of the type in which weights are multiplied best here.

    Processors with VNNI are fastest where weights have signs. Those without it then add products in
    pairs, in 16 bits, and cut off a sum that does not fit; of bytes without signs they do not:

        signed          200 · 100 + 200 · 100 = 40,000, which becomes 32,767
        without signs   200 · 228 + 200 · 228 - 128 · (200 + 200) = 40,000
    """
    return np.uint8(128) if lacks_vnni() else np.int8(0)


def _constant(graph, name, whole, zero, steps):
    """Integers of the type of their zero, with a step for each channel."""
    stored = [
        graph.constant(whole.astype(zero.dtype), name),
        graph.constant(steps, f"{name}/steps"),
        graph.constant(np.full(len(steps), zero), f"{name}/zeros"),
    ]
    return graph("DequantizeLinear", *stored, axis=0)


def _average(graph, node):
    """The average of pairs of rows, written as a sum, for which maps need not be laid anew."""
    attributes: dict[str, Any] = {each.name: list(each.ints) for each in node.attribute}
    if attributes["kernel_shape"] != [2, 1] or any(attributes["pads"]):
        graph.nodes.append(node)
        return
    end, rows, step = np.array([np.iinfo(np.int64).max]), np.array([2]), np.array([2])
    even, odd = (
        graph("Slice", node.input[0], np.array([first]), end, rows, step) for first in (0, 1)
    )
    graph("Mul", graph("Add", even, odd), np.float32(0.5), name=node.output[0])


# --------------------------------------------------------------------------------------- float16


def float16(network: onnx.ModelProto) -> onnx.ModelProto:
    """The network in half precision; means, and what is standardised, are computed in float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    in_float32 = ["ReduceMean", "GlobalAveragePool", "Sqrt", "Max", "Sub"]
    converted = convert_float_to_float16(
        network, keep_io_types=True, op_block_list=in_float32, disable_shape_infer=False
    )
    OnnxModel.graph_topological_sort(converted.graph)  # its casts stand at the end
    return converted
