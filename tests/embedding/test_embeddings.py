import numpy as np
import pytest

from helpers.small_embeddings import write_store
from mar.embedding.store import Embeddings
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


def test_nan_is_refused_by_name(timelines, tmp_path):
    timelines["a/7.mp3"][0, 2] = np.nan
    write_store(tmp_path, timelines, store="timeline")
    embeddings = Embeddings(tmp_path)
    for read in (embeddings.means, embeddings.windows):
        with pytest.raises(InputError, match="NaN or infinite values in the embedding of a/7.mp3"):
            read(list(timelines))
