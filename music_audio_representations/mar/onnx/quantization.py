"""Networks in fewer bits: int8 where measurement allows it, or float16 throughout.

int8 is static: the convolutions' inputs and outputs get scales from music that is run through the
network, kernels a scale for each channel (`onnxruntime.quantization`, QDQ). Convolutions that
little work is done in stay in float, and so do those that hurt most for the work that they save.
"""

import contextlib
import dataclasses
import logging
import pathlib
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from mar.onnx.agreement import Agreement
from mar.onnx.waveform import EMBEDDING, SNIPPETS

LITTLE_WORK = 0.004  # share of all products below which a convolution stays in float
GROUPS = 8  # of convolutions, about equal in work, whose harm is measured
_BATCH = 8


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which convolutions are computed in int8, and what becomes of embeddings.

    Attributes:
        quantized: names of these convolutions.
        work: share of all products that they are.
        centred: average centred cosine with float32, on music that was not calibrated on.
        seconds: that it takes to embed this music, as a share of what float32 takes.
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

    The convolutions are divided into groups, in their order, and the harm of each group is measured
    alone. Then all groups are quantised together, and the one that harms most for the work that it
    saves is left in float, until it is enough:

        group       work    harm alone     order of leaving
        0           0.3     0.001          3
        1           0.2     0.004          1
        2           0.5     0.006          2

    Args:
        network: float32, as `mar.onnx.exporting.network_file` makes it.
        calibration, held_out: plain log-mel of different music, `(n, frames, mels)`.
        enough: whether a choice is good enough; nothing follows it.
    """
    work = work_of(network)
    groups = grouped(work)
    reference, seconds = timed(network, held_out)
    with Quantizer(network, calibration) as quantizer:

        def choice(convolutions: Sequence[str]) -> Choice:
            made = quantizer(convolutions)
            embeddings, took = timed(made, held_out)
            share = sum(work[name] for name in convolutions)
            centred = Agreement.of(embeddings, reference).centred
            return Choice(tuple(convolutions), share, centred, took / seconds, made)

        alone = [choice(group) for group in groups]
        order = sorted(alone, key=lambda each: (1 - each.centred) / each.work)
        while order:
            together = choice([name for each in order for name in each.quantized])
            yield together
            if enough(together):
                return
            order.pop()


def grouped(work: dict[str, float], groups: int = GROUPS) -> list[list[str]]:
    """Convolutions in groups that are about equal in work; those of little work are left out."""
    considered = {name: share for name, share in work.items() if share >= LITTLE_WORK}
    ends = np.cumsum(list(considered.values()))
    numbers = np.minimum(ends / ends[-1] * groups, groups - 1e-9).astype(int)
    made: dict[int, list[str]] = {}
    for name, number in zip(considered, numbers, strict=True):
        made.setdefault(int(number), []).append(name)
    return list(made.values())


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


def work_of(network: onnx.ModelProto) -> dict[str, float]:
    """Each convolution's share of all products, in the order of the graph."""
    shapes = onnx.shape_inference.infer_shapes(network).graph.value_info
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in shapes
    }
    kernels = {constant.name: constant.dims for constant in network.graph.initializer}
    products = {
        node.name: float(np.prod(kernels[node.input[1]]) * np.prod(sizes[node.output[0]][2:]))
        for node in network.graph.node
        if node.op_type == "Conv"
    }
    total = sum(products.values())
    return {name: count / total for name, count in products.items()}


class Quantizer:
    """Makes int8 networks of one float32 network, calibrated once.

    Used as a context manager; what it calibrates lies in a temporary folder.

    Args:
        network: as `mar.onnx.exporting.network_file` makes it.
        snippets: plain log-mel of music to calibrate on, `(n, frames, mels)`.
    """

    def __init__(self, network: onnx.ModelProto, snippets: np.ndarray) -> None:
        self._network, self._snippets = network, snippets
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> "Quantizer":
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def __call__(self, convolutions: Collection[str]) -> onnx.ModelProto:
        """The network with these convolutions in int8."""
        folder = pathlib.Path(self._folder.name)
        source = onnx.ModelProto()
        source.CopyFrom(self._network)
        with _without_remarks():
            quantize_static(
                source,
                folder / "int8.onnx",
                _Batches(self._snippets),
                QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=list(convolutions),
                calibrate_method=CalibrationMethod.MinMax,
                calibration_cache_path=folder / "ranges.json",
            )
        return onnx.load(folder / "int8.onnx")


class _Batches(CalibrationDataReader):
    def __init__(self, snippets):
        self._batches = iter(np.array_split(snippets, -(-len(snippets) // _BATCH)))

    def get_next(self):
        batch = next(self._batches, None)
        return None if batch is None else {SNIPPETS: batch}


def timed(network: onnx.ModelProto, snippets: np.ndarray) -> tuple[np.ndarray, float]:
    """Embeddings `(n, dimensions)` of snippets by a network's file, and the processor's seconds.

    These, and not those of the clock, can be compared on a machine that others use too.
    """
    session = onnxruntime.InferenceSession(
        network.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    batches = np.array_split(snippets, -(-len(snippets) // _BATCH))
    session.run([EMBEDDING], {SNIPPETS: batches[0]})  # warms up
    began = time.process_time()
    values = [session.run([EMBEDDING], {SNIPPETS: batch})[0] for batch in batches]
    return np.concatenate(values), time.process_time() - began


@contextlib.contextmanager
def _without_remarks() -> Iterator[None]:
    """The library recommends steps of its own through the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
