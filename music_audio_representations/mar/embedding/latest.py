"""Which row of a data set of embeddings counts for a path, in memory."""

from collections.abc import Collection, Sequence

import numpy as np

from mar.embedding.parts import Part, check_whole

_BITS = 40  # of a row's number; a part's stands before them


class LatestRows:
    """The latest row of each path: of two, that of the later part.

    a.mp3 ok in part 0, gone in part 2      gone: it is not among what is embedded
    b.mp3 ok in part 0, ok in part 1        the row of part 1

    Args:
        parts: those of later runs last.

    Attributes:
        latest: of each part, which rows no later one replaces, bool `(rows,)`.
        present: of each part, which of these are of embedded files that are there.
        failures: `{path: reason}` of what could not be embedded, or was skipped.
        skipped: those of `failures` that were skipped, as they are not called as audio is.
        gone: paths of files that are not there any more.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.latest: list[np.ndarray] = []
        self.present: list[np.ndarray] = []
        self.failures: dict[str, str] = {}
        self.skipped: set[str] = set()
        self.gone: set[str] = set()
        self._places: dict[str, int] = {}
        for number, part in enumerate(parts):
            self.latest.append(np.ones(part.rows, bool))
            self.present.append(np.zeros(part.rows, bool))
            first = 0
            for batch in part.batches(["path", "status", "reason"]):
                check_whole(part.path, batch)
                self._add(number, first, *(column.to_pylist() for column in batch))
                first += len(batch)

    def __len__(self) -> int:
        return len(self._places) - len(self.failures) - len(self.gone)

    def __contains__(self, path: object) -> bool:
        return path in self._places and path not in self.failures and path not in self.gone

    def paths(self) -> Collection[str]:
        """All paths, embedded or not."""
        return self._places.keys()

    def embedded(self) -> Collection[str]:
        """The paths of embedded files that are there."""
        return self._places.keys() - self.failures.keys() - self.gone

    def place(self, path: str) -> tuple[int, int]:
        """Which row of which part a path has: `(part, row)`."""
        return divmod(self._places[path], 1 << _BITS)

    def _add(self, number, first, paths, statuses, reasons):
        """Takes rows of a part into account, that begin at its row `first`."""
        base = (number << _BITS) + first
        places = dict(zip(paths, range(base, base + len(paths)), strict=True))
        earlier = () if self._places.keys().isdisjoint(places) else self._places.keys() & places
        for path in earlier:
            part, row = self.place(path)
            self.latest[part][row] = self.present[part][row] = False
            self.failures.pop(path, None)
            self.skipped.discard(path)
            self.gone.discard(path)
        self._places |= places
        rows = np.fromiter(places.values(), np.int64, len(places)) - (number << _BITS)
        if len(places) < len(paths):  # a path twice in one part, as version 0.1.0 may have left it
            self.latest[number][first : first + len(paths)] = False
            self.latest[number][rows] = True
        self.present[number][rows] = True
        if set(statuses) == {"ok"}:
            return
        for row, (path, status) in enumerate(zip(paths, statuses, strict=True), first):
            if status != "ok" and self.latest[number][row]:
                self.present[number][row] = False
                if status == "gone":
                    self.gone.add(path)
                else:
                    self.failures[path] = reasons[row - first]
                if status == "skipped":
                    self.skipped.add(path)
