"""Our own models on disk, and the front end that each carries."""

import hashlib
import os
import pathlib
from typing import Any

import keras
import numpy as np

from mar.audio.logmel import LogMel, standardize
from mar.audio.windows import Windows
from mar.errors import InputError
from mar.models.archive import Members
from mar.models.layers import SpectrogramInput, undrawn
from mar.util.atomic import whole
from mar.util.backends import require_tensorflow

_MODULES = ("keras", "mar")
_REACHING_OUT = (
    *("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),
    *("StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization", "function"),
)


def front_end(model: keras.Model) -> LogMel:
    """The `mar.LogMel` that the model's weights expect.

    Raises:
        InputError: the model has none, as this package did not make it.
    """
    for layer in model.layers:
        if isinstance(layer, SpectrogramInput):
            return LogMel.from_config(layer.front_end)
    first = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in model.layers[:2])
    raise InputError(
        f"the model {model.name!r} carries no front end: expected a SpectrogramInput as its first "
        f"layer, found {first or 'no layers'}"
    )


def fingerprint(model: keras.Model) -> str:
    """SHA-256 (hex) of the model's weights; it does not depend on the file they came from."""
    digest = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{weight.path} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def save(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes a model as one `.keras` file, whole or not at all.

    It opens with `keras.saving.load_model` once `mar.models` is imported, and with
    `mar.load_model`.

    Args:
        model: as `SfNfNetF0.build` or `mar.load_model` returns it.
        path: ends in `.keras`.

    Raises:
        InputError: it has another ending, or cannot be written.
    """
    path = pathlib.Path(path)
    front_end(model)
    if path.suffix != ".keras" or not path.parent.is_dir():
        raise InputError(f"{path}: expected a name that ends in .keras, in an existing folder")
    with whole(path) as unfinished:
        model.save(unfinished)


def load(path: str | os.PathLike[str], members: Members) -> keras.Model:
    """Opens a file that `save` wrote.

    Args:
        path: of the file.
        members: what is in it.

    Raises:
        InputError: it is no such file, or has a layer that would run or read something else.
    """
    try:
        _refuse_foreign(members.config)
        with undrawn():
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what it stumbles over in what was changed
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"{path}: not a model that mar saved: {reason}") from None
    try:
        front_end(model)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return model


def _refuse_foreign(config: Any) -> None:
    """Raises ValueError where a description names classes that are neither Keras' nor ours nor
    registered by now, or layers that run or read what is not in the file. Keras' own safe mode
    differs by its version.
    """
    if isinstance(config, dict):
        module, name = config.get("module"), config.get("class_name")
        is_known = (
            module is None
            or str(module).split(".")[0] in _MODULES
            or keras.saving.get_registered_object(str(config.get("registered_name"))) is not None
        )
        if not is_known or (module and "class_name" not in config) or name in _REACHING_OUT:
            raise ValueError(f"it has {module}.{name}, which is not loaded from a file")
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            _refuse_foreign(part)


def save_waveform_model(model: keras.Model, folder: str | os.PathLike[str]) -> None:
    """Writes a TensorFlow SavedModel that runs without this package.

    It has two signatures:

    * `embed_logmel(logmel)`: plain log-mel snippets `(n, frames, mels)` → `embedding`
      `(n, dimensions)`.
    * `embed_waveform(waveform)`: mono samples in ±1 at the front end's sample rate `(samples,)` →
      `embedding` `(windows, dimensions)` and `times` `(windows,)`, the windows' centres in seconds.
      Windows are as `mar.Embedder`'s: one every 2 s; shorter audio is padded with silence.

    Args:
        model: as `SfNfNetF0.build` or `mar.load_model` returns it, on the TensorFlow backend.
        folder: is created, whole or not at all; must not exist.

    Raises:
        InputError: the folder exists or cannot be written, or the model carries no front end.
        ConfigError: Keras runs on another backend.
    """
    require_tensorflow("writing a SavedModel")
    import tensorflow as tf

    folder = pathlib.Path(folder)
    if folder.exists():
        raise InputError(f"{folder}: exists already; give the name of a new folder")
    log_mel = front_end(model)
    frames = model.inputs[0].shape[2]
    windows = Windows() if frames is None else Windows(window_seconds=frames * log_mel.hop_seconds)
    frame_windows = windows.in_frames(log_mel.hop_seconds)

    logmel_spec = tf.TensorSpec((None, frames, log_mel.n_mels), tf.float32, "logmel")
    waveform_spec = tf.TensorSpec((None,), tf.float32, "waveform")

    @tf.function(input_signature=[logmel_spec], autograph=False)
    def embed_logmel(logmel: Any) -> dict[str, Any]:
        return {"embedding": model(standardize(logmel))}

    @tf.function(input_signature=[waveform_spec], autograph=False)
    def embed_waveform(waveform: Any) -> dict[str, Any]:
        silence = (frame_windows.length - 1) * log_mel.hop_length - tf.shape(waveform)[0]
        logmel = log_mel.log_mel(tf.pad(waveform, [[0, tf.maximum(0, silence)]]))
        starts = frame_windows.starts(tf.shape(logmel)[0])
        snippets = tf.gather(logmel, starts[:, None] + tf.range(frame_windows.length))
        times = frame_windows.centres(tf.cast(starts, tf.float32)) * log_mel.hop_seconds
        return {"embedding": model(standardize(snippets)), "times": times}

    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    signatures = {"embed_logmel": embed_logmel, "embed_waveform": embed_waveform}
    with whole(folder) as unfinished:
        tf.saved_model.save(module, str(unfinished), signatures)
