"""The principal components of a data set: its embeddings in few dimensions, and back."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

MOST = 128
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Components:
    """What embeddings differ by most (PCA).

    Attributes:
        mean: float32 `(dimensions,)`.
        axes: float32 `(dimensions, components)`, orthonormal, that of the largest variance first.
    """

    mean: np.ndarray
    axes: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Coordinates float32 `(n, components)` of embeddings `(n, dimensions)`."""
        return (vectors - self.mean) @ self.axes

    def directions(self, coordinates: np.ndarray) -> np.ndarray:
        """Unit vectors whose angles are those of the embeddings that have these coordinates.

        Args:
            coordinates: `(n, components)`.

        Returns:
            float32 `(n, components + 1)`: the last axis is what of the mean the others have not.
        """
        along = self.mean @ self.axes
        rest = self.mean - self.axes @ along
        last = np.full((len(coordinates), 1), np.linalg.norm(rest), np.float32)
        vectors = np.concatenate([coordinates + along, last], axis=1)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.maximum(norms, _TINY)).astype(np.float32)


def principal(batches: Callable[[], Iterator[np.ndarray]], dimensions: int) -> Components:
    """The components of all rows, at most `MOST`, in memory that does not grow with their number.

    Args:
        batches: called once; yields `(n, dimensions)`, one row at least in all.
        dimensions: of a row.
    """
    count, total = 0, np.zeros(dimensions)
    products = np.zeros((dimensions, dimensions))
    shift = None  # near the mean, so that squares of it do not drown what rows differ by
    for vectors in batches():
        shift = vectors.mean(axis=0) if shift is None else shift
        centred = vectors - shift
        count += len(vectors)
        total += centred.sum(axis=0, dtype=np.float64)
        products += centred.T @ centred
    assert shift is not None
    offset = total / count
    _, axes = np.linalg.eigh(products / count - np.outer(offset, offset))
    largest = axes[:, ::-1][:, : min(MOST, dimensions)]
    return Components((shift + offset).astype(np.float32), largest.astype(np.float32))
