"""Results of runs with known predictions, for the tests that share them."""

import pathlib

import numpy as np

from helpers.small_embeddings import PROVENANCE
from mar.probing import metrics, results


def facts(task, model, kind, labels, items, seed=0, **others):
    """What `result.json` of a run says, without its scores.

    Args:
        items: their number in each split.
        **others: what differs from facts that no test here asks for.
    """
    return {
        **{"task": task, "protocol": "own", "kind": kind, "labels": labels},
        **{"undefined_labels": [], "items": items, "items_sha256": "1" * 64, "missing": 0},
        **{"model": model, "embeddings": {**PROVENANCE, "model": model}, "pooling": "mean"},
        **{"config": {"MLP": {}}, "config_sha256": "c" * 64, "batch_size": 256, "steps": 500},
        **{"seed": seed, "trials": 0, "training_rows": items["train"], "resamples": 40},
        **{"valid": {}, "probe_seconds": 1.5, "cpus": 2, "mar_version": "0.1.0"},
        "date": "2026-01-02T03:04:05+00:00",
        **others,
    }


def write_run(
    folder, task, model, kind, targets, predictions, labels=None, ids=None, seed=0, **others
):
    """Writes `<folder>/<task>/<model>/<seed>/`, as `mar probe` does; returns the `Score`s."""
    labels = labels or [f"label {number}" for number in range(targets.shape[1])]
    ids = np.arange(len(targets)).astype(str) if ids is None else ids
    scores = metrics.evaluate(kind, targets, predictions, labels, resamples=40)
    items = {"train": 3, "valid": 2, "test": len(targets)}
    known = {
        **facts(task, model, kind, labels, items, seed, **others),
        "test": results.aggregates(scores),
        "constant_guess": metrics.constant_guess(kind, targets, labels),
    }
    place = pathlib.Path(folder) / task / model / str(seed)
    place.mkdir(parents=True, exist_ok=True)
    per_label = results.by_label(scores, labels)
    if kind != "regression":
        per_label["support"] = targets.sum(axis=0, dtype=np.int64)
    results.write_run(place, known, per_label, results.Predictions(ids, targets, predictions))
    return scores


def classes(counts):
    """One-hot targets `(items, classes)` with these numbers of items."""
    return np.repeat(np.eye(len(counts), dtype=np.uint8), counts, axis=0)


def tags(items, labels, seed=0):
    """0/1 targets `(items, labels)` of rising frequency, each of both kinds."""
    generator = np.random.default_rng(seed)
    drawn = generator.random((items, labels)) < np.linspace(0.1, 0.6, labels)
    drawn[0], drawn[1] = True, False
    return drawn.astype(np.uint8)


def noisy(targets, noise, seed=0):
    """Predictions that are the worse the higher `noise` is."""
    return targets + noise * np.random.default_rng(seed).standard_normal(targets.shape)
