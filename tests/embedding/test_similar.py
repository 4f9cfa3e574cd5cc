import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import mar
from helpers.networks import plain_network
from helpers.processes import run_python
from helpers.signals import music
from mar.embedding import files
from mar.embedding.catalogue import Catalogue
from mar.embedding.store import Embeddings
from mar.errors import InputError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    mar.save(plain_network(), path)
    return str(path)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    for number in range(7):
        soundfile.write(folder / f"{number}.wav", music(4.0, 16000, 1, number), 16000)
    return folder


@pytest.fixture(scope="module")
def embeddings(model, library, tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    Catalogue(store="timeline").run(model, files.find([str(library)]), folder)
    return folder


def expected_order(model, library, query):
    embedder = mar.Embedder(model)
    means = {path.name: embedder(path).mean for path in library.glob("*.wav")}
    query = embedder(query).mean

    def similarity(name):
        return means[name] @ query / np.linalg.norm(means[name]) / np.linalg.norm(query)

    return [(similarity(name), name) for name in sorted(means, key=similarity, reverse=True)]


def similar(embeddings, *arguments):
    return run_python("-m", "mar.similar", "--embeddings", embeddings, *arguments)


def listed(process):
    lines = [line.split(maxsplit=1) for line in process.stdout.splitlines()]
    return [(float(similarity), path) for similarity, path in lines]


def test_neighbours_of_a_track_of_the_set(embeddings, model, library, monkeypatch):
    expected = [pair for pair in expected_order(model, library, library / "3.wav")][1:4]
    for track in ("3.wav", library / "3.wav"):
        process = similar(embeddings, track, "-k", 3)
        assert process.returncode == 0, process.stderr
        assert [path for _, path in listed(process)] == [path for _, path in expected]
        np.testing.assert_allclose(
            [pair[0] for pair in listed(process)], [pair[0] for pair in expected], atol=1e-4
        )


def test_neighbours_of_a_new_file(embeddings, model, library, tmp_path):
    soundfile.write(tmp_path / "new.flac", music(5.0, 44100, 2, 99), 44100)
    process = similar(embeddings, tmp_path / "new.flac")
    assert process.returncode == 0, process.stderr
    expected = expected_order(model, library, tmp_path / "new.flac")
    assert [path for _, path in listed(process)] == [path for _, path in expected]


def test_a_namesake_is_not_the_track(embeddings, library, tmp_path, monkeypatch):
    """A file that is there is meant, by its audio; what is not there is a path of the set."""
    opened = Embeddings(embeddings)
    itself = opened.nearest(library / "3.wav")
    assert "3.wav" not in {track.path for track in itself}
    assert opened.nearest("3.wav") == itself
    soundfile.write(tmp_path / "3.wav", music(4.0, 16000, 1, 50), 16000)
    monkeypatch.chdir(tmp_path)
    assert "3.wav" in {track.path for track in opened.nearest("3.wav")}
    monkeypatch.chdir(library)
    assert opened.nearest("3.wav") == itself


def test_the_same_name_size_and_time_in_two_folders(model, tmp_path):
    """Each is its own, whichever version embedded them."""
    library = tmp_path / "library"
    for number, folder in enumerate(("train", "test")):
        (library / folder).mkdir(parents=True)
        for name, extra in (("0.wav", 0), ("other.wav", 0.1)):
            time = np.arange(int((4 + extra) * 16000)) / 16000
            tone = 0.3 * np.sin(2 * np.pi * (220, 1760)[number] * time)
            soundfile.write(library / folder / name, tone, 16000)
            os.utime(library / folder / name, (0, 0))
    Catalogue().run(model, files.find([str(library)]), tmp_path / "out")
    (part,) = (tmp_path / "out").glob("*.parquet")
    for left_out in ([], ["audio_hash", "reader", "channels", "notes", "damaged_seconds"]):
        pq.write_table(pq.read_table(part).drop_columns(left_out), part)
        opened = Embeddings(tmp_path / "out")
        for folder in ("train", "test"):
            best, *others = opened.nearest(library / folder / "0.wav")
            assert best.path == f"{folder}/other.wav"
            assert f"{folder}/0.wav" not in {track.path for track in others}


def test_a_copy_from_elsewhere_needs_no_model(embeddings, library, tmp_path, monkeypatch):
    shutil.copy(library / "5.wav", tmp_path / "copy.wav")
    monkeypatch.setattr(mar.Embedder, "__call__", None)
    best, *_ = Embeddings(embeddings).nearest(tmp_path / "copy.wav")
    assert best == (pytest.approx(1.0, abs=1e-5), "5.wav")


def test_what_is_refused(embeddings, library, tmp_path):
    assert "holds no absent.wav; the nearest is " in similar(embeddings, "absent.wav").stderr
    assert "holds no embeddings" in similar(tmp_path, "3.wav").stderr
    mar.save(plain_network(seed=1), tmp_path / "other.keras")
    soundfile.write(tmp_path / "new.wav", music(4.0), 44100)
    other = mar.load_model(tmp_path / "other.keras")
    other.weights[0].assign(other.weights[0] * 2)
    mar.save(other, tmp_path / "other.keras")
    process = similar(embeddings, tmp_path / "new.wav", "--model", tmp_path / "other.keras")
    assert process.returncode == 1
    assert "another model than that of" in process.stderr
    assert process.stderr.count("model.keras (weights ") == 1
    assert process.stderr.count("other.keras (weights ") == 1


def test_failed_rows_are_no_neighbours(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", music(4.0), 44100)
    (tmp_path / "b.wav").write_bytes(b"")
    Catalogue().run(model, files.find([str(tmp_path)]), tmp_path / "out")
    assert pq.read_table(tmp_path / "out").num_rows == 2
    opened = Embeddings(tmp_path / "out")
    assert [track.path for track in opened.nearest(opened.mean("a.wav"))] == ["a.wav"]
    failed = "b.wav was not embedded: the file is empty"
    for track in ("b.wav", tmp_path / "b.wav", "elsewhere/b.wav"):
        with pytest.raises(InputError, match=failed):
            opened.nearest(track)
    (tmp_path / "b.wav").unlink()
    with pytest.raises(InputError, match=failed):
        opened.nearest(tmp_path / "b.wav")
    shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")  # mended since
    assert [track.path for track in opened.nearest(tmp_path / "b.wav")] == ["a.wav"]
    with pytest.raises(InputError, match="holds no c.wav"):
        opened.nearest("c.wav")
