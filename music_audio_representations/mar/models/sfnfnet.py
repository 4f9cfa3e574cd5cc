"""The Short-Fast Normalizer-Free Net F0 (Wang et al., 2022; McCallum et al., 2022, section 2.1).

A slow pathway (coarse in time, many channels) and a fast one (fine in time, few channels), joined
before every stage. There is no normalisation layer anywhere.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import keras
from annotated_types import Len

from mar.audio.logmel import LogMel
from mar.config import Configurable, Param
from mar.models.layers import (
    NFBlock,
    SpectrogramInput,
    WSConv2D,
    global_average_pool,
    scaled_activation,
)
from mar.util.kinds import NonNegativeInt, PositiveFloat, PositiveInt, Share

if TYPE_CHECKING:
    from mar.audio.logmel import LogMel


@dataclasses.dataclass(frozen=True)
class StemConv:
    """One convolution of a stem; kernel and stride are (frequency, time)."""

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)


@dataclasses.dataclass(frozen=True)
class Stage:
    """What both pathways do between two fusions.

    Attributes:
        slow, fast: output channels of each pathway.
        fusion: channels of the temporal and of the pointwise convolution before the stage.
        frequency_stride: of the first block.
    """

    slow: int
    fast: int
    fusion: tuple[int, int]
    frequency_stride: int


STEMS = {
    "slow": (
        StemConv(16, (3, 1), (2, 8)),
        StemConv(32, (3, 1)),
        StemConv(64, (3, 1)),
        StemConv(128, (3, 3), (2, 2)),
    ),
    "fast": (
        StemConv(2, (3, 3), (2, 2)),
        StemConv(4, (3, 3)),
        StemConv(8, (3, 3)),
        StemConv(16, (3, 3), (2, 2)),
    ),
}
STAGES = (
    Stage(slow=256, fast=32, fusion=(32, 128), frequency_stride=1),
    Stage(slow=512, fast=64, fusion=(32, 256), frequency_stride=2),
    Stage(slow=1536, fast=192, fusion=(64, 512), frequency_stride=2),
    Stage(slow=1536, fast=192, fusion=(192, 3072), frequency_stride=2),
)
GROUP_SIZE = {"slow": 128, "fast": 16}
FUSION_KERNEL, FUSION_STRIDE = (1, 7), (1, 4)


class SfNfNetF0(Configurable):
    """SF-NFNet-F0: 96 × 300 log-mel in, 1728-dimensional embedding out, 62.3 M parameters."""

    f_value: NonNegativeInt = Param(
        default=0, doc="F of SF-NFNet-FF: multiplies the depths by F + 1."
    )
    alpha: float = Param(default=0.2, doc="Weight of every residual branch.")
    activation: Literal["gelu", "relu"] = Param(default="gelu", doc="Scaled activation function.")
    stochastic_depth: Share = Param(
        default=0.1, doc="Drop probability that the blocks' rates rise to, linearly from 0."
    )
    width: PositiveFloat = Param(
        default=1.0, doc="Factor on every channel count; grouped ones keep their number of groups."
    )
    depths: Annotated[tuple[PositiveInt, ...], Len(4, 4)] = Param(
        default=(1, 2, 6, 3), doc="Blocks in each of the four stages."
    )

    def build(
        self,
        frames: int | None = None,
        front_end: "LogMel | None" = None,
        explicit_draws: bool = False,
    ) -> keras.Model:
        """Builds the network.

        Args:
            frames: number of frames of the input, or None for any number.
            front_end: the `mar.LogMel` of its input; None for the paper's.
            explicit_draws: whether stochastic depth takes its draws from a second input
                `(batch, 2 × blocks)` in [0, 1): one column per block, slow pathway first. Where
                all are 1 every residual is kept, as at inference.

        Returns:
            A functional Keras model `(batch, 96, frames, 1)` → `(batch, 1728 × width)`, float32.
        """
        front_end = front_end or LogMel()
        spectrogram = keras.Input((front_end.n_mels, frames, 1), name="spectrogram")
        slow_stages, fast_stages = self._stages("slow"), self._stages("fast")
        blocks = list(itertools.chain(*slow_stages, *fast_stages))
        if explicit_draws:
            draws = keras.Input((len(blocks),), name="draws")
            draws_of = {block: draws[:, column] for column, block in enumerate(blocks)}
        else:
            draws_of = dict.fromkeys(blocks)

        x = SpectrogramInput(front_end.resolved(), name="input")(spectrogram)
        slow, fast = self._stem("slow", x), self._stem("fast", x)
        for index in range(len(STAGES)):
            slow = _joined([slow, self._fusion(index, fast)], f"fusion{index}")
            for block in slow_stages[index]:
                slow = block(slow, draws=draws_of[block])
            for block in fast_stages[index]:
                fast = block(fast, draws=draws_of[block])
        pooled = _joined([global_average_pool(slow), global_average_pool(fast)], "pooled")
        embedding = scaled_activation(pooled, self.activation)

        inputs = [spectrogram, draws] if explicit_draws else spectrogram
        return keras.Model(inputs, embedding, name="sf_nfnet_f0")

    def _stem(self, pathway: str, x: Any) -> Any:
        for index, conv in enumerate(STEMS[pathway]):
            if index:
                x = scaled_activation(x, self.activation)
            channels = self._scaled(conv.channels)
            x = WSConv2D(channels, conv.kernel, conv.stride, name=f"{pathway}_stem_{index}")(x)
        return x

    def _fusion(self, index: int, fast: Any) -> Any:
        temporal, pointwise = map(self._scaled, STAGES[index].fusion)
        name = f"fusion{index}"
        x = WSConv2D(temporal, FUSION_KERNEL, FUSION_STRIDE, name=f"{name}_temporal")(fast)
        return WSConv2D(pointwise, (1, 1), name=f"{name}_pointwise")(x)

    def _stages(self, pathway: str) -> list[list[NFBlock]]:
        """The blocks of a pathway, stage by stage."""
        depths = [depth * (self.f_value + 1) for depth in self.depths]
        stages = []
        for index, (stage, depth) in enumerate(zip(STAGES, depths, strict=True)):
            channels = getattr(stage, pathway)
            groups = channels // 2 // GROUP_SIZE[pathway]
            # Each residual adds α² to the variance, which a transition resets.
            deviation = 1.0 if index == 0 else math.sqrt(1 + self.alpha**2)
            blocks = []
            for number in range(depth):
                if number:
                    deviation = math.sqrt(deviation**2 + self.alpha**2)
                k = sum(depths[:index]) + number
                block = NFBlock(
                    channels=self._scaled(channels),
                    mid_channels=self._scaled(channels // 2, groups),
                    groups=groups,
                    beta=1 / deviation,
                    transition=number == 0,
                    frequency_stride=stage.frequency_stride if number == 0 else 1,
                    alpha=self.alpha,
                    drop_rate=self.stochastic_depth * k / sum(depths),
                    activation=self.activation,
                    name=f"{pathway}_stage{index}_block{number}",
                )
                blocks.append(block)
            stages.append(blocks)
        return stages

    def _scaled(self, channels: int, groups: int = 1) -> int:
        """`width` × `channels`, to the nearest multiple of `groups`, and at least that."""
        return groups * max(1, math.floor(self.width * channels / groups + 0.5))


def untrained(
    network: SfNfNetF0,
    frames: int | None = 300,
    front_end: "LogMel | None" = None,
    seed: int = 0,
    explicit_draws: bool = False,
) -> keras.Model:
    """The network as it is before training: what a run of no steps leaves, and the `random` model.

    Args:
        network: the `SfNfNetF0`.
        frames: number of frames of the input, or None for any number.
        front_end: the `mar.LogMel` of its input; None for the paper's.
        seed: of the initial weights, which are equal for equal seeds. It becomes that of all of
            Keras, so that a head which is built next has weights of its own from it.
        explicit_draws: see `SfNfNetF0.build`.

    Returns:
        A functional Keras model `(batch, 96, frames, 1)` → `(batch, 1728 × width)`, float32.
    """
    keras.utils.set_random_seed(seed)
    return network.build(frames, front_end, explicit_draws)


def _joined(maps: Sequence[Any], name: str) -> Any:
    return keras.layers.Concatenate(axis=-1, dtype=maps[0].dtype, name=name)(maps)


def canonical_name(variable: keras.Variable) -> str:
    """The name of a variable of an SF-NFNet, such as `slow.stage0.block1.conv2.kernel`."""
    layer, *rest = variable.path.split("/")
    return ".".join([*layer.split("_"), *rest])
