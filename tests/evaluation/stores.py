"""Embeddings data sets for tests, as `mar.embed` writes them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PROVENANCE = {
    "model": "a" * 64,
    "front_end": "b" * 64,
    "front_end_config": {"LogMel": {}},
    "window_seconds": 3.0,
    "hop_seconds": 2.0,
    "precision": "float32",
    "store": "mean",
    "mar_version": "0.1.0",
}


def write_store(folder, timelines, failed=(), name="part-0", **provenance):
    """Writes one file of a data set.

    Args:
        folder: of the data set.
        timelines: `{path: (windows, dimensions)}`.
        failed: paths that could not be embedded.
        name: of the file.
        **provenance: what differs from `PROVENANCE`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    provenance = {**PROVENANCE, **provenance}
    dimensions = next(iter(timelines.values())).shape[1]
    vector = pa.list_(pa.float32(), dimensions)
    values = [np.asarray(timeline, np.float32) for timeline in timelines.values()]
    nothing = [None] * len(failed)
    if provenance["store"] == "mean":
        cells = [list(value.mean(axis=0)) for value in values] + nothing
        embedded = {"mean": pa.array(cells, vector)}
    else:
        cells = [[list(row) for row in value] for value in values] + nothing
        embedded = {"timeline": pa.array(cells, pa.list_(vector))}
    count = len(values)
    table = pa.table(
        {
            "path": pa.array([*timelines, *failed]),
            "status": pa.array(["ok"] * count + ["failed"] * len(failed)),
            "reason": pa.array([None] * count + ["truncated"] * len(failed), pa.string()),
            "duration": pa.array([30.0] * count + nothing, pa.float64()),
            **embedded,
        }
    )
    metadata = {"mar": json.dumps(provenance)}
    pq.write_table(table.replace_schema_metadata(metadata), folder / f"{name}.parquet")
    return folder


def separable(targets, dimensions=8, windows=3, seed=0):
    """Timelines whose items' targets can be read from them, `(items, windows, dimensions)`."""
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((targets.shape[1], dimensions))
    clean = np.asarray(targets, float) @ mixing
    noise = 0.1 * generator.standard_normal((len(targets), windows, dimensions))
    return clean[:, None] + noise
