"""A trained probe with all that is needed to apply it, in one file.

    head = mar.Head("results/MTT/mule/0")
    head(mar.Embedder("mule")("song.mp3"))  # {"guitar": 0.83, "slow": 0.12, …}

The file is a safetensors one, which needs neither TensorFlow nor Keras. It has the layers' arrays,
those of the calibration, and the thresholds; what the head is stands as JSON in its metadata.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import safetensors
import safetensors.numpy

from mar.embedding import provenance
from mar.errors import ConfigError, InputError
from mar.probing.calibration import EXCLUSIVE, Calibration, Rule
from mar.probing.dense import ACTIVATIONS, Layers
from mar.tasks.base import METRICS
from mar.util import files, plain_data
from mar.util.atomic import whole
from mar.util.checksums import crc32c
from mar.util.kinds import PositiveInt

if TYPE_CHECKING:
    from mar.embedding.embedder import Embedding

FILE = "head.safetensors"
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
_KEPT_ALIKE = ("store", "format")  # of a data set: how embeddings are kept does not change them


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


class Head:
    """A trained probe, applied.

    Args:
        source: the file; the folder of a run of `mar.probe`, which has it; or its `Parts`.

    Attributes:
        about: what is known of it, see `Parts`.

    Raises:
        InputError: there is none, or the file is damaged.
    """

    def __init__(self, source: str | os.PathLike | Parts) -> None:
        if not isinstance(source, Parts):
            path = pathlib.Path(source).expanduser()
            source = _read(path / FILE if path.is_dir() else path)
        self._layers, self._rule, self.about = source.layers, source.rule, source.about

    @property
    def parts(self) -> Parts:
        """What it consists of."""
        return Parts(self._layers, self._rule, self.about)

    @property
    def labels(self) -> list[str]:
        """Their names."""
        return self.about["labels"]

    @property
    def kind(self) -> str:
        """`multilabel`, `multiclass`, `key` or `regression`."""
        return self.about["kind"]

    @property
    def thresholds(self) -> np.ndarray | None:
        """From which probability on a label is given, float64 `(labels,)`; None for values."""
        return None if self._rule is None else self._rule.thresholds

    def __repr__(self) -> str:
        count = len(self.labels)
        plain = ", uncalibrated" if self.about.get("calibrated") is False else ""
        return f"<mar.Head of {self.about['task']}: {self.kind}, {count} labels{plain}>"

    @property
    def exclusive(self) -> bool:
        """Whether labels are classes, of which one is right."""
        return self.kind in EXCLUSIVE

    def __call__(
        self, embedding: "Embedding | np.ndarray | Sequence[float]"
    ) -> dict[str, float] | dict[str, np.ndarray]:
        """Labels one item or many.

        Args:
            embedding: what `mar.Embedder` returns, `(dimensions,)`, or `(items, dimensions)`.

        Returns:
            The probability of each label (for values, the value), by label: numbers, or for several
            items float64 `(items,)`.

        Raises:
            InputError: the embedding was made in another way than those that the head was trained
                on, has other dimensions, or is not finite.
        """
        from mar.embedding.embedder import Embedding

        if isinstance(embedding, Embedding):
            self.check(embedding.provenance, "the embedding")
            one = self.of_windows(embedding.values)
        elif np.ndim(embedding) > 1:
            columns = self.probabilities(np.asarray(embedding)).T
            return dict(zip(self.labels, columns, strict=True))
        else:
            one = self.probabilities(np.atleast_2d(embedding))[0]
        return dict(zip(self.labels, one.tolist(), strict=True))

    @property
    def reads_windows(self) -> bool:
        """Whether it was trained on single windows, whose predictions are averaged."""
        return self.about["pooling"] == "windows"

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """What is calibrated, float64 `(items, labels)`; of values, these.

        Args:
            vectors: `(items, dimensions)`.

        Raises:
            InputError: as a call does.
        """
        return self._layers(self._vectors(vectors))

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """float64 `(items, labels)` of `(items, dimensions)`; of values, these.

        Raises:
            InputError: as a call does.
        """
        return self._probabilities(self.logits(vectors))

    def of_windows(self, windows: np.ndarray) -> np.ndarray:
        """The same of one item, float64 `(labels,)`, from its `(windows, dimensions)`.

        What they are averaged as is what the head was trained on: embeddings, or predictions.
        """
        windows = self._vectors(windows)
        if self.reads_windows:
            means = self._layers.predictions(self._layers(windows)).mean(axis=0, keepdims=True)
            return self._probabilities(self._layers.inverse(means))[0]
        return self.probabilities(windows.mean(axis=0, keepdims=True))[0]

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Which labels are given, bool `(items, labels)`, of probabilities of that shape.

        Of classes at most one, none where the head does not know.

        Raises:
            ConfigError: the head gives values, of which none is decided on.
        """
        if self._rule is None:
            raise ConfigError(f"{self!r}: gives values, which are not decided on")
        return self._rule.decide(probabilities)

    def check(self, made: dict[str, Any], name: str) -> None:
        """That embeddings were made like those that the head was trained on.

        Args:
            made: their provenance.
            name: of them, for the message.

        Raises:
            InputError: they were not.
        """
        wanted = self.about["embeddings"]
        wanted, made = (
            {key: value for key, value in each.items() if key not in _KEPT_ALIKE}
            for each in (wanted, made)
        )
        if differing := provenance.difference(wanted, made):
            raise InputError(
                f"{name}: made in another way than what the head of {self.about['task']} was "
                f"trained on{differing}; embed with that model, or take a head for this one"
            )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the file, whole or not at all."""
        with whole(path) as unfinished:
            unfinished.write_bytes(self._bytes())

    @functools.cached_property
    def identity(self) -> str:
        """A hash of what its file holds: equal ones label alike."""
        return hashlib.sha256(self._bytes()).hexdigest()

    def _bytes(self):
        arrays, about = _written(self.parts)
        return safetensors.numpy.save(arrays, {"mar": json.dumps(about)})

    def _vectors(self, vectors):
        vectors = np.asarray(vectors, np.float32)
        dimensions = self.about["dimensions"]
        if vectors.ndim != 2 or vectors.shape[1] != dimensions:
            raise InputError(
                f"{self!r}: expected embeddings (items, {dimensions}), got the shape "
                f"{vectors.shape}"
            )
        if not np.isfinite(vectors).all():
            raise InputError(f"{self!r}: the embeddings hold NaN or infinite values")
        return vectors

    def _probabilities(self, logits):
        return logits if self._rule is None else self._rule.calibration(logits)


def _written(parts: Parts) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
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


def _read(file: pathlib.Path) -> Parts:
    """Reads a file; raises InputError."""
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
            f"{file}: expected a head that mar.probe wrote, got another file or a damaged one: "
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
