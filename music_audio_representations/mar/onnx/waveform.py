"""From waveform to embeddings in one ONNX graph: front end, windows, network, batch by batch.

The graph's outline, with the shapes that a minute of stereo at 16 kHz has by default:

    waveform (960000, 2)
      → mono, silence after what is too short, reflection at both ends      (960400,)
      → first frames of the windows                                          (29,)
      → a loop over batches of 16 windows, so that memory does not grow with them:
          the samples of these windows → log-mel frames → snippets           (16, 300, 96)
          → the network                                                      (16, 1728)
      → embeddings (29, 1728), times (29,), mean (1728,)

Where `logmel` holds snippets, these are embedded, and the waveform is not looked at.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from mar.audio.logmel import LogMel
from mar.audio.windows import FrameWindows
from mar.errors import InputError
from mar.onnx.graph import UNKNOWN, Graph

BATCH = 16  # windows that are embedded at once
SNIPPETS, EMBEDDING = "snippets", "embedding"  # input and output of the network's own graph
_END = np.iinfo(np.int64).max


def whole_graph(
    network: onnx.GraphProto, log_mel: LogMel, windows: FrameWindows, dimensions: int
) -> Graph:
    """The graph of a file, to which heads can be added.

    Args:
        network: nodes and constants from `SNIPPETS`, plain log-mel `(n, frames, mels)`, to
            `EMBEDDING`, `(n, dimensions)`.
        log_mel: the front end.
        windows: of a waveform.
        dimensions: of an embedding.

    Returns:
        A graph with the inputs `waveform`, float32 `(samples,)` or `(samples, channels)`, in ±1 at
        the front end's rate, and `logmel`, which may be left out; and the outputs `times`,
        `embeddings` and `mean`.

    Raises:
        InputError: a window is shorter than what the front end's first frame reaches back.
    """
    before, after = log_mel.margins()
    shortest = (windows.length - 1) * log_mel.hop_length
    if shortest <= max(before, after):
        raise InputError(
            f"expected windows of at least {2 + max(before, after) // log_mel.hop_length} frames, "
            f"so that their ends can be reflected, got {windows.length}"
        )
    graph = Graph()
    graph.input("waveform", UNKNOWN)
    graph.input("logmel", ("snippets", windows.length, log_mel.n_mels))
    nothing = np.zeros((0, windows.length, log_mel.n_mels), np.float32)
    graph.constant(nothing, "logmel")  # an input with a constant of its name may be left out
    padded, starts, given = _cut(graph, log_mel, windows, shortest)
    count = graph("Size", starts)
    batches = graph("Div", graph("Add", count, BATCH - 1), BATCH)
    none = np.zeros((0, dimensions), np.float32)
    body = _batch(network, log_mel, windows, padded, starts, given)
    (embeddings,) = graph.nodes_of(
        "Loop", [batches, "", none], 1, "embed", {"body": body.graph("batch")}
    )
    centres = graph("Add", _float(graph, starts), np.float32(windows.length / 2))
    times = graph("Mul", centres, np.float32(log_mel.hop_seconds))
    graph.output("times", times, ("windows",))
    graph.output("embeddings", embeddings, ("windows", dimensions))
    mean = graph("ReduceMean", embeddings, axes=[0], keepdims=0, name="average")
    graph.output("mean", mean, (dimensions,))
    return graph


def standardized(graph: Graph, snippets: str, floor: float) -> str:
    """Plain log-mel `(n, frames, mels)` → maps `(n, 1, mels, frames)`; see `mar.standardize`."""
    mean = graph("ReduceMean", snippets, axes=[1, 2], keepdims=1)
    centred = graph("Sub", snippets, mean)
    variance = graph("ReduceMean", graph("Mul", centred, centred), axes=[1, 2], keepdims=1)
    deviation = graph("Max", graph("Sqrt", variance), np.float32(floor))
    maps = graph("Transpose", graph("Div", centred, deviation), perm=[0, 2, 1])
    return graph("Unsqueeze", maps, np.array([1]))


def _cut(graph, log_mel, windows, shortest):
    """Padded mono samples, the first frames of the windows, and whether snippets were given."""
    samples = graph("Slice", graph("Shape", "waveform"), *_span(0, 1))
    channels = graph("Div", graph("Size", "waveform"), graph("Max", samples, np.array([1])))
    shape = graph("Concat", samples, graph("Max", channels, np.array([1])), axis=0)
    columns = graph("Reshape", "waveform", shape)
    if log_mel.downmix == "sum":
        mono = graph("ReduceSum", columns, np.array([1]), keepdims=0)
    else:
        mono = graph("ReduceMean", columns, axes=[1], keepdims=0)
    silence = graph("Max", graph("Sub", np.array([shortest]), samples), np.array([0]))
    long_enough = graph("Pad", mono, graph("Concat", np.array([0]), silence, axis=0))
    padded = graph("Pad", long_enough, np.array(log_mel.margins()), mode="reflect")
    frames = graph("Div", graph("Size", long_enough), log_mel.hop_length)
    frames = graph("Add", frames, 1)
    end = graph("Max", frames, windows.first + 1)
    centres = graph("Range", windows.first, end, windows.hop)
    starts = graph("Max", graph("Sub", centres, windows.before), 0)
    starts = graph("Min", starts, graph("Sub", frames, windows.length))

    count = graph("Slice", graph("Shape", "logmel"), *_span(0, 1))
    given = graph("Greater", graph("Squeeze", count), 0, name="given")
    snippets, waveform = Graph("starts/"), Graph("starts/other/")
    zeros = helper.make_tensor("value", TensorProto.INT64, [1], [0])
    of_snippets = snippets("ConstantOfShape", count, value=zeros)
    snippets.output("starts/of_snippets", of_snippets, ("n",), TensorProto.INT64)
    waveform.output("starts/of_waveform", starts, ("n",), TensorProto.INT64)
    return padded, _if(graph, given, snippets, waveform), given


def _batch(network, log_mel, windows, padded, starts, given):
    """The loop's body: embeddings so far → those and the ones of the next windows."""
    body = Graph("batch/")
    number = body.input("batch/number", (), TensorProto.INT64)
    go_on = body.input("batch/go_on", (), TensorProto.BOOL)
    so_far = body.input("batch/so_far", ("so far", "dimensions"))
    first = body("Reshape", body("Mul", number, BATCH), np.array([1]))
    last = body("Add", first, np.array([BATCH]))

    from_logmel = Graph("batch/logmel/")
    some = from_logmel("Slice", "logmel", first, last)
    from_logmel.output("batch/of_logmel", some, ("n", windows.length, log_mel.n_mels))
    from_samples = Graph("batch/samples/")
    some = _snippets(from_samples, log_mel, windows, padded, ("Slice", starts, first, last))
    from_samples.output("batch/of_samples", some, ("n", windows.length, log_mel.n_mels))

    chosen = _if(body, given, from_logmel, from_samples)
    body.nodes.append(helper.make_node("Identity", [chosen], [SNIPPETS]))
    body.nodes.extend(network.node)
    body.constants.extend(network.initializer)
    body.output("batch/goes_on", go_on, (), TensorProto.BOOL)
    embeddings = body("Concat", so_far, EMBEDDING, axis=0)
    body.output("batch/embeddings", embeddings, ("more", "dimensions"))
    return body


def _snippets(graph, log_mel, windows, padded, slice_of_starts):
    """Log-mel snippets of some windows `(n, frames, mels)`, each frame computed once.

    Windows that begin at the frames 50, 250 and 450 need the frames 50 to 750, which need the
    padded samples 50 · 160 to 749 · 160 + 400. In them they begin at the frames 0, 200 and 400.
    """
    some = graph(*slice_of_starts)
    first = graph("Slice", some, *_span(0, 1))
    last = graph("Slice", some, *_span(-1, _END))
    begin = graph("Mul", first, log_mel.hop_length)
    reach = (windows.length - 1) * log_mel.hop_length + log_mel.win_length
    end = graph("Add", graph("Mul", last, log_mel.hop_length), reach)
    frames = _frames(graph, log_mel, graph("Slice", padded, begin, end))
    rows = graph("Unsqueeze", graph("Sub", some, first), np.array([1]))
    return graph("Gather", frames, graph("Add", rows, np.arange(windows.length)[None]), axis=0)


def _frames(graph, log_mel, samples):
    """`(samples,)` with margins → log-mel `(frames, mels)`: the Fourier transform as a convolution.

    Bins that no filter uses are left out.
    """
    window, filters = log_mel.constants
    bins = np.flatnonzero(filters.any(axis=1))
    angles = np.outer(bins, np.arange(log_mel.win_length)) * (2 * np.pi / log_mel.n_fft)
    basis = np.concatenate([np.cos(angles), np.sin(angles)]) * window
    signal = graph("Unsqueeze", samples, np.array([0, 1]))
    kernel = graph.constant(basis[:, None].astype(np.float32), "fourier/kernel")
    parts = graph("Conv", signal, kernel, strides=[log_mel.hop_length], name="fourier")
    real, imaginary = graph.nodes_of(
        "Split", [graph("Mul", parts, parts)], 2, attributes={"axis": 1}
    )
    power = graph("Squeeze", graph("Add", real, imaginary), np.array([0]))
    if log_mel.power != 2.0:
        power = graph("Pow", power, np.float32(log_mel.power / 2))
    weights = graph.constant(np.ascontiguousarray(filters[bins].T), "mel/filters")
    mel = graph("Transpose", graph("MatMul", weights, power, name="mel"), perm=[1, 0])
    return _compressed(graph, log_mel, mel)


def _compressed(graph, log_mel, mel):
    kind = log_mel.mag_compression
    if kind == "log10_nonneg":
        mel = graph("Add", graph("Mul", mel, np.float32(10000)), np.float32(1))
        mel = graph("Mul", graph("Log", mel), np.float32(1 / np.log(10)))
    elif kind != "linear":
        factor = 10 / np.log(10) if kind == "10log10" else 1.0
        mel = graph("Mul", graph("Log", graph("Max", mel, np.float32(1e-10))), np.float32(factor))
    if log_mel.mag_range is not None:
        lowest, highest = map(np.float32, log_mel.mag_range)
        mel = graph("Min", graph("Max", mel, lowest), highest)
    return mel


def _if(graph, condition, then, otherwise):
    """The output of one of two graphs."""
    branches = {"then_branch": then.graph("then"), "else_branch": otherwise.graph("otherwise")}
    return graph("If", condition, **branches)


def _float(graph, tensor):
    return graph("Cast", tensor, to=TensorProto.FLOAT)


def _span(begin, end):
    return np.array([begin]), np.array([end])
