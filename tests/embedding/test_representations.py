"""Every representation is embedded, kept, resumed and searched as a network is."""

import shutil

import numpy as np
import pytest
import soundfile

import mar
from helpers.networks import plain_network, small_network
from helpers.processes import run_python
from helpers.signals import music
from mar.audio.front_end import FrontEnd
from mar.embedding import ahead, baselines, engine, files
from mar.embedding.baselines import MusiCNNWindows
from mar.embedding.embedder import Embedder
from mar.embedding.representations import representation
from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.writer import Writer
from mar.errors import ConfigError, InputError
from mar.models.musicnn import FRAMES, MusiCNN
from mar.models.saving import fingerprint
from mar.models.sfnfnet import untrained


@pytest.fixture
def library(tmp_path):
    """Files of several lengths, one of them damaged, and one twice."""
    folder = tmp_path / "songs"
    folder.mkdir()
    for number, seconds in enumerate((1.0, 4.0, 23.0, 8.0)):
        samples = music(seconds, 16000, 1, seed=number) * (number + 1) / 4
        soundfile.write(folder / f"{number}.wav", samples, 16000)
    (folder / "bad.wav").write_bytes(b"RIFF")
    shutil.copy(folder / "1.wav", folder / "copy.wav")
    return folder


def spectrogram(path):
    return mar.LogMel().read(path).astype(np.float64)


def musicnn(checkpoint):
    try:
        return MusiCNNWindows(checkpoint, batch_size=4)
    except InputError as error:
        pytest.skip(f"needs the wheel musicnn: {error}")


def test_logmel_mean_is_mean_and_deviation_over_time(library):
    embedder = Embedder("logmel_mean")
    for number in range(4):
        found, frames = embedder(library / f"{number}.wav"), spectrogram(library / f"{number}.wav")
        expected = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
        assert found.values.shape == (1, 192)
        assert found.values.dtype == np.float32
        np.testing.assert_allclose(found.mean, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.times, [len(frames) / 200])
        assert not found.padded


def test_a_band_that_never_changes_has_the_deviation_0():
    with pytest.raises(InputError, match="too short for one sample at 16000 Hz"):
        Embedder("logmel_mean")(np.ones(1, np.float32), 44100)
    found = Embedder("logmel_mean")(np.zeros(16000, np.float32), 16000)
    np.testing.assert_array_equal(found.mean, np.zeros(192))


def test_musicnn_is_its_last_hidden_layer_every_three_seconds(library):
    embedder, network = Embedder(musicnn("MTT_musicnn")), MusiCNN("MTT_musicnn")
    found = embedder(library / "2.wav")
    frames = network.front_end.read(library / "2.wav")
    patches = [frames[n * FRAMES : (n + 1) * FRAMES] for n in range(len(frames) // FRAMES)]
    expected = [network.model(patch[None])[1][0] for patch in patches]
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.times, [(n + 0.5) * 2.992 for n in range(7)], rtol=1e-6)
    with pytest.raises(InputError, match=r"0.wav: expected at least 3 s of audio for MusiCNN"):
        embedder(library / "0.wav")


@pytest.mark.parametrize("name", ["logmel_mean", "MSD_musicnn"])
def test_a_folder_is_embedded_resumed_and_searched(library, tmp_path, name):
    if name.endswith("musicnn"):
        musicnn(name)  # or the test is skipped
    embedder = Embedder(name)
    short = set() if name == "logmel_mean" else {"0.wav"}
    good = sorted({"0.wav", "1.wav", "2.wav", "3.wav", "copy.wav"} - short)
    (library / "3.wav").rename(tmp_path / "3.wav")
    embedder.embed_folder(library, tmp_path / "out")
    (tmp_path / "3.wav").rename(library / "3.wav")
    embeddings = embedder.embed_folder(library, tmp_path / "out")
    assert embeddings.paths == good
    assert embeddings.failures.keys() == {"bad.wav", *short}
    for path in short:
        assert embeddings.failures[path].startswith("expected at least 3 s")
    for path in good:
        expected = embedder(library / path)
        np.testing.assert_allclose(embeddings.mean(path), expected.mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(embeddings.times(path), expected.times)
    (similarity, nearest), *_ = embeddings.nearest("1.wav")
    assert (nearest, similarity) == ("copy.wav", pytest.approx(1.0))
    soundfile.write(tmp_path / "new.flac", music(6.0, 22050), 22050)
    query = embedder(tmp_path / "new.flac").mean
    assert embeddings.nearest(tmp_path / "new.flac") == embeddings.nearest(query)


def test_the_command_takes_the_names_of_baselines(library, tmp_path):
    command = ["-m", "mar.embed", "--model", "logmel_mean", "--output", tmp_path / "emb"]
    shards = [run_python(*command, "--shard", f"{shard}/2", library) for shard in range(2)]
    assert sorted(process.returncode for process in shards) == [0, 2]
    assert "failed: 'bad.wav': " in "".join(process.stderr for process in shards)
    again = run_python(*command, "--fail_on=none", library)
    assert again.returncode == 0
    assert "0 embedded, 5 already there, 0 skipped (not audio), 1 failed" in again.stdout
    expected = Embedder("logmel_mean").embed_folder(library, tmp_path / "whole")
    means = Embeddings(tmp_path / "emb").means(expected.paths)
    np.testing.assert_allclose(means, expected.means(expected.paths), rtol=1e-5)


def test_what_version_010_embedded_with_a_baseline_is_added_to(library, tmp_path):
    front_end = mar.LogMel()
    earlier = {
        "model": "logmel_mean",
        "model_source": "logmel_mean",
        "front_end": front_end.hash(),
        "front_end_config": front_end.resolved(),
        "dimensions": 192,
        "precision": "float32",
        "store": "mean",
        "format": "parquet",
        "version": "0.1.0",
    }
    with Writer(tmp_path / "out", earlier) as writer:
        writer.add(Row("old.wav", "ok", times=np.ones(1), values=np.ones((1, 192), np.float32)))
    assert len(Embedder("logmel_mean").embed_folder(library, tmp_path / "out", "mean")) == 6


# ------------------------------------------------------------------------------------- the random


def test_the_untrained_network_depends_on_its_seed():
    first, same, other = (untrained(small_network(), 300, seed=seed) for seed in (0, 0, 1))
    assert fingerprint(first) == fingerprint(same) != fingerprint(other)
    assert mar.front_end(first).resolved() == mar.LogMel().resolved()


def test_random_is_the_untrained_network(monkeypatch):
    monkeypatch.setattr(baselines, "SfNfNetF0", small_network)
    for name, seed in (("random", 0), ("random:3", 3)):
        expected = fingerprint(untrained(small_network(), 300, seed=seed))
        assert representation(name).provenance["model"] == expected
    with pytest.raises(ConfigError, match="expected random:SEED, e.g. random:1, got random:x"):
        representation("random:x")


# ---------------------------------------------------------------------------------------- anyone's


class Loudness:
    """One number a second, of no model at all."""

    front_end = FrontEnd(sample_rate=8000)
    dimensions, shortest, piece_shape = 1, 8000, (8000,)

    @property
    def provenance(self):
        return {"model": "loudness", "seconds": 1}

    def pieces(self, mono_blocks):
        samples = np.concatenate(list(mono_blocks))
        seconds = samples[: len(samples) // 8000 * 8000].reshape(-1, 8000)
        yield np.arange(len(seconds), dtype=np.float32) + 0.5, seconds

    def stream(self, groups):
        for tag, seconds in groups:
            yield tag, np.sqrt(np.square(seconds).sum(axis=1, keepdims=True) / 8000)


def test_anyones_own_is_embedded_as_a_network_is(library, tmp_path):
    embedder = Embedder(Loudness())
    embeddings = embedder.embed_folder(library, tmp_path / "out", store="timeline", workers=2)
    assert embeddings.provenance["seconds"] == 1
    for number, count in enumerate((1, 4, 23, 8)):
        path = f"{number}.wav"
        samples, _ = soundfile.read(library / path)
        expected = np.sqrt(np.square(samples).reshape(count, -1).mean(axis=1))
        np.testing.assert_allclose(embeddings.timeline(path)[:, 0], expected, rtol=0.05)
        assert len(embedder(library / path).values) == count


def test_what_is_no_representation_is_refused():
    with pytest.raises(ConfigError, match="expected a name, a file or a model, got 3"):
        representation(3)
    with pytest.raises(ConfigError, match="expected float32 for logmel_mean, got bfloat16"):
        representation("logmel_mean", precision="bfloat16")
    with pytest.raises(InputError, match=r"absent.keras"):
        representation("absent.keras")


def test_a_large_group_is_cut(library):
    """However dense the windows lie, what waits for the model is bounded."""
    embedder = Embedder(plain_network(), mar.Windows(hop_seconds=0.05))
    items = files.named(library, ["2.wav"])
    duplicates = ahead.Duplicates(engine.InMemory({"format": "parquet"}))
    groups = ahead.groups(ahead.OnDemand(lambda: embedder), items, duplicates, 1)
    sizes = [len(pieces) for _, pieces in groups if pieces is not None]
    assert max(sizes) <= 8
    assert sum(sizes) > 400


def test_the_earlier_command_names_its_successor():
    finished = run_python("-m", "mar.baseline", "--features", "logmel_mean", "--task", "MTT")
    assert finished.returncode == 1
    assert "python -m mar.embed --model logmel_mean" in finished.stderr
    assert finished.stderr.count("\n") == 1
