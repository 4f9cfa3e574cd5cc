"""What training puts on top of the embedding, and drops afterwards."""

import keras

from mar.config import Configurable, Param
from mar.util.kinds import PositiveInt


class Projector(Configurable):
    """Dense ReLU layers, then a bias-free projection (McCallum et al., section 2.1).

    The paper puts one on the embedding in both settings: to 1024 dimensions for SimCLR, to the
    labels' logits for supervised training.
    """

    hidden_units: tuple[PositiveInt, ...] = Param(
        default=(4096, 4096, 4096), doc="Widths of the ReLU layers, first to last."
    )

    def build(self, inputs: int, outputs: int) -> keras.Model:
        """Builds the head.

        Args:
            inputs: dimensions of the embedding.
            outputs: dimensions of the projection, or number of labels.

        Returns:
            A Keras model `(batch, inputs)` → `(batch, outputs)`, float32, without an output
            activation.
        """
        hidden = [
            keras.layers.Dense(units, "relu", name=f"projector_{index}")
            for index, units in enumerate(self.hidden_units)
        ]
        output = keras.layers.Dense(
            outputs,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype="float32",
            name="projector_output",
        )
        return keras.Sequential([keras.Input((inputs,)), *hidden, output], name="projector")


def with_head(network: keras.Model, head: keras.Model) -> keras.Model:
    """The model that is trained: `[spectrogram, draws]` → outputs of the head.

    Args:
        network: as `SfNfNetF0.build(explicit_draws=True)` returns it.
        head: as `Projector.build` returns it.
    """
    return keras.Model(network.inputs, head(network.output), name="pretraining")
