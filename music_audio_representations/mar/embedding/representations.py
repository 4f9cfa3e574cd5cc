"""Ways to represent audio: what `mar.Embedder` makes embeddings with.

`NetworkWindows` is a network, on Keras or on ONNX Runtime, of windows along the timeline;
`mar.embedding.baselines` has others. Anyone's own is a class with the attributes and methods of
`Representation`.
"""

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mar.audio.front_end import FrontEnd
from mar.audio.logmel import LogMel
from mar.audio.windows import Windows
from mar.embedding.batches import Tag
from mar.embedding.encoders import address as addresses
from mar.embedding.model_names import is_baseline, is_exported
from mar.errors import ConfigError, InputError
from mar.util import hub
from mar.util.backends import needed_by

if TYPE_CHECKING:
    import keras

Group = tuple[np.ndarray, np.ndarray]
Embedded = np.ndarray | InputError


class Representation(Protocol):
    """What an `Embedder` asks of a way to represent audio.

    Attributes:
        front_end: says how files are decoded.
        dimensions: of an embedding.
        shortest: samples that shorter audio is filled up to, with silence.
        piece_shape: of one of the `pieces`.
        provenance: what tells it from others, as plain data: `model`, and whatever else changes
            its embeddings but for the front end.
    """

    front_end: FrontEnd
    dimensions: int
    shortest: int

    @property
    def piece_shape(self) -> tuple[int, ...]: ...

    @property
    def provenance(self) -> dict: ...

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """Cuts one piece of audio; called in several threads at a time.

        Args:
            mono_blocks: its samples at the front end's rate, in order, float32 `(n,)`.

        Yields:
            `(times, pieces)`: centres in seconds, float32 `(k,)`, and `(k, *piece_shape)`.

        Raises:
            InputError: it cannot be represented.
        """

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, Embedded]]:
        """Embeds pieces of any audio: `(tag, (k, …))` → `(tag, float32 (k, dimensions))`, in order.

        Groups may be taken ahead of those that are yielded, to be packed into batches. A group may
        have no pieces (k = 0), and is yielded then without embeddings. An `InputError` in place of
        embeddings says why a piece of audio has none.
        """


class WindowNetwork(Protocol):
    """What `NetworkWindows` asks of a network.

    Attributes:
        log_mel: its front end.
        dimensions: of an embedding.
        provenance: what tells it from others, as plain data: `model` and `precision`.
    """

    dimensions: int

    @property
    def log_mel(self) -> LogMel: ...

    @property
    def provenance(self) -> dict[str, Any]: ...

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """Embeds groups of snippets `(k, frames, mels)`, see `mar.embedding.batches.in_batches`."""


class NetworkWindows:
    """A network, of each of the windows.

    Args:
        network: for snippets of the windows' length.
        windows: the `mar.Windows`.
    """

    def __init__(self, network: WindowNetwork, windows: Windows) -> None:
        self.network, self.front_end = network, network.log_mel
        self.windows = windows.in_frames(self.front_end.hop_seconds)
        self.dimensions = self.network.dimensions
        self.shortest = (self.windows.length - 1) * self.front_end.hop_length
        self.piece_shape = (self.windows.length, self.front_end.n_mels)
        self._windows = windows.resolved()["Windows"]

    @property
    def provenance(self) -> dict:
        """The weights' fingerprint, the windows and the precision."""
        return {**self._windows, **self.network.provenance}

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """The windows' centres, and their snippets `(k, frames, mels)`."""
        for starts, snippets in self.windows.cut(self.front_end.stream_blocks(mono_blocks)):
            centres = self.windows.centres(starts) * self.front_end.hop_seconds
            yield centres.astype(np.float32), snippets

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """See `Network.stream`."""
        return self.network.stream(groups)


def representation(
    model: "str | os.PathLike | keras.Model | Representation",
    windows: Windows | None = None,
    batch_size: int = 32,
    precision: str | None = None,
) -> Representation:
    """What a name, a file or a model stands for.

    Args:
        model: a file that `mar export` wrote, `.onnx`, which needs no Keras; what `mar.load_model`
            takes; `logmel_mean`, `MTT_musicnn` or `MSD_musicnn`; `random`, or `random:7`, the
            untrained SF-NFNet-F0 of seed 0, or 7; the address of another's encoder, see
            `mar.embedding.encoders.address`; a Keras model; or a `Representation`, which is
            returned.
        windows: of a network; None for the paper's, or those that a file was exported with.
        batch_size: windows that are embedded at once.
        precision: of a network's computation; None for float32, or that of an exported file. A
            Keras model is computed in int8 by a file that is exported once.

    Raises:
        ConfigError: a seed that is none, or another precision or windows than what has but one; a
            package that it needs, such as Keras, is missing.
        InputError: the model cannot be loaded.
    """
    if isinstance(model, (str, os.PathLike)):
        name = os.fspath(model)
        with needed_by(name):
            return _named(hub.local(name), windows, batch_size, precision)
    return _given(model, windows, batch_size, precision)


def _named(model, windows, batch_size, precision):
    """What a name or a file stands for; on disk, where it was on the hub."""
    if (address := addresses.parse(model)) is not None:
        from mar.embedding.encoders.opening import opened

        if precision not in (None, "float32"):
            raise ConfigError(f"precision: expected float32 for {model}, got {precision}")
        return opened(address, windows or Windows())
    name, _, seed = model.partition(":")
    if is_exported(name):
        return _exported(model, windows, batch_size, precision)
    if is_baseline(name) and name != "random":
        from mar.embedding.baselines import baseline

        if precision not in (None, "float32"):
            raise ConfigError(f"precision: expected float32 for {name}, got {precision}")
        return baseline(name, batch_size)
    if precision == "int8":
        _require_onnx()
    return _given(_model(name, seed, model), windows, batch_size, precision)


def _given(model, windows, batch_size, precision):
    """What a Keras model stands for, or a representation, which is one."""
    if hasattr(model, "pieces"):
        return model
    keras = sys.modules.get("keras")  # there are no models of it where nobody imported it
    if keras is not None and isinstance(model, keras.Model):
        return _of_keras(model, windows or Windows(), batch_size, precision or "float32")
    raise ConfigError(f"model: expected a name, a file or a model, got {model!r}")


def _require_onnx():
    """Raises InputError where what int8 is computed with is not installed."""
    for name in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"precision: int8 needs the package {name}: "
                f"pip install 'music-audio-representations[onnx]'"
            )


def _model(name, seed, source):
    """The Keras model of `random:SEED`, or of what `mar.load_model` takes."""
    if name == "random":
        from mar.embedding.baselines import random_model

        return random_model(seed or "0")
    from mar.models.loading import load_model

    return load_model(source)


def _of_keras(model, windows, batch_size, precision):
    from mar.embedding.network import Network
    from mar.models.saving import front_end

    if precision == "int8":
        from mar.onnx.engine import int8

        return NetworkWindows(int8(model, windows, batch_size), windows)
    if precision == "float16":
        raise ConfigError(
            "precision: float16 is that of an exported file: mar export --precision float16 "
            "--output FILE.onnx makes one of this model, and --model FILE.onnx takes it"
        )
    frames = windows.in_frames(front_end(model).hop_seconds).length
    return NetworkWindows(Network(model, frames, batch_size, precision), windows)


def _exported(path, windows, batch_size, precision):
    from mar.onnx.runtime import ExportedNetwork

    network = ExportedNetwork(path, batch_size)
    network.check(windows, precision)
    return NetworkWindows(network, windows or network.windows)
