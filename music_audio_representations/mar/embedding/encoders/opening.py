"""The representation that an address stands for."""

from mar.audio.windows import Windows
from mar.embedding.encoders.address import Address, one_of
from mar.embedding.encoders.windows import POOLINGS, EncoderWindows
from mar.embedding.representations import Representation
from mar.errors import ConfigError


def opened(address: Address, windows: Windows) -> Representation:
    """The encoder of an address, on windows; a program is given files as a whole.

    Raises:
        InputError: it is not there, or is not what it should be.
        ConfigError: its options are not its.
    """
    if address.kind == "command":
        from mar.embedding.encoders.command import Command

        return Command(address)
    if address.kind == "hear":
        from mar.embedding.encoders.hear import ALL_POOLINGS, HearEncoder

        pooling = one_of(address, "pooling", ALL_POOLINGS)
        return EncoderWindows(HearEncoder(address, pooling), windows, pooling)
    pooling = one_of(address, "pooling", POOLINGS)
    if address.kind == "onnx":
        from mar.embedding.encoders.onnx import OnnxEncoder

        return EncoderWindows(OnnxEncoder(address), windows, pooling)
    if address.kind == "python":
        from mar.embedding.encoders.python import PythonEncoder

        return EncoderWindows(PythonEncoder(address), windows, pooling)
    raise ConfigError(
        f"{address}: expected a model, got a folder of embeddings: mar embed --model {address} "
        f"--output EMBEDDINGS, without audio, takes them over"
    )
