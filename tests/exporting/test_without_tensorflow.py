"""Commands with an exported model, where neither TensorFlow nor its company can be imported."""

import csv
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import mar
from helpers.exported import small_file
from helpers.processes import run_python
from helpers.signals import music
from mar.audio.logmel import PUBLISHED
from mar.probing.calibration import Rule, uncalibrated
from mar.probing.dense import Layers
from mar.probing.head import Head
from mar.probing.head_file import Parts

LABELS = ["calm", "loud", "odd"]
NAMES = ["a.flac", "b/c.ogg", "short.wav"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder of audio: stereo, lossy, and of half a second."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "b").mkdir()
    for number, (name, seconds) in enumerate(zip(NAMES, [9.0, 5.5, 0.5], strict=True)):
        soundfile.write(folder / name, music(seconds, 22050, 2, number), 22050)
    return folder


@pytest.fixture(scope="module")
def keras_store(library, tmp_path_factory):
    """What TensorFlow makes of it, with the path of the model as its source."""
    folder = tmp_path_factory.mktemp("stores") / "keras"
    mar.Embedder(small_file()[0]).embed_folder(library, folder)
    return folder


@pytest.fixture(scope="module")
def store(library, tmp_path_factory):
    """What the file makes of it without TensorFlow."""
    folder = tmp_path_factory.mktemp("stores") / "onnx"
    arguments = ("--model", small_file()[1], "--output", folder, "--store", "timeline")
    bare("mar.embed", *arguments, library)
    return folder


def bare(module, *arguments):
    process = run_python("-m", "helpers.without_tensorflow", module, *arguments, fresh=True)
    assert process.returncode == 0, process.stderr
    return process


@pytest.fixture(scope="module")
def head(keras_store, tmp_path_factory):
    """A head with the provenance of TensorFlow's embeddings."""
    made = mar.Embeddings(keras_store).provenance
    dimensions = made["dimensions"]
    rng = np.random.default_rng(0)
    layers = Layers(
        *(np.zeros(dimensions, np.float32), np.ones(dimensions, np.float32)),
        (rng.normal(size=(dimensions, 3)).astype(np.float32),),
        (np.zeros(3, np.float32),),
        *("gelu", "sigmoid", np.zeros(3, np.float32), np.ones(3, np.float32)),
    )
    about = {
        **{"task": "moods", "kind": "multilabel", "labels": LABELS, "unit": "", "licence": ""},
        **{"pooling": "mean", "embeddings": made, "dimensions": dimensions, "calibrated": True},
    }
    path = tmp_path_factory.mktemp("head") / "head.safetensors"
    Head(Parts(layers, Rule(uncalibrated(3, False), np.full(3, 0.5)), about)).save(path)
    return path


def test_a_folder_is_embedded_as_by_tensorflow(store, keras_store):
    ours, theirs = mar.Embeddings(store), mar.Embeddings(keras_store)
    assert ours.paths == theirs.paths == NAMES
    for path in NAMES:
        expected = theirs.timeline(path)
        assert np.abs(ours.timeline(path) - expected).max() <= 1e-5 * np.abs(expected).max()
        np.testing.assert_array_equal(ours.times(path), theirs.times(path))


def test_a_folder_of_one_is_continued_with_the_other(library, keras_store, tmp_path):
    """Their embeddings are interchangeable."""
    mixed = shutil.copytree(keras_store, tmp_path / "mixed")
    more = tmp_path / "more"
    more.mkdir()
    soundfile.write(more / "new.wav", music(4.0, 16000, 1, 9), 16000)
    arguments = ("--model", small_file()[1], "--output", mixed, "--store", "timeline")
    bare("mar.embed", *arguments, library, more)
    assert mar.Embeddings(mixed).paths == sorted([*NAMES, "new.wav"])


def test_neighbours(library, keras_store, tmp_path):
    query = tmp_path / "query.wav"
    soundfile.write(query, music(4.0, 44100, 2, 1), 44100)
    arguments = ("--embeddings", keras_store, "--model", small_file()[1], query)
    lines = [line.split(maxsplit=1) for line in bare("mar.similar", *arguments).stdout.splitlines()]
    expected = mar.Embeddings(keras_store).nearest(mar.Embedder(small_file()[0])(query).mean)
    assert [path for _, path in lines] == [track.path for track in expected]
    np.testing.assert_allclose(
        [float(s) for s, _ in lines], [t.similarity for t in expected], atol=1e-4
    )


def test_labels(store, keras_store, head, tmp_path):
    tables = []
    for name, folder in (("onnx", store), ("keras", keras_store)):
        output = tmp_path / f"{name}.parquet"
        bare("mar.tag", "--head", head, "--output", output, folder)
        tables.append(pq.read_table(output).sort_by("path").to_pydict())
    ours, theirs = tables
    assert ours["path"] == theirs["path"]
    assert ours["label"] == theirs["label"] == LABELS * 3
    assert ours["decision"] == theirs["decision"]
    np.testing.assert_allclose(ours["probability"], theirs["probability"], rtol=1e-3, atol=1e-4)


def test_labels_of_audio(library, head, tmp_path):
    output = tmp_path / "tags.csv"
    arguments = ("--model", small_file()[1], "--embeddings", tmp_path / "embeddings")
    bare("mar.tag", "--head", head, "--output", output, *arguments, library / "a.flac")
    with open(output, newline="", encoding="utf-8") as file:
        assert [row["label"] for row in csv.DictReader(file)] == LABELS


def test_analysis(library, tmp_path):
    config = tmp_path / "timeline.yml"
    config.write_text(
        "Analysis:\n  feature_transforms:\n    - MelSpectrogram: {}\n    - EmbeddingFeature:\n"
        f"        model_location: {small_file()[1]}\n"
    )
    output = tmp_path / "a.npy"
    arguments = ("--input_file", library / "a.flac", "--output_file", output)
    bare("mar.analyze", "--config", config, *arguments)
    frames = PUBLISHED.read(library / "a.flac")
    snippets = np.stack([frames[start : start + 300] for start in (50, 250, 450, 601)])
    expected = np.asarray(small_file()[0](mar.standardize(snippets))).T
    found = np.load(output)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
