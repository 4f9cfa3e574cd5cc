"""What a result and a head say of themselves beside their scores."""

import datetime
import os

import numpy as np

import mar
from mar.probing import metrics, results
from mar.probing.joining import EmbeddedTask
from mar.probing.mlp import MLP
from mar.tasks import Task


def task_facts(embedded: EmbeddedTask, targets: np.ndarray) -> dict:
    """What a result says of its task, whose test items have these targets."""
    task = embedded.task
    multilabel = task.kind == "multilabel"
    undefined: list[int] = metrics.undefined_labels(targets).tolist() if multilabel else []
    return {
        "task": task.name,
        "protocol": task.protocol,
        "kind": task.kind,
        "labels": task.labels,
        "undefined_labels": [task.labels[label] for label in undefined],
        "items": embedded.counts,
        "items_sha256": task.hash(),
        "missing": embedded.missing,
        "constant_guess": {
            metric: results.or_none(value)
            for metric, value in metrics.constant_guess(task.kind, targets, task.labels).items()
        },
    }


def probe_facts(mlp: MLP, batch_size: int) -> dict:
    """What a result says of its probe."""
    return {
        "pooling": "mean" if mlp.windows == "mean" else "windows",
        "config": mlp.resolved(),
        "config_sha256": mlp.hash(),
        "batch_size": batch_size,
        "steps": mlp.steps,
    }


def about(facts: dict, task: Task) -> dict:
    """What a head says of itself."""
    names = ("task", "kind", "labels", "pooling", "model", "test", "mar_version", "date")
    decided = facts.get("decisions", {})
    return {
        **{name: facts[name] for name in names},
        "embeddings": facts["embeddings"],
        "dimensions": facts["embeddings"]["dimensions"],
        "unit": task.info.unit,
        "licence": task.info.licence,
        "calibrated": decided.get("calibrated"),
        "uncalibrated_labels": decided.get("uncalibrated_labels", []),
        "aim": decided.get("aim"),
    }


def machine_facts() -> dict:
    """What a result says of when and where it was obtained."""
    return {
        "cpus": os.cpu_count(),
        "mar_version": mar.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
