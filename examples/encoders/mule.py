"""MULE as the package `mule-torch` runs it, beside our own: the same weights in another framework.

    mar embed --model 'examples.encoders.mule:Encoder?weights=FOLDER/model.safetensors' \\
        --set Windows.window_seconds=3600 --set Windows.hop_seconds=3600 --output emb/ MUSIC

FOLDER is one of that package's, `benchmarks/row_mule_torch.py convert` makes one of any model of
ours. The package has the paper's windows of its own, so that it is given files as a whole.
"""

import pathlib

import numpy as np
import torch
from mule_torch import MuleModel

_HOP_SECONDS = 2.0


class Encoder:
    """The published network.

    Args:
        weights: the file `model.safetensors` in a folder of mule-torch.
    """

    sample_rate = 16000

    def __init__(self, weights: str) -> None:
        self.provenance = {"layer": "embedding"}
        self._model = MuleModel.from_pretrained(model_dir=pathlib.Path(weights).parent).eval()

    @torch.inference_mode()
    def __call__(self, waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(times, frames)` of a waveform `(samples,)`; the weights want half of full scale."""
        rows = self._model.embed_timeline(torch.from_numpy(waveform / 2)[None])
        frames = np.asarray(rows).reshape(-1, 1728)
        return _HOP_SECONDS * (1 + np.arange(len(frames))), frames
