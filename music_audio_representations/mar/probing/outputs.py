"""What a probe minimises and what it reports, by the names of the published configurations."""

from typing import ClassVar, Literal

import keras

from mar.config import Configurable, Param
from mar.errors import ConfigError


class Loss(Configurable):
    """Base class: `build()` makes a Keras loss of targets and the probe's outputs.

    Attributes:
        activation: turns outputs that are logits into predictions; None keeps them.
    """

    activation: ClassVar[str | None] = None
    from_logits = True

    def build(self) -> keras.losses.Loss:
        """The Keras loss."""
        raise NotImplementedError


class Metric(Configurable):
    """Base class: `build_metric()` makes a Keras metric of targets and the probe's outputs."""

    def build_metric(self) -> keras.metrics.Metric:
        """The Keras metric."""
        raise NotImplementedError


class _Crossentropy(Loss):
    from_logits: bool = Param(default=True, doc="Whether the loss is given logits.")
    label_smoothing: float = Param(default=0.0, doc="Share of each target that is spread evenly.")
    axis: int = Param(default=-1, doc="Axis of the labels.")
    reduction: str = Param(default="auto", doc="`auto` is the mean over the batch.")
    name: str | None = Param(default=None, doc="Name in logs.")

    def build(self) -> keras.losses.Loss:
        """The Keras loss."""
        return self._loss(
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
            axis=self.axis,
            reduction=_reduction(self.reduction),
            name=self.name or self._name,
        )


class ScoochBinaryCrossentropy(_Crossentropy):
    """A sigmoid per label; the mean over labels of their cross-entropies."""

    activation = "sigmoid"
    _loss, _name = keras.losses.BinaryCrossentropy, "binary_crossentropy"


class ScoochCategoricalCrossentropy(_Crossentropy):
    """A softmax over classes."""

    activation = "softmax"
    _loss, _name = keras.losses.CategoricalCrossentropy, "categorical_crossentropy"


class ScoochMeanSquaredError(Loss, Metric):
    """Squared difference, the mean over targets."""

    reduction: str = Param(default="auto", doc="`auto` is the mean over the batch.")
    name: str | None = Param(default=None, doc="Name in logs.")

    def build(self) -> keras.losses.Loss:
        """The Keras loss."""
        name = self.name or "mean_squared_error"
        return keras.losses.MeanSquaredError(reduction=_reduction(self.reduction), name=name)

    def build_metric(self) -> keras.metrics.Metric:
        """The Keras metric."""
        return keras.metrics.MeanSquaredError(self.name or "mean_squared_error")


class ScoochAUC(Metric):
    """Area under the ROC or the precision-recall curve, at 200 thresholds."""

    curve: Literal["ROC", "PR"] = Param(default="ROC", doc="Which curve.")
    multi_label: bool = Param(default=False, doc="Whether areas are averaged over labels.")
    num_labels: int | None = Param(default=None, doc="Number of labels; null finds it out.")
    from_logits: bool = Param(default=False, doc="Whether outputs are logits.")
    num_thresholds: int = Param(default=200, doc="Thresholds that the curve is made of.")
    name: str | None = Param(default=None, doc="Name in logs.")

    def build_metric(self) -> keras.metrics.Metric:
        """The Keras metric."""
        return keras.metrics.AUC(
            num_thresholds=self.num_thresholds,
            curve=self.curve,
            multi_label=self.multi_label,
            num_labels=self.num_labels,
            from_logits=self.from_logits,
            name=self.name or f"auc_{self.curve.lower()}",
        )


class ScoochCategoricalAccuracy(Metric):
    """Share of items whose largest output is the right one."""

    name: str | None = Param(default=None, doc="Name in logs.")

    def build_metric(self) -> keras.metrics.Metric:
        """The Keras metric."""
        return keras.metrics.CategoricalAccuracy(self.name or "categorical_accuracy")


LOSSES: dict[str, tuple[type[Loss], ...]] = {  # GTZAN's published probe: a sigmoid for each class
    "multilabel": (ScoochBinaryCrossentropy,),
    "multiclass": (ScoochCategoricalCrossentropy, ScoochBinaryCrossentropy),
    "key": (ScoochCategoricalCrossentropy, ScoochBinaryCrossentropy),
    "regression": (ScoochMeanSquaredError,),
}


def check_loss(loss: Loss, kind: str, task: str) -> None:
    """Raises a ConfigError where a loss does not fit the kind of a task, whose name is `task`."""
    if not isinstance(loss, LOSSES[kind]):
        names = " or ".join(fitting.__name__ for fitting in LOSSES[kind])
        raise ConfigError(
            f"MLP.loss: expected {names} for {task}, whose kind is {kind}, got "
            f"{type(loss).__name__}"
        )


def _reduction(name):
    """Keras 2's `auto` by Keras 3's name."""
    return "sum_over_batch_size" if name == "auto" else name
