"""Scores of a model on tracks that it does not learn from."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mar.data.pipelines import RecordDataset
from mar.errors import InputError
from mar.training import distribution
from mar.training.objective import Objective


def scorer(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    objective: Objective,
    dataset: RecordDataset,
) -> Callable[[str | None], dict[str, float]]:
    """A function that scores the model as it is.

    Its argument is the path of the latest checkpoint, which it names in the InputError that it
    raises where outputs are not finite.

    Args:
        strategy: of the devices that share a batch.
        model: as `mar.models.projectors.with_head` returns it.
        objective: what it learns.
        dataset: with fixed windows.
    """

    def replica_outputs(batch):
        return outputs(model, objective, batch)

    # The last batch is smaller.
    outputs_of = distribution.compiled(strategy, replica_outputs, reduce_retracing=True)

    def batches(latest: str | None) -> Iterator[dict[str, np.ndarray]]:
        for batch in passed(strategy, outputs_of, dataset):
            if not np.isfinite(batch["outputs"]).all():
                raise InputError(
                    f"Trainer.validation: expected finite outputs, got others for "
                    f"{dataset.records}; the last good checkpoint is {latest}; python -m "
                    "tfrecord_tools.verify tells whether the records are sound"
                )
            yield batch

    return lambda latest: objective.scores(batches(latest))


def passed(
    strategy: tf.distribute.Strategy, function: Callable[..., Any], dataset: RecordDataset
) -> Iterator[dict[str, np.ndarray]]:
    """Yields what a function, compiled for all replicas, makes of each batch of fixed windows."""
    assert dataset.steps is not None  # with fixed windows
    examples = iter(distribution.batches(strategy, dataset, seed=0))
    for _ in range(dataset.steps):
        yield {name: part.numpy() for name, part in function(next(examples)).items()}


def outputs(model: keras.Model, objective: Objective, batch: dict) -> dict[str, tf.Tensor]:
    """What the model makes of a batch, in each replica of a strategy that of all.

    Nothing is dropped and nothing mixed.

    Args:
        model: as `mar.models.projectors.with_head` returns it.
        objective: what it learns.
        batch: tensors `(n, …)` by name, this replica's part of what the data set yields.

    Returns:
        `outputs`, float32 `(N, views, outputs)`, and what the data set yields beside the views.
    """
    rows = tf.shape(next(iter(batch.values())))[0]
    snippets = {view: at_least_one(batch[view]) for view in objective.views}
    kept = tf.ones((tf.maximum(rows, 1), model.inputs[1].shape[1]))
    draws = {view: {"depth": kept} for view in objective.views}
    beside = {name: part for name, part in batch.items() if name not in snippets}
    return gathered(
        {"outputs": objective.outputs(model, snippets, draws, snippets)[:rows], **beside}
    )


def gathered(parts: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Those of all replicas, `(N, …)`."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return parts
    return {name: context.all_gather(tf.identity(part), axis=0) for name, part in parts.items()}


def at_least_one(rows: tf.Tensor) -> tf.Tensor:
    """The rows, and a row of zeros where there is none.

    Of a last batch, some replicas have nothing; convolutions want at least a row.
    """
    missing = tf.maximum(1 - tf.shape(rows)[0], 0)
    return tf.pad(rows, [[0, missing], *[[0, 0]] * (rows.shape.rank - 1)])
