"""Groups of the same recording, on embeddings whose groups are known."""

import csv
import io
import itertools
import json
import shutil

import numpy as np
import pytest

from helpers.processes import run_python
from helpers.small_embeddings import write_store
from mar.embedding import duplicates as module
from mar.embedding import indexing
from mar.embedding.store import Embeddings

DIMENSIONS = 24


def recordings(count, seed=0):
    """Embeddings around a centre that is far from zero, as those of music are."""
    generator = np.random.default_rng(seed)
    return 3 * np.eye(DIMENSIONS)[0] + 0.3 * generator.standard_normal((count, 1, DIMENSIONS))


def changed(vector, seed):
    """As transcoding changes it."""
    noise = np.random.default_rng(seed).standard_normal(vector.shape)
    return vector + 0.005 * noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some recordings alone, some twice, one four times, in two parts."""
    folder = tmp_path_factory.mktemp("embeddings")
    values = {f"{number}.flac": vector for number, vector in enumerate(recordings(50))}
    copies = {f"copies/{n}.mp3": changed(values[f"{n}.flac"], n) for n in range(0, 20, 2)}
    copies |= {f"more/{n}.ogg": changed(values["4.flac"], 100 + n) for n in range(2)}
    write_store(folder, values, name="0")
    return write_store(folder, copies, name="1")


EXPECTED = [
    ["4.flac", "copies/4.mp3", "more/0.ogg", "more/1.ogg"],
    *sorted([f"{n}.flac", f"copies/{n}.mp3"] for n in range(0, 20, 2) if n != 4),
]


def paths(groups):
    return [group.paths for group in groups]


@pytest.mark.parametrize("rows", [7, 2048])
def test_the_groups_are_found(folder, monkeypatch, rows):
    """However many are compared at once."""
    monkeypatch.setattr(module, "_ROWS", rows)
    assert paths(Embeddings(folder).duplicates()) == EXPECTED


def test_of_many_the_nearest_are_compared_by_the_index(folder, tmp_path, monkeypatch):
    """Also where a group has more tracks than are taken for neighbours, and some are new."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(indexing, "SMALLEST", 10)
    monkeypatch.setattr(module, "_LARGEST", 10)
    copy = shutil.copytree(folder, tmp_path / "copy")
    same = {f"same/{n:03d}.mp3": np.ones((1, DIMENSIONS)) for n in range(100)}
    write_store(copy, {**same, "zero.mp3": np.zeros((1, DIMENSIONS))}, name="2")
    Embeddings(copy).index()
    late = {"late.mp3": changed(np.ones((1, DIMENSIONS)), 0)}
    write_store(copy, late, name="3")
    by_index = Embeddings(copy).duplicates()
    monkeypatch.setattr(module, "_nearest", None)  # which is not asked now
    monkeypatch.setattr(module, "_LARGEST", 1000)
    exact = Embeddings(copy).duplicates()
    assert paths(by_index) == paths(exact) == [["late.mp3", *same], *EXPECTED]
    distances = [[group.distance for group in groups[1:]] for groups in (by_index, exact)]
    np.testing.assert_allclose(*distances, atol=1e-6)


def test_distances_are_shares_of_that_of_any_two_tracks(folder):
    embeddings = Embeddings(folder)
    units = {path: embeddings.mean(path) for path in embeddings.paths}
    units = {path: vector / np.linalg.norm(vector) for path, vector in units.items()}
    every = [np.sum((a - b) ** 2) for a, b in itertools.product(units.values(), repeat=2)]
    for group in embeddings.duplicates()[1:]:
        one, other = (units[path] for path in group.paths)
        assert group.distance == pytest.approx(np.sum((one - other) ** 2) / np.mean(every), 1e-3)
    assert len(embeddings.duplicates(threshold=9.0)[0].paths) == len(embeddings)
    assert embeddings.duplicates(threshold=1e-9) == []


def test_another_duration_is_another_recording(tmp_path):
    from helpers.small_embeddings import PROVENANCE
    from mar.embedding.rows import Row
    from mar.embedding.writer import write_part

    times, values = np.zeros(1, np.float32), recordings(3).astype(np.float32)
    seconds = {"a.wav": 100.0, "b.wav": 112.0, "c.wav": 140.0}
    rows = [Row(p, "ok", duration=s, times=times, values=values[0]) for p, s in seconds.items()]
    others = zip("xy", values[1:], strict=True)
    rows += [Row(p, "ok", duration=100.0, times=times, values=value) for p, value in others]
    write_part(tmp_path, {**PROVENANCE, "dimensions": DIMENSIONS}, rows, "0", written=1)
    assert paths(Embeddings(tmp_path).duplicates()) == [["a.wav", "b.wav"]]


def test_zeros_and_duplicates_by_the_thousand(tmp_path):
    """Zeros are no recording."""
    values = {f"zero/{n:04d}": np.zeros((1, DIMENSIONS)) for n in range(1500)}
    values |= {f"same/{n:04d}": np.ones((1, DIMENSIONS)) for n in range(3000)}
    values |= {f"other/{n}": vector for n, vector in enumerate(recordings(5))}
    (group,) = Embeddings(write_store(tmp_path, values)).duplicates()
    assert group == ([f"same/{n:04d}" for n in range(3000)], pytest.approx(0.0, abs=1e-6))


@pytest.mark.parametrize("count", [1, 2])
def test_the_smallest_data_sets(tmp_path, count):
    values = {
        f"{n}.wav": vector for n, vector in enumerate(np.repeat(recordings(1), count, axis=0))
    }
    found = Embeddings(write_store(tmp_path, values)).duplicates()
    assert paths(found) == ([] if count == 1 else [["0.wav", "1.wav"]])


def test_the_command(folder):
    def printed(*arguments):
        process = run_python("-m", "mar.duplicates", "--embeddings", folder, *arguments)
        assert process.returncode == 0, process.stderr
        return process.stdout

    assert [g["paths"] for g in json.loads(printed("--format", "json"))] == EXPECTED
    rows = list(csv.DictReader(io.StringIO(printed("--format", "csv"))))
    groups = itertools.groupby(rows, key=lambda row: row["group"])
    assert [[row["path"] for row in of_group] for _, of_group in groups] == EXPECTED
    text = printed().strip().split("\n\n")
    assert [paragraph.splitlines()[1:] for paragraph in text] == EXPECTED
    assert printed("--threshold", "0") == ""
