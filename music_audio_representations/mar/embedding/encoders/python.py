"""An encoder in Python: a class or function by its path, `package.module:name`.

    class Encoder:
        sample_rate = 16000
        provenance = {"layer": 6}          # may be left out: what else tells it from others

        def __call__(self, waveform):      # float32 (samples,), mono in ±1
            return times, frames           # seconds (frames,), floats (frames, dimensions)

A class is called with the address's options but `pooling`, once. A function has its `sample_rate`
as an attribute: `encode.sample_rate = 16000`.
"""

import importlib
import inspect
import json
from typing import Any

import numpy as np

from mar.embedding.encoders.address import Address
from mar.errors import ConfigError, InputError


class PythonEncoder:
    """See `mar.embedding.encoders.windows.Encoder`.

    Args:
        address: of the kind "python".

    Raises:
        InputError: there is none, or it cannot be built.
        ConfigError: it has no sample rate, or options that are not its.
    """

    def __init__(self, address: Address) -> None:
        self.name, self._address = address.place, address
        found, own = _imported(address), dict(address.options)
        own.pop("pooling", None)
        if inspect.isclass(found):
            found = _built(address, found, own)
        elif own:
            raise ConfigError(f"{address}: expected options with a class, got {own} of a function")
        self._encode = found
        rate = getattr(found, "sample_rate", None)
        if not isinstance(rate, int) or not callable(found):
            raise ConfigError(
                f"{address}: expected a callable with a sample_rate, whole Hz, got {found!r} with "
                f"{rate!r}"
            )
        self.sample_rate: int = rate

    @property
    def facts(self) -> dict[str, Any]:
        """A hash of its code, its options, and what it says of itself."""
        own = dict(getattr(self._encode, "provenance", {}))
        facts = {"interface": "python", "files": self._address.fingerprint}
        options = {name: v for name, v in self._address.options.items() if name != "pooling"}
        try:
            return json.loads(json.dumps({**facts, "options": options, **own}))
        except TypeError as error:
            raise ConfigError(f"{self.name}.provenance: expected plain data: {error}") from None

    def __call__(self, waveforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encodes one after the other."""
        encoded = [self._encode(waveform) for waveform in waveforms]
        for given in encoded:
            if not isinstance(given, tuple) or len(given) != 2:
                raise InputError(f"{self.name}: expected (times, frames), got {type(given)}")
        return np.asarray(encoded[0][0]), np.stack([np.asarray(frames) for _, frames in encoded])


def _imported(address: Address) -> Any:
    address.check()
    module, _, name = address.place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise InputError(f"{address}: cannot be imported: {error}") from error
    except AttributeError:
        raise InputError(f"{address}: {module} has no {name}") from None


def _built(address: Address, cls: type, options: dict[str, Any]) -> Any:
    try:
        inspect.signature(cls).bind(**options)
    except TypeError as error:
        raise ConfigError(f"{address}: {cls.__name__} takes other options: {error}") from None
    return cls(**options)
