"""The map that lies beside a data set: made once, resumed, brought up to date."""

import shutil
import tracemalloc

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from helpers.processes import run_python
from helpers.small_embeddings import write_store
from mar import Embeddings, InputError
from mar.embedding import projection, stored_map
from mar.embedding.components import principal
from mar.util.lock import FolderLock

KINDS = np.random.default_rng(0).standard_normal((3, 16))


def tracks(names, kind=None, seed=0):
    """Timelines of tracks, of one of three kinds or of each by turns."""
    generator = np.random.default_rng(seed)
    return {
        name: KINDS[number % 3 if kind is None else kind] + 0.1 * generator.standard_normal((1, 16))
        for number, name in enumerate(names)
    }


FIRST = [f"a/{number:02}.wav" for number in range(36)]


@pytest.fixture
def folder(tmp_path):
    return write_store(tmp_path / "emb", tracks(FIRST), name="0")


def flipped(data):
    """The bytes, of which one in the middle has another bit."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def points_of(folder):
    table = Embeddings(folder).project().set_index("path")
    return {path: (row.x, row.y) for path, row in zip(table.index, table.itertuples(), strict=True)}


def counted(monkeypatch, name="project"):
    """How often the layout has been computed."""
    calls = []
    real = getattr(stored_map, name)
    monkeypatch.setattr(stored_map, name, lambda *a, **k: calls.append(name) or real(*a, **k))
    return calls


def test_it_is_computed_once(folder, monkeypatch):
    calls = counted(monkeypatch)
    first, again = points_of(folder), points_of(folder)
    assert first == again
    assert list(first) == FIRST
    assert calls == ["project"]
    shutil.rmtree(folder / ".map")
    assert points_of(folder) == first
    assert len(Embeddings(folder)) == 36  # what lies beside is not taken for embeddings


def test_what_came_is_placed_among_its_like_and_what_is_gone_is_not_there(folder, monkeypatch):
    before = points_of(folder)
    calls = counted(monkeypatch)
    write_store(folder, tracks(["b/new.wav", "b/other.wav"], kind=1, seed=5), name="1")
    write_store(folder, tracks(["b/last.wav"], kind=2), name="2", failed=["a/35.wav"])
    after = points_of(folder)
    assert calls == []
    assert set(after) == {*before, "b/new.wav", "b/other.wav", "b/last.wav"} - {"a/35.wav"}
    assert all(after[path] == before[path] for path in FIRST[:35])
    for path in ("b/new.wav", "b/other.wav"):
        distances = {p: np.hypot(*np.subtract(after[path], after[p])) for p in FIRST[:35]}
        nearest = min(distances, key=distances.get)
        assert FIRST.index(nearest) % 3 == 1
    assert len(list((folder / ".map").iterdir())) == 1


def test_many_are_placed_where_each_is_in_bounded_memory(folder):
    """Beside 8,000 others, of which each new one is compared with all."""
    made = stored_map.stored_map(Embeddings(folder))
    generator = np.random.default_rng(0)
    noise = 0.1 * generator.standard_normal((11000, 16))
    coordinates = made.components(np.tile(KINDS, (4000, 1))[:11000] + noise)
    many = stored_map.StoredMap(made.folder)
    many.__dict__.update(  # as if these were read of its files
        coordinates=coordinates[:8000], points=generator.random((8000, 2)).astype(np.float32)
    )
    new = coordinates[8000:]
    one_by_one = np.concatenate([many.placed(new[n : n + 1]) for n in range(0, 3000, 100)])
    tracemalloc.start()
    placed = many.placed(new)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(placed[::100], one_by_one, atol=1e-6)
    assert most < 250e6  # all at once they would take 600 MB


def test_when_much_came_it_is_made_anew(folder, monkeypatch):
    points_of(folder)
    calls = counted(monkeypatch)
    for part in range(3):  # a few at a time add up
        names = [f"c{part}/{number}.wav" for number in range(4)]
        write_store(folder, tracks(names, seed=part), name=str(1 + part))
        assert set(points_of(folder)) >= set(names)
    assert calls == ["project"]


def test_an_interrupted_one_goes_on(folder, monkeypatch):
    expected = points_of(folder)
    shutil.rmtree(folder / ".map")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stored_map, "project", interrupted)
        with pytest.raises(KeyboardInterrupt):
            points_of(folder)
    reduced = counted(monkeypatch, "principal")
    assert points_of(folder) == expected
    assert reduced == []


def test_two_do_not_make_it_at_once(folder):
    (folder / ".map").mkdir()
    with FolderLock(folder / ".map"), pytest.raises(InputError, match="writes into it since"):
        points_of(folder)


def test_that_of_another_model_is_not_extended(folder, tmp_path):
    points_of(folder)
    other = write_store(tmp_path / "other", tracks(FIRST, seed=3), model="c" * 64)
    shutil.copytree(folder / ".map", other / ".map")
    expected = points_of(write_store(tmp_path / "clean", tracks(FIRST, seed=3), model="c" * 64))
    assert points_of(other) == expected


def test_a_damaged_map_says_so(folder, tmp_path):
    points_of(folder)
    write_store(folder, tracks(["b/new.wav"], kind=1), name="1")  # which all files are read for
    damages = [
        ("about.json", lambda data: data[:-9]),
        ("about.json", lambda data: data.replace(b'"laid_out": ', b'"laid_out": 1')),
        *[(name, flipped) for name in ("rows.arrow", "coordinates.npy", "components.npz")],
        *[("points.npz", damage) for damage in (flipped, lambda data: data[:-9], lambda _: b"")],
        ("coordinates.npy", None),
    ]
    for number, (name, damage) in enumerate(damages):
        copy = shutil.copytree(folder, tmp_path / str(number))
        (path,) = (copy / ".map").rglob(name)
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(InputError, match=r"\.map: damaged \(.*delete it, and the map is made"):
            points_of(copy)
    shutil.rmtree(copy / ".map")
    assert set(points_of(copy)) == {*FIRST, "b/new.wav"}


def test_two_tracks_are_no_map(tmp_path):
    write_store(tmp_path, tracks(["a.wav", "b.wav"]))
    with pytest.raises(InputError, match="at least three tracks for a map, got 2"):
        points_of(tmp_path)


def test_zeros_and_duplicates_have_places(tmp_path):
    same = {f"same/{n}.wav": KINDS[:1] for n in range(40)}
    zeros = {f"zeros/{n}.wav": np.zeros((1, 16)) for n in range(40)}
    points = points_of(write_store(tmp_path, {**tracks(FIRST), **same, **zeros}))
    assert np.isfinite([*points.values()]).all()


def test_components_are_those_of_pca():
    generator = np.random.default_rng(1)
    vectors = (100 + generator.standard_normal((400, 20)) * np.arange(1, 21)).astype(np.float32)
    components = principal(lambda: iter(np.array_split(vectors, 7)), 20)
    reference = PCA(20).fit(vectors.astype(np.float64))
    np.testing.assert_allclose(components.mean, reference.mean_, rtol=1e-5)
    products = np.abs((reference.components_ * components.axes.T).sum(axis=1))
    np.testing.assert_allclose(products, 1, atol=1e-3)
    coordinates = components(vectors)
    assert coordinates.var(axis=0).argmax() == 0
    directions = components.directions(coordinates)
    np.testing.assert_allclose(
        cosine_similarity(directions), cosine_similarity(vectors.astype(np.float64)), atol=1e-4
    )


# --------------------------------------------------------------------------------------- PaCMAP


def test_many_are_laid_out_in_steps_and_resumed_to_the_same(tmp_path, monkeypatch):
    pytest.importorskip("pacmap")
    monkeypatch.setattr(projection, "SMALL", 100)
    generator = np.random.default_rng(0)
    kinds = np.arange(400) % 4
    vectors = generator.standard_normal((4, 12))[kinds] + 0.1 * generator.standard_normal((400, 12))
    vectors[:120] = vectors[0]  # equal ones by the hundred
    kinds[:120] = 0
    expected = projection.project(vectors)
    assert expected.min() >= 0
    assert expected.max() <= 1
    distances = np.linalg.norm(expected[:, None] - expected[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (kinds[distances.argmin(axis=1)] == kinds).mean() > 0.98

    import pacmap.pacmap as library

    steps = []

    def dying(*arguments):
        steps.append(1)
        if len(steps) > 60:
            raise KeyboardInterrupt
        return find_weight(*arguments, num_iters=(100, 100, 250))

    find_weight = library.find_weight
    with monkeypatch.context() as patched:
        patched.setattr(library, "find_weight", lambda *a, **_: dying(*a))
        with pytest.raises(KeyboardInterrupt):
            projection.project(vectors, unfinished=tmp_path)
    whole = (tmp_path / "state.npz").read_bytes()
    (tmp_path / "state.npz").write_bytes(flipped(whole))
    with pytest.raises(InputError, match=r"state\.npz: damaged.*delete .*, and the map is"):
        projection.project(vectors, unfinished=tmp_path)
    (tmp_path / "state.npz").write_bytes(whole)
    resumed = projection.project(vectors, unfinished=tmp_path)
    np.testing.assert_array_equal(resumed, expected)
    with np.load(tmp_path / "state.npz") as state:
        assert state["done"] == 450


KILLED = """
import sys
from helpers import kills
from mar.embedding import projection
from mar.embedding.store import Embeddings
projection.SMALL = 100
kills.at_replace(int(sys.argv[2]), "before")
Embeddings(sys.argv[1]).project()
"""


@pytest.mark.slow
def test_a_kill_at_any_file_leads_to_the_same_map(tmp_path, monkeypatch):
    pytest.importorskip("pacmap")
    monkeypatch.setattr(projection, "SMALL", 100)
    names = [f"a/{number:03}.wav" for number in range(240)]
    folder = write_store(tmp_path / "emb", tracks(names))
    expected = points_of(shutil.copytree(folder, tmp_path / "undisturbed"))
    moment, killed = 0, -9
    while killed == -9:
        moment += 1
        copy = shutil.copytree(folder, tmp_path / f"killed {moment}")
        killed = run_python("-c", KILLED, copy, moment).returncode
        assert points_of(copy) == expected
        (state,) = (copy / ".map").iterdir()
        assert {path.name for path in state.iterdir()} == stored_map._FILES
    assert killed == 0
    assert moment > 20


@pytest.mark.slow
def test_zeros_and_duplicates_by_the_thousand_have_places(tmp_path):
    pytest.importorskip("pacmap")
    names = [f"a/{number:04}.wav" for number in range(1500)]
    same = {f"same/{n:04}.wav": KINDS[:1] for n in range(1500)}
    zeros = {f"zeros/{n:04}.wav": np.zeros((1, 16)) for n in range(1500)}
    points = points_of(write_store(tmp_path, {**tracks(names), **same, **zeros}))
    places = {kind: np.array([points[p] for p in points if p.startswith(kind)]) for kind in "asz"}
    assert all(np.isfinite(place).all() for place in places.values())
    silent = places["z"].mean(axis=0)  # they lie together, apart from what is heard
    others = np.linalg.norm(np.concatenate([places["a"], places["s"]]) - silent, axis=1)
    assert np.linalg.norm(places["z"] - silent, axis=1).max() < np.quantile(others, 0.05)
