"""Reads the weights of MULE as the package `mule-torch` 0.2 has them: a `model.safetensors`.

It has our variables by other names, and kernels as PyTorch has them: `(channels out, channels in,
height, width)`, and `(outputs, inputs)` of a dense layer. Its front end is in it too, and is not
read: it is ours, but for the level.
"""

import os
import re
from collections.abc import Iterable

import numpy as np
import safetensors

from mar.errors import InputError

_NAMES = (  # what its names have in place of what ours have
    (r"\.conv(\d)\.", r".convs.\1."),
    (r"^(slow|fast)\.stem\.", r"\1_stem.convs."),
    (r"^(slow|fast)\.stage(\d+)\.block(\d+)\.", r"\1_stages.\2.blocks.\3."),
    (r"^fusion(\d)\.temporal\.", r"fusions.\1.conv1."),
    (r"^fusion(\d)\.pointwise\.", r"fusions.\1.conv2."),
    (r"\.shortcut\.", ".skip_conv."),
    (r"\.squeeze_excite\.reduce\.", ".se.fc1."),
    (r"\.squeeze_excite\.expand\.", ".se.fc2."),
    (r"\.kernel$", ".weight"),
)


def its_name(canonical: str) -> str:
    """The name there of a variable: `slow.stem.0.kernel`, `backbone.slow_stem.convs.0.weight`."""
    for ours, its in _NAMES:
        canonical = re.sub(ours, its, canonical)
    return f"backbone.{canonical}"


def read_file(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, np.ndarray]:
    """The arrays with these canonical names, each as our variable has it.

    Raises:
        InputError: the file cannot be read, or holds other weights than those.
    """
    expected = {its_name(name): name for name in names}
    try:
        with safetensors.safe_open(path, "numpy") as file:
            found = {name for name in file.keys() if name.startswith("backbone.")}  # noqa: SIM118
            if odd := sorted(found ^ set(expected)):
                raise InputError(
                    f"{path}: expected the {len(expected)} arrays of MULE as mule-torch names "
                    f"them, but {odd[0]} is {'not one of them' if odd[0] in found else 'missing'}"
                )
            return {ours: _as_ours(file.get_tensor(name)) for name, ours in expected.items()}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: expected a whole safetensors file: {error}") from None


def _as_ours(array: np.ndarray) -> np.ndarray:
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T if array.ndim == 2 else array.reshape(array.shape if array.size > 1 else ())
