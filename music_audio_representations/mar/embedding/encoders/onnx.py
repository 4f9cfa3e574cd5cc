"""An ONNX file that others exported.

It has one input of float32, `(samples,)`, `(batch, samples)` or `(batch, 1, samples)`: a waveform
in ±1 at `?sample_rate=`. Its first output, or the one that `&output=` names, is `(frames,
dimensions)` or `(dimensions,)`, behind the axis of the batch where the input has one. Frames share
the time evenly.
"""

from typing import Any

import numpy as np

from mar.embedding.encoders.address import Address, required
from mar.embedding.encoders.windows import even_times
from mar.errors import InputError
from mar.onnx.runtime import session


class OnnxEncoder:
    """See `mar.embedding.encoders.windows.Encoder`.

    Args:
        address: of the kind "onnx".

    Raises:
        InputError: the file cannot be opened, or has other inputs or outputs.
        ConfigError: its sample rate is not given.
    """

    def __init__(self, address: Address) -> None:
        self.name, self._address = address.place, address
        self.sample_rate = int(required(address, "sample_rate", 16000))
        self._session = session(address.place)
        inputs = self._session.get_inputs()
        ranks = [len(given.shape) for given in inputs]
        if ranks not in ([1], [2], [3]) or inputs[0].type != "tensor(float)":
            told = ", ".join(f"{given.name} {given.type} {given.shape}" for given in inputs)
            raise InputError(f"{self.name}: expected one input, a waveform of float32, got {told}")
        self._input, self._rank = inputs[0].name, ranks[0]
        outputs = [output.name for output in self._session.get_outputs()]
        self._output = address.options.get("output", outputs[0])
        if self._output not in outputs:
            raise InputError(f"{address}: expected output of {', '.join(outputs)}")

    @property
    def facts(self) -> dict[str, Any]:
        """A hash of the file, and which of its outputs it is."""
        return {
            "interface": "onnx",
            "files": self._address.fingerprint,
            "options": {"output": self._output},
        }

    def __call__(self, waveforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encodes one after the other: a file may be for batches of 1."""
        frames = np.stack([self._encode(waveform) for waveform in waveforms])
        return even_times(frames.shape[1], waveforms.shape[1] / self.sample_rate), frames

    def _encode(self, waveform):
        given = waveform.reshape((1,) * (self._rank - 1) + waveform.shape)
        (values,) = self._session.run([self._output], {self._input: given})
        if self._rank > 1:
            values = values[0]
        return np.atleast_2d(values)
