"""The analysis pipelines that the paper's authors published, from their YAML files.

A pipeline decodes a file, and may take its mel spectrogram, embed slices of that, and average over
time. Class and parameter names are the published ones; what they describe is done by the parts of
`mar.Embedder`, so that the published configurations give its vectors.
"""

import functools
import logging
import os

import numpy as np

from mar.audio import isolated
from mar.audio.logmel import PUBLISHED, LogMel
from mar.audio.windows import FrameWindows
from mar.config import Configurable, Param
from mar.embedding.model_names import is_exported
from mar.embedding.representations import WindowNetwork
from mar.embedding.waveform import Waveform
from mar.errors import ConfigError
from mar.util import hub
from mar.util.kinds import NonNegativeInt, PositiveInt

PUBLISHED_MODEL = "./supporting_data/model/model.keras"
_BATCH = 32
_LOG = logging.getLogger(__name__)


class Extractor(Configurable):
    """How a transform takes its input from the feature before it."""


class BlockExtractor(Extractor):
    """All of it, in blocks. The result does not depend on their size."""


class SliceExtractor(Extractor):
    """Slices of `look_backward + look_forward` frames around every `hop`-th frame but the first.

    They are moved inwards where they would reach over an end.
    """

    hop: PositiveInt = Param(default=200, doc="Frames from slice to slice.")
    look_forward: NonNegativeInt = Param(default=150, doc="Frames from a slice's centre on.")
    look_backward: NonNegativeInt = Param(default=150, doc="Frames before a slice's centre.")
    standard_normalize: bool = Param(
        default=True, doc="Whether each slice is brought to mean 0 and deviation 1."
    )

    def __post_init__(self) -> None:
        if not self.look_backward + self.look_forward:
            raise ConfigError(
                "SliceExtractor: expected look_backward and look_forward of at least 1 together, "
                "got 0"
            )

    def windows(self) -> FrameWindows:
        """The slices, as `FrameWindows`."""
        length = self.look_backward + self.look_forward
        return FrameWindows(length, self.hop, self.hop, self.look_backward)


class AudioFile(Configurable):
    """The audio file."""

    sample_rate: int = Param(default=44100, doc="Sample rate that the file is decoded to, Hz.")


class AudioWaveform(Configurable):
    """The waveform of a file: the sum of its channels, at half scale."""

    input_file: AudioFile = Param(default=AudioFile(), doc="The file.")
    sample_rate: int = Param(default=16000, doc="Sample rate of the waveform, Hz.")


class Transform(Configurable):
    """A feature that is made from the one before it."""

    extractor: Extractor = Param(default=BlockExtractor(), doc="How it takes its input.")


class MelSpectrogram(Transform):
    """Mel spectrogram of a waveform."""

    n_fft = LogMel.n_fft
    hop_length = LogMel.hop_length
    win_length = LogMel.win_length
    window = LogMel.window
    n_mels = LogMel.n_mels
    fmin = LogMel.fmin
    fmax = LogMel.fmax
    norm = LogMel.norm
    htk = LogMel.htk
    power = LogMel.power
    mag_compression = LogMel.mag_compression
    mag_range = LogMel.mag_range

    def log_mel(self, waveform: AudioWaveform) -> LogMel:
        """The `mar.LogMel` of an `AudioWaveform`."""
        spectrogram = {name: getattr(self, name) for name in self.__PARAMS__ if name != "extractor"}
        return PUBLISHED.replace(
            **spectrogram,
            sample_rate=waveform.sample_rate,
            via_rate=waveform.input_file.sample_rate,
        )


class EmbeddingFeature(Transform):
    """Embeddings of slices of a mel spectrogram."""

    extractor: Extractor = Param(default=SliceExtractor(), doc="The slices.")
    model_location: str = Param(
        default=PUBLISHED_MODEL,
        doc="The model: what `mar.load_model` takes, or a file of `mar export`.",
    )
    apply_softmax: bool = Param(
        default=False, doc="Whether the softmax of the model's output is taken."
    )

    def network(self) -> WindowNetwork:
        """Loads the model. Where the release's own file is not there, its weights are fetched.

        Raises:
            ConfigError: an exported file is to be applied in another way than it was exported for.
        """
        location, frames = hub.local(self.model_location), self.extractor.windows().length
        if is_exported(location):
            from mar.onnx.runtime import ExportedNetwork

            exported = ExportedNetwork(location, _BATCH)
            if self.apply_softmax or not self.extractor.standard_normalize:
                raise ConfigError(
                    f"{location}: standardises slices and has no softmax; expected "
                    f"standard_normalize: true and apply_softmax: false, or the model itself"
                )
            exported.check_frames(frames)
            return exported
        from mar.embedding.network import Network
        from mar.models.loading import load_model

        if location == PUBLISHED_MODEL and not os.path.exists(location):
            _LOG.info("%s is not here: the published weights are used", location)
            location = "mule"
        normalized, softmax = self.extractor.standard_normalize, self.apply_softmax
        return Network(
            load_model(location), frames, _BATCH, standardized=normalized, softmax=softmax
        )


class TimelineAverage(Transform):
    """The average over time."""


class Analysis(Configurable):
    """A source and the transforms that are applied to it, one after the other.

    These may be a `MelSpectrogram`, an `EmbeddingFeature` of it, and a `TimelineAverage` at the
    end. A pipeline keeps nothing from file to file.

    Raises:
        ConfigError: other transforms, or another order.
    """

    source_feature: AudioWaveform = Param(default=AudioWaveform(), doc="The waveform.")
    feature_transforms: tuple[Transform, ...] = Param(default=(), doc="What is made of it.")

    def __post_init__(self) -> None:
        kinds = list(self._by_class)
        order = [MelSpectrogram, EmbeddingFeature, TimelineAverage]
        if (
            len(kinds) < len(self.feature_transforms)
            or kinds != [kind for kind in order if kind in kinds]
            or kinds[:1] == [EmbeddingFeature]
        ):
            names = [type(transform).__name__ for transform in self.feature_transforms]
            raise ConfigError(
                "Analysis.feature_transforms: expected MelSpectrogram, EmbeddingFeature (of a "
                f"MelSpectrogram) and TimelineAverage, each at most once, got {names}"
            )
        for transform in self.feature_transforms:
            slices = isinstance(transform, EmbeddingFeature)
            expected = SliceExtractor if slices else BlockExtractor
            if not isinstance(transform.extractor, expected):
                raise ConfigError(
                    f"{type(transform).__name__}.extractor: expected {expected.__name__}, got "
                    f"{type(transform.extractor).__name__}"
                )

    @property
    def _by_class(self):
        return {type(transform): transform for transform in self.feature_transforms}

    @functools.cached_property
    def _log_mel(self):
        mel = self._by_class.get(MelSpectrogram) or MelSpectrogram()
        return mel.log_mel(self.source_feature)

    def __call__(self, path: str | os.PathLike) -> np.ndarray:
        """Analyses one audio file.

        Returns:
            float32, features first: `(1, samples)`, `(mels, frames)`, `(dimensions, slices)`, or
            `(…, 1)` for an average.

        Raises:
            InputError: the file or the model cannot be used.
        """
        blocks = isolated.blocks(path, **self._log_mel.decoding)
        if MelSpectrogram not in self._by_class:
            columns = (self._log_mel.level * block[:, None] for block in blocks)
        elif EmbeddingFeature not in self._by_class:
            columns = self._log_mel.stream_blocks(blocks)
        else:
            windows = self._by_class[EmbeddingFeature].extractor.windows()
            waveform = Waveform(blocks, (windows.length - 1) * self._log_mel.hop_length)
            snippets = windows.cut(self._log_mel.stream_blocks(waveform))
            columns = (values for _, values in self._network.stream(snippets))
        feature = np.concatenate(list(columns))
        if TimelineAverage in self._by_class:
            feature = feature.mean(axis=0, keepdims=True)
        return np.ascontiguousarray(feature.T, np.float32)

    @functools.cached_property
    def _network(self):
        """The network, loaded with the first file."""
        network = self._by_class[EmbeddingFeature].network()
        self._warn_of_another_front_end(network.log_mel)
        return network

    def _warn_of_another_front_end(self, expected):
        expected, given = (each.resolved()["LogMel"] for each in (expected, self._log_mel))
        differing = [name for name in given if given[name] != expected[name]]
        if differing:
            details = ", ".join(f"{name} {expected[name]}, not {given[name]}" for name in differing)
            _LOG.warning("the model was made with %s", details)
