"""The models that have names, and what can be said of any before TensorFlow is there."""

import glob
import os
from collections.abc import Mapping
from typing import Any

from mar.embedding.encoders import address as addresses
from mar.errors import InputError, nearest
from mar.onnx import metadata
from mar.util import hub
from mar.util.checksums import sha256
from mar.util.mule import MULE_SAVED_MODEL_SHA256, MULE_SHA256

DIMENSIONS = {  # of their embeddings
    "mule": 1728,
    "logmel_mean": 192,
    "MTT_musicnn": 200,
    "MSD_musicnn": 200,
    "random": 1728,
}
NAMES = tuple(DIMENSIONS)
_VARIABLES = "variables", "variables.data-00000-of-00001"  # of a SavedModel
_MULE = MULE_SHA256, MULE_SAVED_MODEL_SHA256


def is_baseline(name: str) -> bool:
    """Whether a name is that of a baseline, which has no files: `logmel_mean`, `random:1`, …"""
    return name != "mule" and name.partition(":")[0] in NAMES


def is_exported(name: str) -> bool:
    """Whether a name is that of a file that `mar export` wrote, which ONNX Runtime runs."""
    return name.endswith(".onnx")


def check(source: str) -> None:
    """That a model is a name, or may be somewhere: on the hub, a file, a folder, or one of a run's.

    Raises:
        InputError: it is none.
        ConfigError: it is an encoder of others, with options that are not its.
    """
    if (address := addresses.parse(source)) is not None:
        address.check()
        return
    place, at, _ = source.rpartition("@")
    if (
        not hub.is_address(source)
        and source.partition(":")[0] not in NAMES
        and not os.path.lexists(source)
        and not (at and os.path.isdir(place))
        and not glob.glob(f"{glob.escape(source)}.*")  # of a checkpoint, whose files have endings
    ):
        raise InputError(
            f"{source}: no such model: expected a file, the folder of a run, an encoder of others "
            f"(package.module:name, hear:module, …), or one of {', '.join(NAMES)}"
            f"{nearest(source, NAMES)}"
        )


def told_by_file(source: str) -> dict[str, str]:
    """What a provenance says of the file that a model's weights lie in, by SHA-256: `model_file`.

    Of a SavedModel that is the file of its variables; of a file that `mar export` wrote, the one
    that it was exported from. Nothing of what has no such file.

    Raises:
        InputError: it cannot be read, or is not a whole file.
    """
    if source == "mule":
        return {"model_file": MULE_SHA256}
    path = hub.local(source)
    if os.path.isfile(variables := os.path.join(path, *_VARIABLES)):
        path = variables
    if not os.path.isfile(path):
        return {}
    if is_exported(path):
        origin = metadata.origin(path)
        return {name: origin[name] for name in ("model_file",) if name in origin}
    return {"model_file": sha256(path)}


def exported_windows(source: str) -> dict[str, Any] | None:
    """The windows that a file was exported with, as their configuration; None of other models.

    Raises:
        InputError: it cannot be read, or is not a whole file.
    """
    if addresses.parse(source) is not None or not is_exported(path := hub.local(source)):
        return None
    return metadata.windows(path) or None


def published_as(made: Mapping[str, Any]) -> str | None:
    """The model of the paper's tables that embeddings are of; None where it is none of them.

    That is told by the file of the model's weights, whatever it or its folder is called. One of the
    six was published: MULE, "Musicset-ULarge", in two formats.

    Args:
        made: the embeddings' provenance. `mule` is the published file, verified when downloaded.
    """
    is_mule = made.get("model_source") == "mule" or made.get("model_file") in _MULE
    return "Musicset-ULarge" if is_mule else None
