import json
import os
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mar.embedding import store
from mar.embedding.store import Row, Writer
from mar.errors import InputError

MADE = {
    "model": "a",
    "front_end": "b",
    "dimensions": 4,
    "window_seconds": 3.0,
    "precision": "float32",
    "store": "mean",
    "format": "parquet",
    "version": "1",
}


def row(path, windows=3, seed=0, **kwargs):
    values = np.random.default_rng(seed).standard_normal((windows, 4)).astype(np.float32)
    times = np.arange(windows, dtype=np.float32)
    return Row(path, "ok", None, 10, 20, 6.0, 44100, False, times, values, **kwargs)


def write(folder, rows, **made):
    with Writer(folder, {**MADE, **made}) as writer:
        for each in rows:
            writer.add(each)


@pytest.mark.parametrize("format", ["parquet", "npz"])
@pytest.mark.parametrize("store", ["mean", "timeline"])
def test_means_are_read_back(tmp_path, store, format):
    rows = [row("a", 3, 1), Row("bad", "failed", "why"), row("b/c", 1, 2), row("d", 5, 3)]
    write(tmp_path, rows, store=store, format=format)
    found = {}
    for paths, vectors in store.vectors(tmp_path):
        assert vectors.dtype == np.float32
        found |= dict(zip(paths, vectors, strict=True))
    assert set(found) == {"a", "b/c", "d"}
    for each in rows:
        if each.status == "ok":
            np.testing.assert_allclose(found[each.path], each.mean, rtol=1e-5, atol=1e-6)


def test_the_columns(tmp_path):
    write(tmp_path, [row("a"), Row("bad", "failed", "why", 1, 2)])
    good, bad = pq.read_table(tmp_path).to_pylist()
    assert good["times"] == [0, 1, 2]
    np.testing.assert_allclose(good["mean"], row("a").mean, rtol=1e-6)
    assert (bad["status"], bad["reason"], bad["size"]) == ("failed", "why", 1)
    assert {bad[name] for name in ("duration", "sample_rate", "padded", "times", "mean")} == {None}
    assert pq.read_schema(next(tmp_path.glob("*.parquet"))).field("mean").type.list_size == 4


def test_timelines_are_lists_of_fixed_size_lists(tmp_path):
    rows = [Row("bad", "failed", "why"), row("a", 3), Row("x", "skipped", "no"), row("b", 1)]
    write(tmp_path, rows, store="timeline")
    found = {each["path"]: each["timeline"] for each in pq.read_table(tmp_path).to_pylist()}
    assert found["bad"] is None
    assert found["x"] is None
    np.testing.assert_array_equal(found["a"], rows[1].values)
    np.testing.assert_array_equal(found["b"], rows[3].values)


def test_npz_files(tmp_path):
    write(tmp_path, [row("sub/a.mp3", 3), row("/abs/b.mp3", 2)], store="timeline", format="npz")
    with np.load(tmp_path / "sub" / "a.mp3.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["embedding"], row("sub/a.mp3").values)
        np.testing.assert_array_equal(file["timestamps"], [0, 1, 2])
        assert json.loads(str(file["provenance"]))["model"] == "a"
    assert (tmp_path / "abs" / "b.mp3.npz").exists()
    write(tmp_path / "mean", [row("a", 3)], format="npz")
    with np.load(tmp_path / "mean" / "a.npz") as file:
        np.testing.assert_allclose(file["embedding"], row("a").mean)


def test_a_name_too_long_for_npz_is_a_failure_of_that_file(tmp_path):
    write(tmp_path, [row("x" * 252), row("y")], format="npz")
    (batch,) = store.batches(tmp_path, ["status", "reason"])
    long, short = batch.to_pylist()
    assert (long["status"], short["status"]) == ("failed", "ok")
    assert "too long" in long["reason"]


def test_resuming_tells_what_is_done(tmp_path):
    write(tmp_path, [row("a"), Row("bad", "failed", "why"), Row("x", "skipped", "no", 5, 6)])
    with Writer(tmp_path, {**MADE, "version": "2"}) as writer:
        assert writer.done == {"a": ("ok", 10, 20), "x": ("skipped", 5, 6)}
        assert writer.present == {"a", "bad", "x"}
        writer.forget(["a", "bad", "new"])
        writer.add(row("a", seed=9))
    found = {each["path"]: each for each in pq.read_table(tmp_path).to_pylist()}
    assert set(found) == {"a", "x"}
    np.testing.assert_allclose(found["a"]["mean"], row("a", seed=9).mean, rtol=1e-6)


def test_what_is_forgotten_leaves_no_npz(tmp_path):
    write(tmp_path, [row("a"), row("b")], format="npz")
    with Writer(tmp_path, {**MADE, "format": "npz"}) as writer:
        writer.forget(["a"])
        assert not (tmp_path / "a.npz").exists()
        assert (tmp_path / "b.npz").exists()
        assert writer.add(row("x" * 252)).status == "failed"
        assert writer.add(row("y")).status == "ok"


def test_only_parts_with_what_is_forgotten_are_rewritten(tmp_path):
    for name in "abc":
        write(tmp_path, [row(name), row(name * 2)])
    before = {part: part.stat().st_ino for part in tmp_path.glob("*.parquet")}
    with Writer(tmp_path, MADE) as writer:
        writer.forget(["a", "c", "cc"])
    after = {part: part.stat().st_ino for part in tmp_path.glob("*.parquet")}
    assert len(after) == 2
    assert sum(before[part] == inode for part, inode in after.items()) == 1
    assert sorted(pq.read_table(tmp_path)["path"].to_pylist()) == ["aa", "b", "bb"]


@pytest.mark.parametrize("name", ["model", "front_end", "window_seconds", "precision", "store"])
def test_another_way_of_making_is_refused(tmp_path, name):
    write(tmp_path, [row("a")])
    other = {**MADE, name: {"window_seconds": 4.0, "store": "timeline"}.get(name, "other")}
    with pytest.raises(InputError, match=rf"made in another way; {name}: .*another --output"):
        Writer(tmp_path, other)
    write(tmp_path / "other", [row("b")], **other)
    for part in (tmp_path / "other").glob("*.parquet"):
        part.rename(tmp_path / f"z-{part.name}")
    with pytest.raises(InputError, match="made in another way than the rest"):
        store.provenance(tmp_path)


def test_rows_are_flushed_by_number_size_and_time(tmp_path, monkeypatch):
    def parts():
        return len(list(tmp_path.glob("*.parquet")))

    with Writer(tmp_path, MADE) as writer:
        writer.add(row("a"))
        assert parts() == 0
        monkeypatch.setattr(store, "_PART_ROWS", 2)
        writer.add(row("b"))
        assert parts() == 1
        monkeypatch.setattr(store, "_PART_BYTES", 1)
        writer.add(row("c"))
        assert parts() == 2
        monkeypatch.undo()
        monkeypatch.setattr(store, "_PART_SECONDS", 0.0)
        writer.add(row("d"))
        assert parts() == 3
        monkeypatch.undo()
        writer.add(row("e"))
    assert parts() == 4
    assert sorted(pq.read_table(tmp_path)["path"].to_pylist()) == ["a", "b", "c", "d", "e"]


def test_an_interruption_just_after_a_part_is_written_does_not_write_it_twice(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(store, "_PART_ROWS", 1)
    write_part = store.write_part

    def interrupted(*arguments):
        monkeypatch.setattr(store, "write_part", write_part)
        write_part(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, [row("a")])
    assert pq.read_table(tmp_path)["path"].to_pylist() == ["a"]


def test_what_is_no_data_set_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot be made: File exists"):
        Writer(tmp_path / "file", MADE)
    with pytest.raises(InputError, match="holds no embeddings"):
        store.provenance(tmp_path)
    write(tmp_path, [row("a")])
    (part,) = tmp_path.glob("*.parquet")
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"{part.name}: not a readable Parquet file"):
        store.provenance(tmp_path)
    pq.write_table(pa.table({"path": ["a"]}), part)
    with pytest.raises(InputError, match="no provenance"):
        Writer(tmp_path, MADE)


def test_a_full_disk_loses_nothing_that_was_there(tmp_path):
    """On a real file system of one megabyte, where that can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    try:
        write(disk / "set", [row("a")])
        writer = Writer(disk / "set", MADE)
        writer.add(row("b", 3))
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(b"x" * free)
        with pytest.raises(InputError, match=r"cannot be written: .*[Nn]o space"):
            writer.flush()
        (disk / "filler").unlink()
        assert pq.read_table(disk / "set")["path"].to_pylist() == ["a"]
        assert [path.name for path in (disk / "set").glob(".*unfinished")] == []
        writer.flush()  # nothing was lost
        assert sorted(pq.read_table(disk / "set")["path"].to_pylist()) == ["a", "b"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
