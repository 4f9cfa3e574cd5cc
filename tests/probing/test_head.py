import json

import keras
import numpy as np
import pytest
import safetensors.numpy
from test_probe import probe

import mar
from helpers.processes import run_python
from helpers.small_embeddings import PROVENANCE
from mar.embedding.embedder import Embedding
from mar.errors import ConfigError, InputError
from mar.probing.dense import ACTIVATIONS, Layers
from mar.probing.fitting import Aim, rule
from mar.probing.head import Head
from mar.probing.head_file import FILE, Parts
from mar.probing.mlp import MLP
from mar.probing.outputs import ScoochBinaryCrossentropy, ScoochCategoricalCrossentropy

LABELS = ["calm, slow", 'the "loud" one', "🎸", "Café"]


def network(mlp, dimensions=6, labels=4, **moments):
    """An untrained network of a probe, with biases that are not zero."""
    model = mlp.build(dimensions, labels, **moments)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            layer.bias.assign(rng.normal(size=layer.bias.shape))
    return model


def about(kind="multilabel", labels=LABELS, **others):
    return {
        **{"task": "moods", "kind": kind, "labels": list(labels), "unit": "", "pooling": "mean"},
        **{"model": "toy", "test": {}, "mar_version": "1", "date": "2026", "licence": ""},
        **{"calibrated": True, "uncalibrated_labels": [], "aim": {"measure": "f1", "value": None}},
        **{"embeddings": {**PROVENANCE, "dimensions": 6}, "dimensions": 6},
        **others,
    }


def head(kind="multilabel", output="sigmoid", **others):
    layers = Layers.of(network(probe(layer_widths=[5])), "relu", output)
    rng = np.random.default_rng(1)
    logits = layers(rng.normal(size=(200, 6)))
    if kind == "multilabel":
        targets = (rng.random((200, 4)) < 0.4).astype(np.uint8)
    else:
        targets = np.eye(4, dtype=np.uint8)[(logits + rng.normal(size=(200, 4))).argmax(axis=1)]
    return Head(Parts(layers, rule(kind, logits, targets, Aim()), about(kind, **others)))


def embedding(values, **made):
    times = np.arange(len(values), dtype=np.float32)
    provenance = {**PROVENANCE, "dimensions": 6, **made}
    return Embedding(times, np.asarray(values, np.float32), 9.0, 16000, False, provenance)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("widths", [[], [5], [7, 3]])
def test_the_arrays_compute_what_keras_does(activation, widths):
    mlp = probe(layer_widths=widths, activation=activation, dropout=0.5 if widths else None)
    moments = np.linspace(-2, 2, 6), np.linspace(0.1, 3, 6)
    model = network(mlp, normalization=moments)
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    logits = Layers.of(model, activation, "sigmoid")(vectors)
    np.testing.assert_allclose(logits, model(vectors), rtol=2e-5, atol=2e-5)


def test_values_are_scaled_back():
    model = network(probe(), labels=2, target_moments=(np.array([90.0, 1.0]), np.array([25.0, 4])))
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    values = Head(
        Parts(Layers.of(model, "relu", "linear"), None, about("regression", ["bpm", "x"]))
    )(vectors)
    np.testing.assert_allclose(np.stack([*values.values()], axis=1), model(vectors), rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "output"),
    [(ScoochBinaryCrossentropy(), "sigmoid"), (ScoochCategoricalCrossentropy(), "softmax")],
)
def test_predictions_are_those_of_the_output_activation_and_back(loss, output):
    layers = Layers.of(network(probe(loss=loss)), "relu", output)
    logits = layers(np.random.default_rng(0).normal(size=(20, 6)))
    expected = keras.activations.get(output)(keras.ops.convert_to_tensor(logits))
    predictions = layers.predictions(logits)
    np.testing.assert_allclose(predictions, expected, atol=1e-6)
    np.testing.assert_allclose(layers.predictions(layers.inverse(predictions)), predictions)


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_a_head_is_read_as_it_was_written(kind, tmp_path):
    written = head(kind)
    (tmp_path / "run").mkdir()
    written.save(tmp_path / "run" / FILE)
    vectors = np.random.default_rng(2).normal(size=(30, 6))
    for read in (Head(tmp_path / "run"), mar.Head(str(tmp_path / "run" / FILE))):
        assert (read.labels, read.kind, read.about) == (LABELS, kind, written.about)
        np.testing.assert_array_equal(read.probabilities(vectors), written.probabilities(vectors))
        np.testing.assert_array_equal(read.thresholds, written.thresholds)


def test_isotonic_curves_are_read_as_they_were_written(tmp_path):
    layers = Layers.of(network(probe()), "relu", "sigmoid")
    vectors = np.random.default_rng(0).normal(size=(4000, 6))
    targets = (np.random.default_rng(1).random((4000, 4)) < [0.5, 0.5, 0.01, 0.0]).astype(np.uint8)
    written = Head(Parts(layers, rule("multilabel", layers(vectors), targets, Aim()), about()))
    assert set(written._rule.calibration.curves) == {0, 1}
    written.save(tmp_path / FILE)
    np.testing.assert_array_equal(
        Head(tmp_path)(vectors)["🎸"], written.probabilities(vectors)[:, 2]
    )
    np.testing.assert_array_equal(
        Head(tmp_path).probabilities(vectors), written.probabilities(vectors)
    )
    assert Head(tmp_path).thresholds[3] == np.inf


def test_one_item_or_many_by_label():
    labelled = head()
    vectors = np.random.default_rng(2).normal(size=(30, 6))
    many = labelled(vectors)
    assert list(many) == LABELS
    assert many["🎸"].shape == (30,)
    one = labelled(vectors[3])
    assert one == pytest.approx({label: values[3] for label, values in many.items()})
    assert all(type(value) is float for value in one.values())
    windows = np.random.default_rng(3).normal(size=(5, 6)).astype(np.float32)
    assert labelled(embedding(windows)) == pytest.approx(labelled(windows.mean(axis=0)))


def test_a_head_of_single_windows_averages_their_predictions():
    labelled = head(pooling="windows")
    windows = np.random.default_rng(3).normal(size=(5, 6)).astype(np.float32)
    layers, calibration = labelled._layers, labelled._rule.calibration
    means = layers.predictions(layers(windows)).mean(axis=0, keepdims=True)
    expected = calibration(np.log(means / (1 - means)))[0]
    assert list(labelled(embedding(windows)).values()) == pytest.approx(expected.tolist())
    assert labelled(windows.mean(axis=0)) != pytest.approx(labelled(embedding(windows)))


def test_embeddings_of_another_provenance_are_refused_with_both_models():
    with pytest.raises(InputError, match=r"moods was trained on; model: .*\(other\) here; embed"):
        head()(embedding(np.zeros((2, 6)), model="other"))
    head()(embedding(np.zeros((2, 6)), store="timeline", format="npz"))
    with pytest.raises(InputError, match=r"expected embeddings \(items, 6\), got .*\(2, 5\)"):
        head()(np.zeros((2, 5)))
    with pytest.raises(InputError, match="NaN or infinite"):
        head()(np.full(6, np.nan))


def test_values_are_not_decided_on():
    model = Layers.of(network(probe(), labels=1), "relu", "linear")
    values = Head(Parts(model, None, about("regression", ["tempo"])))
    with pytest.raises(ConfigError, match="tempo|moods"):
        values.decide(np.zeros((2, 1)))
    assert values.thresholds is None


def test_what_is_no_head_is_named(tmp_path):
    with pytest.raises(InputError, match="there is no head; mar probe"):
        Head(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match=r"a\.txt: expected a head that mar probe wrote"):
        Head(tmp_path / "a.txt")
    safetensors.numpy.save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="another file or a damaged one"):
        Head(tmp_path / "other.safetensors")
    head().save(tmp_path / FILE)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-9])
    with pytest.raises(InputError, match="another file or a damaged one"):
        Head(tmp_path)
    newer = safetensors.numpy.load(whole), {"mar": json.dumps({"schema": 99})}
    safetensors.numpy.save_file(newer[0], tmp_path / FILE, newer[1])
    with pytest.raises(InputError, match="schema 1 or earlier, got 99; a newer version"):
        Head(tmp_path)


def test_a_head_is_applied_without_tensorflow_or_keras(tmp_path):
    head().save(tmp_path / FILE)
    code = """
import sys, numpy, mar
print(mar.Head(sys.argv[1])(numpy.zeros(6)))
assert not {"tensorflow", "keras", "torch", "jax"} & sys.modules.keys()
"""
    assert "Café" in run_python("-c", code, tmp_path, fresh=True).stdout


def test_activations_that_are_unknown_are_refused():
    with pytest.raises(ConfigError, match="MLP.activation: expected one of .*got 'rellu'"):
        MLP(**{"activation": "rellu", "loss": ScoochBinaryCrossentropy(), "optimizer": {}})
