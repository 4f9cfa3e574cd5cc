"""What pre-training learns: labels, or which two snippets are of the same track (section 2.1).

An objective owns the head, mixup, the loss and what is logged. It is written in `keras.ops`. What
is random comes from outside, one draw for each example of the global batch. Batches and draws are
dictionaries by the names of the views, which are those of the data set.
"""

import logging
from collections.abc import Iterable
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from sklearn.metrics import average_precision_score

from mar.audio.logmel import standardize
from mar.config import Configurable, Param
from mar.data import sampling
from mar.data.mixup import Mixup, mix
from mar.data.pipelines import PairDataset, RecordDataset, SnippetDataset
from mar.errors import ConfigError
from mar.models.projectors import Projector
from mar.training.losses import binary_crossentropy, nt_xent, retrieval_measures
from mar.util.kinds import PositiveFloat, PositiveInt

_LOG = logging.getLogger(__name__)


class Objective(Configurable):
    """Base class.

    Attributes:
        views: names of the snippets of an example.
        dataset: class of the data set that yields them.
        separable: whether the loss is a mean over examples that do not see one another.
        criterion: the validation score (higher is better) that the best checkpoint has.
    """

    projector: Projector = Param(default=Projector(), doc="Head on top of the embedding.")
    mixup: Mixup | None = Param(default=None, doc="Mixture of examples in training; null: none.")

    views: ClassVar[tuple[str, ...]]
    dataset: ClassVar[type[RecordDataset]]
    separable: ClassVar[bool]
    criterion: ClassVar[str]

    def check(self, dataset: RecordDataset) -> None:
        """That a data set yields the examples which are learnt from, as far as it is described.

        Raises:
            ConfigError: it yields others.
        """
        if not isinstance(dataset, self.dataset):
            raise ConfigError(
                f"Trainer: {type(self).__name__} expects a {self.dataset.__name__}, got a "
                f"{type(dataset).__name__}"
            )

    def check_records(self, dataset: RecordDataset) -> None:
        """As `check`, of what the data set's manifest says."""

    def output_size(self, dataset: RecordDataset) -> int:
        """Number of outputs of the head."""
        raise NotImplementedError

    def hard_negatives(self, dataset: RecordDataset) -> int:
        """Number of snippets of an example beside the views, in the data set's `negatives`."""
        return 0

    def draw(
        self, seed: int, step: int, batch_size: int, blocks: int, hard_negatives: int = 0
    ) -> dict[str, dict[str, np.ndarray]]:
        """All that is random in a step, for the global batch.

        Args:
            seed: of the run.
            step: number of the step.
            batch_size: of the global batch.
            blocks: number of the network's blocks, over both pathways.
            hard_negatives: of each example.

        Returns:
            For each view `depth`, float32 `(batch_size, blocks)` in [0, 1); with mixup also
            `partners`, int32, and `gains`, float32, `(batch_size,)`. For `negatives`, if there are
            any, the same with `(batch_size, hard_negatives)` in front: the first ones of all
            examples are a view like the others, mixed with one another, and so are the second.
        """

        def of(view):
            rng = sampling.generator(seed, step, f"stochastic depth {view}")
            draws = {"depth": rng.random((batch_size, blocks), np.float32)}
            if self.mixup is not None:
                draws["partners"], draws["gains"] = self.mixup.draw(seed, step, batch_size, view)
            return draws

        draws = {view: of(view) for view in self.views}
        if hard_negatives:
            slots = [of(f"negatives {slot}") for slot in range(hard_negatives)]
            draws["negatives"] = {
                name: np.stack([slot[name] for slot in slots], axis=1) for name in slots[0]
            }
        return draws

    def outputs(self, model: keras.Model, batch: dict, draws: dict, global_batch: dict) -> Any:
        """What the head makes of some examples.

        Args:
            model: of `[spectrogram, draws]`, with the head.
            batch: some rows of what the data set yields.
            draws: the same rows of what `draw` returns. Where `depth` is 1 nothing is dropped, and
                without `gains` nothing is mixed.
            global_batch: the global batch, whose rows are the partners.

        Returns:
            float32 `(n, views, outputs)`; hard negatives, where there are draws for them, come
            after the views: `(n, views + hard_negatives, outputs)`.
        """
        views = [(batch[view], global_batch[view], draws[view]) for view in self.views]
        if "negatives" in draws:
            views += _slots(batch["negatives"], global_batch["negatives"], draws["negatives"])
        snippets = [_mixed(*view) for view in views]
        depth = ops.concatenate([of_view["depth"] for _, _, of_view in views])
        outputs = model([standardize(ops.concatenate(snippets)), depth], training=True)
        return ops.stack(ops.split(outputs, len(views)), axis=1)

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """Mean loss of some examples, and what else is to be logged, scalars by name.

        Args:
            outputs: as `outputs` returns them.
            batch: what they were made of, as `draws` and `global_batch`.
        """
        raise NotImplementedError

    def scores(self, batches: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
        """The scores of a validation set, `loss` among them.

        Args:
            batches: each with its `outputs`, as `outputs` returns them, and what the data set
                yields beside the views.
        """
        raise NotImplementedError

    def from_means(self, means: dict[str, float]) -> dict[str, float]:
        """What is logged, by name, from means over steps or batches."""
        return means


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
        count = self.output_size(dataset)
        if count == 0:
            raise ConfigError(
                f"SupervisedObjective.labels: expected records with at least one label, got 0 in "
                f"{dataset.records}"
            )
        if self.labels is not None and count != self.labels:
            raise ConfigError(
                f"SupervisedObjective.labels: expected records with {self.labels} labels, got "
                f"{count} in {dataset.records}; labels: null takes as many as there are"
            )
        tracks, counts = len(dataset.manifest), dataset.manifest.label_counts()
        if not ((counts > 0) & (counts < tracks)).any():
            raise ConfigError(
                f"{dataset.records}: expected labels that differ between tracks, but all {tracks} "
                "tracks have the same ones: nothing can be learnt or measured there"
            )

    def output_size(self, dataset: RecordDataset) -> int:
        """Number of labels of the records."""
        return len(dataset.manifest.header.vocabulary)

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """See `Objective.loss`; nothing else is logged."""
        labels = _mixed(batch["labels"], global_batch["labels"], draws["snippets"])
        return ops.mean(binary_crossentropy(labels, outputs[:, 0])), {}

    def scores(self, batches: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
        """Loss and macro average precision; see `Objective.scores`.

        Labels without an example, or with all, have no average precision.
        """
        batches = list(batches)
        logits = np.concatenate([batch["outputs"][:, 0] for batch in batches])
        labels = np.concatenate([batch["labels"] for batch in batches])
        scores = {"loss": float(ops.mean(binary_crossentropy(labels, logits)))}
        defined = np.ptp(labels, axis=0) > 0
        if defined.any():
            scores["average_precision"] = float(
                average_precision_score(labels[:, defined], logits[:, defined], average="macro")
            )
        return scores


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

    def output_size(self, dataset: RecordDataset) -> int:
        """Dimensions of the projection."""
        return self.dimensions

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """See `Objective.loss`: that of a replica's examples among those of all replicas."""
        negatives = outputs[:, 2:] if outputs.shape[1] > 2 else None
        losses, similarities = nt_xent(outputs[:, 0], outputs[:, 1], self.temperature, negatives)
        return ops.mean(losses), retrieval_measures(similarities)

    def scores(self, batches: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
        """Means of the loss and of what else is logged in training; see `Objective.scores`."""
        sums: dict[str, float] = {}
        count = 0
        for batch in batches:
            outputs = batch["outputs"]
            loss, measures = self.loss(outputs, {}, {}, {})
            for name, value in {"loss": loss, **measures}.items():
                sums[name] = sums.get(name, 0.0) + len(outputs) * float(value)
            count += len(outputs)
        return self.from_means({name: total / count for name, total in sums.items()})

    def from_means(self, means: dict[str, float]) -> dict[str, float]:
        """The means, with the uniformity in place of its potential."""
        means = dict(means)
        means["uniformity"] = float(np.log(means.pop("potential")))
        return means


def _mixed(examples, global_batch, draws):
    """Snippets or labels of one view, mixed where there are draws for that."""
    if "gains" not in draws:
        return examples
    return mix(examples, global_batch, draws["partners"], draws["gains"])


def _slots(negatives, global_batch, draws):
    """Hard negatives `(n, h, …)`, those of all and their draws as h views `(n, …)`."""
    for slot in range(negatives.shape[1]):
        of_slot = {name: draw[:, slot] for name, draw in draws.items()}
        yield negatives[:, slot], global_batch[:, slot], of_slot
