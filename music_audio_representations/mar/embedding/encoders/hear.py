"""An encoder with the API of HEAR 2021 (https://hearbenchmark.com/hear-api.html), by its module.

Its `get_scene_embeddings` is asked for, which is its own pooling; or with `?pooling=mean` and
`mean_deviation` its `get_timestamp_embeddings`.
"""

import contextlib
import importlib
import sys
from typing import Any

import numpy as np

from mar.embedding.encoders.address import Address
from mar.embedding.encoders.windows import POOLINGS
from mar.errors import InputError

SCENE = "scene"
ALL_POOLINGS = (SCENE, *POOLINGS)
_NAMES = ("load_model", "get_scene_embeddings", "get_timestamp_embeddings")


class HearEncoder:
    """See `mar.embedding.encoders.windows.Encoder`.

    Args:
        address: of the kind "hear".
        pooling: one of `ALL_POOLINGS`.

    Raises:
        InputError: the module is not there, or lacks the API.
    """

    def __init__(self, address: Address, pooling: str) -> None:
        address.check()
        self.name, self._address, self._pooling = f"hear:{address.place}", address, pooling
        try:
            self._module = importlib.import_module(address.place)
        except ImportError as error:
            raise InputError(f"{address}: cannot be imported: {error}") from error
        if lacking := [name for name in _NAMES if not hasattr(self._module, name)]:
            raise InputError(f"{address}: expected the API of HEAR 2021, lacks {lacking[0]}")
        weights = address.options.get("weights")
        self._model = self._module.load_model(*([] if weights is None else [weights]))
        self._torch = _torch_of(self._model)
        if self._torch is not None:
            self._model.eval()
        self.sample_rate = int(self._model.sample_rate)

    @property
    def facts(self) -> dict[str, Any]:
        """A hash of its code and weights."""
        return {"interface": "hear", "files": self._address.fingerprint}

    def __call__(self, waveforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encodes them at once."""
        seconds = waveforms.shape[1] / self.sample_rate
        with self._inference():
            audio = self._tensor(waveforms)
            if self._pooling == SCENE:
                scenes = _array(self._module.get_scene_embeddings(audio, self._model))
                return np.array([seconds / 2]), scenes[:, None]
            frames, milliseconds = self._module.get_timestamp_embeddings(audio, self._model)
        return _array(milliseconds)[0] / 1000, _array(frames)

    def _inference(self):
        return contextlib.nullcontext() if self._torch is None else self._torch.inference_mode()

    def _tensor(self, waveforms):
        if self._torch is not None:
            parameter = next(self._model.parameters(), None)
            device = None if parameter is None else parameter.device
            return self._torch.from_numpy(np.ascontiguousarray(waveforms)).to(device)
        import tensorflow as tf

        return tf.constant(waveforms)


def _torch_of(model):
    """PyTorch, where a model is one of its; None for TensorFlow's."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(model, torch.nn.Module) else None


def _array(tensor):
    return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor)
