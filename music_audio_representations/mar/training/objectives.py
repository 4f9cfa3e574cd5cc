"""The paper's objectives: labels, or which two snippets are of the same track (section 2.1)."""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
from keras import ops
from sklearn.metrics import average_precision_score

from mar.config import Param
from mar.data.pipelines import PairDataset, RecordDataset, SnippetDataset
from mar.errors import ConfigError
from mar.training.losses import binary_crossentropy, nt_xent, retrieval_measures
from mar.training.objective import Objective, mixed
from mar.util.kinds import PositiveFloat, PositiveInt

_LOG = logging.getLogger(__name__)


class SupervisedObjective(Objective):
    """Binary cross-entropy of sigmoid outputs, one for each label."""

    labels: PositiveInt | None = Param(
        default=None,
        doc="Number of labels that the records must have; null: however many they have.",
    )

    views, dataset, separable = ("snippets",), SnippetDataset, True
    criterion = "average_precision"

    def check_records(self, dataset: RecordDataset) -> None:
        """That the records have labels, as many as were asked for, and that these differ between
        tracks; see `Objective.check`.
        """
        super().check_records(dataset)
        check_labels(dataset, "SupervisedObjective.labels")
        count = len(dataset.manifest.header.vocabulary)
        if self.labels is not None and count != self.labels:
            raise ConfigError(
                f"SupervisedObjective.labels: expected records with {self.labels} labels, got "
                f"{count} in {dataset.records}; labels: null takes as many as there are"
            )

    def output_size(self, labels: int) -> int:
        """One for each label."""
        return labels

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """See `Objective.loss`; nothing else is logged."""
        labels = mixed(batch["labels"], global_batch["labels"], draws["snippets"])
        return ops.mean(binary_crossentropy(labels, outputs[:, 0])), {}

    def scores(self, batches: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
        """See `label_scores` and `Objective.scores`."""
        batches = list(batches)
        logits = np.concatenate([batch["outputs"][:, 0] for batch in batches])
        labels = np.concatenate([batch["labels"] for batch in batches])
        return label_scores(labels, logits)


class ContrastiveObjective(Objective):
    """SimCLR: to find the other snippet of the same track among all of the batch.

    `PairDataset.hard_negatives` adds snippets to the batch that are of the anchor's track and too
    far from it to be its positive (section 2.3). Like all others they are mixed, and are negatives
    of every anchor and positive: see `mar.training.losses.nt_xent`. The distance is the anchor's;
    a positive on the same side may be nearer to them.
    """

    dimensions: PositiveInt = Param(default=1024, doc="Dimensions in which snippets are compared.")
    temperature: PositiveFloat = Param(default=0.1, doc="Divides the cosine similarities.")

    views, dataset, separable = ("anchors", "positives"), PairDataset, False
    criterion = "accuracy"

    def hard_negatives(self, dataset: RecordDataset) -> int:
        """See `Objective.hard_negatives`."""
        assert isinstance(dataset, PairDataset)  # which `check` demands
        return dataset.hard_negatives

    def check(self, dataset: RecordDataset) -> None:
        """See `Objective.check`."""
        super().check(dataset)
        if dataset.batch_size < 2:
            raise ConfigError(
                "PairDataset.batch_size: expected at least 2, since ContrastiveObjective tells the "
                f"pairs of a batch apart, got {dataset.batch_size}"
            )

    def check_records(self, dataset: RecordDataset) -> None:
        """Warns of pairs that cannot be told apart; see `Objective.check_records`."""
        super().check_records(dataset)
        assert isinstance(dataset, PairDataset)  # as `check` expects
        if len(dataset.tracks) == 1:
            _LOG.warning(
                "%s: one track alone is in it%s, so that there is nothing to tell its pairs from; "
                "expected at least two",
                *(dataset.records, f" for {dataset.part}" if dataset.part else ""),
            )
        identical = dataset.identical_pairs
        if identical:
            _LOG.warning(
                "%s: in %d of %d tracks the two snippets of a pair are always the same one, which "
                "teaches nothing; expected tracks of more than the %d snippet_frames, and a "
                "max_centre_distance_seconds of more than a frame",
                *(dataset.records, identical, len(dataset.tracks), dataset.snippet_frames),
            )

    def output_size(self, labels: int) -> int:
        """Dimensions of the projection."""
        return self.dimensions

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """See `Objective.loss`: that of a replica's examples among those of all replicas."""
        negatives = outputs[:, 2:] if outputs.shape[1] > 2 else None
        losses, similarities = nt_xent(outputs[:, 0], outputs[:, 1], self.temperature, negatives)
        return ops.mean(losses), retrieval_measures(similarities)

    def scores(self, batches: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
        """Means of the loss and of what else is logged in training; see `Objective.scores`.

        A last batch of one pair is left out, which has nothing to be told from; where there is no
        other, there are no scores.
        """
        sums: dict[str, float] = {}
        count = 0
        for batch in batches:
            outputs = batch["outputs"]
            if len(outputs) == 1:
                continue
            loss, measures = self.loss(outputs, batch, {}, batch)
            for name, value in {"loss": loss, **measures}.items():
                sums[name] = sums.get(name, 0.0) + len(outputs) * float(value)
            count += len(outputs)
        if not count:
            return {}
        return self.from_means({name: total / count for name, total in sums.items()})

    def from_means(self, means: dict[str, float]) -> dict[str, float]:
        """The means, with the uniformity in place of its potential."""
        means = dict(means)
        means["uniformity"] = float(np.log(means.pop("potential")))
        return means


def check_labels(dataset: RecordDataset, name: str) -> None:
    """That the records have labels, and that these differ between the tracks that are read.

    Raises:
        ConfigError: they do not; it begins with the name of what needs them.
    """
    if not dataset.manifest.header.vocabulary:
        raise ConfigError(
            f"{name}: expected records with at least one label, got 0 in {dataset.records}"
        )
    tracks, counts = len(dataset.tracks), dataset.manifest.label_counts(dataset.tracks)
    if not ((counts > 0) & (counts < tracks)).any():
        raise ConfigError(
            f"{dataset.records}: expected labels that differ between tracks, but all {tracks} "
            "tracks have the same ones: nothing can be learnt or measured there"
        )


def label_scores(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Loss and macro average precision of labels, both `(examples, labels)`.

    Labels without an example, or with all, have no average precision.
    """
    scores = {"loss": float(ops.mean(binary_crossentropy(labels, logits)))}
    defined = np.ptp(labels, axis=0) > 0
    if defined.any():
        scores["average_precision"] = float(
            average_precision_score(labels[:, defined], logits[:, defined], average="macro")
        )
    return scores
