"""What the page asks of a data set. Tracks are numbers here, their rows on the map."""

import csv
import dataclasses
import io
import os
import pathlib
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow.compute as pc

from mar.embedding import listing, neighbours, queries
from mar.embedding.choosing import Neighbour
from mar.embedding.stored_map import stored_map
from mar.errors import InputError
from mar.exploring import columns, sound, training
from mar.exploring.columns import Values
from mar.exploring.training import Trained
from mar.util.atomic import make_folder

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

Format = Literal["csv", "m3u"]
_SHOWN = 50  # tracks that a search lists by name
_NAME = re.compile(r"[\w][\w .,()+-]{0,99}")


@dataclasses.dataclass(frozen=True)
class Sources:
    """What is explored beside the embeddings.

    Attributes:
        tables: of labels or anything else, with a column `path`.
        heads: that label the tracks.
        audio: folder of the files, if they are not where they were embedded.
        model: of the data set, if it was moved; it embeds files that are dropped.
        output: folder that heads are saved in.
    """

    tables: Sequence[str | os.PathLike] = ()
    heads: Sequence[str | os.PathLike] = ()
    audio: str | os.PathLike | None = None
    model: str | None = None
    output: str | os.PathLike = "heads"


class Explorer:
    """A data set, its map, and the labels that are being taught.

    Args:
        embeddings: the `mar.Embeddings`; its map and its index are made if need be.
        sources: see there.

    Attributes:
        paths: of the tracks, sorted.
        points: where they are, float32 `(tracks, 2)`.

    Raises:
        InputError: the map cannot be made, or a table or head does not fit.
    """

    def __init__(self, embeddings: "Embeddings", sources: Sources = Sources()) -> None:
        self._embeddings, self._sources = embeddings, sources
        embeddings.index()
        self._map = stored_map(embeddings)
        self.points = self._map.points
        self.paths: list[str] = self._map.rows["path"].to_pylist()
        self._row_of = {path: row for row, path in enumerate(self.paths)}
        self._columns = {
            str(number): column
            for number, column in enumerate(
                [
                    *columns.of_tracks(embeddings, self.paths),
                    *columns.of_heads(embeddings, self.paths, sources.heads),
                    *(c for path in sources.tables for c in columns.of_table(path, self.paths)),
                ]
            )
        }
        self._values: dict[str, Values] = {}
        self._trained: dict[str, Trained] = {}
        self._busy = threading.Lock()  # a computation at a time: there are few cores

    @property
    def name(self) -> str:
        """Of the data set."""
        return self._embeddings.folder.resolve().name

    # -------------------------------------------------------------------------------------- tracks

    def track(self, row: int) -> dict[str, Any]:
        """All that is known of a track but its embedding."""
        path = self._path(row)
        known = self._embeddings.row(path)
        names = ("duration", "sample_rate", "channels", "silence", "notes")
        return {"row": row, "path": path, **{name: known.get(name) for name in names}}

    def listed(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The paths of tracks."""
        return [{"row": row, "path": self._path(row)} for row in rows]

    def search(self, text: str) -> np.ndarray:
        """The tracks in whose paths or labels a text is, in whatever case; rising, uint32."""
        named = pc.match_substring(self._map.rows["path"], text, ignore_case=True).to_numpy()
        for key, column in self._columns.items():
            if column.is_text:
                named = named | self.values(key).having(text.lower())
        return np.flatnonzero(named).astype(np.uint32)

    def nearest(self, row: int, k: int) -> list[dict[str, Any]]:
        """The tracks that sound most like one."""
        path = self._path(row)
        return [
            near
            for near in self._near(self._embeddings.mean(path), k + 1)
            if near["row"] != row
        ][:k]  # fmt: skip

    def between(self, start: int, end: int, k: int) -> list[dict[str, Any]]:
        """A way from one track to another, with both of them."""
        ends = [self._path(row) for row in (start, end)]
        seeds = [queries.Seed(path, self._embeddings.mean(path)) for path in ends]
        return self._rows(neighbours.way(self._embeddings, seeds, k))

    def place(self, file: str | os.PathLike, k: int) -> dict[str, Any]:
        """Where an audio file belongs on the map, and the tracks that sound most like it."""
        with self._busy:
            (seed,) = queries.seeds(self._embeddings, [file], self._sources.model)
        x, y = self._map.place(seed.vector[None])[0].tolist()
        return {"x": x, "y": y, "nearest": self._near(seed.vector, k)}

    def sound(self, row: int) -> tuple[bytes, float | None]:
        """Where the file of a track is, and how many seconds it lasts, if the data set knows."""
        path = self._path(row)
        place = sound.location(self._embeddings, path, self._sources.audio)
        return place, self._embeddings.row(path)["duration"]

    def export(self, rows: Sequence[int], format: Format, label: str | None) -> bytes:
        """Tracks as a table with the probability of a label, or as a playlist.

        Args:
            rows: which.
            format: of a table, the columns `path` and, with a label, `label` and `probability`.
            label: one that was taught, or None.
        """
        if format == "m3u":
            return listing.playlist([self.sound(row)[0] for row in rows])
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        if label is None:
            writer.writerows([["path"], *([self._path(row)] for row in rows)])
        else:
            probabilities = self._taught(label).probabilities
            writer.writerow(["path", "label", "probability"])
            writer.writerows([self._path(r), label, f"{probabilities[r]:.6f}"] for r in rows)
        return file.getvalue().encode()

    # ------------------------------------------------------------------------------------- colours

    def columns(self) -> list[dict[str, str]]:
        """What tracks can be coloured by, beside the labels that are taught."""
        return [
            {"id": key, "name": column.name, "group": column.group}
            for key, column in self._columns.items()
        ]

    def values(self, column: str) -> Values:
        """Of a column."""
        if column not in self._columns:
            raise InputError(f"{column!r}: there is no such column")
        with self._busy:
            if column not in self._values:
                self._values[column] = self._columns[column].values()
            return self._values[column]

    # -------------------------------------------------------------------------------------- labels

    def teach(self, label: str, yes: Sequence[int], no: Sequence[int]) -> Trained:
        """Trains a label anew from all examples of it; raises as `mar.exploring.training.train`."""
        if not label.strip():
            raise InputError("expected the name of a label, got none")
        for row in (*yes, *no):
            self._path(row)
        with self._busy:
            self._trained.pop(label, None)  # where training fails, none is of these examples
            trained = training.train(self._map.coordinates, yes, no)
        self._trained[label] = trained
        return trained

    def probabilities(self, label: str) -> np.ndarray:
        """Of a label that was taught, float32 `(tracks,)`."""
        return self._taught(label).probabilities

    def save(self, name: str, labels: Sequence[str]) -> pathlib.Path:
        """Writes a head of labels that were taught, for mar tag; returns its file.

        Raises:
            InputError: the name cannot be that of a file, or there is such a file.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r}: expected a name of letters, digits, spaces and .,()+-")
        if not labels:
            raise InputError("expected a label that was taught, got none")
        taught = {label: self._taught(label) for label in labels}
        head = training.head(self._embeddings, self._map.components, name, taught)
        folder = pathlib.Path(self._sources.output).expanduser()
        make_folder(folder)
        path = folder / f"{name}.safetensors"
        if path.exists():
            raise InputError(f"{path}: there is such a head already; expected another name")
        head.save(path)
        return path

    # ------------------------------------------------------------------------------------- private

    def _path(self, row: int) -> str:
        if not 0 <= row < len(self.paths):
            raise InputError(f"expected a track from 0 to {len(self.paths) - 1}, got {row}")
        return self.paths[row]

    def _taught(self, label: str) -> Trained:
        if label not in self._trained:
            raise InputError(f"{label!r}: no label of this name was taught")
        return self._trained[label]

    def _near(self, vector: np.ndarray, k: int) -> list[dict[str, Any]]:
        return self._rows(neighbours.nearest(self._embeddings, vector, k))

    def _rows(self, tracks: Sequence[Neighbour]) -> list[dict[str, Any]]:
        return [
            {"row": self._row_of[path], "path": path, "similarity": similarity}
            for similarity, path in tracks
            if path in self._row_of
        ]
