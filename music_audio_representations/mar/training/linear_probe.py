"""A linear probe that is trained in passing, on the embeddings as they are."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import RidgeCV
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mar.audio.logmel import standardize
from mar.config import Configurable, Param
from mar.data.pipelines import SnippetDataset
from mar.errors import ConfigError
from mar.training import distribution, validation
from mar.util.kinds import PositiveInt

_PENALTIES = np.logspace(1, 5, 5)


class LinearProbe(Configurable):
    """A small task that is learnt from the embeddings every so many steps, by ridge regression.

    It is of the labels of records, one output each; the penalty is that of the least error of
    leaving out one track. The embedding of a track is the mean of its windows. What is logged is
    the macro average precision, as `average_precision` of the part `probe`. Between two probes
    nothing is slower.
    """

    train: SnippetDataset = Param(doc="Fixed windows that the probe learns from.")
    test: SnippetDataset = Param(doc="Fixed windows that it is tested on.")
    every: PositiveInt = Param(default=2000, doc="Steps between two probes.")

    def __post_init__(self) -> None:
        for name in ("train", "test"):
            if getattr(self, name).windows != "fixed":
                raise ConfigError(f"LinearProbe.{name}: expected windows: fixed, got random")

    def scorer(
        self, strategy: tf.distribute.Strategy, network: keras.Model
    ) -> Callable[[], dict[str, float]]:
        """A function that probes a network as it is.

        Args:
            strategy: of the devices that share a batch.
            network: as `SfNfNetF0.build(explicit_draws=True)` returns it.
        """

        def replica_embeddings(batch):
            return embeddings(network, batch)

        # The last batch is smaller.
        of_all = distribution.compiled(strategy, replica_embeddings, reduce_retracing=True)

        def tracks(dataset: SnippetDataset) -> tuple[np.ndarray, np.ndarray]:
            """Embeddings and labels of its tracks."""
            passed = list(validation.passed(strategy, of_all, dataset))
            windows = dataset.windows_per_track
            values = np.concatenate([batch["embeddings"] for batch in passed])
            labels = np.concatenate([batch["labels"] for batch in passed])
            means = values.reshape(-1, windows, values.shape[1]).mean(axis=1)
            return means, labels[::windows]

        return lambda: scores(*tracks(self.train), *tracks(self.test))


def embeddings(network: keras.Model, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What a network makes of a batch, in each replica of a strategy that of all.

    Args:
        network: as `SfNfNetF0.build(explicit_draws=True)` returns it.
        batch: this replica's part of what a `SnippetDataset` yields.

    Returns:
        `embeddings` `(N, dimensions)` and `labels` `(N, vocabulary)`, float32.
    """
    rows = tf.shape(batch["snippets"])[0]
    snippets = validation.at_least_one(batch["snippets"])
    kept = tf.ones((tf.maximum(rows, 1), network.inputs[1].shape[1]))
    values = network([standardize(snippets), kept], training=False)[:rows]
    return validation.gathered({"embeddings": values, "labels": batch["labels"]})


def scores(
    embeddings: np.ndarray, labels: np.ndarray, tested: np.ndarray, expected: np.ndarray
) -> dict[str, float]:
    """What a probe of some tracks says of others.

    Args:
        embeddings, labels: `(tracks, dimensions)` and `(tracks, vocabulary)`, learnt from.
        tested, expected: those of other tracks. Labels that none of them has, or all, do not count.

    Returns:
        `average_precision`, the mean over labels.
    """
    probe = make_pipeline(StandardScaler(), RidgeCV(_PENALTIES))
    predicted = probe.fit(embeddings, labels).predict(tested)
    predicted = predicted.reshape(expected.shape)  # without an axis where there is one label
    defined = np.ptp(expected, axis=0) > 0
    precision = average_precision_score(
        expected[:, defined], predicted[:, defined], average="macro"
    )
    return {"average_precision": float(precision)}
