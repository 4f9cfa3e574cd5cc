import numpy as np
import pytest
import soundfile

import mar
from helpers.processes import run_python
from helpers.signals import music
from mar.embedding import representations
from mar.embedding.embeddings import open_embeddings
from mar.errors import InputError


@pytest.fixture
def collection(tmp_path):
    """Two classes of six files, one of which is damaged."""
    paths = []
    for number in range(12):
        path = tmp_path / "songs" / ("low", "high")[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = music(1.0, 16000, 1, seed=number) * (0.05, 1.0)[number % 2]
        soundfile.write(path, samples, 16000)
        paths.append(path.relative_to(tmp_path / "songs").as_posix())
    (tmp_path / "songs" / paths[3]).write_bytes(b"RIFF")
    return tmp_path / "songs", paths


def test_features_are_mean_and_deviation_over_time(collection, tmp_path):
    folder, paths = collection
    failures = representations.embed(representations.LogMelMean(), folder, paths, tmp_path / "emb")
    assert list(failures) == [paths[3]]
    embeddings = open_embeddings(tmp_path / "emb")
    assert embeddings.failures == failures
    assert embeddings.provenance["model"] == "logmel_mean"
    frames = mar.LogMel().read(folder / paths[0])
    expected = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
    np.testing.assert_allclose(embeddings.means(paths[:1])[0], expected, rtol=1e-5)


def test_an_interrupted_run_goes_on_where_it_stopped(collection, tmp_path):
    folder, paths = collection
    features, todo = representations.LogMelMean(), []

    def stopping(items):
        for number, item in enumerate(items):
            if number == 6:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        representations.embed(features, folder, paths, tmp_path / "emb", stopping)
    assert len(open_embeddings(tmp_path / "emb").paths) == 5  # and one that failed
    representations.embed(features, folder, paths, tmp_path / "emb", lambda i: todo.extend(i) or i)
    assert [item.key for item in todo] == [paths[3], *paths[6:]]  # failed ones are tried again
    representations.embed(features, folder, paths, tmp_path / "whole")
    resumed, whole = (open_embeddings(tmp_path / name) for name in ("emb", "whole"))
    good = [path for path in paths if path != paths[3]]
    np.testing.assert_array_equal(resumed.means(good), whole.means(good))
    assert resumed.failures.keys() == {paths[3]}


def test_a_folder_of_another_baseline_is_refused(collection, tmp_path):
    folder, paths = collection
    features = representations.LogMelMean()
    representations.embed(features, folder, paths, tmp_path / "emb")
    features.name = "another"
    with pytest.raises(InputError, match="made in another way; model: logmel_mean there, another"):
        representations.embed(features, folder, paths, tmp_path / "emb")


def test_musicnn_is_averaged_over_its_windows(tmp_path):
    try:
        features = representations.MusiCNNWindows("MTT_musicnn")
    except InputError as error:
        pytest.skip(f"needs the wheel musicnn: {error}")
    soundfile.write(tmp_path / "x.wav", music(8.0, 16000, 1), 16000)
    assert representations.embed(features, tmp_path, ["x.wav"], tmp_path / "emb") == {}
    embeddings = open_embeddings(tmp_path / "emb")
    times, values = features(tmp_path / "x.wav")
    assert times == pytest.approx([1.496, 4.488])
    np.testing.assert_allclose(embeddings.means(["x.wav"])[0], values.mean(axis=0), rtol=1e-5)
    assert embeddings.provenance["model"] == "musicnn-0.1.0/MTT_musicnn"


def test_the_untrained_network_depends_on_its_seed(tmp_path, monkeypatch):
    from helpers.networks import small_network

    monkeypatch.setattr(mar, "SfNfNetF0", small_network, raising=False)
    kernels = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        representations.random_network(tmp_path / f"{name}.keras", seed)
        kernels.append(mar.load_model(tmp_path / f"{name}.keras").get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_the_command_embeds_a_task_and_tells_what_failed(collection, tmp_path):
    folder, paths = collection
    command = ["-m", "mar.baseline", "--features", "logmel_mean", "--task", folder]
    command += ["--audio", folder, "--output", tmp_path / "emb"]
    finished = run_python(*command)
    assert finished.returncode == 2
    assert f"failed: {paths[3]}: " in finished.stderr
    assert "11 of 12 files" in finished.stdout
    assert run_python(*command, "--skip_errors").returncode == 0
    wrong = run_python("-m", "mar.baseline", "--features", "mfcc", "--output", "x")
    assert wrong.returncode == 1
    assert "expected one of random, logmel_mean" in wrong.stderr
