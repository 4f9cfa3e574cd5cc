"""Which of the tracks that are similar to something are taken."""

import dataclasses
import heapq
import posixpath
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Neighbour(NamedTuple):
    """One track: its cosine similarity, −1…1, and its path in the data set."""

    similarity: float
    path: str


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which of the tracks that are similar to something are taken.

    Attributes:
        k: how many.
        left_out: paths that are not.
        diverse: whether at most one of a folder is, as albums are in folders of their own; what
            lies in no folder is alone.
    """

    k: int
    left_out: frozenset[str] = frozenset()
    diverse: bool = False

    def best(self, tracks: Iterable[Neighbour]) -> list[Neighbour]:
        """The tracks that are taken, best first; those that are equally similar by their paths.

        Of the best of some and the best of the others, the best are the best of all.
        """
        others = (track for track in tracks if track.path not in self.left_out)
        if not self.diverse:
            return heapq.nsmallest(self.k, others, _rank)
        chosen: list[Neighbour] = []
        folders = set()
        for track in sorted(others, key=_rank):
            folder = posixpath.dirname(track.path)
            if not folder or folder not in folders:
                chosen.append(track)
                folders.add(folder)
            if len(chosen) == self.k:
                break
        return chosen

    def candidates(self, similarities: np.ndarray) -> np.ndarray:
        """Which of `(n,)` similarities may be among the best: their numbers, rising."""
        count = self.k + len(self.left_out)
        if self.diverse or len(similarities) <= count:
            return np.arange(len(similarities))
        return np.flatnonzero(similarities >= np.partition(similarities, -count)[-count])


def _rank(track: Neighbour) -> tuple[float, str]:
    return -track.similarity, track.path
