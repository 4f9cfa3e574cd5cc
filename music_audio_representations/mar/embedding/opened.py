"""An open folder of embeddings: which row counts for each path, and what it says but embeddings."""

import difflib
import functools
import os
import pathlib
import posixpath
import types
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mar.embedding import mirror, parts
from mar.embedding.latest import LatestRows
from mar.embedding.rows import with_columns
from mar.errors import InputError

_VALUES = ("mean", "timeline")


class Opened:
    """What `mar.Embeddings` is but for the embeddings: its paths, and the other columns.

    Args:
        folder: see `mar.Embeddings`.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self._folder = mirror.readable(folder)
        self._parts = parts.open_all(self._folder)
        if not self._parts:
            raise InputError(
                f"{self._folder}: holds no embeddings (no .parquet file that mar embed wrote)"
            )
        parts.refuse_mixture(self._parts)
        self._version = parts.version(self._parts)
        self._index = LatestRows(self._parts)

    @property
    def folder(self) -> pathlib.Path:
        """Where it lies on the disk."""
        return self._folder

    @property
    def provenance(self) -> dict:
        """How it was made: model, front end, windows, precision, what is kept."""
        return dict(self._parts[0].provenance)

    @property
    def dimensions(self) -> int:
        """Length of one embedding."""
        return self._parts[0].provenance["dimensions"]

    @property
    def version(self) -> str:
        """Tells the state that was opened from every other one of this data set (hex).

        It follows from the footers of the parts, not from their place, and changes with any row:
        what is computed from the embeddings can be kept beside it, and compared. Which rows came or
        went is told by `audio_hashes`.
        """
        return self._version

    @functools.cached_property
    def paths(self) -> list[str]:
        """What was embedded, sorted."""
        return sorted(self._index.embedded())

    @property
    def failures(self) -> Mapping[str, str]:
        """`{path: reason}` of what could not be embedded, or was skipped."""
        return types.MappingProxyType(self._index.failures)

    @functools.cached_property
    def skipped(self) -> list[str]:
        """Those of `failures` that were skipped, as they are not called as audio is; sorted."""
        return sorted(self._index.skipped)

    @functools.cached_property
    def gone(self) -> list[str]:
        """Files that `mar embed` did not find any more, sorted.

        They are left out of everything else; `mar embed --prune` removes them for good. One that is
        found again has its embedding still.
        """
        return sorted(self._index.gone)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, path: object) -> bool:
        return path in self._index

    def row(self, path: str) -> dict:
        """All columns of an embedded file but its embedding, see `mar.embedding.rows`.

        Raises:
            InputError: it was not embedded.
        """
        part, _ = self._place(path)
        (batch,) = self._batches(light(self._parts[part].columns), [path])
        return batch.to_pylist()[0]

    def audio_hashes(self) -> dict[str, str | None]:
        """`{path: hash of its audio}` of all that was embedded (`mar.audio.decode.audio_hash`).

        While both are the same, so is the embedding. Version 0.1.0 noted none: None.
        """
        hashes: dict[str, str | None] = {}
        for batch in self._batches(["audio_hash"]):
            noted = "audio_hash" in batch.schema.names
            of_rows = batch["audio_hash"].to_pylist() if noted else [None] * len(batch)
            hashes.update(zip(batch["path"].to_pylist(), of_rows, strict=True))
        return hashes

    def paths_of_audio(self, audio_hash: str) -> list[str]:
        """Which embedded files have this audio (`mar.audio.decode.audio_hash`), sorted."""
        hashes = self.audio_hashes()
        return sorted(path for path, of_path in hashes.items() if of_path == audio_hash)

    def durations(self) -> dict[str, float]:
        """Seconds of audio of each embedded file."""
        durations: dict[str, float] = {}
        for batch in self._batches(["duration"]):
            paths, seconds = batch["path"].to_pylist(), parts.numbers(batch["duration"])
            durations.update(zip(paths, seconds, strict=True))
        return durations

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The `path` and these columns of all that was embedded, see `mar.embedding.rows`.

        A column that version 0.1.0 did not have is null where it is lacking, or left out.
        """
        schema = self._parts[0].schema.remove_metadata()
        for part in self._parts[1:]:
            schema = pa.unify_schemas([schema, part.schema.remove_metadata()])
        wanted = pa.schema([schema.field(n) for n in ["path", *columns] if n in schema.names])
        batches = (with_columns(batch, wanted) for batch in self._batches(columns))
        return pa.Table.from_batches(batches, wanted)

    def times(self, path: str) -> np.ndarray:
        """The windows' centres of a file, float32 seconds `(windows,)`."""
        return np.array(self.row(path)["times"], np.float32)

    # ------------------------------------------------------------------------------------- private

    def _batches(
        self, columns: Sequence[str], paths: Collection[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Batches of `path` and these columns, of these paths or of all that were embedded."""
        wanted = self._index.present if paths is None else self._rows(paths)
        for part, rows in zip(self._parts, wanted, strict=True):
            groups = np.unique(np.searchsorted(part.group_ends, np.flatnonzero(rows), "right"))
            if not len(groups):
                continue
            ends, first = part.group_ends, 0
            read = np.concatenate(
                [rows[(ends[group - 1] if group else 0) : ends[group]] for group in groups]
            )
            for batch in part.batches(["path", *columns], groups.tolist()):
                of_batch = read[first : first + len(batch)]
                first += len(batch)
                if of_batch.any():
                    batch = batch if of_batch.all() else batch.filter(pa.array(of_batch))
                    parts.check_whole(part.path, batch)
                    yield batch

    def _rows(self, paths: Collection[str]) -> list[np.ndarray]:
        """Which rows of each part are of these paths."""
        rows = [np.zeros(part.rows, bool) for part in self._parts]
        for part, row in map(self._place, paths):
            rows[part][row] = True
        return rows

    def _place(self, path: str) -> tuple[int, int]:
        """Which row of which part a file has."""
        if path in self._index:
            return self._index.place(path)
        if path in self._index.failures:
            reason = self._index.failures[path]
            raise InputError(f"{self._folder}: {path} was not embedded: {reason}")
        if path in self._index.gone:
            raise InputError(
                f"{self._folder}: {path} is gone: mar embed did not find it any more; where it is "
                "back, run that again"
            )
        raise InputError(f"{self._folder}: holds no {path}{self._hint(path)}")

    def _hint(self, path: str) -> str:
        """The nearest path, for a message: of the same name or folder, where there are such."""
        folder, name = posixpath.split(str(path))
        stem = posixpath.splitext(name)[0]
        known = self._index.paths()
        alike = [p for p in known if posixpath.basename(p).startswith(f"{stem}.")]
        alike = alike or [p for p in known if posixpath.dirname(p) == folder]
        nearest = difflib.get_close_matches(str(path), alike or known, n=1, cutoff=0)
        return "".join(f"; the nearest is {path}" for path in nearest)


def light(columns: Sequence[str]) -> list[str]:
    """All columns but the embeddings."""
    return [name for name in columns if name not in _VALUES]
