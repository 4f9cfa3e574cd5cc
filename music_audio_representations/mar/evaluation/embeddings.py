"""Embeddings on disk, as probes read them: one Parquet data set, one row per audio file.

Columns that are read: `path`, `status`, `reason`, and `mean` or `timeline`. The schema's metadata
holds, under `mar`, what the embeddings were made with.
"""

import dataclasses
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mar.errors import InputError

_BATCH_ROWS = 512
_IGNORED = ("mar_version",)  # may differ between files of one data set


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """An open data set.

    Attributes:
        folder: where it lies.
        provenance: what it was made with: model, front end, windows, store.
        dimensions: of one embedding.
        places: `{path: (file, row)}` of what was embedded.
        failures: `{path: reason}` of what could not be.
    """

    folder: pathlib.Path
    provenance: dict
    dimensions: int
    places: dict
    failures: dict

    @property
    def timelines(self):
        """Whether single windows are stored."""
        return self.provenance.get("store") == "timeline"

    def means(self, paths):
        """Mean embedding of each path, float32 `(paths, dimensions)`."""
        means = np.empty((len(paths), self.dimensions), np.float32)
        for rows, values, lengths in self._read(paths):
            if lengths is None:
                means[rows] = values
            else:
                starts = np.cumsum(lengths) - lengths
                sums = np.add.reduceat(values, starts, axis=0, dtype=np.float64)
                means[rows] = sums / lengths[:, None]
        return _finite(means, paths, self.folder, np.arange(len(paths)))

    def windows(self, paths, file=None):
        """All windows of each path.

        Args:
            paths: what to read.
            file: where to keep them, memory-mapped; None for memory.

        Returns:
            float32 `(windows, dimensions)`, and which path each is of, int64 `(windows,)`.

        Raises:
            InputError: the data set holds means only.
        """
        if not self.timelines:
            raise InputError(
                f"{self.folder}: holds one mean per file; to train on single windows, embed with "
                f"the store `timeline`"
            )
        counts = np.zeros(len(paths), np.int64)
        for rows, _, lengths in self._read(paths, values=False):
            counts[rows] = lengths
        shape = (int(counts.sum()), self.dimensions)
        windows = np.empty(shape, np.float32)
        if file is not None:
            del windows
            windows = np.lib.format.open_memmap(file, "w+", np.float32, shape)
        starts = np.cumsum(counts) - counts
        for rows, values, lengths in self._read(paths):
            within = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            owners = np.repeat(rows, lengths)
            windows[starts[owners] + within] = _finite(values, paths, self.folder, owners)
        return windows, np.repeat(np.arange(len(paths)), counts)

    def window_count(self, paths):
        """Number of windows of all paths together."""
        return sum(int(lengths.sum()) for _, _, lengths in self._read(paths, values=False))

    def _read(self, paths, values=True):
        """Yields (indices into `paths`, their values, windows of each or None), file by file."""
        wanted = {}
        for index, path in enumerate(paths):
            file, row = self.places[path]
            wanted.setdefault(file, []).append((row, index))
        column = "timeline" if self.timelines else "mean"
        for file, pairs in wanted.items():
            pairs.sort()
            rows, indices = np.array(pairs).T
            first = 0
            for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=[column]):
                here = (rows >= first) & (rows < first + len(batch))
                if here.any():
                    cells = batch.column(0).take(pa.array(rows[here] - first))
                    yield indices[here], *_values(cells, self.dimensions, values)
                first += len(batch)


def open_embeddings(folder):
    """Opens a data set and reads which files it holds.

    Raises:
        InputError: there is none, or its files were made by different models or settings.
    """
    folder = pathlib.Path(folder)
    files = [path for path in sorted(folder.glob("*.parquet")) if path.name[0] not in "._"]
    if not files:
        raise InputError(f"{folder}: expected embeddings (*.parquet) in this folder, found none")
    provenance = dimensions = None
    places, failures = {}, {}
    for file in files:
        table, metadata, width = _index(file)
        if provenance is None:
            provenance, dimensions = metadata, width
        _check_same(file, files[0], metadata, provenance, width, dimensions)
        for row, entry in enumerate(table.to_pylist()):
            if entry["status"] == "ok":
                places[entry["path"]] = (file, row)
            else:
                failures[entry["path"]] = entry["reason"]
    return Embeddings(folder, provenance, dimensions, places, failures)


def write_embeddings(file, provenance, rows):
    """Writes one file of a data set that holds means, whole or not at all.

    Args:
        file: ends in `.parquet`.
        provenance: what the schema's metadata is to say; `store` must be "mean".
        rows: dictionaries with `path`, `duration` (s), `mean` `(dimensions,)` or None, and
            `reason` (None where it went well).
    """
    file = pathlib.Path(file)
    done = [row for row in rows if row["mean"] is not None]
    if not done:
        raise InputError(f"{file}: nothing could be embedded, e.g. {rows[0]['reason']}")
    vector = pa.list_(pa.float32(), len(done[0]["mean"]))
    columns = {
        "path": pa.array([row["path"] for row in rows], pa.string()),
        "status": pa.array(["failed" if row["mean"] is None else "ok" for row in rows]),
        "reason": pa.array([row["reason"] for row in rows], pa.string()),
        "duration": pa.array([row["duration"] for row in rows], pa.float64()),
        "mean": pa.array(
            [None if row["mean"] is None else list(row["mean"]) for row in rows], vector
        ),
    }
    table = pa.table(columns).replace_schema_metadata({"mar": json.dumps(provenance)})
    unfinished = file.with_name(f".{file.name}.unfinished")
    pq.write_table(table, unfinished)
    unfinished.replace(file)


def _index(file):
    """`path`, `status` and `reason` of a file, its provenance, and the width of its embeddings."""
    try:
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        provenance = json.loads(schema.metadata[b"mar"])
        store = provenance["store"]
        kind = schema.field("timeline" if store == "timeline" else "mean").type
        vector = kind.value_type if store == "timeline" else kind
        return parquet.read(["path", "status", "reason"]), provenance, vector.list_size
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file}: not a file of mar's embeddings: {error!r}") from None


def _check_same(file, other, metadata, provenance, width, dimensions):
    if width != dimensions:
        raise InputError(
            f"{file}: expected embeddings of {dimensions} dimensions as in {other.name}, found "
            f"{width}"
        )
    for key in sorted({*metadata, *provenance} - set(_IGNORED)):
        if metadata.get(key) != provenance.get(key):
            raise InputError(
                f"{file}: embeddings of two kinds in one folder: {key} is {metadata.get(key)!r}, "
                f"but {provenance.get(key)!r} in {other.name}. Embed into separate folders"
            )


def _values(cells, dimensions, values):
    """Values `(rows or windows, dimensions)` and the windows of each row (None for means)."""
    lengths = None
    if pa.types.is_fixed_size_list(cells.type):
        vectors = cells
    else:
        lengths = np.diff(cells.offsets.to_numpy())
        vectors = cells.flatten()
    if not values:
        return None, lengths
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, dimensions), lengths


def _finite(values, paths, folder, owners):
    """`values`, refused where a row, of the path `owners` tells, holds NaN or infinity."""
    wrong = owners[~np.isfinite(values).all(axis=1)]
    if len(wrong):
        raise InputError(
            f"{folder}: NaN or infinite values in the embeddings of {len(set(wrong.tolist()))} "
            f"files, e.g. {paths[wrong[0]]}"
        )
    return values
