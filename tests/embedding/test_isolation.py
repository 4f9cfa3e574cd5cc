"""Whatever takes a file outlives it: the decoder is really killed, in the middle of one."""

import numpy as np
import pytest
import soundfile

import mar
from helpers.processes import stop_the_warm_decoder
from helpers.signals import music
from mar.audio.logmel import LogMel
from mar.errors import InputError
from mar.records.sources import AudioSource
from mar.reporting import item_map


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    for number in range(3):
        soundfile.write(folder / f"{number}.flac", music(4.0, 44100, seed=number), 44100)
    return folder


@pytest.fixture(scope="module")
def takers(library, tmp_path_factory):
    """What takes a path, by name."""
    embedder = mar.Embedder("logmel_mean")
    others = [library / "0.flac", library / "1.flac"]
    embeddings = embedder.embed_folder(others, tmp_path_factory.mktemp("embeddings"), workers=1)
    pipeline = mar.Analysis(
        feature_transforms=[{"MelSpectrogram": None}, {"TimelineAverage": None}]
    )
    source = AudioSource(str(library), LogMel().resolved(), "float32")
    return {
        "mar.Embedder": lambda path: embedder(path).mean,
        "mar.analyze": pipeline,
        "mar.similar": lambda path: np.array([n.similarity for n in embeddings.nearest(path)]),
        "records": lambda path: source.read({"path": path.name}),
        "LogMel.read": LogMel().read,
        "report": lambda path: np.frombuffer(item_map.clip(path).encode(), np.uint8)[200:],
    }


@pytest.mark.parametrize(
    "name", ["mar.Embedder", "mar.analyze", "mar.similar", "records", "LogMel.read", "report"]
)
def test_a_file_that_crashes_the_decoder_costs_itself(takers, library, name):
    take, path = takers[name], library / "2.flac"
    stop_the_warm_decoder(path, kill=True)
    with pytest.raises(
        InputError, match=r"2\.flac: the decoder crashed \(signal SIGKILL\); .*ffmpeg"
    ):
        take(path)
    assert np.isfinite(take(path)).all()
