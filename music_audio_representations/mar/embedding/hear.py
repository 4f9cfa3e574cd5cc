"""The common API of HEAR 2021 (https://hearbenchmark.com/hear-api.html).

    python -m heareval.embeddings.runner mar.embedding.hear --model MODEL

A scene embedding is the mean over the paper's windows, 3 s every 2 s, or over others that
`load_model(windows=mar.Windows(…))` is given. A timestamp embedding is that of a window, 3 s,
around the timestamp; what reaches over an end of the sound is silent. The API asks for 20 of them
per second: that costs 40 times a scene embedding.
"""

import numpy as np

from mar.audio.windows import Windows
from mar.embedding.representations import NetworkWindows, representation
from mar.embedding.waveform import Waveform
from mar.errors import ConfigError
from mar.util.backends import needed_by

with needed_by("the API of HEAR"):
    import tensorflow as tf

TIMESTAMP_HOP_MS = 50  # the API asks for at most this
_GROUP = 32


class HearModel(tf.Module):
    """What `load_model` returns.

    Attributes:
        sample_rate: Hz, of the audio that the model expects.
        scene_embedding_size, timestamp_embedding_size: length of an embedding.
    """

    def __init__(self, representation: NetworkWindows) -> None:
        super().__init__()
        self.representation = representation
        self.sample_rate = representation.front_end.sample_rate
        self.scene_embedding_size = representation.dimensions
        self.timestamp_embedding_size = representation.dimensions


def load_model(model_file_path: str = "", windows: Windows | None = None) -> HearModel:
    """Loads what `mar.load_model` takes; without a path, the published weights.

    Args:
        model_file_path: see `mar.load_model`.
        windows: of scene embeddings, and the length of what timestamp embeddings are of; None for
            the paper's.
    """
    network = representation(model_file_path or "mule", windows)
    if not isinstance(network, NetworkWindows):
        raise ConfigError(f"expected the path of a network, got {model_file_path}")
    return HearModel(network)


def get_scene_embeddings(audio: tf.Tensor, model: HearModel) -> tf.Tensor:
    """One embedding per sound.

    Args:
        audio: `(sounds, samples)` tensor, mono in ±1, at the model's sample rate.
        model: as `load_model` returns it.

    Returns:
        float32 tensor `(sounds, scene_embedding_size)`.
    """

    def groups():
        for sound, samples in enumerate(_sounds(audio)):
            waveform = Waveform([samples], model.representation.shortest)
            for _, snippets in model.representation.pieces(waveform):
                yield sound, snippets

    return tf.stack([tf.reduce_mean(rows, axis=0) for rows in _by_sound(model, groups())])


def get_timestamp_embeddings(audio: tf.Tensor, model: HearModel) -> tuple[tf.Tensor, tf.Tensor]:
    """Embeddings every 50 ms, from the first sample on.

    Args:
        audio: `(sounds, samples)` tensor, mono in ±1, at the model's sample rate.
        model: as `load_model` returns it.

    Returns:
        float32 tensors: embeddings `(sounds, timestamps, timestamp_embedding_size)` and the
        timestamps at their centres, milliseconds, `(sounds, timestamps)`.
    """
    sounds = _sounds(audio)
    log_mel, length = model.representation.front_end, model.representation.windows.length
    seconds = sounds.shape[1] / log_mel.sample_rate
    times = np.arange(0, 1000 * seconds, TIMESTAMP_HOP_MS, dtype=np.float32)
    starts = np.round(times / 1000 / log_mel.hop_seconds).astype(int)
    half = length // 2 * log_mel.hop_length

    def groups():
        for sound, samples in enumerate(sounds):
            padded = np.pad(samples, (half, length * log_mel.hop_length))
            frames = np.concatenate(list(log_mel.stream_blocks([padded])))
            for first in range(0, len(starts), _GROUP):
                group = starts[first : first + _GROUP]
                yield sound, frames[group[:, None] + np.arange(length)]

    embeddings = tf.stack(list(_by_sound(model, groups())))
    return embeddings, tf.tile(times[None], (len(sounds), 1))


def _sounds(audio):
    """The tensor as NumPy, in the form that the API prescribes."""
    sounds = np.asarray(audio, np.float32)
    if sounds.ndim != 2 or not sounds.size:
        raise ValueError(
            f"`audio` must be a tensor (sounds, samples). Received: shape={sounds.shape}"
        )
    return sounds


def _by_sound(model, groups):
    """Yields the embeddings `(n, dimensions)` of each sound, from groups of (sound, snippets)."""
    rows: dict[int, list] = {}
    for sound, embedded in model.representation.stream(groups):
        rows.setdefault(sound, []).append(embedded)
    return (np.concatenate(rows[sound]) for sound in sorted(rows))
