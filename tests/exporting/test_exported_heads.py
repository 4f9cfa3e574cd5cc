"""Heads in a file's graph, compared with `mar.Head`."""

import itertools

import numpy as np
import onnxruntime
import pytest

from helpers.exported import small_file
from mar.errors import ConfigError
from mar.onnx import exporting
from mar.onnx.graph import Graph
from mar.onnx.heads import add_head
from mar.probing.calibration import Calibration, Rule
from mar.probing.dense import ACTIVATIONS, Layers
from mar.probing.head import Head
from mar.probing.head_file import Parts

DIMENSIONS, LABELS = 12, 4


def layers(activation, output, widths=(7,), scale=1.0):
    rng = np.random.default_rng(len(activation))

    def array(*shape):
        return (scale * rng.normal(size=shape)).astype(np.float32)

    sizes = [DIMENSIONS, *widths, LABELS]
    kernels = [array(a, b) for a, b in itertools.pairwise(sizes)]
    biases = [array(size) for size in sizes[1:]]
    target = (np.float32([90, 1, 0, 0]), np.float32([25, 4, 1, 1]))
    if output != "linear":
        target = (np.zeros(LABELS, np.float32), np.ones(LABELS, np.float32))
    moments = (array(DIMENSIONS), np.abs(array(DIMENSIONS)) + np.float32(0.1))
    return Layers(*moments, tuple(kernels), tuple(biases), activation, output, *target)


def head(kind="multilabel", activation="relu", output="sigmoid", pooling="mean", **others):
    rule = None
    if kind != "regression":
        curve = np.array([[-2.0, -1.0, 0.5, 3.0], [0.05, 0.2, 0.2, 0.9]])
        calibration = Calibration(
            kind == "multiclass",
            ("platt",) * LABELS,
            np.array([1.0, 0.5, 2.0, 1.5]),
            np.array([0.0, -1.0, 0.5, 0.1]),
            {} if kind == "multiclass" else {1: curve, 3: curve * 0.5},
        )
        rule = Rule(calibration, np.array([0.5, np.inf, 0.2, 0.9]))
    about = {"task": "My moods!", "kind": kind, "labels": list("abcd"), "pooling": pooling}
    return Head(Parts(layers(activation, output, **others), rule, {**about, "dimensions": 12}))


def of_graph(head, windows):
    graph = Graph()
    graph.input("embeddings", ("n", DIMENSIONS))
    mean = graph("ReduceMean", "embeddings", axes=[0], keepdims=0)
    about = add_head(graph, head, "embeddings", mean)
    session = onnxruntime.InferenceSession(graph.model().SerializeToString())
    (values,) = session.run([about["output"]], {"embeddings": windows})
    return values, about


WINDOWS = np.random.default_rng(0).normal(size=(5, DIMENSIONS)).astype(np.float32)
KINDS = [("multilabel", "sigmoid"), ("multiclass", "softmax"), ("regression", "linear")]


@pytest.mark.parametrize("pooling", ["mean", "windows"])
@pytest.mark.parametrize(("kind", "output"), KINDS)
def test_heads_of_every_kind(kind, output, pooling):
    made = head(kind, output=output, pooling=pooling)
    values, _ = of_graph(made, WINDOWS)
    np.testing.assert_allclose(values, made.of_windows(WINDOWS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation(activation):
    made = head(activation=activation, widths=(7, 5))
    values, _ = of_graph(made, WINDOWS)
    np.testing.assert_allclose(values, made.of_windows(WINDOWS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "output"), KINDS[:2])
def test_predictions_that_are_certain(kind, output):
    """Logits of hundreds, whose inverse is held off 0 and 1."""
    made = head(kind, output=output, pooling="windows", scale=20.0)
    values, _ = of_graph(made, WINDOWS)
    np.testing.assert_allclose(values, made.of_windows(WINDOWS), rtol=1e-4, atol=1e-6)


def test_what_a_file_says_of_a_head():
    _, about = of_graph(head(), WINDOWS)
    assert about["output"] == "probabilities_My_moods_"
    assert about["labels"] == ["a", "b", "c", "d"]
    assert about["thresholds"] == [0.5, None, 0.2, 0.9]
    assert of_graph(head("regression", output="linear"), WINDOWS)[1]["output"] == "values_My_moods_"


def test_outputs_of_one_name_are_refused():
    """Of one task, or of two whose names differ in what an output's name cannot have."""
    first, second = head(), head()
    second.about["task"] = "My moods?"
    for heads in ([first, first], [first, second]):
        with pytest.raises(ConfigError, match="two outputs 'probabilities_My_moods_'"):
            exporting.Plan(small_file()[0], heads=heads).check_heads()
