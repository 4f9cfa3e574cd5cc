"""Whole files: a waveform in, and what `mar.Embedder` makes of it out."""

import hashlib

import numpy as np
import pytest

import mar
from helpers.exported import mono, small_file, small_model, write
from mar.audio.logmel import PUBLISHED
from mar.embedding.model_names import published_as, told_by_file
from mar.errors import ConfigError, InputError
from mar.onnx import exporting
from mar.onnx.runtime import ExportedNetwork
from mar.util.mule import MULE_SHA256


@pytest.fixture(scope="module")
def both():
    """The model and its file, as embedders."""
    model, path = small_file()
    return mar.Embedder(model), mar.Embedder(path)


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


# A sample, less than a window, a window to the sample, and more windows than one turn of the loop.
@pytest.mark.parametrize("samples", [1, 400, 47_840, 48_160, 16_000 * 9 + 77, 16_000 * 47])
@pytest.mark.parametrize("channels", [0, 1, 2, 6])
def test_any_length_and_any_channels(both, samples, channels):
    model, file = both
    waveform = np.resize(mono(9.0), samples)
    if channels:
        gains = np.linspace(0.2, 1, channels, dtype=np.float32)
        waveform = waveform[:, None] * gains / channels
    if waveform.ndim > 1 and samples < channels:
        pytest.skip("no such audio")
    expected = model(waveform, 16000)
    outputs = file.representation.network.whole(waveform)
    assert list(outputs) == ["times", "embeddings", "mean"]
    assert_close(outputs["embeddings"], expected.values)
    assert_close(outputs["mean"], expected.mean)
    np.testing.assert_allclose(outputs["times"], expected.times, rtol=1e-6)


def test_the_embedder_takes_the_file_like_the_model(both, tmp_path):
    model, file = both
    waveform = np.stack([mono(12.0), mono(12.0, seed=1)], axis=1)
    expected, found = model(waveform, 16000), file(waveform, 16000)
    assert_close(found.values, expected.values)
    np.testing.assert_array_equal(found.times, expected.times)
    of_the_file = {"model_source": None, "model_file": None}
    assert {**found.provenance, **of_the_file} == {**expected.provenance, **of_the_file}


def test_a_file_tells_what_it_was_exported_from(both, tmp_path):
    """A file, or the weights of a SavedModel; by their hash, wherever they lie later."""
    weights = tmp_path / "saved" / "variables" / "variables.data-00000-of-00001"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"of a model")
    (tmp_path / "a.keras").write_bytes(b"of a model")
    its_hash = hashlib.sha256(b"of a model").hexdigest()
    for source, told in (
        (str(tmp_path / "a.keras"), {"model_file": its_hash}),
        (str(tmp_path / "saved"), {"model_file": its_hash}),
        ("mule", {"model_file": MULE_SHA256}),
        ("a Keras model", {}),
    ):
        assert told_by_file(source) == told
        path = write(exporting.Plan(small_file()[0], source=source), tmp_path / "b.onnx")
        assert told_by_file(str(path)) == told
    assert mar.Embedder(path).provenance.get("model_file") is None
    write(exporting.Plan(small_file()[0], source="mule"), path)
    assert published_as(mar.Embedder(path).provenance) == "Musicset-ULarge"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="b.onnx: expected a whole ONNX file"):
        told_by_file(str(path))


@pytest.mark.parametrize(
    "front_end",
    [
        mar.LogMel(n_fft=512, win_length=512, hop_length=256, htk=False, norm="slaney"),
        mar.LogMel(mag_compression="log", power=1.0, fmin=30.0, sample_rate=22050, fmax=11025.0),
        mar.LogMel(mag_compression="10log10", mag_range=[-40, 20], window="hamming", norm=None),
        mar.LogMel(mag_compression="linear", level=0.3, downmix="sum"),
    ],
)
def test_any_front_end_and_any_windows(tmp_path, front_end):
    frames = 64
    model = small_model(front_end, frames)
    seconds = front_end.hop_seconds
    windows = mar.Windows(
        window_seconds=frames * seconds, hop_seconds=0.5, first_centre_seconds=0.0
    )
    path = write(exporting.Plan(model, windows), tmp_path / "a.onnx")
    waveform = np.stack([mono(5.0), mono(5.0, seed=2)], axis=1)
    expected = mar.Embedder(model, windows)(waveform, front_end.sample_rate)
    outputs = ExportedNetwork(path).whole(waveform)
    np.testing.assert_allclose(outputs["times"], expected.times, rtol=1e-6)
    assert (
        np.abs(outputs["embeddings"] - expected.values).max()
        <= 3e-5 * np.abs(expected.values).max()
    )
    assert_close(mar.Embedder(path)(waveform, front_end.sample_rate).values, expected.values)


def test_other_windows_of_the_same_length(both):
    model, path = small_file()
    windows = mar.Windows(hop_seconds=1.0, first_centre_seconds=1.5)
    waveform = mono(9.0)
    expected = mar.Embedder(model, windows)(waveform, 16000)
    assert_close(mar.Embedder(path, windows)(waveform, 16000).values, expected.values)
    with pytest.raises(ConfigError, match=r"300 frames.*400 frames.*window_seconds=4"):
        mar.Embedder(path, mar.Windows(window_seconds=4.0))
    with pytest.raises(ConfigError, match=r"float32.*int8.*mar export --precision int8"):
        mar.Embedder(path, precision="int8")


def test_what_comes_out_of_the_resampler_is_not_resampled_again():
    """The published front end goes by 44.1 kHz, which takes what is near 8 kHz."""
    plan = exporting.Plan(small_model(PUBLISHED))
    samples = mono(4.0) + 0.2 * np.sin(np.pi * 0.98 * np.arange(64_000)).astype(np.float32)
    snippets = exporting.snippets_of(plan, [samples])
    expected = np.asarray(plan.model(mar.standardize(snippets)))
    assert_close(exporting.original(plan, [samples]), expected)
