"""Exported models on ONNX Runtime, in processes that import neither TensorFlow nor Keras."""

import contextlib
import functools
import logging
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mar.audio.logmel import LogMel
from mar.audio.windows import Windows
from mar.embedding.batches import Tag, in_batches
from mar.errors import ConfigError, InputError
from mar.onnx.metadata import About, check

if TYPE_CHECKING:
    import onnxruntime

# The fastest first, as far as they are installed.
_PROVIDERS = (
    "CUDAExecutionProvider",
    "CoreMLExecutionProvider",
    "DmlExecutionProvider",
    "CPUExecutionProvider",
)
_PROCESSOR = pathlib.Path("/proc/cpuinfo")
_ERRORS_ALONE = 3  # ONNX Runtime remarks on inputs that may be left out
_LOG = logging.getLogger(__name__)


class ExportedNetwork:
    """The network of a file that `mar export` wrote, from log-mel snippets to embeddings.

    Args:
        path: of the file, `.onnx`.
        batch_size: snippets that are embedded at once.

    Attributes:
        about: what the file says of itself.
        dimensions: of an embedding.

    Raises:
        InputError: the file is missing, damaged or not ours, or ONNX Runtime is not installed.
    """

    def __init__(self, path: str | os.PathLike, batch_size: int = 32) -> None:
        self._path, self._batch_size = os.fspath(path), batch_size
        if batch_size < 1:
            raise ConfigError(f"expected batch_size of at least 1, got {batch_size}")
        self._session = session(path)
        entries = self._session.get_modelmeta().custom_metadata_map
        self.about = About.of(entries, self._path)
        self.dimensions = self.about.dimensions
        if self.about.precision == "int8" and lacks_vnni():
            _warn_once(
                "int8: this processor has no VNNI instructions: slower than where there are some, "
                "and embeddings of a file that was exported there may differ more than it says"
            )

    @functools.cached_property
    def log_mel(self) -> LogMel:
        """The front end that the weights expect."""
        return LogMel.from_config(self.about.front_end, self._path)

    @functools.cached_property
    def windows(self) -> Windows:
        """The windows that the file was exported with."""
        return Windows.from_config(self.about.windows, self._path)

    @property
    def provenance(self) -> dict[str, Any]:
        """The fingerprint of the original weights, the precision, and which quantisation it is.

        Embeddings of a float32 file are interchangeable with those of the model itself.
        """
        return self.about.provenance

    def check(self, windows: Windows | None, precision: str | None) -> None:
        """That the file is for windows of this length, and for this precision.

        Raises:
            ConfigError: it is not.
        """
        if precision not in (None, self.about.precision):
            raise ConfigError(
                f"precision: {self._path} computes in {self.about.precision}, got {precision}; "
                f"mar export --precision {precision} makes another file"
            )
        if windows is not None:
            self.check_frames(windows.in_frames(self.log_mel.hop_seconds).length)

    def check_frames(self, frames: int) -> None:
        """That the file is for snippets of so many frames.

        Raises:
            ConfigError: it is not.
        """
        if frames != self.about.frames:
            hop = self.log_mel.hop_seconds
            raise ConfigError(
                f"windows: {self._path} is for {self.about.frames} frames, windows of "
                f"{self.windows.window_seconds:g} s; got {frames} frames, {frames * hop:g} s. "
                f"mar export --set Windows.window_seconds={frames * hop:g} makes another file"
            )

    def __call__(self, snippets: np.ndarray) -> np.ndarray:
        """`(n, frames, mels)` plain log-mel → float32 `(n, dimensions)`."""
        (embeddings,) = (values for _, values in self.stream([(None, snippets)]))
        return embeddings

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """Embeds groups of snippets `(k, frames, mels)`, see `in_batches`."""
        return in_batches(groups, self._forward, self._batch_size, self.dimensions)

    def whole(self, waveform: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs of the file's own graph, by name.

        Args:
            waveform: float32 `(samples,)` or `(samples, channels)` in ±1, at the front end's rate.
        """
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {"waveform": waveform}), strict=True))

    def _forward(self, snippets):
        inputs = {"waveform": np.zeros(0, np.float32), "logmel": snippets.astype(np.float32)}
        return self._session.run(["embeddings"], inputs)[0]


def session(path: str | os.PathLike) -> "onnxruntime.InferenceSession":
    """Opens an ONNX file, on the fastest provider that loads.

    Raises:
        InputError: it cannot be opened, or ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            f"{path}: needs ONNX Runtime: pip install onnxruntime (or onnxruntime-gpu, "
            f"onnxruntime-directml)"
        ) from None
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file; mar export --output {path} makes one")
    check(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ALONE
    available = onnxruntime.get_available_providers()
    wanted = [name for name in _PROVIDERS if name in available]
    try:
        return _loaded(os.fspath(path), options, wanted)
    except Exception as error:  # ONNX Runtime's errors have no class of their own
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it: {reason}; expected a "
            f"whole file of mar export, and data of its own beside it where it has some"
        ) from None


def _loaded(path, options, wanted):
    """A session on the wanted providers, or else on the CPU, which is said."""
    import onnxruntime

    try:
        opened = onnxruntime.InferenceSession(path, options, wanted, enable_fallback=False)
    except Exception as error:
        if wanted == ["CPUExecutionProvider"]:
            raise
        _warn_once(f"{wanted[0]} does not load: {error}; computing on the CPU")
        return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    if wanted[0] not in opened.get_providers():
        _warn_once(f"{wanted[0]} does not load; computing on {opened.get_providers()[0]}")
    return opened


@functools.cache
def _warn_once(message: str) -> None:
    _LOG.warning(message)


def lacks_vnni() -> bool:
    """Whether the processor is known to have no instructions for products of bytes."""
    with contextlib.suppress(OSError):
        text = _PROCESSOR.read_text()
        if "flags" in text:
            return "vnni" not in text
    return False
