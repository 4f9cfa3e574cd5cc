import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import mar
from helpers.networks import fill_golden, small_network
from helpers.processes import run_python
from helpers.signals import music
from mar.embedding import files, neighbours
from mar.embedding.catalogue import Catalogue
from mar.errors import InputError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    mar.save(fill_golden(small_network().build(300)), path)
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
    soundfile.write(tmp_path / "3.wav", music(4.0, 16000, 1, 50), 16000)
    monkeypatch.chdir(tmp_path)
    assert neighbours.stored(embeddings, "3.wav") is None
    assert neighbours.stored(embeddings, str(library / "3.wav"))[0] == "3.wav"
    monkeypatch.chdir(library)
    assert neighbours.stored(embeddings, "3.wav")[0] == "3.wav"


def test_batches_do_not_matter(embeddings, monkeypatch):
    key, query = neighbours.stored(embeddings, "5.wav")
    whole = neighbours.nearest(embeddings, query, 7)
    assert whole[0] == (pytest.approx(1.0, abs=1e-5), key)
    from mar.embedding import store

    vectors = store.vectors

    def one_by_one(*args):
        for paths, matrix in vectors(*args):
            for path, vector in zip(paths, matrix, strict=True):
                yield [path], vector[None]

    monkeypatch.setattr(store, "vectors", one_by_one)
    found = neighbours.nearest(embeddings, query, 3)
    assert [path for _, path in found] == [path for _, path in whole[:3]]


def test_what_is_refused(embeddings, library, tmp_path):
    assert "absent.wav: no such file" in similar(embeddings, "absent.wav").stderr
    assert "holds no embeddings" in similar(tmp_path, "3.wav").stderr
    mar.save(fill_golden(small_network(alpha=0.3).build(300)), tmp_path / "other.keras")
    soundfile.write(tmp_path / "new.wav", music(4.0), 44100)
    other = mar.load_model(tmp_path / "other.keras")
    other.weights[0].assign(other.weights[0] * 2)
    mar.save(other, tmp_path / "other.keras")
    process = similar(embeddings, tmp_path / "new.wav", "--model", tmp_path / "other.keras")
    assert process.returncode == 1
    assert "another model than that of" in process.stderr
    with pytest.raises(InputError, match=r"embeddings have 173 values, the query \(3,\)"):
        neighbours.nearest(embeddings, np.zeros(3))


def test_failed_rows_are_no_neighbours(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", music(4.0), 44100)
    (tmp_path / "b.wav").write_bytes(b"")
    Catalogue().run(model, files.find([str(tmp_path)]), tmp_path / "out")
    assert pq.read_table(tmp_path / "out").num_rows == 2
    _, query = neighbours.stored(tmp_path / "out", "a.wav")
    assert [path for _, path in neighbours.nearest(tmp_path / "out", query)] == ["a.wav"]
    assert neighbours.stored(tmp_path / "out", "b.wav") is None
