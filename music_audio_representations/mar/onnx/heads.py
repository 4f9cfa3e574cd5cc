"""Heads in an exported graph: from its embeddings to the probabilities of labels."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from mar.onnx.graph import Graph
from mar.probing.dense import Layers
from mar.probing.head import Head

_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "linear": lambda graph, x: x,
    "relu": lambda graph, x: graph("Relu", x),
    "leaky_relu": lambda graph, x: graph("LeakyRelu", x, alpha=0.2),
    "elu": lambda graph, x: graph("Elu", x),
    "selu": lambda graph, x: graph("Selu", x),
    "silu": lambda graph, x: graph("Mul", x, graph("Sigmoid", x)),
    "tanh": lambda graph, x: graph("Tanh", x),
    "sigmoid": lambda graph, x: graph("Sigmoid", x),
    "softplus": lambda graph, x: graph("Softplus", x),
}


def output_name(head: Head) -> str:
    """What the output of a head is called: `probabilities_MTT`, or `values_emoMusic`."""
    what = "values" if head.parts.rule is None else "probabilities"
    return f"{what}_{re.sub(r'[^0-9A-Za-z_]', '_', head.about['task'])}"


def add_head(graph: Graph, head: Head, embeddings: str, mean: str) -> dict[str, Any]:
    """Adds a head's output, `(labels,)`, to a graph, and returns what the file says of it.

    What follows the logits is computed in double precision, as `mar.Head` does.

    Args:
        graph: of a file.
        head: the `mar.Head`.
        embeddings: `(windows, dimensions)`.
        mean: of these, `(dimensions,)`.
    """
    layers, rule = head.parts.layers, head.parts.rule
    name = output_name(head)
    if head.reads_windows:
        logits = _logits(graph, layers, embeddings)
        predicted = graph("ReduceMean", _predictions(graph, layers.output, logits), axes=[0])
        logits = _inverse(graph, layers.output, predicted)
    else:
        logits = _logits(graph, layers, graph("Unsqueeze", mean, np.array([0])))
    result = logits
    if rule is not None:
        result = _calibrated(graph, rule.calibration, logits)
    result = graph("Cast", graph("Squeeze", result, np.array([0])), to=TensorProto.FLOAT)
    graph.output(name, result, (len(head.labels),))
    known = ("task", "kind", "unit", "calibrated", "licence")
    thresholds = None if rule is None else [_plain(value) for value in rule.thresholds]
    about = {key: head.about.get(key) for key in known}
    return {"output": name, "labels": head.labels, "thresholds": thresholds, **about}


def _plain(threshold):
    """A number of JSON, which has no infinity: a label that is never given has none."""
    return float(threshold) if np.isfinite(threshold) else None


def _logits(graph: Graph, layers: Layers, vectors: str) -> str:
    """As `Layers.__call__`, double `(n, labels)`."""
    x = graph("Div", graph("Sub", vectors, layers.mean), layers.scale)
    last = len(layers.kernels) - 1
    for number, (kernel, bias) in enumerate(zip(layers.kernels, layers.biases, strict=True)):
        x = graph("Gemm", x, kernel, bias)
        if number < last:
            x = _activated(graph, layers.activation, x)
    x = graph("Cast", x, to=TensorProto.DOUBLE)
    scale, mean = (np.asarray(a, np.float64) for a in (layers.target_scale, layers.target_mean))
    return graph("Add", graph("Mul", x, scale), mean)


def _activated(graph, name, x):
    if name == "gelu":
        erf = graph("Erf", graph("Div", x, np.float32(np.sqrt(2))))
        return graph("Mul", graph("Mul", x, graph("Add", erf, np.float32(1))), np.float32(0.5))
    return _ACTIVATIONS[name](graph, x)


def _predictions(graph, output, logits):
    if output == "softmax":
        return graph("Softmax", logits, axis=1)
    return _sigmoid(graph, logits) if output == "sigmoid" else logits


def _sigmoid(graph, logits):
    return graph("Sigmoid", logits)


def _inverse(graph, output, predictions):
    """As `Layers.inverse`."""
    if output == "linear":
        return predictions
    inside = graph("Min", graph("Max", predictions, np.float64(1e-12)), np.float64(1 - 1e-12))
    logs = graph("Log", inside)
    if output == "softmax":
        return logs
    return graph("Sub", logs, graph("Log", graph("Sub", np.float64(1), inside)))


def _calibrated(graph, calibration, logits):
    """As `Calibration.__call__`, double `(1, labels)`."""
    scaled = graph("Add", graph("Mul", logits, calibration.slopes), calibration.intercepts)
    if calibration.exclusive:
        return graph("Softmax", scaled, axis=1)
    columns = graph.nodes_of(
        "Split", [_sigmoid(graph, scaled)], len(calibration.slopes), attributes={"axis": 1}
    )
    for label, (knots, values) in calibration.curves.items():
        logit = graph("Gather", logits, np.array([label]), axis=1)
        columns[label] = _interpolated(graph, logit, knots, values)
    return graph("Concat", *columns, axis=1)


def _interpolated(graph, x, knots, values):
    """`numpy.interp` of `(1, 1)`: the first value, and how far each piece is passed times its rise.

    With knots 0, 1, 3 and values 0.1, 0.2, 0.6, x = 2 has passed 1 of the first piece (rise 0.1)
    and 1 of the second (rise 0.2 for each): 0.1 + 0.1 + 0.2 = 0.4.
    """
    widths = np.diff(knots)
    rises = np.diff(values) / np.where(widths > 0, widths, 1)
    passed = graph("Min", graph("Max", graph("Sub", x, knots[:-1]), np.float64(0)), widths)
    risen = graph("ReduceSum", graph("Mul", passed, rises), np.array([1]), keepdims=1)
    return graph("Add", risen, np.float64(values[0]))
