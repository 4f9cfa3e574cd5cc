"""How nearly two models give the same embeddings."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How nearly two models give the same embeddings of the same windows.

    Attributes:
        windows: how many were compared.
        cosine: the lowest cosine similarity of a window's two embeddings.
        mean_cosine: their average.
        centred: the average once the mean embedding is subtracted from both, which shows what a
            large common part hides; of one window, which leaves nothing then, `mean_cosine`.
        difference: the largest, relative to the largest value.
    """

    windows: int
    cosine: float
    mean_cosine: float
    centred: float
    difference: float

    @classmethod
    def of(cls, ours: np.ndarray, original: np.ndarray) -> "Agreement":
        """Compares embeddings `(windows, dimensions)`."""
        ours, original = np.asarray(ours, np.float64), np.asarray(original, np.float64)
        centre = original.mean(axis=0) if len(original) > 1 else 0.0
        plain, centred = _cosines(ours, original), _cosines(ours - centre, original - centre)
        difference = np.abs(ours - original).max() / np.abs(original).max()
        values = plain.min(), plain.mean(), centred.mean(), difference
        return cls(len(ours), *map(float, values))

    def __str__(self) -> str:
        centred = f"centred {self.centred:.6f}" if self.windows > 1 else "not centred, as it is one"
        return (
            f"{self.windows} windows: cosine at least {self.cosine:.7f}, on average "
            f"{self.mean_cosine:.7f}, {centred}; largest difference "
            f"{self.difference:.1e} of the largest value"
        )


def _cosines(one, other):
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.maximum(lengths, 1e-30)
