"""Probes: shallow networks from a frozen embedding to a task (paper, section 3 and Table 2)."""

import itertools
from typing import Literal

import keras
import numpy as np

from mar.config import Configurable, Param
from mar.errors import ConfigError
from mar.optim.adam import ScoochAdam
from mar.probing.dense import Activation
from mar.probing.outputs import Loss, Metric
from mar.util.kinds import NonNegativeFloat, PositiveInt, Rate


class MLP(Configurable):
    """A multi-layer perceptron and how it is trained, by the published configurations' names.

    It is trained for as many steps as the optimizer's schedule has.
    """

    layer_widths: tuple[PositiveInt, ...] = Param(
        default=(), doc="Widths of the hidden layers; none is linear."
    )
    activation: Activation = Param(default="relu", doc="Activation of the hidden layers.")
    input_dropout: Rate | None = Param(default=None, doc="Dropout rate of the input.")
    layer_dropouts: tuple[Rate, ...] | None = Param(
        default=None, doc="Dropout rate behind each hidden layer."
    )
    dropout: Rate | None = Param(default=None, doc="Dropout rate behind every hidden layer.")
    output_dropout: Rate | None = Param(
        default=None, doc="Dropout rate of what the output layer is given."
    )
    l2_regularization: NonNegativeFloat = Param(
        default=0.0, doc="Weight of the kernels' squares in the loss; biases are free."
    )
    loss: Loss = Param(doc="What is minimised.")
    metrics: tuple[Metric, ...] | None = Param(
        default=None, doc="What is reported beside the task's own metrics."
    )
    optimizer: ScoochAdam = Param(doc="How it is minimised, and in how many steps.")
    batch_size: PositiveInt | None = Param(default=None, doc="Batch size; null is that of Table 2.")
    standardize: bool = Param(
        default=False,
        doc="Whether every dimension, and a value that is to be predicted, gets mean 0 and "
        "variance 1 in training.",
    )
    windows: Literal["mean", "single"] = Param(
        default="mean",
        doc="`mean` trains on an item's mean embedding; `single` on each of its windows, whose "
        "predictions are averaged.",
    )

    def __post_init__(self) -> None:
        if self.layer_dropouts is not None and self.dropout is not None:
            raise ConfigError("MLP: expected layer_dropouts or dropout, got both")
        rates = self.layer_dropouts
        if rates is not None and len(rates) != len(self.layer_widths):
            raise ConfigError(
                f"MLP.layer_dropouts: expected one for each of the {len(self.layer_widths)} "
                f"layer_widths, got {rates}"
            )
        if self.steps < 1:
            raise ConfigError(
                "MLP.optimizer.ScoochAdam.schedule: expected a schedule of at least one step; it "
                "says how many steps the probe is trained for"
            )

    @property
    def steps(self) -> int:
        """Training steps."""
        return self.optimizer.steps

    def build(
        self,
        inputs: int,
        outputs: int,
        seed: int = 0,
        normalization: tuple[np.ndarray, np.ndarray] | None = None,
        target_moments: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> keras.Model:
        """Builds the network.

        Args:
            inputs: dimensions of the embedding.
            outputs: number of labels.
            seed: of the initial weights and of dropout.
            normalization: `(mean, variance)`, each `(inputs,)`, of what `standardize` removes.
            target_moments: `(mean, variance)`, each `(outputs,)`, that predictions are scaled to.

        Returns:
            A Keras model `(batch, inputs)` → `(batch, outputs)`: logits, or predictions where the
            loss takes those.
        """
        seeds = itertools.count(1000 * seed)
        layers = [keras.Input((inputs,), name="embedding")]

        def drop(rate):
            if rate:
                layers.append(keras.layers.Dropout(rate, seed=next(seeds)))

        def dense(units, activation, name):
            kernel = keras.initializers.GlorotUniform(next(seeds))
            layers.append(
                keras.layers.Dense(units, activation, kernel_initializer=kernel, name=name)
            )

        if normalization is not None:
            mean, variance = normalization
            layers.append(
                keras.layers.Normalization(mean=mean, variance=variance, name="normalization")
            )
        drop(self.input_dropout)
        rates = self.layer_dropouts or [self.dropout] * len(self.layer_widths)
        for index, (width, rate) in enumerate(zip(self.layer_widths, rates, strict=True)):
            dense(width, self.activation, f"hidden_{index}")
            drop(rate)
        drop(self.output_dropout)
        dense(outputs, None if self.loss.from_logits else self.loss.activation, "output")
        if target_moments is not None:
            mean, variance = target_moments
            layers.append(
                keras.layers.Rescaling(np.sqrt(variance).tolist(), mean.tolist(), name="rescaling")
            )
        return keras.Sequential(layers, name="probe")
