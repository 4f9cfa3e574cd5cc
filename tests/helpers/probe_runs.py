"""Results of runs with known predictions, for the tests that share them."""

import numpy as np

from mar.probing import metrics, results


def write_run(folder, task, model, kind, targets, predictions, labels=None, ids=None):
    """Writes `<folder>/<task>/<model>/`, as `mar.probe` does; returns the `Score`s."""
    labels = labels or [f"label {number}" for number in range(targets.shape[1])]
    scores = metrics.evaluate(kind, targets, predictions, labels, resamples=40)
    ids = np.arange(len(targets)).astype(str) if ids is None else ids
    items = {"train": 3, "valid": 2, "test": len(targets)}
    result = {"model": model, "task": task, "kind": kind, "labels": labels, "items": items}
    arrays = {"ids": ids, "targets": targets, "predictions": predictions}
    results.write_run(folder / task / model, result, scores, labels, arrays)
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
