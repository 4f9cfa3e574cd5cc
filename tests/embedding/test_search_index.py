"""The index for searching, against comparisons one by one; its growth, its end in the middle."""

import json
import shutil
import sys
import time

import numpy as np
import pytest

from helpers.processes import run_python
from helpers.small_embeddings import PROVENANCE
from mar.embedding import indexing, search_index
from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.writer import write_part
from mar.errors import InputError

faiss = pytest.importorskip("faiss")
ROWS, DIMENSIONS = 4000, 32


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """So that a few thousand rows are many."""
    monkeypatch.setattr(indexing, "SMALLEST", 100)
    monkeypatch.setattr(search_index, "_SCANNED", 50)


def write_store(folder, timelines, name="0", hashed="", **provenance):
    """One part of a data set; the audio of each path has a hash of its own."""
    folder.mkdir(exist_ok=True)
    dimensions = next(iter(timelines.values())).shape[1]
    rows = [
        Row(
            path, "ok", audio_hash=f"{path} {hashed}", duration=30.0,
            times=np.arange(len(values), dtype=np.float32), values=np.float32(values),
        )
        for path, values in timelines.items()
    ]  # fmt: skip
    made = {**PROVENANCE, "dimensions": dimensions, **provenance}
    write_part(folder, made, rows, name, written=time.time_ns())
    return folder


def tracks(names, seed=0):
    """`{path: (windows, dimensions)}` in a cloud of albums, as music's embeddings are."""
    generator = np.random.default_rng(seed)
    albums = np.random.default_rng(1).standard_normal((60, DIMENSIONS)) + 1.0
    return {
        f"folder {number % 7}/{number}.mp3": (
            albums[generator.integers(60)] + 0.5 * generator.standard_normal((1, DIMENSIONS))
        )
        for number in names
    }


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Without an index."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(4):
        write_store(folder, tracks(range(number, ROWS, 4), number), name=str(number))
    return folder


@pytest.fixture
def copy(data_set, tmp_path):
    return shutil.copytree(data_set, tmp_path / "copy")


def paths(found):
    return [track.path for track in found]


def recall(folder, queries, among=None, k=10, **choices):
    """Share of the exact answers that the index gives too."""
    with_index, without = Embeddings(folder), Embeddings(folder)
    assert with_index.search_index is not None
    without.__dict__["search_index"] = None
    shares = []
    for query in queries:
        given = with_index.nearest(query, k, among=among, **choices)
        exact = without.nearest(query, k, among=among, **choices)
        assert len(given) == len(exact)
        shares.append(len({*paths(given)} & {*paths(exact)}) / len(exact))
        of_path = {track.path: track.similarity for track in exact}
        for track in given:
            if track.path in of_path:
                assert track.similarity == pytest.approx(of_path[track.path], abs=1e-5)
    return np.mean(shares)


QUERIES = [f"folder {number % 7}/{number}.mp3" for number in range(0, ROWS, 131)]


def test_answers_are_those_of_comparing_one_by_one(copy):
    assert Embeddings(copy).index() == (ROWS, ROWS, 0)
    assert recall(copy, QUERIES) > 0.95
    assert recall(copy, QUERIES, k=100) > 0.95
    assert recall(copy, QUERIES[:5], k=5000) == 1.0
    assert recall(copy, QUERIES[:5], k=7, diverse=True) > 0.9


@pytest.mark.parametrize("every", [2, 10, 60, 500])
def test_some_are_searched_without_losing_recall(copy, every):
    Embeddings(copy).index()
    some = {path for number, path in enumerate(Embeddings(copy).paths) if number % every == 0}
    assert recall(copy, QUERIES, some, k=5) > 0.95


def test_what_is_new_is_found_before_and_after_it_is_added(copy):
    Embeddings(copy).index()
    write_store(copy, tracks(range(ROWS, ROWS + 300), 9), name="new")
    new = f"folder {(ROWS + 5) % 7}/{ROWS + 5}.mp3"
    grown = Embeddings(copy)
    vector = grown.mean(new)
    assert len(grown.search_index.missing) == 300
    assert grown.nearest(vector, 1)[0].path == new
    assert grown.index() == (ROWS + 300, 300, 0)
    again = Embeddings(copy)
    assert again.search_index.missing == []
    assert again.nearest(vector, 1)[0].path == new
    assert recall(copy, [*QUERIES, new]) > 0.95
    assert again.index() == (ROWS + 300, 0, 0)


def test_what_changed_or_went_is_not_found(copy):
    """A row that is embedded anew has another hash; its earlier vector must not be found."""
    Embeddings(copy).index()
    changed = "folder 3/3.mp3"
    before = Embeddings(copy).mean(changed)
    (copy / "part-1.parquet").unlink()
    write_store(copy, {changed: -before[None]}, name="changed", hashed="another")
    for number in range(2):
        embeddings = Embeddings(copy)
        found = embeddings.nearest(before, 50)
        assert changed not in paths(found)
        assert all(track.path in embeddings for track in found)
        assert embeddings.nearest(-before, 1)[0].path == changed
        if not number:
            assert embeddings.index() == (ROWS - ROWS // 4, 1, ROWS // 4 + 1)


def test_rows_that_were_only_moved_to_another_part_stay(copy):
    """As compacting the parts moves them."""
    Embeddings(copy).index()
    embeddings = Embeddings(copy)
    means = {path: embeddings.mean(path)[None] for path in embeddings.paths[:500]}
    write_store(copy, means, name="compacted")
    assert Embeddings(copy).search_index.missing == []
    assert Embeddings(copy).index() == (ROWS, 0, 0)


def test_many_nights_leave_few_segments(data_set, tmp_path):
    folder = shutil.copytree(data_set, tmp_path / "nights")
    Embeddings(folder).index()
    for night in range(12):
        first = ROWS + 20 * night
        write_store(folder, tracks(range(first, first + 20), night), name=f"night {night}")
        assert Embeddings(folder).index() == (first + 20, 20, 0)
    manifest = search_index.read(Embeddings(folder))
    assert len(manifest["segments"]) <= 5
    assert manifest["ends"][-1] == ROWS + 240
    assert {path.name for path in (folder / ".search").iterdir()} == {
        "index.json", manifest["kept"], manifest["trained"], *manifest["segments"]
    }  # fmt: skip


def test_cells_are_made_anew_when_it_has_grown(tmp_path):
    folder = write_store(tmp_path / "small", tracks(range(150)))
    Embeddings(folder).index()
    before = search_index.read(Embeddings(folder))
    write_store(folder, tracks(range(150, 700)), name="more")
    assert Embeddings(folder).index() == (700, 550, 0)
    after = search_index.read(Embeddings(folder))
    assert (before["trained_rows"], after["trained_rows"]) == (150, 700)


def test_zeros_and_duplicates_by_the_thousand(tmp_path):
    same, zeros = np.ones((1, 8)), np.zeros((1, 8))
    values = {f"same/{n:04d}.mp3": same for n in range(1500)}
    values |= {f"zero/{n:04d}.mp3": zeros for n in range(1500)}
    other = {"z.mp3": np.eye(8)[:1]}
    folder = write_store(tmp_path / "same", {**values, **other})
    Embeddings(folder).index()
    embeddings = Embeddings(folder)
    found = embeddings.nearest("same/0003.mp3", 1499)
    assert all(path.startswith("same/") for path in paths(found))
    assert embeddings.nearest("z.mp3", 3)[0].similarity == pytest.approx(8**-0.5, abs=1e-6)


def test_a_small_data_set_needs_none(tmp_path):
    folder = write_store(tmp_path / "small", tracks(range(99)))
    assert Embeddings(folder).index() is None
    assert not (folder / ".search").exists()


def test_the_index_of_another_model_is_refused(copy, tmp_path):
    other = write_store(tmp_path / "other", tracks(range(200)), model="c" * 64, model_source="b")
    Embeddings(other).index()
    shutil.copytree(other / ".search", copy / ".search")
    for action in (Embeddings(copy).index, lambda: Embeddings(copy).nearest(QUERIES[0])):
        with pytest.raises(InputError, match=r"cccccccc… there|b \(weights cccccccc") as error:
            action()
        assert str(other) in str(error.value)
        assert str(copy) in str(error.value)


def test_the_index_of_another_data_set_is_refused(copy, tmp_path):
    other = write_store(tmp_path / "other", tracks(range(ROWS, ROWS + 200)))
    Embeddings(other).index()
    shutil.copytree(other / ".search", copy / ".search")
    with pytest.raises(InputError) as error:
        Embeddings(copy).nearest(QUERIES[0])
    assert all(str(folder) in str(error.value) for folder in (other, copy))


@pytest.mark.parametrize("name", ["index.json", "units.f32", "codes.faiss", "rows.arrow", ".npy"])
def test_a_damaged_index_says_so(copy, name):
    Embeddings(copy).index()
    (path,) = (path for path in (copy / ".search").rglob("*") if path.name.endswith(name))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"\.search: damaged.*delete it.*mar index"):
        Embeddings(copy).nearest(QUERIES[0])
    path.unlink()
    if name != "index.json":
        with pytest.raises(InputError, match=r"\.search: damaged.*delete it.*mar index"):
            Embeddings(copy).nearest(QUERIES[0])


def test_damaged_vectors_are_not_answered_from(copy):
    """Their length is right, so that only what is read of them can tell."""
    Embeddings(copy).index()
    (path,) = (copy / ".search").rglob("units.f32")
    with open(path, "r+b") as file:
        file.seek(ROWS // 3 * DIMENSIONS * 4)
        file.write(bytes(ROWS // 3 * DIMENSIONS * 4))  # as a hole is that a crash left
    says = r"\.search: damaged.*not as they were written.*delete it.*mar index"
    embeddings = Embeddings(copy)
    with pytest.raises(InputError, match=says):
        embeddings.nearest(QUERIES[0], 500)
    write_store(copy, tracks(range(ROWS, 2 * ROWS), 9), name="new")  # which it is joined with
    with pytest.raises(InputError, match=says):
        Embeddings(copy).index()
    shutil.rmtree(copy / ".search")
    Embeddings(copy).index()
    assert recall(copy, QUERIES) > 0.95


@pytest.mark.parametrize("has_index", [False, True])
def test_no_similarity_is_above_one(tmp_path, has_index):
    generator = np.random.default_rng(0)
    same = generator.standard_normal((300, 1)) @ np.ones((1, 64))  # of one direction, or opposite
    folder = write_store(tmp_path / "same", {f"{n}.mp3": row[None] for n, row in enumerate(same)})
    if has_index:
        Embeddings(folder).index()
    found = Embeddings(folder).nearest(np.ones(64, np.float32), 300)
    similarities = np.array([track.similarity for track in found])
    assert np.abs(similarities).max() <= 1
    np.testing.assert_allclose(np.abs(similarities), 1, atol=1e-5)


def test_without_faiss(copy, monkeypatch):
    Embeddings(copy).index()
    monkeypatch.setitem(sys.modules, "faiss", None)
    for action in (Embeddings(copy).index, lambda: Embeddings(copy).nearest(QUERIES[0])):
        with pytest.raises(InputError, match=r"pip install .*\[search\]"):
            action()


# ------------------------------------------------------------------------------------------ kills


KILLED = """
import sys
from helpers import kills
from mar.embedding import indexing
from mar.embedding.store import Embeddings
indexing.SMALLEST = 100
kills.at_replace(int(sys.argv[2]), sys.argv[3])
Embeddings(sys.argv[1]).index()
"""


@pytest.mark.parametrize("is_addition", [False, True])
def test_a_kill_leaves_the_earlier_index_whole(copy, is_addition, tmp_path):
    """At every file that appears; then the next run ends as if there had been no kill."""
    if is_addition:
        Embeddings(copy).index()
        write_store(copy, tracks(range(ROWS, ROWS + 300), 9), name="new")
    earlier = search_index.read(Embeddings(copy))
    query = Embeddings(copy).mean(QUERIES[0])
    moment, killed = 0, -9
    while killed == -9:
        moment += 1
        folder = shutil.copytree(copy, tmp_path / f"killed {moment}")
        killed = run_python("-c", KILLED, folder, moment, "before").returncode
        embeddings = Embeddings(folder)
        if killed == -9:
            assert search_index.read(embeddings) == earlier
            assert len(embeddings.nearest(query, 20)) == 20
        Embeddings(folder).index()
        undisturbed = Embeddings(folder)
        assert undisturbed.search_index.missing == []
        assert len(undisturbed.search_index) == len(undisturbed)
        names = {path.name for path in (folder / ".search").iterdir()}
        manifest = json.loads((folder / ".search" / "index.json").read_text())
        assert names == {
            "index.json", manifest["kept"], manifest["trained"], *manifest["segments"]
        }  # fmt: skip
    assert killed == 0
    assert moment >= 3
