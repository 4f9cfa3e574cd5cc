"""Mixup of snippets (paper, section 2.1), written in `keras.ops` for the device.

It acts on plain log-mel, before `mar.audio.logmel.standardize`: a mixture of standardised snippets
would have a standard deviation of 0.8 in training, against 1 in embedding.
"""

from typing import Any

import numpy as np
from keras import ops

from mar.config import Configurable, Param
from mar.data import sampling
from mar.util.kinds import PositiveFloat


class Mixup(Configurable):
    """Whom each example of the global batch is mixed with, and how much: λ ~ Beta(alpha, beta)."""

    alpha: PositiveFloat = Param(default=5.0, doc="First parameter of the gain's distribution.")
    beta: PositiveFloat = Param(default=2.0, doc="Second parameter of the gain's distribution.")

    def draw(
        self, seed: int, step: int, batch_size: int, purpose: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Partners and gains of a step, the same on whatever worker.

        Args:
            seed: of the run.
            step: number of the step.
            batch_size: size of the global batch.
            purpose: a string; draws for another purpose are independent ("anchors",
                "positives").

        Returns:
            partners, int32 `(batch_size,)`, a permutation of the global batch; and gains,
            float32 `(batch_size,)`.
        """
        rng = sampling.generator(seed, step, f"mixup {purpose}")
        partners = rng.permutation(batch_size).astype(np.int32)
        return partners, rng.beta(self.alpha, self.beta, batch_size).astype(np.float32)


def mix(examples: Any, batch: Any, partners: Any, gains: Any) -> Any:
    """`gain · example + (1 − gain) · partner`, for log-mel and, with the same draws, for labels.

    Arrays or tensors of the backend.

    Args:
        examples: `(n, …)`: the global batch, or a replica's rows of it.
        batch: `(N, …)`, the global batch, from which the partners are taken. For pairs, that of
            the same view: an example is never mixed with its own other view.
        partners: int `(n,)`, rows of `batch`.
        gains: `(n,)`.

    Returns:
        float32 `(n, …)`.
    """
    examples = ops.cast(examples, "float32")
    others = ops.cast(ops.take(batch, partners, axis=0), "float32")
    gains = ops.reshape(ops.cast(gains, "float32"), (-1,) + (1,) * (len(examples.shape) - 1))
    return gains * examples + (1.0 - gains) * others
