import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import write_store

from mar.errors import InputError
from mar.evaluation.embeddings import open_embeddings, write_embeddings


@pytest.fixture
def timelines():
    generator = np.random.default_rng(0)
    return {
        f"a/{number}.mp3": generator.standard_normal((1 + number % 5, 6)).astype(np.float32)
        for number in range(1300)
    }


@pytest.mark.parametrize("store", ["mean", "timeline"])
def test_means_come_in_the_order_asked_for(timelines, tmp_path, store):
    paths = list(timelines)
    first, second = dict(list(timelines.items())[:1000]), dict(list(timelines.items())[1000:])
    write_store(tmp_path, first, ["broken.mp3"], name="0", store=store)
    write_store(tmp_path, second, name="1", store=store, mar_version="0.2.0")
    (tmp_path / "_index.parquet").write_bytes(b"not for us")
    (tmp_path / ".1.parquet").write_bytes(b"unfinished")
    embeddings = open_embeddings(tmp_path)
    assert embeddings.places.keys() == timelines.keys()
    assert embeddings.failures == {"broken.mp3": "truncated"}
    assert embeddings.dimensions == 6
    wanted = [paths[row] for row in np.random.default_rng(1).permutation(1300)[:700]]
    expected = [timelines[path].mean(axis=0) for path in wanted]
    np.testing.assert_allclose(embeddings.means(wanted), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("in_file", [False, True])
def test_windows_come_in_the_order_asked_for(timelines, tmp_path, in_file):
    write_store(tmp_path / "emb", timelines, store="timeline")
    embeddings = open_embeddings(tmp_path / "emb")
    paths = list(timelines)[::-3]
    file = tmp_path / "windows.npy" if in_file else None
    windows, items = embeddings.windows(paths, file)
    assert isinstance(windows, np.memmap) is in_file
    assert len(windows) == embeddings.window_count(paths)
    np.testing.assert_array_equal(windows, np.concatenate([timelines[path] for path in paths]))
    expected = np.repeat(np.arange(len(paths)), [len(timelines[path]) for path in paths])
    np.testing.assert_array_equal(items, expected)


def test_means_hold_no_single_windows(timelines, tmp_path):
    write_store(tmp_path, timelines)
    with pytest.raises(InputError, match="holds one mean per file.*the store `timeline`"):
        open_embeddings(tmp_path).windows(["a/0.mp3"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "c" * 64}, "embeddings of two kinds in one folder: model is 'ccc"),
        ({"hop_seconds": 1.0}, "two kinds in one folder: hop_seconds is 1.0, but 2.0 in 0.parquet"),
        ({"store": "timeline"}, "two kinds in one folder: store is 'timeline'"),
        ({"other": 1}, "two kinds in one folder: other is 1, but None"),
    ],
)
def test_embeddings_of_two_kinds_are_refused(timelines, tmp_path, changes, message):
    write_store(tmp_path, timelines, name="0")
    write_store(tmp_path, timelines, name="1", **changes)
    with pytest.raises(InputError, match=message):
        open_embeddings(tmp_path)


def test_other_dimensions_are_refused(timelines, tmp_path):
    write_store(tmp_path, timelines, name="0")
    write_store(tmp_path, {"x": np.ones((1, 7))}, name="1")
    with pytest.raises(InputError, match=r"1.parquet: expected embeddings of 6 .* found 7"):
        open_embeddings(tmp_path)


def test_what_is_no_embedding_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected embeddings \(\*.parquet\)"):
        open_embeddings(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="x.parquet: not a file of mar's embeddings"):
        open_embeddings(tmp_path)
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="x.parquet: not a file of mar's embeddings"):
        open_embeddings(tmp_path)


def test_nan_is_refused_by_name(timelines, tmp_path):
    timelines["a/7.mp3"][0, 2] = np.nan
    write_store(tmp_path, timelines, store="timeline")
    embeddings = open_embeddings(tmp_path)
    for read in (embeddings.means, embeddings.windows):
        with pytest.raises(InputError, match=r"NaN .* embeddings of 1 files, e.g. a/7.mp3"):
            read(list(timelines))


def test_what_is_written_is_read_back(tmp_path):
    rows = [
        {"path": "a.wav", "duration": 1.5, "mean": np.arange(4.0), "reason": None},
        {"path": "b.wav", "duration": None, "mean": None, "reason": "truncated"},
    ]
    write_embeddings(tmp_path / "x.parquet", {"model": "logmel_mean", "store": "mean"}, rows)
    embeddings = open_embeddings(tmp_path)
    assert embeddings.means(["a.wav"]).tolist() == [[0, 1, 2, 3]]
    assert embeddings.failures == {"b.wav": "truncated"}
    with pytest.raises(InputError, match="nothing could be embedded, e.g. truncated"):
        write_embeddings(tmp_path / "y.parquet", {"store": "mean"}, rows[1:])
    assert len(list(tmp_path.iterdir())) == 1
