"""What version 0.1.0 left on people's disks is still read: see `tests/data/earlier/README.md`."""

import shutil

import numpy as np
import pytest

import mar
from helpers import small_records
from helpers.resources import DATA
from mar.embedding.store import Embeddings

EARLIER = DATA / "earlier"


def test_records_are_read():
    reader = mar.RecordReader(EARLIER / "records")
    assert reader.manifest.frames.tolist() == [180, 200, 220, 240]
    assert reader.manifest.header.vocabulary == small_records.VOCABULARY
    for track, frames in enumerate(reader.manifest.frames):
        (snippet,) = reader.read(np.array([track]), np.array([7]), 100, dtype=None)
        np.testing.assert_array_equal(snippet, small_records.spectrogram(track, frames)[7:107])


def test_a_run_that_was_stopped_ends_with_the_weights_that_it_would_have_had(tmp_path):
    shutil.copytree(EARLIER / "run", tmp_path / "run")
    (tmp_path / "run" / "model.keras").unlink()
    overrides = [f"Trainer.dataset.SnippetDataset.records={EARLIER / 'records'}"]
    trainer = mar.Trainer.load(EARLIER / "run" / "configuration.yaml", overrides)
    assert trainer.run(tmp_path / "run") is None
    expected = mar.load_model(EARLIER / "run" / "model.keras")
    resumed = mar.load_model(tmp_path / "run" / "model.keras")
    assert mar.front_end(resumed).resolved() == mar.front_end(expected).resolved()
    for weight, original in zip(resumed.weights, expected.weights, strict=True):
        assert weight.path == original.path
        # Another processor may sum in another order.
        np.testing.assert_allclose(weight, original, rtol=1e-4, atol=1e-6, err_msg=weight.path)


@pytest.mark.parametrize("kept", ["parquet_mean", "parquet_timeline", "npz_mean", "npz_timeline"])
def test_embeddings_are_read(kept):
    embeddings = Embeddings(EARLIER / "embeddings" / kept)
    assert sorted(embeddings.paths) == ["a.wav", "album/b.flac"]
    assert "not recognised as audio" in embeddings.failures["broken.wav"]
    means = embeddings.means(["a.wav", "album/b.flac"])
    reference = Embeddings(EARLIER / "embeddings" / "parquet_mean")
    np.testing.assert_allclose(means, reference.means(["a.wav", "album/b.flac"]), rtol=1e-5)
    if kept == "parquet_timeline":
        windows, items = embeddings.windows(["a.wav", "album/b.flac"])
        assert items.tolist() == [0, 0, 0, 1, 1]
        np.testing.assert_allclose(windows[items == 1].mean(axis=0), means[1], rtol=1e-5)
