"""Models in eight bits on ONNX Runtime, where they were not exported before."""

import hashlib
import json
import logging
from typing import TYPE_CHECKING

from mar.audio.windows import Windows
from mar.models.saving import fingerprint, front_end
from mar.onnx.exporting import QUANTIZATION, Plan, write_onnx
from mar.onnx.quantization import weight_zero
from mar.onnx.runtime import ExportedNetwork
from mar.util.download import cache_folder

if TYPE_CHECKING:
    import keras

_LOG = logging.getLogger(__name__)


def int8(model: "keras.Model", windows: Windows, batch_size: int) -> ExportedNetwork:
    """A model's file in int8, which is exported once and kept in the cache.

    It is calibrated on signals that stand for music, and thus the same everywhere.

    Args:
        model: as `mar.load_model` returns it.
        windows: that are embedded.
        batch_size: of them, embedded at once.

    Raises:
        InputError: the model cannot be exported, or is not near enough in int8.
    """
    log_mel = front_end(model)
    frames = windows.in_frames(log_mel.hop_seconds).length
    of_weights = weight_zero().dtype.name  # by this processor: the cache may be another's, too
    made_of = [fingerprint(model), log_mel.hash(), frames, QUANTIZATION, of_weights]
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    path = cache_folder() / "int8" / f"{key}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _LOG.info("int8: exporting the model to %s, once", path)
        _LOG.info("int8: %s", write_onnx(Plan(model, windows), path, precision="int8"))
    return ExportedNetwork(path, batch_size)
