"""A PyTorch network of random weights as an encoder: what to replace is `_network`.

mar embed --model 'examples.encoders.torch_network:Encoder?layer=3' --output emb/ MUSIC
"""

import numpy as np
import torch


class Encoder:
    """A convolutional network on waveforms; frames are the outputs of one of its layers.

    Args:
        layer: which one, from 1 on.
        seed: of its weights.
    """

    sample_rate = 16000

    def __init__(self, layer: int = 4, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self._network = _network()[: 2 * layer].eval()  # or dropout would draw random numbers
        self.provenance = {"layer": layer, "seed": seed}

    @torch.inference_mode()
    def __call__(self, waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`(times, frames)` of a waveform `(samples,)`."""
        channels = self._network(torch.from_numpy(waveform)[None, None])[0]
        frames = channels.T.numpy()
        times = (np.arange(len(frames)) + 0.5) * len(waveform) / self.sample_rate / len(frames)
        return times, frames


def _network() -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for inputs, outputs, stride in ((1, 64, 10), (64, 128, 8), (128, 256, 4), (256, 256, 2)):
        layers += [torch.nn.Conv1d(inputs, outputs, 2 * stride, stride), torch.nn.GELU()]
    return torch.nn.Sequential(*layers)
