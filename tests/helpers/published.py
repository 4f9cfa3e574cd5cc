"""Files of the published program: golden weights in its formats, and what it gave for signals.

In `tests/data/published`; the signals are the first 7.98 s of those that it was given, so that its
outputs are those of whole windows. `golden_model`, `golden_saved_model` and `signals` are fixtures
of all tests.
"""

import lzma
import tarfile

import numpy as np
import pytest
import soundfile

from helpers.resources import DATA, optional
from helpers.shared import made_once

FOLDER = DATA / "published"
NAMES = ("mono44", "stereo44", "mono48", "stereo48")  # channels and kHz


@pytest.fixture(scope="session")
def golden_model(tmp_path_factory):
    """The path of a `.keras` file as the published weights lie in, with golden weights."""

    def make(folder):
        compressed = (FOLDER / "golden_model.keras.xz").read_bytes()
        (folder / "golden_model.keras").write_bytes(lzma.decompress(compressed))

    return made_once(tmp_path_factory, "published", make) / "golden_model.keras"


@pytest.fixture(scope="session")
def golden_saved_model(tmp_path_factory):
    """The folder of the same as a SavedModel, without its graph."""

    def make(folder):
        with tarfile.open(FOLDER / "golden_saved_model_variables.tar.xz") as archive:
            archive.extractall(folder, filter="data")

    return made_once(tmp_path_factory, "published-saved-model", make) / "saved_model"


@pytest.fixture(scope="session")
def signals(tmp_path_factory):
    """A folder of 16-bit WAV files with these `NAMES`."""
    folder = tmp_path_factory.mktemp("signals")
    for name in NAMES:
        samples, rate = soundfile.read(FOLDER / f"{name}.flac", dtype="int16")
        soundfile.write(folder / f"{name}.wav", samples, rate)
    return folder


def output(name, kind):
    """`logmel` `(frames, 96)`, of which the last 0.2 s are left out, or `timeline` `(3, 1728)`."""
    with np.load(FOLDER / "mule_outputs.npz") as arrays:
        return arrays[f"{name}/{kind}"].T


def configurations(pattern="**/*.yml"):
    """Configurations in the published program's form; all that it came with, where they are had."""
    there = optional("reference/release/configs")
    folders = [FOLDER / "configs", *([there] if there else [])]
    return [path for folder in folders for path in sorted(folder.glob(pattern))]
