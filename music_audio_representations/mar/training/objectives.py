"""What pre-training learns: labels, or which two snippets are of the same track (section 2.1).

An objective owns the head, mixup, the loss and what is logged. It is written in `keras.ops`. What
is random comes from outside, one draw for each example of the global batch.
"""

import numpy as np
from keras import ops
from sklearn.metrics import average_precision_score

from mar.audio.logmel import standardize
from mar.config import Configurable, Param
from mar.data import sampling
from mar.data.mixup import Mixup, mix
from mar.data.pipelines import PairDataset, SnippetDataset
from mar.errors import ConfigError
from mar.models.projectors import Projector
from mar.training.losses import NTXent, binary_crossentropy
from mar.util.kinds import PositiveFloat, PositiveInt


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

    views, dataset, separable, criterion = (), None, True, None

    def check(self, dataset):
        """Raises a ConfigError where the examples of a data set are not what is learnt from."""
        if not isinstance(dataset, self.dataset):
            raise ConfigError(
                f"Trainer: {type(self).__name__} expects a {self.dataset.__name__}, got a "
                f"{type(dataset).__name__}"
            )

    def draw(self, seed, step, batch_size, blocks):
        """All that is random in a step, for the global batch.

        Args:
            seed: of the run.
            step: number of the step.
            batch_size: of the global batch.
            blocks: number of the network's blocks, over both pathways.

        Returns:
            A dictionary of NumPy arrays: `depth` `(batch_size, views, blocks)`; with mixup also
            `partners` and `gains`, `(batch_size, views)`.
        """
        depth = [
            sampling.generator(seed, step, f"stochastic depth {view}").random(
                (batch_size, blocks), np.float32
            )
            for view in self.views
        ]
        draws = {"depth": np.stack(depth, axis=1)}
        if self.mixup is not None:
            mixtures = [self.mixup.draw(seed, step, batch_size, view) for view in self.views]
            draws["partners"], draws["gains"] = (
                np.stack(parts, axis=1) for parts in zip(*mixtures, strict=True)
            )
        return draws

    def outputs(self, model, rows, whole):
        """What the head makes of some examples.

        Args:
            model: Keras model of `[spectrogram, draws]`, with the head.
            rows: `(batch, draws)`: some rows of what the data set and `draw` return. Where `depth`
                is 1 nothing is dropped, and without `gains` nothing is mixed.
            whole: the global batch, whose rows are the partners.

        Returns:
            float32 `(n, views, outputs)`.
        """
        batch, draws = rows
        views = range(len(self.views))
        snippets = [_mixed(batch[view], whole[view], draws, view) for view in views]
        depth = ops.concatenate([draws["depth"][:, view] for view in views])
        outputs = model([standardize(ops.concatenate(snippets)), depth], training=True)
        return ops.stack(ops.split(outputs, len(self.views)), axis=1)

    def finished(self, means):
        """What is logged, by name, from means over steps or batches, numbers by name."""
        return means


class SupervisedObjective(Objective):
    """Binary cross-entropy of sigmoid outputs, one for each label."""

    labels: PositiveInt | None = Param(
        default=None,
        doc="Number of labels that the records must have; null: however many they have.",
    )

    views, dataset, separable = ("snippets",), SnippetDataset, True
    criterion = "average_precision"

    def check(self, dataset):
        super().check(dataset)
        found = self.output_size(dataset)
        if found == 0 or (self.labels is not None and found != self.labels):
            expected = "at least one label" if self.labels is None else f"{self.labels} labels"
            raise ConfigError(
                f"SupervisedObjective.labels: expected records with {expected}, got {found} in "
                f"{dataset.records}"
            )

    def output_size(self, dataset):
        """Number of outputs of the head."""
        return len(dataset.manifest.header.vocabulary)

    def loss(self, outputs, rows, whole):
        """Mean loss of some examples, and nothing else to be logged.

        Args:
            outputs: as `outputs` returns them.
            rows: what they were made of.
            whole: the global batch.
        """
        batch, draws = rows
        labels = _mixed(batch[1], whole[1], draws, 0)
        return ops.mean(binary_crossentropy(labels, outputs[:, 0])), {}

    def scores(self, batches):
        """Loss and macro average precision on a validation set.

        Args:
            batches: iterable of (outputs, labels) arrays, as `outputs` and the data set return
                them.

        Returns:
            Numbers by name. Labels without an example, or with all, have no average precision.
        """
        outputs, labels = map(np.concatenate, zip(*batches, strict=True))
        logits = outputs[:, 0]
        scores = {"loss": float(ops.mean(binary_crossentropy(labels, logits)))}
        defined = np.ptp(labels, axis=0) > 0
        if defined.any():
            scores["average_precision"] = float(
                average_precision_score(labels[:, defined], logits[:, defined], average="macro")
            )
        return scores


class ContrastiveObjective(Objective):
    """SimCLR: to find the other snippet of the same track among all of the batch."""

    dimensions: PositiveInt = Param(default=1024, doc="Dimensions in which snippets are compared.")
    temperature: PositiveFloat = Param(default=0.1, doc="Divides the cosine similarities.")

    views, dataset, separable = ("anchors", "positives"), PairDataset, False
    criterion = "accuracy"

    def check(self, dataset):
        super().check(dataset)
        if dataset.hard_negatives:
            raise ConfigError(
                "PairDataset.hard_negatives: expected 0, since ContrastiveObjective compares pairs "
                f"alone, got {dataset.hard_negatives}"
            )

    def output_size(self, dataset):
        """Number of outputs of the head."""
        return self.dimensions

    def loss(self, outputs, rows, whole):
        """Mean loss of a replica's examples among those of all replicas, and its measures.

        The arguments are as `SupervisedObjective.loss`'s.
        """
        losses, retrieval = NTXent(self.temperature)(outputs[:, 0], outputs[:, 1])
        return ops.mean(losses), retrieval.measures()

    def scores(self, batches):
        """Means over a validation set of the loss and what else is logged in training.

        Args:
            batches: iterable of (outputs,), as `outputs` returns them.
        """
        sums, count = {}, 0
        for (outputs,) in batches:
            loss, measures = self.loss(outputs, None, None)
            for name, value in {"loss": loss, **measures}.items():
                sums[name] = sums.get(name, 0.0) + len(outputs) * float(value)
            count += len(outputs)
        return self.finished({name: total / count for name, total in sums.items()})

    def finished(self, means):
        """The means, with the uniformity in place of its potential."""
        means = dict(means)
        means["uniformity"] = float(np.log(means.pop("potential")))
        return means


def _mixed(examples, whole, draws, view):
    """Snippets or labels of one view, mixed where there are draws for that."""
    if "gains" not in draws:
        return examples
    return mix(examples, whole, draws["partners"][:, view], draws["gains"][:, view])
