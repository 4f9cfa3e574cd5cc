"""The file of a head.

It is a safetensors one, which needs neither TensorFlow nor Keras. It has the layers' arrays, those
of the calibration, and the thresholds; what the head is stands as JSON in its metadata.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import safetensors
import safetensors.numpy

from mar.errors import InputError
from mar.probing.calibration import EXCLUSIVE, Calibration, Rule
from mar.probing.dense import ACTIVATIONS, Layers
from mar.tasks.base import METRICS
from mar.util import files, plain_data
from mar.util.checksums import crc32c
from mar.util.kinds import PositiveInt

FILE = "head.safetensors"  # its name in the folder of a run
_SCHEMA = 1
_WRITTEN = {
    **{"about": Mapping[str, object], "methods": tuple[str, ...] | None},
    **{
        "activation": Literal[tuple(ACTIVATIONS)],
        "output": Literal["sigmoid", "softmax", "linear"],
    },
}
_ABOUT = {
    **{"task": str, "kind": Literal[tuple(METRICS)], "labels": tuple[str, ...], "pooling": str},
    **{"dimensions": PositiveInt, "embeddings": Mapping[str, object], "unit": str},
}


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a head consists of.

    Attributes:
        layers: of the network.
        rule: how its logits become probabilities and decisions; None for values.
        about: what is known of it, plain data: `task`, `kind`, `labels`, `unit` (of values),
            `pooling`, `model`, `test` (its scores), `calibrated`, `uncalibrated_labels`, `aim` (of
            the thresholds), `licence`, `embeddings` (the provenance of what it reads),
            `dimensions`, `mar_version`, `date`.
    """

    layers: Layers
    rule: Rule | None
    about: dict[str, Any]


def content(parts: Parts) -> bytes:
    """A file's bytes."""
    arrays, about = _contents(parts)
    return safetensors.numpy.save(arrays, {"mar": json.dumps(about)})


def _contents(parts: Parts) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What a file holds: arrays by name, and plain data."""
    layers, rule = parts.layers, parts.rule
    names = "mean", "scale", "target_mean", "target_scale"
    arrays = {name: getattr(layers, name) for name in names}
    for number, (kernel, bias) in enumerate(zip(layers.kernels, layers.biases, strict=True)):
        arrays[f"kernel.{number}"], arrays[f"bias.{number}"] = kernel, bias
    written: dict[str, Any] = {
        "activation": layers.activation,
        "output": layers.output,
        "methods": None,
    }
    if rule is not None:
        slopes, intercepts = rule.calibration.slopes, rule.calibration.intercepts
        arrays |= {"slopes": slopes, "intercepts": intercepts, "thresholds": rule.thresholds}
        arrays |= {f"curve.{label}": curve for label, curve in rule.calibration.curves.items()}
        written["methods"] = rule.calibration.methods
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    about = {"schema": _SCHEMA, "about": parts.about, **written}
    return arrays, {**about, "checksum": _checksum(arrays, about)}


def _checksum(arrays: Mapping[str, np.ndarray], about: dict[str, Any]) -> int:
    """The CRC-32C of all that a file holds, for which the format has none."""
    checksums = [
        [name, str(arrays[name].dtype), arrays[name].shape, crc32c(arrays[name].tobytes())]
        for name in sorted(arrays)
    ]
    return crc32c(json.dumps([about, checksums]).encode())


def read(file: pathlib.Path) -> Parts:
    """Reads a file.

    Raises:
        InputError: there is none, or it is damaged.
    """
    files.refuse_others(file)
    try:
        with safetensors.safe_open(file, "numpy") as opened:
            written = plain_data.parsed((opened.metadata() or {})["mar"])
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if plain_data.checked(written, {"schema": int})["schema"] > _SCHEMA:
            raise InputError(
                f"{file}: expected a head of schema {_SCHEMA} or earlier, got {written['schema']}; "
                f"a newer version of mar wrote it"
            )
        if "checksum" in written and written.pop("checksum") != _checksum(arrays, written):
            raise ValueError("its checksum differs")
        plain_data.checked(written, _WRITTEN)
        plain_data.checked(written["about"], _ABOUT, "about")
        parts = _assembled(written, arrays)
        _check_shapes(parts)
        return parts
    except FileNotFoundError:
        raise InputError(
            f"{file}: there is no head; mar probe writes one into its results"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{file}: expected a head that mar probe wrote, got another file or a damaged one: "
            f"{error}"
        ) from None


def _assembled(written, arrays):
    numbers = range(sum(name.startswith("kernel.") for name in arrays))
    layers = Layers(
        *(arrays["mean"], arrays["scale"]),
        tuple(arrays[f"kernel.{number}"] for number in numbers),
        tuple(arrays[f"bias.{number}"] for number in numbers),
        *(written["activation"], written["output"]),
        *(arrays["target_mean"], arrays["target_scale"]),
    )
    about, rule = written["about"], None
    if written["methods"] is not None:
        curves = {
            int(name.removeprefix("curve.")): curve
            for name, curve in arrays.items()
            if name.startswith("curve.")
        }
        calibration = Calibration(
            about["kind"] in EXCLUSIVE,
            tuple(written["methods"]),
            arrays["slopes"],
            arrays["intercepts"],
            curves,
        )
        rule = Rule(calibration, arrays["thresholds"])
    return Parts(layers, rule, about)


def _check_shapes(parts: Parts) -> None:
    """Raises ValueError where arrays do not fit to each other, or hold NaN."""
    layers, labels = parts.layers, (len(parts.about["labels"]),)
    inputs: tuple[int, ...] = (parts.about["dimensions"],)
    expected = [(layers.mean, inputs), (layers.scale, inputs)]
    for kernel, bias in zip(layers.kernels, layers.biases, strict=True):
        expected += [(kernel, (*inputs, *bias.shape)), (bias, bias.shape[:1])]
        inputs = bias.shape
    expected += [(layers.target_mean, labels), (layers.target_scale, labels)]
    expected += [(layers.biases[-1], labels)] if layers.biases else [(np.empty(0), (1,))]
    if parts.rule is not None:
        calibration = parts.rule.calibration
        per_label = calibration.slopes, calibration.intercepts, parts.rule.thresholds
        expected += [(array, labels) for array in per_label]
        last = max(calibration.curves, default=-1)
        if len(calibration.methods) != labels[0] or last >= labels[0]:
            raise ValueError("its calibration is of other labels")
        expected += [(curve, (2, *curve.shape[1:2])) for curve in calibration.curves.values()]
    for array, shape in expected:
        if array.shape != shape or array.dtype.kind != "f" or np.isnan(array).any():
            raise ValueError(f"expected numbers of shape {shape}, got {array.dtype} {array.shape}")
