"""A data set of embeddings in pieces of some thousand rows, on which work is shared and resumed."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mar.embedding.latest import LatestRows
from mar.embedding.parts import Part
from mar.embedding.store import Embeddings

PIECE_BYTES = 32e6  # of embeddings: 4,600 means of 1,728 dimensions, a fifth of a second of a core


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some rows of a data set; it can be sent to other processes.

    Attributes:
        folder: of the data set.
        spans: in turn, of which part, from which of its rows on, and which of these, bool.
    """

    folder: pathlib.Path
    spans: Sequence[tuple[Part, int, np.ndarray]]

    @property
    def identity(self) -> str:
        """A hash of what it holds, as far as the states of the data set's files tell."""
        told = [
            [part.path.name, part.state, first, np.packbits(rows).tobytes().hex()]
            for part, first, rows in self.spans
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def open(self) -> Embeddings:
        """A data set of these rows, to be read through; they are not found by their paths."""
        embeddings = Embeddings.__new__(Embeddings)  # whose index is not to be read
        embeddings._folder = self.folder
        embeddings._parts = [part for part, _, _ in self.spans]
        embeddings._index = LatestRows([])
        for part, first, rows in self.spans:
            present = np.zeros(part.rows, bool)
            present[first : first + len(rows)] = rows
            embeddings._index.present.append(present)
        return embeddings


def cut(embeddings: Embeddings, paths: Iterable[str] | None = None) -> list[Piece]:
    """All rows of embedded files that are there, or those of some of them, in their order.

    Args:
        embeddings: the data set.
        paths: which of its embedded files; None for all.

    Raises:
        InputError: one was not embedded.
    """
    wanted = embeddings._index.present if paths is None else embeddings._rows([*paths])
    folder, pieces = embeddings.folder.absolute(), []
    spans: list[tuple[Part, int, np.ndarray]] = []
    held = 0.0
    for part, rows in zip(embeddings._parts, wanted, strict=True):
        part = dataclasses.replace(part, path=part.path.absolute())
        for first, end, size in _groups(part):
            if not rows[first:end].any():
                continue
            spans.append((part, first, rows[first:end]))
            held += size
            if held >= PIECE_BYTES:
                pieces.append(Piece(folder, spans))
                spans, held = [], 0.0
    return [*pieces, Piece(folder, spans)] if spans else pieces


def _groups(part: Part) -> Iterator[tuple[int, int, float]]:
    """The row groups of a part: first row, that behind the last one, and bytes."""
    first = 0
    for number, end in enumerate(part.group_ends.tolist()):
        size = part.footer.row_group(number).total_byte_size
        # Of the format npz, the embeddings lie elsewhere.
        yield first, end, max(size, 4.0 * part.provenance["dimensions"] * (end - first))
        first = end
