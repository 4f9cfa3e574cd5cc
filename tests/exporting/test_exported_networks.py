"""Networks as ONNX graphs, compared with Keras."""

import keras
import numpy as np
import onnxruntime
import pytest

import mar
from helpers.exported import small_model
from mar.errors import InputError
from mar.models.layers import SpectrogramInput
from mar.onnx import exporting


def difference(model, windows, snippets):
    """The largest, relative to the largest value, of the file's network and Keras' model."""
    plan = exporting.Plan(model, windows)
    file = exporting.network_file(plan).SerializeToString()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (ours,) = session.run(None, {"snippets": snippets})
    theirs = np.asarray(model(mar.standardize(snippets)))
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def snippets_of(frames, mels=96, count=3):
    return np.random.default_rng(frames).uniform(0, 3, (count, frames, mels)).astype(np.float32)


@pytest.mark.parametrize(
    ("frames", "mels", "parameters"),
    [
        (300, 96, {}),
        (187, 96, {"activation": "relu"}),
        (101, 90, {"depths": [1, 2, 1, 1], "width": 0.07}),  # sizes that no stride divides
        (48, 64, {"alpha": 0.5, "f_value": 1}),
    ],
)
def test_networks_of_any_size(frames, mels, parameters):
    model = small_model(mar.LogMel(n_mels=mels), frames, **parameters)
    windows = mar.Windows(window_seconds=frames / 100)
    assert difference(model, windows, snippets_of(frames, mels)) < 1e-5


def test_any_number_of_frames_is_exported_for_the_windows():
    model = small_model(None, None)
    assert difference(model, mar.Windows(window_seconds=1.5), snippets_of(150)) < 1e-5


def test_a_network_of_keras_own_layers():
    """As anyone builds one, and saves it with `mar.save`."""
    keras.utils.set_random_seed(0)
    spectrogram = keras.Input((96, 100, 1))
    x = SpectrogramInput(mar.LogMel().resolved())(spectrogram)
    x = keras.layers.Conv2D(8, 3, (2, 1), "same", activation="relu")(x)
    x = keras.layers.Conv2D(8, (3, 5), groups=2, use_bias=False)(x)
    x = keras.layers.Conv2D(4, 3, padding="same", dilation_rate=(2, 3), activation="tanh")(x)
    left = keras.layers.GlobalAveragePooling2D()(x)
    right = keras.layers.Dense(5, "tanh")(keras.layers.Flatten()(keras.ops.relu(x)))
    x = keras.ops.concatenate([left, 2.0 * right], axis=-1)
    model = keras.Model(spectrogram, keras.layers.Dense(4)(x))
    assert difference(model, mar.Windows(window_seconds=1.0), snippets_of(100)) < 1e-5


def test_a_layer_that_is_not_known_is_named():
    spectrogram = keras.Input((96, 100, 1))
    x = SpectrogramInput(mar.LogMel().resolved())(spectrogram)
    x = keras.layers.LayerNormalization(name="my_norm")(x)
    model = keras.Model(spectrogram, keras.layers.GlobalAveragePooling2D()(x))
    with pytest.raises(InputError, match=r"my_norm.*LayerNormalization.*Conv2D"):
        exporting.network_file(exporting.Plan(model, mar.Windows(window_seconds=1.0)))
