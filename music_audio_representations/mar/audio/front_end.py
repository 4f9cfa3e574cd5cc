"""What files are decoded to before anything is computed of them."""

from typing import Any

from mar.audio import decode
from mar.audio.resampling import Resampler
from mar.config import Configurable, Param
from mar.util.kinds import PositiveInt


class FrontEnd(Configurable):
    """The waveform that a model is given: mono samples in ±1, at its rate."""

    sample_rate: PositiveInt = Param(default=16000, doc="Sample rate of the waveform, Hz.")
    downmix: decode.Downmix = Param(default="mean", doc="How channels become one.")
    resampler: Resampler = Param(default="soxr_hq", doc="How audio is brought to sample_rate.")
    via_rate: PositiveInt | None = Param(
        default=None,
        doc="Sample rate that audio is brought to before, Hz; null: straight to sample_rate.",
    )

    @property
    def decoding(self) -> dict[str, Any]:
        """How files are decoded: arguments of `mar.audio.decode.blocks`."""
        resampling = {"resampler": self.resampler, "via": self.via_rate}
        return {"sample_rate": self.sample_rate, "downmix": self.downmix, **resampling}
