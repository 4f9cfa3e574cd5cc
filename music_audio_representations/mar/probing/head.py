"""A trained probe with all that is needed to apply it, in one file: see `mar.probing.head_file`.

head = mar.Head("results/MTT/mule/0")
head(mar.Embedder("mule")("song.mp3"))  # {"guitar": 0.83, "slow": 0.12, …}
"""

import functools
import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mar.embedding import provenance
from mar.errors import ConfigError, InputError
from mar.probing import head_file
from mar.probing.calibration import EXCLUSIVE
from mar.probing.head_file import FILE, Parts
from mar.util.atomic import whole

if TYPE_CHECKING:
    from mar.embedding.embedder import Embedding

_KEPT_ALIKE = ("store", "format")  # of a data set: how embeddings are kept does not change them


class Head:
    """A trained probe, applied.

    Args:
        source: the file; the folder of a run of `mar probe`, which has it; or its `Parts`.

    Attributes:
        about: what is known of it, see `Parts`.

    Raises:
        InputError: there is none, or the file is damaged.
    """

    def __init__(self, source: str | os.PathLike | Parts) -> None:
        if not isinstance(source, Parts):
            path = pathlib.Path(source).expanduser()
            source = head_file.read(path / FILE if path.is_dir() else path)
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
            unfinished.write_bytes(head_file.content(self.parts))

    @functools.cached_property
    def identity(self) -> str:
        """A hash of what its file holds: equal ones label alike."""
        return hashlib.sha256(head_file.content(self.parts)).hexdigest()

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
