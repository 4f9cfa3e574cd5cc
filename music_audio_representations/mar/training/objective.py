"""What all objectives of pre-training share: from a batch and draws to outputs.

An objective owns the head, mixup, augmentations, the loss and what is logged. It is written in
`keras.ops`. What is random comes from outside, one draw for each example of the global batch.
Batches and draws are dictionaries by the names of the views, which are those of the data set.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from mar.audio.logmel import LogMel, standardize
from mar.config import Configurable, Param
from mar.data import sampling
from mar.data.augmentations import Augmentation, check_front_end
from mar.data.mixup import Mixup, mix
from mar.data.pipelines import RecordDataset
from mar.data.warping import TimeStretch
from mar.errors import ConfigError
from mar.models.projectors import Projector
from mar.models.saving import front_end
from mar.util.kinds import PositiveInt


class Objective(Configurable):
    """Base class.

    Attributes:
        views: names of the snippets of an example.
        dataset: class of the data set that yields them.
        separable: whether the loss is a mean over examples that do not see one another.
        criterion: the validation score (higher is better) that the best checkpoint has; None for
            an objective without scores.
    """

    projector: Projector = Param(default=Projector(), doc="Head on top of the embedding.")
    mixup: Mixup | None = Param(default=None, doc="Mixture of examples in training; null: none.")
    augmentations: tuple[Augmentation, ...] | None = Param(
        default=None,
        doc="What happens to snippets in training, after mixup, in this order; null: nothing.",
    )
    frames: PositiveInt | None = Param(
        default=None,
        doc="The network's frames, the middle of the data set's snippet_frames, whose margins "
        "TimeStretch needs; null: all.",
    )

    views: ClassVar[tuple[str, ...]]
    dataset: ClassVar[type[RecordDataset]]
    separable: ClassVar[bool]
    criterion: ClassVar[str | None]

    def __post_init__(self) -> None:
        augmentations = self.augmentations or ()
        names = [type(augmentation).__name__ for augmentation in augmentations]
        if len(set(names)) < len(names):
            raise ConfigError(
                f"{type(self).__name__}.augmentations: expected each kind once, got {names}"
            )
        allowed = {*self.views, "negatives"} if len(self.views) > 1 else {*self.views}
        for augmentation in augmentations:
            if unknown := {*(augmentation.views or ())} - allowed:
                raise ConfigError(
                    f"{type(augmentation).__name__}.views: {type(self).__name__} expects some of "
                    f"{sorted(allowed)}, got {sorted(unknown)}"
                )

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
        frames, read = self.network_frames(dataset), dataset.snippet_frames
        if frames > read:
            raise ConfigError(
                f"{type(self).__name__}.frames: expected at most the {read} snippet_frames of the "
                f"data set, got {frames}"
            )
        for augmentation in self.augmentations or ():
            if isinstance(augmentation, TimeStretch) and augmentation.frames(frames) > read:
                raise ConfigError(
                    f"{type(dataset).__name__}.snippet_frames: expected at least the "
                    f"{augmentation.frames(frames)} frames that TimeStretch takes for the "
                    f"network's {frames}, got {read}; {type(self).__name__}.frames sets the latter"
                )

    def check_records(self, dataset: RecordDataset) -> None:
        """As `check`, of what the data set's manifest says."""
        if self.augmentations:
            check_front_end(LogMel.from_config(dataset.manifest.header.front_end))

    def network_frames(self, dataset: RecordDataset) -> int:
        """Frames of the network's input."""
        return self.frames or dataset.snippet_frames

    def output_size(self, labels: int) -> int:
        """Number of outputs of the head, where the records have so many labels."""
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
            And what each augmentation draws, by the name of its class.
        """

        def of(view, purpose):
            rng = sampling.generator(seed, step, f"stochastic depth {purpose}")
            draws: dict = {"depth": rng.random((batch_size, blocks), np.float32)}
            if self.mixup is not None:
                draws["partners"], draws["gains"] = self.mixup.draw(seed, step, batch_size, purpose)
            for augmentation in self.augmentations or ():
                if augmentation.is_for(view):
                    name = type(augmentation).__name__
                    rng = sampling.generator(seed, step, f"{name} {purpose}")
                    draws[name] = augmentation.draw(rng, batch_size)
            return draws

        draws = {view: of(view, view) for view in self.views}
        if hard_negatives:
            slots = [of("negatives", f"negatives {slot}") for slot in range(hard_negatives)]
            draws["negatives"] = keras.tree.map_structure(
                lambda *arrays: np.stack(arrays, axis=1), *slots
            )
        return draws

    def outputs(self, model: keras.Model, batch: dict, draws: dict, global_batch: dict) -> Any:
        """What the head makes of some examples.

        Args:
            model: of `[spectrogram, draws]`, with the head.
            batch: some rows of what the data set yields.
            draws: the same rows of what `draw` returns. Where `depth` is 1 nothing is dropped, and
                without `gains` nothing is mixed; augmentations without draws do nothing.
            global_batch: the global batch, whose rows are the partners.

        Returns:
            float32 `(n, views, outputs)`; hard negatives, where there are draws for them, come
            after the views: `(n, views + hard_negatives, outputs)`.
        """
        views = [(batch[view], global_batch[view], draws[view]) for view in self.views]
        if "negatives" in draws:
            views += _slots(batch["negatives"], global_batch["negatives"], draws["negatives"])
        snippets = [
            self._cropped(self._augmented(mixed(*view), *view[1:], model)) for view in views
        ]
        depth = ops.concatenate([of_view["depth"] for _, _, of_view in views])
        outputs = model([standardize(ops.concatenate(snippets)), depth], training=True)
        return ops.stack(ops.split(outputs, len(views)), axis=1)

    def _augmented(self, snippets, others, draws, model):
        """Snippets of one view, with the augmentations that there are draws for."""
        for augmentation in self.augmentations or ():
            if of_it := draws.get(type(augmentation).__name__):
                snippets = ops.cast(snippets, "float32")
                snippets = augmentation.apply(snippets, of_it, others, front_end(model))
        return snippets

    def _cropped(self, snippets):
        """The middle of snippets `(n, frames, mels)`."""
        if self.frames is None:
            return snippets
        first = (snippets.shape[1] - self.frames) // 2
        return snippets[:, first : first + self.frames]

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


def mixed(examples: Any, global_batch: Any, draws: dict) -> Any:
    """Snippets or labels of one view, mixed where there are draws for that."""
    if "gains" not in draws:
        return examples
    return mix(examples, global_batch, draws["partners"], draws["gains"])


def _slots(negatives, global_batch, draws):
    """Hard negatives `(n, h, …)`, those of all and their draws as h views `(n, …)`."""
    for slot in range(negatives.shape[1]):
        of_slot = keras.tree.map_structure(lambda draw: draw[:, slot], draws)  # noqa: B023
        yield negatives[:, slot], global_batch[:, slot], of_slot
