"""Objectives of pairs that go further than the paper: with labels, and with what was done to them.

Each is an objective of its own, and several are learnt at once as the parts of a `JointObjective`.
"""

import functools
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import numpy as np
from keras import ops

from mar.config import Param
from mar.data.labelled_pairs import LabelledPairDataset
from mar.data.pipelines import PairDataset, RecordDataset
from mar.errors import ConfigError
from mar.training.losses import (
    binary_crossentropy,
    huber,
    retrieval_measures,
    supervised_nt_xent,
)
from mar.training.objective import Objective, mixed
from mar.training.objectives import ContrastiveObjective, check_labels, label_scores
from mar.util.kinds import PositiveFloat

# What can be predicted: the augmentation that changes it, what it draws, and twelfths of an octave
# in that.
_PREDICTED = {"tempo": ("TimeStretch", "octaves", 12.0), "pitch": ("PitchShift", "semitones", 1.0)}


class SupervisedContrastiveObjective(ContrastiveObjective):
    """Finds the other snippet of the track, and all examples of the same labels.

    Khosla et al. (2020); see `mar.training.losses.supervised_nt_xent`. Tracks without labels have
    their own other snippet alone, as in `ContrastiveObjective`, and so have their mixtures.
    """

    dataset = LabelledPairDataset

    def check(self, dataset: RecordDataset) -> None:
        """See `Objective.check`."""
        super().check(dataset)
        if self.hard_negatives(dataset):
            raise ConfigError(
                "LabelledPairDataset.hard_negatives: SupervisedContrastiveObjective expects 0, as "
                f"they have the labels of their anchor, got {self.hard_negatives(dataset)}"
            )

    def check_records(self, dataset: RecordDataset) -> None:
        """See `Objective.check_records`."""
        super().check_records(dataset)
        check_labels(dataset, type(self).__name__)

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """See `Objective.loss`."""
        labels, known = zip(
            *(_mixed_labels(batch, global_batch, draws.get(view, {})) for view in self.views),
            strict=True,
        )
        losses, similarities = supervised_nt_xent(
            *(outputs[:, 0], outputs[:, 1], ops.stack(labels, axis=1), self.temperature),
            ops.stack(known, axis=1),
        )
        return ops.mean(losses), retrieval_measures(similarities)


class SupervisedPairObjective(Objective):
    """Binary cross-entropy of the labels of both snippets, where their track has any.

    The mean is over all examples, those without labels having a loss of 0. A mixture has labels
    where both of what it was mixed of have.
    """

    views, dataset, separable = ("anchors", "positives"), LabelledPairDataset, True
    criterion = "average_precision"

    def check_records(self, dataset: RecordDataset) -> None:
        """See `Objective.check_records`."""
        super().check_records(dataset)
        check_labels(dataset, type(self).__name__)

    def output_size(self, labels: int) -> int:
        """One for each label."""
        return labels

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """See `Objective.loss`; nothing else is logged."""
        losses = []
        for index, view in enumerate(self.views):
            labels, known = _mixed_labels(batch, global_batch, draws[view])
            losses.append(known * binary_crossentropy(labels, outputs[:, index]))
        return ops.mean(ops.stack(losses)), {}

    def scores(self, batches: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
        """Of the anchors that have labels; see `SupervisedObjective.scores`."""
        batches = list(batches)
        logits = np.concatenate([batch["outputs"][:, 0] for batch in batches])
        labels = np.concatenate([batch["labels"] for batch in batches])
        known = labels.any(axis=1)
        return label_scores(labels[known], logits[known]) if known.any() else {}


class RelativeObjective(Objective):
    """How much faster and higher the positive is than the anchor, by what was done to both.

    Each snippet has an output for its tempo and one for its pitch; what is learnt is their
    difference between two snippets of a track, which augmentations made. For pitch this is SPICE
    (Gfeller et al., 2020), for tempo Quinton (2022); that embeddings order music by tempo then is
    in McCallum et al., "Similar but faster" (2024). The loss is Huber's, in twelfths of an octave.
    In validation nothing is changed, so that there is nothing to predict.
    """

    predicted: tuple[Literal["tempo", "pitch"], ...] = Param(
        default=("tempo", "pitch"), doc="What TimeStretch and PitchShift change."
    )

    views, dataset, separable = ("anchors", "positives"), PairDataset, False
    criterion = None

    def check(self, dataset: RecordDataset) -> None:
        """See `Objective.check`."""
        super().check(dataset)
        there = [type(augmentation).__name__ for augmentation in self.augmentations or ()]
        for name in self.predicted:
            augmentation, *_ = _PREDICTED[name]
            if augmentation not in there:
                raise ConfigError(
                    f"RelativeObjective.predicted: {name} expects a {augmentation} among the "
                    f"augmentations, got {there}"
                )
        if dataset.windows == "fixed":
            raise ConfigError(
                "Trainer.validation: RelativeObjective expects null, as nothing is changed in "
                "validation"
            )

    def output_size(self, labels: int) -> int:
        """One for each that is predicted."""
        return len(self.predicted)

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """See `Objective.loss`; also logs mean errors, in twelfths of an octave."""
        losses, errors = [], {}
        for index, name in enumerate(self.predicted):
            anchor, positive = (_drawn(draws[view], name) for view in self.views)
            error = outputs[:, 1, index] - outputs[:, 0, index] - (positive - anchor)
            losses.append(ops.mean(huber(error)))
            errors[f"{name}_error"] = ops.mean(ops.abs(error))
        return sum(losses), errors

    def scores(self, batches: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
        """None; see the class."""
        return {}


class JointObjective(Objective):
    """Several objectives of pairs at once, each with outputs of its own of one head.

    Head, mixup, augmentations and frames are those of this objective, not of its parts.
    """

    parts: tuple[Objective, ...] = Param(
        doc="Objectives of pairs; the best model is that of the first with scores."
    )
    weights: tuple[PositiveFloat, ...] | None = Param(
        default=None, doc="Of the parts' losses; null: 1 each."
    )

    views, dataset, separable = ("anchors", "positives"), LabelledPairDataset, False
    shared: ClassVar[tuple[str, ...]] = ("projector", "mixup", "augmentations", "frames")

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = [type(part).__name__ for part in self.parts]
        if len(set(kinds)) < len(kinds):
            raise ConfigError(f"JointObjective.parts: expected each kind once, got {kinds}")
        if not self.parts or len(self._weights) != len(self.parts):
            raise ConfigError(
                f"JointObjective.weights: expected one for each of at least one part, got "
                f"{len(self._weights)} for {len(self.parts)} parts"
            )
        for index, part in enumerate(self.parts):
            name = f"JointObjective.parts.{index}"
            if part.views != self.views:
                raise ConfigError(
                    f"{name}: expected an objective of pairs, got {type(part).__name__}"
                )
            for parameter in self.shared:
                if getattr(part, parameter) != getattr(type(part), parameter).default:
                    raise ConfigError(
                        f"{name}.{parameter}: expected to be given to JointObjective, got "
                        f"{getattr(part, parameter)!r}"
                    )

    @property
    def criterion(self) -> str | None:  # type: ignore[override]
        """That of the first part that has one."""
        named = (_named(part, part.criterion) for part in self.parts if part.criterion)
        return next(named, None)

    @functools.cached_property
    def _parts(self):
        """The parts, with what they share."""
        values = {name: getattr(self, name) for name in self.shared}
        return [part.replace(**values) for part in self.parts]

    @property
    def _weights(self):
        return self.weights or (1.0,) * len(self.parts)

    def check(self, dataset: RecordDataset) -> None:
        """See `Objective.check`."""
        super().check(dataset)
        for part in self._parts:
            if dataset.windows == "random" or part.criterion or not self.criterion:
                part.check(dataset)

    def check_records(self, dataset: RecordDataset) -> None:
        """See `Objective.check_records`."""
        for part in self._parts:
            part.check_records(dataset)

    def hard_negatives(self, dataset: RecordDataset) -> int:
        """See `Objective.hard_negatives`."""
        return max(part.hard_negatives(dataset) for part in self._parts)

    def output_size(self, labels: int) -> int:
        """Of all parts."""
        return sum(part.output_size(labels) for part in self._parts)

    def loss(self, outputs: Any, batch: dict, draws: dict, global_batch: dict) -> tuple[Any, dict]:
        """See `Objective.loss`; also logs the parts' losses and what they log."""
        total: Any = 0.0
        logged: dict[str, Any] = {}
        for part, weight, of_part in self._divided(outputs, batch):
            loss, measures = part.loss(of_part, batch, draws, global_batch)
            total += weight * loss
            logged |= {_named(part, k): value for k, value in {"loss": loss, **measures}.items()}
        return total, logged

    def scores(self, batches: Iterable[dict[str, np.ndarray]]) -> dict[str, float]:
        """Of the parts that have any; the loss is theirs."""
        batches = list(batches)
        divided = zip(*(self._divided(batch["outputs"], batch) for batch in batches), strict=True)
        total = 0.0
        scores: dict[str, float] = {}
        for of_batches in divided:
            part, weight, _ = of_batches[0]
            of_part = part.scores(
                {**batch, "outputs": outputs}
                for batch, (*_, outputs) in zip(batches, of_batches, strict=True)
            )
            total += weight * of_part.get("loss", 0.0)
            scores |= {_named(part, name): value for name, value in of_part.items()}
        return {"loss": total, **scores}

    def from_means(self, means: dict[str, float]) -> dict[str, float]:
        """As each part has it."""
        means = dict(means)
        for part in self._parts:
            names = [name for name in means if name.startswith(_named(part, ""))]
            own = {name.removeprefix(_named(part, "")): means.pop(name) for name in names}
            means |= {_named(part, name): value for name, value in part.from_means(own).items()}
        return means

    def _divided(self, outputs, batch):
        """Each part with its weight and its own of the outputs `(n, views, outputs)`."""
        last = 0
        for part, weight in zip(self._parts, self._weights, strict=True):
            first, last = last, last + part.output_size(batch["labels"].shape[-1])
            yield part, weight, outputs[..., first:last]


def _named(part, measure):
    """A measure of a part, beside those of the others."""
    return f"{type(part).__name__}.{measure}"


def _mixed_labels(batch, global_batch, draws):
    """Labels of one view `(n, labels)`, and 1 where both tracks of a mixture have any `(n,)`."""
    of_batch, of_all = batch["labels"], global_batch["labels"]
    known = mixed(_known(of_batch), _known(of_all), draws)
    return mixed(of_batch, of_all, draws), ops.cast(known > 0.999, "float32")


def _known(labels):
    """1 where a track has labels, and 0 elsewhere, float32 `(n,)`."""
    return ops.cast(ops.any(labels > 0, axis=1), "float32")


def _drawn(draws, name):
    """What was done to snippets, twelfths of an octave `(n,)`; 0 where nothing was."""
    augmentation, parameter, twelfths = _PREDICTED[name]
    if augmentation not in draws:
        return 0.0
    of_it = draws[augmentation]
    return twelfths * of_it[parameter] * ops.cast(of_it["applies"], "float32")
