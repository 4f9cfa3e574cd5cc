"""Embeddings as probes read them, from the data sets that `mar.embed` writes."""

import dataclasses
import pathlib
import tempfile

import numpy as np
import pyarrow.compute as pc

from mar.embedding import store
from mar.errors import InputError


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """An open data set.

    Attributes:
        folder: where it lies.
        provenance: what it was made with, see `mar.embedding.store`.
        paths: what was embedded.
        failures: `{path: reason}` of what could not be.
    """

    folder: pathlib.Path
    provenance: dict
    paths: list
    failures: dict

    @property
    def dimensions(self):
        """Length of one embedding."""
        return self.provenance["dimensions"]

    def means(self, paths):
        """Mean embedding of each path, float32 `(paths, dimensions)`.

        Raises:
            InputError: one holds NaN.
        """
        means, row_of = np.empty((len(paths), self.dimensions), np.float32), _rows(paths)
        for found, values in store.vectors(self.folder, pc.field("path").isin(paths)):
            means[[row_of[path] for path in found]] = values
        wrong = np.flatnonzero(~np.isfinite(means).all(axis=1))
        if len(wrong):
            raise self._not_finite(paths[wrong[0]])
        return means

    def windows(self, paths, folder=None):
        """All windows of each path.

        Args:
            paths: what to read.
            folder: on whose disk to keep them, memory-mapped, in a file without a name, so that
                none is left however the process ends; None for memory.

        Returns:
            float32 `(windows, dimensions)`, and which path each is of, int64 `(windows,)`.

        Raises:
            InputError: the data set holds means only; or a window holds NaN.
        """
        if self.provenance["store"] != "timeline":
            raise InputError(
                f"{self.folder}: holds one mean per file; to train on single windows, embed with "
                f"--store timeline"
            )
        counts, row_of = self.window_counts(paths), _rows(paths)
        ends = np.cumsum(counts)
        shape = (int(counts.sum()), self.dimensions)
        if folder is None:
            windows = np.empty(shape, np.float32)
        else:
            with tempfile.TemporaryFile(dir=folder) as file:
                windows = np.memmap(file, np.float32, "w+", shape=shape)
        for path, values in self._timelines(paths):
            row = row_of[path]
            if not np.isfinite(values).all():
                raise self._not_finite(path)
            windows[ends[row] - counts[row] : ends[row]] = values
        return windows, np.repeat(np.arange(len(paths)), counts)

    def window_counts(self, paths):
        """Number of windows of each path, int64 `(paths,)`."""
        counts, row_of = np.zeros(len(paths), np.int64), _rows(paths)
        for batch in self._batches(["path", "times"], paths):
            rows = [row_of[path] for path in batch["path"].to_pylist()]
            counts[rows] = batch["times"].value_lengths().to_numpy()
        return counts

    def _timelines(self, paths):
        """Yields `(path, (windows, dimensions))`."""
        if self.provenance["format"] == "npz":
            for batch in self._batches(["path"], paths):
                for path in batch["path"].to_pylist():
                    with np.load(store.npz_path(self.folder, path)) as file:
                        yield path, file["embedding"]
            return
        for batch in self._batches(["path", "timeline"], paths):
            lengths = batch["timeline"].value_lengths().to_numpy()
            values = batch["timeline"].flatten().flatten().to_numpy()
            timelines = np.split(values.reshape(-1, self.dimensions), np.cumsum(lengths)[:-1])
            yield from zip(batch["path"].to_pylist(), timelines, strict=True)

    def _batches(self, columns, paths):
        where = (pc.field("status") == "ok") & pc.field("path").isin(paths)
        return (batch for batch in store.batches(self.folder, columns, where) if len(batch))

    def _not_finite(self, path):
        return InputError(f"{self.folder}: NaN or infinite values in the embedding of {path}")


def open_embeddings(folder):
    """Opens a data set and reads which files it holds.

    Raises:
        InputError: there is none, or it was made by different models or settings.
    """
    folder = pathlib.Path(folder)
    provenance, paths, failures = store.provenance(folder), [], {}
    for batch in store.batches(folder, ["path", "status", "reason"]):
        for row in batch.to_pylist():
            if row["status"] == "ok":
                paths.append(row["path"])
            else:
                failures[row["path"]] = row["reason"]
    return Embeddings(folder, provenance, paths, failures)


def _rows(paths):
    return {path: row for row, path in enumerate(paths)}
