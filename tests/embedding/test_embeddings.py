import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from helpers.small_embeddings import write_store
from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.writer import Writer
from mar.errors import InputError


@pytest.fixture
def timelines():
    generator = np.random.default_rng(0)
    return {
        f"a/{number}.mp3": generator.standard_normal((1 + number % 5, 6)).astype(np.float32)
        for number in range(400)
    }


@pytest.mark.parametrize("format", ["parquet", "npz"])
@pytest.mark.parametrize("store", ["mean", "timeline"])
def test_means_come_in_the_order_asked_for(timelines, tmp_path, store, format):
    paths = list(timelines)
    first, second = dict(list(timelines.items())[:300]), dict(list(timelines.items())[300:])
    kept = {"store": store, "format": format}
    write_store(tmp_path, first, ["broken.mp3"], **kept)
    write_store(tmp_path, second, name="1", **kept, version="0.2.0")
    embeddings = Embeddings(tmp_path)
    assert set(embeddings.paths) == timelines.keys()
    assert embeddings.failures == {"broken.mp3": "truncated"}
    assert embeddings.dimensions == 6
    wanted = [paths[row] for row in np.random.default_rng(1).permutation(400)[:250]]
    expected = [timelines[path].mean(axis=0) for path in wanted]
    np.testing.assert_allclose(embeddings.means(wanted), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("format", ["parquet", "npz"])
@pytest.mark.parametrize("in_file", [False, True])
def test_windows_come_in_the_order_asked_for(timelines, tmp_path, in_file, format):
    write_store(tmp_path / "emb", timelines, store="timeline", format=format)
    embeddings = Embeddings(tmp_path / "emb")
    paths = list(timelines)[::-3]
    before = sorted(tmp_path.iterdir())
    windows, items = embeddings.windows(paths, tmp_path if in_file else None)
    assert isinstance(windows, np.memmap) is in_file
    assert sorted(tmp_path.iterdir()) == before
    lengths = [len(timelines[path]) for path in paths]
    assert embeddings.window_counts(paths).tolist() == lengths
    np.testing.assert_array_equal(windows, np.concatenate([timelines[path] for path in paths]))
    np.testing.assert_array_equal(items, np.repeat(np.arange(len(paths)), lengths))


def test_means_hold_no_single_windows(timelines, tmp_path):
    write_store(tmp_path, timelines)
    with pytest.raises(InputError, match="holds one mean per file.*--store timeline"):
        Embeddings(tmp_path).windows(["a/0.mp3"])


@pytest.mark.parametrize(
    "changes", [{"model": "c" * 64}, {"hop_seconds": 1.0}, {"store": "timeline"}, {"dimensions": 7}]
)
def test_embeddings_of_two_kinds_are_refused(timelines, tmp_path, changes):
    write_store(tmp_path, timelines)
    if "dimensions" in changes:
        timelines = {"x": np.ones((1, 7))}
    write_store(tmp_path, timelines, name="1", **changes)
    with pytest.raises(InputError, match=f"made in another way .*{next(iter(changes))}: "):
        Embeddings(tmp_path)


def test_what_is_no_embedding_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no embeddings"):
        Embeddings(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="x.parquet: not a readable Parquet file"):
        Embeddings(tmp_path)


@pytest.mark.parametrize(("store", "format"), [("mean", "parquet"), ("timeline", "npz")])
def test_rows_that_an_earlier_version_kept_though_not_finite_are_left_out(
    timelines, tmp_path, store, format, caplog
):
    bad = {"a/7.mp3": np.nan, "a/130.mp3": np.inf, "a/399.mp3": -np.inf}
    timelines = {p: v for n, (p, v) in enumerate(timelines.items()) if n % 10 == 0 or p in bad}
    sound = {path: values for path, values in timelines.items() if path not in bad}
    write_store(tmp_path / "sound", sound, store=store, format=format)
    for path, value in bad.items():
        timelines[path][0, 3] = value
    write_store(tmp_path / "bad", timelines, store=store, format=format)
    expected, embeddings = Embeddings(tmp_path / "sound"), Embeddings(tmp_path / "bad")
    query = np.random.default_rng(3).standard_normal(6)
    assert embeddings.nearest(query, k=400) == expected.nearest(query, k=400)
    assert "left out 3 embeddings with NaN or infinite values: a/7.mp3, a/130.mp3" in caplog.text
    assert embeddings.project()["path"].tolist() == expected.paths
    assert set(embeddings.not_finite(embeddings.paths)) == set(bad)
    assert embeddings.not_finite(expected.paths) == []
    missing = embeddings.to_pandas().set_index("path")["mean"].isna()
    assert set(missing.index[missing]) == set(bad)
    for path in bad:
        with pytest.raises(InputError, match=f"NaN or infinite values in the embedding of {path}"):
            embeddings.nearest(path)


def test_a_file_with_fewer_embeddings_than_windows_is_refused(timelines, tmp_path):
    """One that was exchanged would fill the place of several, or leave some unwritten."""
    write_store(tmp_path, timelines, store="timeline", format="npz")
    (tmp_path / "a" / "3.mp3.npz").write_bytes((tmp_path / "a" / "0.mp3.npz").read_bytes())
    with pytest.raises(InputError, match=r"a/3\.mp3 has 1 embeddings for 4 windows"):
        Embeddings(tmp_path).windows(list(timelines))


def test_nan_is_refused_by_name(timelines, tmp_path):
    timelines["a/7.mp3"][0, 2] = np.nan
    write_store(tmp_path, timelines, store="timeline")
    embeddings = Embeddings(tmp_path)
    for read in (embeddings.means, embeddings.windows):
        with pytest.raises(InputError, match="NaN or infinite values in the embedding of a/7.mp3"):
            read(list(timelines))


# ---------------------------------------------------------------------------- one file, one table


@pytest.mark.parametrize("format", ["parquet", "npz"])
def test_one_file(timelines, tmp_path, format):
    write_store(tmp_path, timelines, ["broken.mp3"], store="timeline", format=format)
    embeddings = Embeddings(tmp_path)
    for path in ("a/0.mp3", "a/7.mp3"):
        np.testing.assert_array_equal(embeddings.timeline(path), timelines[path])
        np.testing.assert_allclose(embeddings.mean(path), timelines[path].mean(axis=0), rtol=1e-5)
        np.testing.assert_array_equal(embeddings.times(path), np.arange(len(timelines[path])))
        assert embeddings.mean(path).dtype == embeddings.times(path).dtype == np.float32
    assert "a/7.mp3" in embeddings
    assert "broken.mp3" not in embeddings
    assert len(embeddings) == 400
    assert embeddings.paths == sorted(timelines)
    assert embeddings.row("a/7.mp3")["duration"] == 30.0
    assert repr(embeddings) == f"mar.Embeddings('{tmp_path}')"


def test_the_version_tells_states_of_a_data_set_apart(timelines, tmp_path):
    folder = write_store(tmp_path / "a", timelines, ["broken.mp3"])
    opened = Embeddings(folder)
    shutil.copytree(folder, tmp_path / "copy")  # of other times, in another place
    assert Embeddings(tmp_path / "copy").version == opened.version
    assert opened.audio_hashes() == dict.fromkeys(timelines)
    versions = [opened.version]
    with Writer(folder, opened.provenance) as writer:
        writer.add(Row("a/0.mp3", "ok", audio_hash="new", times=np.ones(1), values=np.ones((1, 6))))
    versions.append(Embeddings(folder).version)
    assert Embeddings(folder).audio_hashes() == {**dict.fromkeys(timelines), "a/0.mp3": "new"}
    with Writer(folder, opened.provenance) as writer:
        writer.add(Row("broken.mp3", "failed", "still truncated"))
    versions.append(Embeddings(folder).version)
    assert len(set(versions)) == 3
    assert opened.version == versions[0]  # that which was opened


def test_a_path_that_is_not_there_is_named_with_the_nearest(timelines, tmp_path):
    write_store(tmp_path, timelines, ["broken.mp3"])
    embeddings = Embeddings(tmp_path)
    for read in (embeddings.mean, embeddings.times, embeddings.row):
        with pytest.raises(InputError, match=r"holds no a/17.flac; the nearest is a/17.mp3"):
            read("a/17.flac")
        with pytest.raises(InputError, match=r"broken.mp3 was not embedded: truncated"):
            read("broken.mp3")
    for read in (embeddings.means, embeddings.window_counts, lambda p: [*embeddings.vectors(p)]):
        with pytest.raises(InputError, match=r"holds no b/1.mp3; the nearest is a/1.mp3"):
            read(["a/0.mp3", "b/1.mp3"])


def test_a_path_may_be_asked_for_twice(timelines, tmp_path):
    write_store(tmp_path, timelines, store="timeline")
    embeddings = Embeddings(tmp_path)
    paths = ["a/3.mp3", "a/1.mp3", "a/3.mp3"]
    np.testing.assert_allclose(
        embeddings.means(paths), [timelines[path].mean(axis=0) for path in paths], rtol=1e-5
    )
    windows, items = embeddings.windows(paths)
    np.testing.assert_array_equal(windows, np.concatenate([timelines[path] for path in paths]))
    assert items.tolist() == np.repeat(range(3), embeddings.window_counts(paths)).tolist()


def test_a_file_that_goes_while_it_is_read_is_named(timelines, tmp_path):
    write_store(tmp_path, timelines)
    write_store(tmp_path, {"b.mp3": np.ones((1, 6))}, name="1")
    embeddings = Embeddings(tmp_path)
    part = tmp_path / "part-1.parquet"
    write_store(tmp_path, {"c.mp3": np.ones((1, 6))}, name="1")
    for read in (embeddings.means, embeddings.window_counts):
        with pytest.raises(InputError, match=r"part-1.parquet: gone; .*: open it anew"):
            read(["b.mp3"])
    part.unlink()
    with pytest.raises(InputError, match=r"part-1.parquet: gone; .*: open it anew"):
        embeddings.mean("b.mp3")
    assert len(embeddings.means(embeddings.paths[:-1])) == 400  # the other part is there


@pytest.mark.parametrize("store", ["mean", "timeline"])
def test_all_is_one_table(timelines, tmp_path, store):
    write_store(tmp_path, timelines, ["broken.mp3"], store=store)
    frame = Embeddings(tmp_path).to_pandas()
    assert frame["path"].tolist() == sorted([*timelines, "broken.mp3"])
    frame = frame.set_index("path")
    for path, values in timelines.items():
        np.testing.assert_allclose(frame.loc[path, "mean"], values.mean(axis=0), rtol=1e-4)
        assert len(frame.loc[path, "times"]) == len(values)
    broken = frame.loc["broken.mp3"]
    assert (broken["status"], broken["reason"], broken["mean"]) == ("failed", "truncated", None)
    assert {"size", "mtime_ns", "audio_hash", "reader", "channels", "notes"} <= {*frame.columns}
    assert str(frame["mtime_ns"].dtype) == "Int64"  # floats would lose nanoseconds


def test_the_map_is_a_table(tmp_path):
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.standard_normal((3, 16)), 12, axis=0)
    vectors = centres + 0.05 * rng.standard_normal((36, 16))
    write_store(tmp_path, {f"{n:02}.wav": vector[None] for n, vector in enumerate(vectors)})
    embeddings = Embeddings(tmp_path)
    plane = embeddings.project()
    assert list(plane.columns) == ["path", "x", "y"]
    assert plane["path"].tolist() == embeddings.paths
    pd.testing.assert_frame_equal(plane, Embeddings(tmp_path).project())
    points = plane[["x", "y"]].to_numpy()
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(distances.argmin(axis=1) // 12, np.arange(36) // 12)


# ---------------------------------------------------------------------------------------- nearest


def test_nearest_are_scikit_learns(timelines, tmp_path, monkeypatch):
    paths = list(timelines)
    for number in range(8):  # in several parts
        some = {path: timelines[path] for path in paths[number * 50 : (number + 1) * 50]}
        write_store(tmp_path, some, name=str(number))
    embeddings = Embeddings(tmp_path)
    means = embeddings.means(embeddings.paths)
    query = np.random.default_rng(3).standard_normal(6)
    reference = NearestNeighbors(metric="cosine", n_neighbors=9).fit(means)
    distances, rows = reference.kneighbors([query])
    found = embeddings.nearest(query, k=9)
    assert [track.path for track in found] == [embeddings.paths[row] for row in rows[0]]
    np.testing.assert_allclose([t.similarity for t in found], 1 - distances[0], atol=1e-5)
    of_path = embeddings.nearest("a/17.mp3", k=400)
    assert len(of_path) == 399
    assert "a/17.mp3" not in {track.path for track in of_path}
    assert of_path == sorted(of_path, key=lambda track: (-track.similarity, track.path))


def test_equal_similarities_are_in_the_order_of_paths(tmp_path):
    write_store(tmp_path, {f"{n}.wav": np.ones((1, 4)) for n in (3, 1, 2)})
    found = Embeddings(tmp_path).nearest(np.ones(4), k=2)
    assert [track.path for track in found] == ["1.wav", "2.wav"]


def test_what_cannot_be_searched_is_refused(timelines, tmp_path):
    write_store(tmp_path / "a", timelines, ["broken.mp3"])
    embeddings = Embeddings(tmp_path / "a")
    for query in (np.zeros(3), np.zeros((1, 6)), np.full(6, np.nan)):
        with pytest.raises(InputError, match="expected a query of 6 finite values, got"):
            embeddings.nearest(query)
    with pytest.raises(InputError, match="broken.mp3 was not embedded: truncated"):
        embeddings.nearest("broken.mp3")
    with pytest.raises(InputError, match="holds no absent.mp3"):
        embeddings.nearest("absent.mp3")
