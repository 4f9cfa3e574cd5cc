"""Networks with known weights, and small ones."""

import zlib

import numpy as np

from helpers.resources import DATA

GOLDEN = DATA / "sfnfnetf0_golden.npz"


def golden_value(name, shape):
    """The golden value of the variable with this canonical name (see `fill_golden`)."""
    seed = zlib.crc32(name.encode()) & 0x7FFFFFFF
    values = np.random.RandomState(seed).standard_normal(1009).astype(np.float32)
    values = np.resize(values, int(np.prod(shape))).reshape(shape)
    if name.endswith(".gain"):
        return 1 + 0.1 * values
    if name.endswith("skip_gain"):
        return 0.5 + 0.1 * values
    if name.endswith(".bias"):
        return 0.1 * values
    return values / np.sqrt(shape[0]) if "squeeze_excite" in name else values


def fill_golden(model):
    """Fills a network with weights that depend on their names alone, and hide no branch."""
    from mar.models.sfnfnet import canonical_name

    for variable in model.weights:
        variable.assign(golden_value(canonical_name(variable), tuple(variable.shape)))
    return model


def golden_input():
    return np.random.RandomState(2022).standard_normal((2, 96, 300, 1)).astype(np.float32)


def small_network(**parameters):
    """A shallow, narrow network: graph size is what makes tests slow."""
    from mar.models.sfnfnet import SfNfNetF0

    return SfNfNetF0(**{"width": 0.1, "depths": [1, 1, 1, 1], **parameters})


def plain_network(frames=300, front_end=None, seed=0):
    """One convolution over all bands: a model where the network is not the point.

    It is loaded and compiled in a tenth of a second, and has as many dimensions as `small_network`.
    """
    import keras

    from mar.audio.logmel import LogMel
    from mar.models.layers import SpectrogramInput, WSConv2D

    front_end = front_end or LogMel()
    spectrogram = keras.Input((front_end.n_mels, frames, 1), name="spectrogram")
    bands = (front_end.n_mels, 4)  # wider ones take oneDNN gigabytes on some processors
    x = SpectrogramInput(front_end.resolved(), name="front_end")(spectrogram)
    x = WSConv2D(173, bands, bands, name="bands")(x)
    x = keras.layers.Activation("gelu", name="gelu")(x)
    embedding = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    model = keras.Model(spectrogram, embedding, name="plain")
    rng = np.random.RandomState(seed)
    for variable in model.weights:
        variable.assign(rng.standard_normal(variable.shape))
    return model
