"""Embeddings data sets for tests."""

import time

import numpy as np

from mar.embedding.rows import Row
from mar.embedding.writer import write_part

PROVENANCE = {
    "model": "a" * 64,
    "model_source": "mule",
    "front_end": "b" * 64,
    "front_end_config": {"LogMel": {}},
    "window_seconds": 3.0,
    "hop_seconds": 2.0,
    "first_centre_seconds": None,
    "precision": "float32",
    "store": "mean",
    "format": "parquet",
    "version": "0.1.0",
}


def write_store(folder, timelines, failed=(), name="0", **provenance):
    """Writes one part of a data set.

    Args:
        folder: of the data set.
        timelines: `{path: (windows, dimensions)}`.
        failed: paths that could not be embedded.
        name: of the part.
        **provenance: what differs from `PROVENANCE`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for path, values in timelines.items():
        values = np.asarray(values, np.float32)
        times = np.arange(len(values), dtype=np.float32)
        rows.append(Row(path, "ok", duration=30.0, times=times, values=values))
    rows += [Row(path, "failed", "truncated") for path in failed]
    dimensions = next(iter(timelines.values())).shape[1]
    provenance = {**PROVENANCE, "dimensions": dimensions, **provenance}
    write_part(folder, provenance, rows, name, written=time.time_ns())
    return folder


def separable(targets, dimensions=8, windows=3, seed=0):
    """Timelines whose items' targets can be read from them, `(items, windows, dimensions)`."""
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((targets.shape[1], dimensions))
    clean = np.asarray(targets, float) @ mixing
    noise = 0.1 * generator.standard_normal((len(targets), windows, dimensions))
    return clean[:, None] + noise
