"""Files of exported models: built from a Keras model, loaded again and compared with it."""

import collections
import dataclasses
import functools
import hashlib
import logging
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Literal

import keras
import numpy as np
import onnx

import mar
from mar.audio import isolated
from mar.audio.logmel import STD_FLOOR, LogMel
from mar.audio.windows import Windows
from mar.embedding.embedder import Embedder
from mar.embedding.model_names import told_by_file
from mar.embedding.waveform import Waveform
from mar.errors import ConfigError, InputError
from mar.models.saving import fingerprint, front_end, save_waveform_model
from mar.onnx.agreement import Agreement
from mar.onnx.graph import Graph
from mar.onnx.heads import add_head, output_name
from mar.onnx.layers import Tensor, converted
from mar.onnx.metadata import About, sealed
from mar.onnx.quantization import choices, float16
from mar.onnx.runtime import ExportedNetwork
from mar.onnx.signals import signals
from mar.onnx.waveform import EMBEDDING, SNIPPETS, standardized, whole_graph
from mar.probing.head import Head
from mar.util.atomic import whole

FLOAT32_DIFFERENCE = 1e-5  # of the largest value; embeddings are interchangeable up to there
LEAST_CENTRED = 0.99  # centred cosine that float16 and int8 must reach
QUANTIZATION = "signals 2"  # what int8 is calibrated on without audio, and how
_NOT_FASTER = 0.9  # of float32's time, from which on int8 is not worth it
_FILES, _SECONDS = 32, 60  # of what is calibrated and compared on
_SIGNALS = {"int8": 32, "float16": 4}  # in place of files, where there are none; of float32 one
_SNIPPETS = 96  # that are calibrated on, and as many that are measured on
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is exported.

    Attributes:
        model: as `mar.load_model` returns it.
        windows: that a waveform is cut into.
        heads: whose labels come with the embeddings.
        licence: of the weights.
        source: where the weights came from.
    """

    model: keras.Model
    windows: Windows = dataclasses.field(default_factory=Windows)
    heads: Sequence[Head] = ()
    licence: str = "not stated"
    source: str = "a Keras model"

    @functools.cached_property
    def embedder(self) -> Embedder:
        """Of the model and the windows."""
        return Embedder(self.model, self.windows)

    @property
    def log_mel(self) -> LogMel:
        """The front end."""
        return front_end(self.model)

    def check_heads(self) -> None:
        """That the heads were trained on embeddings of this model and these windows.

        Raises:
            ConfigError: two of them would have outputs of one name.
            InputError: one was not.
        """
        names = collections.Counter(map(output_name, self.heads))
        if twice := [name for name, count in names.items() if count > 1]:
            raise ConfigError(
                f"heads: expected an output of its own for each, got two outputs {twice[0]!r}; "
                f"export one of the two, or each into a file of its own"
            )
        made = self.embedder.provenance if self.heads else {}
        for head in self.heads:
            head.check(made, f"{self.source}, with {self.windows!r}")


def network_file(plan: Plan) -> onnx.ModelProto:
    """The network alone, float32: plain log-mel `SNIPPETS` → `EMBEDDING`.

    Raises:
        InputError: it has a layer that cannot be exported.
    """
    log_mel = plan.log_mel
    frames = plan.windows.in_frames(log_mel.hop_seconds).length
    graph = Graph("network/")
    graph.input(SNIPPETS, ("n", frames, log_mel.n_mels))
    maps = standardized(graph, SNIPPETS, STD_FLOOR)
    embedding = converted(plan.model, graph, Tensor(maps, (log_mel.n_mels, frames, 1)))
    graph.output(EMBEDDING, embedding.name, ("n", *embedding.shape))
    return graph.model()


def whole_file(
    plan: Plan, network: onnx.ModelProto, precision: str, quantization: str | None = None
) -> bytes:
    """The file: waveform to embeddings and labels, with its metadata.

    Args:
        plan: what is exported.
        network: as `network_file` made it, perhaps in another precision.
        precision: of the network.
        quantization: what tells it from other files of that precision.
    """
    log_mel, windows = plan.log_mel, plan.windows
    frames = windows.in_frames(log_mel.hop_seconds)
    dimensions = plan.model.output_shape[-1]
    graph = whole_graph(network.graph, log_mel, frames, dimensions)
    heads = [add_head(graph, head, "embeddings", "mean") for head in plan.heads]
    made = {"quantization": quantization} if quantization else {}
    about = About(
        front_end=log_mel.resolved(),
        windows=windows.resolved(),
        frames=frames.length,
        dimensions=dimensions,
        precision=precision,
        heads=heads,
        licence=plan.licence,
        provenance={"model": fingerprint(plan.model), "precision": precision, **made},
        origin={"model": plan.source, **told_by_file(plan.source), "mar": mar.__version__},
    )
    file = graph.model(network.opset_import)
    onnx.helper.set_model_props(file, about.entries())
    return sealed(file.SerializeToString())


# ---------------------------------------------------------------------------- what is compared on


def waveforms(
    audio: Sequence[str | os.PathLike], log_mel: LogMel, precision: str = "float32"
) -> list[np.ndarray]:
    """Mono samples at the front end's rate, a minute at most of each of `_FILES` files at most.

    Of no files, signals that stand for music, as many as a precision needs.

    Raises:
        InputError: a file cannot be read.
    """
    chosen = audio[:: -(-len(audio) // _FILES)] if audio else []
    return [_excerpt(path, log_mel) for path in chosen] or signals(
        _SIGNALS.get(precision, 1), log_mel.sample_rate
    )


def _excerpt(path, log_mel):
    """The first minute of a file, mono."""
    blocks, held, most = [], 0, _SECONDS * log_mel.sample_rate
    for block in isolated.blocks(path, **log_mel.decoding):
        blocks.append(block)
        held += len(block)
        if held >= most:
            break
    return np.concatenate(blocks)[:most]


def original(plan: Plan, samples: Iterable[np.ndarray]) -> np.ndarray:
    """Embeddings of all windows by the model itself, `(windows, dimensions)`.

    Args:
        plan: what is exported.
        samples: mono, as they come out of the front end's resampler.
    """
    representation = plan.embedder.representation
    values: list[np.ndarray] = []
    for waveform in samples:
        pieces = representation.pieces(Waveform([waveform], representation.shortest))
        for _, embeddings in representation.stream(pieces):
            assert isinstance(embeddings, np.ndarray)  # encoders of others alone give errors
            values.append(embeddings)
    return np.concatenate(values)


# ----------------------------------------------------------------------------------------- writing


def write_onnx(
    plan: Plan,
    output: str | os.PathLike,
    audio: Sequence[str | os.PathLike] = (),
    precision: Literal["float32", "float16", "int8"] = "float32",
    least: float = LEAST_CENTRED,
) -> Agreement:
    """Writes a file, and compares it with the model.

    Args:
        plan: what is exported.
        output: the file, `.onnx`.
        audio: files to compare on; none for signals that stand for music. int8 is calibrated on
            every other one (of one file: on its first half), and compared on the others.
        precision: of the network's computation.
        least: centred cosine that float16 and int8 must reach; float32 has its own bound.

    Raises:
        InputError: it cannot be exported or written, or its embeddings are not the model's; then
            nothing is written.
    """
    samples: Sequence[np.ndarray] = waveforms(audio, plan.log_mel, precision)
    network, quantization = network_file(plan), None
    if precision == "int8":
        calibration, samples = halves(samples)
        choice = _int8(plan, network, calibration, samples, least)
        network = choice.network
        # Calibrated on signals it is the same everywhere, but for the last bits of its scales.
        chosen = " ".join([QUANTIZATION, *choice.quantized]).encode()
        what = network.SerializeToString() if audio else chosen
        quantization = hashlib.sha256(what).hexdigest()[:16]
    elif precision == "float16":
        network = float16(network)
    with whole(output) as unfinished:
        unfinished.write_bytes(whole_file(plan, network, precision, quantization))
        loaded = ExportedNetwork(unfinished)
        embeddings = np.concatenate([loaded.whole(each)["embeddings"] for each in samples])
        agreement = Agreement.of(embeddings, original(plan, samples))
        if precision == "float32":
            return _interchangeable(agreement, output)
        if not agreement.centred >= least:
            raise InputError(
                f"{output}: not written: {precision} reaches a centred cosine of "
                f"{agreement.centred:.4f} with these weights, expected at least {least}; "
                f"--least_centred 0.9 would accept 0.9 ({agreement})"
            )
        return agreement


def _int8(plan, network, calibration, held_out, least):
    """The fastest choice that agrees well enough."""
    calibrated_on, measured_on = snippets_of(plan, calibration), snippets_of(plan, held_out)
    choice = None
    for choice in choices(network, calibrated_on, measured_on, lambda c: c.centred >= least):
        _LOG.info("%s", choice)
    if choice is None:
        raise InputError("int8: the network has no convolution")
    if choice.seconds > _NOT_FASTER:
        _LOG.warning(
            "int8: takes %.2f of the time of float32 on this processor, where it could be half: "
            "in a narrow network most of it is not in convolutions",
            choice.seconds,
        )
    return choice


def halves(samples: Sequence[np.ndarray]) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
    """Waveforms to calibrate on, and others to measure on; of one, its first and second half."""
    if len(samples) == 1:
        first, second = np.array_split(samples[0], 2)
        return [first], [second]
    return samples[::2], samples[1::2]


def snippets_of(plan: Plan, samples: Sequence[np.ndarray]) -> np.ndarray:
    """Plain log-mel `(snippets, mels, frames)` of at most `_SNIPPETS` windows, evenly from all."""
    representation = plan.embedder.representation
    pieces = [
        snippets
        for waveform in samples
        for _, snippets in representation.pieces(Waveform([waveform], representation.shortest))
    ]
    snippets = np.concatenate(pieces)
    return snippets[:: -(-len(snippets) // _SNIPPETS)]


def write_saved_model(
    plan: Plan, output: str | os.PathLike, audio: Sequence[str | os.PathLike] = ()
) -> Agreement:
    """Writes a TensorFlow SavedModel, see `mar.save_waveform_model`; else as `write_onnx`."""
    if pathlib.Path(output).exists():
        raise InputError(f"{output}: exists already; give the name of a new folder")
    samples = waveforms(audio, plan.log_mel)
    with whole(output) as unfinished:
        save_waveform_model(plan.model, unfinished)
        import tensorflow as tf

        embed = tf.saved_model.load(str(unfinished)).signatures["embed_waveform"]
        embeddings = [embed(waveform=tf.constant(each))["embedding"] for each in samples]
        agreement = Agreement.of(np.concatenate(embeddings), original(plan, samples))
        return _interchangeable(agreement, output)


def _interchangeable(agreement: Agreement, output: str | os.PathLike) -> Agreement:
    """Raises InputError where embeddings are not interchangeable."""
    if not agreement.difference <= FLOAT32_DIFFERENCE:
        raise InputError(
            f"{output}: not written: its embeddings differ from the model's by more than "
            f"{FLOAT32_DIFFERENCE}: {agreement}"
        )
    return agreement
