"""Small models as exported files, and what stands in for music."""

import functools
import pathlib
import tempfile

import numpy as np

from helpers.networks import fill_golden, small_network
from helpers.signals import music


def small_model(front_end=None, frames=300, **parameters):
    """A small network whose weights hide no branch."""
    return fill_golden(small_network(**parameters).build(frames, front_end))


@functools.cache
def small_file():
    """The small network and its file; made once in a process."""
    from mar.audio.logmel import LogMel
    from mar.onnx import exporting

    model = small_model(LogMel(downmix="sum", level=0.5))
    path = pathlib.Path(tempfile.mkdtemp()) / "small.onnx"
    write(exporting.Plan(model), path)
    return model, path


def write(plan, path, precision="float32"):
    """Writes a file without comparing it."""
    from mar.onnx import exporting

    path.write_bytes(exporting.whole_file(plan, exporting.network_file(plan), precision))
    return path


def mono(seconds, seed=0):
    """Music at 16 kHz, float32 `(samples,)`."""
    return np.ascontiguousarray(music(seconds, 16000, 1, seed)[:, 0], np.float32)
