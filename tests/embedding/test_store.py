import json
import os
import shutil
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.processes import start_python
from helpers.resources import DATA
from mar.embedding import files
from mar.embedding import rows as columns
from mar.embedding import writer as writing
from mar.embedding.changes import Known
from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.writer import Writer
from mar.errors import InputError

EARLIER = DATA / "earlier" / "embeddings"
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
    known = {
        "folder": "/music",
        "size": 10,
        "mtime_ns": 20,
        "audio_hash": f"hash of {path}",
        "duration": 6.0,
        "reader": "soundfile",
        "sample_rate": 44100,
        "channels": 2,
        "notes": [],
        "damaged_seconds": 0.0,
        "padded": False,
        "times": np.arange(windows, dtype=np.float32),
    }
    return Row(path, "ok", **{**known, **kwargs}, values=values)


def write(folder, rows, **made):
    with Writer(folder, {**MADE, **made}) as writer:
        for each in rows:
            writer.add(each)


def raw_paths(folder):
    parts = [pq.read_table(part)["path"].to_pylist() for part in folder.glob("*.parquet")]
    return sorted(path for paths in parts for path in paths)


@pytest.mark.parametrize("format", ["parquet", "npz"])
@pytest.mark.parametrize("store", ["mean", "timeline"])
def test_means_are_read_back(tmp_path, store, format):
    rows = [row("a", 3, 1), Row("bad", "failed", "why"), row("b/c", 1, 2), row("d", 5, 3)]
    write(tmp_path, rows, store=store, format=format)
    found = {}
    for paths, vectors in Embeddings(tmp_path).vectors():
        assert vectors.dtype == np.float32
        found |= dict(zip(paths, vectors, strict=True))
    assert set(found) == {"a", "b/c", "d"}
    for each in rows:
        if each.status == "ok":
            np.testing.assert_allclose(found[each.path], each.mean, rtol=1e-5, atol=1e-6)


def test_the_columns(tmp_path):
    write(tmp_path, [row("a", notes=["x", "y"]), Row("bad", "failed", "why", 1, 2)])
    good, bad = pq.read_table(tmp_path).to_pylist()
    assert good["times"] == [0, 1, 2]
    assert good["notes"] == ["x", "y"]
    assert good["audio_hash"] == "hash of a"
    assert (good["reader"], good["channels"], good["damaged_seconds"]) == ("soundfile", 2, 0.0)
    np.testing.assert_allclose(good["mean"], row("a").mean, rtol=1e-6)
    assert (bad["status"], bad["reason"], bad["size"]) == ("failed", "why", 1)
    assert {bad[name] for name in bad if name not in ("path", "status", "reason", "size")} == {
        None,
        2,
    }
    (part,) = tmp_path.glob("*.parquet")
    schema = pq.read_schema(part)
    assert schema.field("mean").type.list_size == 4
    assert json.loads(schema.metadata[b"mar"])["schema"] == 2


def test_floats_are_split_into_streams_and_all_is_zstd(tmp_path):
    write(tmp_path, [row("a"), row("b")], store="timeline")
    (part,) = tmp_path.glob("*.parquet")
    group = pq.ParquetFile(part).metadata.row_group(0)
    floats = set()
    for number in range(group.num_columns):
        column = group.column(number)
        assert column.compression == "ZSTD"
        if column.physical_type in ("FLOAT", "DOUBLE"):
            assert "BYTE_STREAM_SPLIT" in column.encodings
            assert not any("DICTIONARY" in encoding for encoding in column.encodings)
            floats.add(column.path_in_schema.partition(".")[0])
    assert floats == {"duration", "damaged_seconds", "times", "timeline"}


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


def test_what_cannot_be_kept_is_a_failure_of_that_file(tmp_path):
    write(tmp_path, [row("x" * 252), row("y")], format="npz")
    embeddings = Embeddings(tmp_path)
    assert embeddings.paths == ["y"]
    assert "too long" in embeddings.failures["x" * 252]
    wrong = row("nan")
    wrong.values[1, 2] = np.nan
    write(tmp_path / "nan", [wrong, row("y")])
    assert "NaN" in Embeddings(tmp_path / "nan").failures["nan"]


# -------------------------------------------------------------------------------------- resuming


def test_resuming_tells_what_is_done(tmp_path):
    write(tmp_path, [row("a"), Row("bad", "failed", "why"), Row("x", "skipped", "no", 5, 6)])
    with Writer(tmp_path, {**MADE, "version": "2"}) as writer:
        assert {path: known._replace(place=None) for path, known in writer.known.items()} == {
            "a": Known("ok", 10, 20, "/music", "hash of a"),
            "bad": Known("failed", None, None, None, None),
            "x": Known("skipped", 5, 6, None, None),
        }


@pytest.mark.parametrize("format", ["parquet", "npz"])
def test_the_later_row_counts_and_the_other_is_removed(tmp_path, format):
    write(tmp_path, [row("a"), row("b"), Row("bad", "failed", "why")], format=format)
    with Writer(tmp_path, {**MADE, "format": format}) as writer:
        writer.add(row("a", seed=9))
        writer.add(Row("b", "failed", "changed"))
        writer.add(row("bad", seed=8))
        writer.flush()
        assert len(raw_paths(tmp_path)) == 6  # nothing is lost before it was replaced
        embeddings = Embeddings(tmp_path)
        assert embeddings.paths == ["a", "bad"]
        assert embeddings.failures == {"b": "changed"}
        for path, seed in (("a", 9), ("bad", 8)):
            np.testing.assert_allclose(embeddings.mean(path), row(path, seed=seed).mean, rtol=1e-6)
        assert embeddings.to_pandas()["path"].tolist() == ["a", "b", "bad"]
    assert raw_paths(tmp_path) == ["a", "b", "bad"]
    assert len(list(tmp_path.glob("*.parquet"))) == 1  # nothing was left of the other
    if format == "npz":
        assert {path.name for path in tmp_path.glob("*.npz")} == {"a.npz", "bad.npz"}


def test_only_parts_with_what_is_replaced_are_rewritten(tmp_path):
    for name in "abc":
        write(tmp_path, [row(name), row(name * 2)])
    before = {part: part.stat().st_ino for part in tmp_path.glob("*.parquet")}
    write(tmp_path, [row(name, seed=1) for name in ("a", "c", "cc")])
    after = {part: part.stat().st_ino for part in tmp_path.glob("*.parquet")}
    assert len(after) == 3  # of c nothing is left, and there is a new one
    assert sum(before.get(part) == inode for part, inode in after.items()) == 1
    assert raw_paths(tmp_path) == ["a", "aa", "b", "bb", "c", "cc"]
    for part in after:
        assert pq.read_schema(part).metadata[b"mar"]
    np.testing.assert_allclose(Embeddings(tmp_path).mean("aa"), row("aa").mean, rtol=1e-6)


def test_a_later_run_counts_where_the_clock_was_put_back(tmp_path, monkeypatch):
    write(tmp_path, [row("a")])
    monkeypatch.setattr(writing.time, "time_ns", lambda: 1)
    monkeypatch.setattr(writing.time, "strftime", lambda *_: "1999")
    write(tmp_path, [row("a", seed=7)])
    np.testing.assert_allclose(Embeddings(tmp_path).mean("a"), row("a", seed=7).mean, rtol=1e-6)
    assert raw_paths(tmp_path) == ["a"]


def test_what_a_double_run_left_is_read_once_and_mended(tmp_path):
    """As version 0.1.0 did: two parts with rows of the same files."""
    shutil.copytree(EARLIER / "parquet_mean", tmp_path / "set")
    (part,) = (tmp_path / "set").glob("*.parquet")
    shutil.copy(part, part.with_name("part-20261129.parquet"))
    assert pq.read_table(tmp_path / "set").num_rows == 8
    once, twice = Embeddings(EARLIER / "parquet_mean"), Embeddings(tmp_path / "set")
    assert twice.paths == once.paths
    assert len(twice) == 2
    np.testing.assert_array_equal(twice.means(once.paths), once.means(once.paths))
    assert sum(len(paths) for paths, _ in twice.vectors()) == 2
    assert len(twice.to_pandas()) == 4
    with Writer(tmp_path / "set", once.provenance):
        assert raw_paths(tmp_path / "set") == sorted([*once.paths, *once.failures])


@pytest.mark.parametrize("kept", ["parquet_mean", "parquet_timeline", "npz_mean", "npz_timeline"])
def test_what_version_010_wrote_is_added_to(tmp_path, kept):
    shutil.copytree(EARLIER / kept, tmp_path / "set")
    (old,) = (tmp_path / "set").glob("*.parquet")
    content, earlier = old.read_bytes(), Embeddings(EARLIER / kept)
    made = earlier.provenance
    values = np.ones((2, earlier.dimensions), np.float32)
    new = Row("new.wav", "ok", audio_hash="h", times=np.arange(2.0), values=values)
    with Writer(tmp_path / "set", {**made, "front_end": "another", "version": "9"}) as writer:
        assert set(writer.known) == {*earlier.paths, *earlier.failures}
        assert writer.known["a.wav"].audio_hash is None
        writer.add(new)
        writer.add(Row("broken.wav", "failed", "still broken"))
    embeddings = Embeddings(tmp_path / "set")
    assert embeddings.paths == sorted([*earlier.paths, "new.wav"])
    np.testing.assert_array_equal(embeddings.means(earlier.paths), earlier.means(earlier.paths))
    np.testing.assert_array_equal(embeddings.mean("new.wav"), values[0])
    assert embeddings.failures["broken.wav"] == "still broken"
    frame = embeddings.to_pandas().set_index("path")
    assert frame.loc["new.wav", "audio_hash"] == "h"
    assert frame["audio_hash"].isna().sum() == len(frame) - 1
    assert old.read_bytes() != content  # but for the row that was replaced
    assert "audio_hash" not in pq.read_schema(old).names


@pytest.mark.parametrize("name", ["model", "front_end", "window_seconds", "precision", "store"])
def test_another_way_of_making_is_refused(tmp_path, name):
    write(tmp_path, [row("a")])
    other = {**MADE, name: {"window_seconds": 4.0, "store": "timeline"}.get(name, "other")}
    with pytest.raises(InputError, match=rf"made in another way; {name}: .*another --output"):
        Writer(tmp_path, other)
    write(tmp_path / "other", [row("b")], **other)  # nothing is locked any longer
    for part in (tmp_path / "other").glob("*.parquet"):
        part.rename(tmp_path / f"z-{part.name}")
    with pytest.raises(InputError, match="made in another way than the rest"):
        Embeddings(tmp_path)


def test_front_ends_are_compared_by_their_settings(tmp_path):
    made = {"front_end": "recorded", "front_end_config": {"LogMel": {"fmin": 0}}}
    write(tmp_path, [row("a")], **made)
    same = {"front_end": "today", "front_end_config": {"LogMel": {"fmin": 0.0, "fmax": 8000}}}
    write(tmp_path, [row("b")], **same)
    assert Embeddings(tmp_path).paths == ["a", "b"]
    other = {"front_end": "today", "front_end_config": {"LogMel": {"fmin": 20.0}}}
    with pytest.raises(InputError, match="another way; front_end: fmin 0.0 there, fmin 20.0 here"):
        write(tmp_path, [row("c")], **other)


# --------------------------------------------------------------------------------------- writing


def test_rows_are_flushed_by_number_size_and_time(tmp_path, monkeypatch):
    def count():
        return len(list(tmp_path.glob("*.parquet")))

    with Writer(tmp_path, MADE) as writer:
        writer.add(row("a"))
        assert count() == 0
        monkeypatch.setattr(writing, "_PART_ROWS", 2)
        writer.add(row("b"))
        assert count() == 1
        monkeypatch.setattr(writing, "_PART_BYTES", 1)
        writer.add(row("c"))
        assert count() == 2
        monkeypatch.undo()
        monkeypatch.setattr(writing, "_PART_SECONDS", 0.0)
        writer.add(row("d"))
        assert count() == 3
        monkeypatch.undo()
        writer.add(row("e"))
    assert count() == 4
    assert raw_paths(tmp_path) == ["a", "b", "c", "d", "e"]


def test_an_interruption_just_after_a_part_is_written_does_not_write_it_twice(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(writing, "_PART_ROWS", 1)
    write_part = writing.write_part

    def interrupted(*arguments):
        monkeypatch.setattr(writing, "write_part", write_part)
        write_part(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, [row("a")])
    assert raw_paths(tmp_path) == ["a"]


@pytest.mark.parametrize("format", ["parquet", "npz"])
@pytest.mark.parametrize("kept", ["mean", "timeline"])
def test_the_row_of_an_audio_is_found_wherever_it_is(tmp_path, kept, format):
    made = {"store": kept, "format": format}
    write(tmp_path, [row("a", seed=1)], **made)
    with Writer(tmp_path, {**MADE, **made}) as writer:
        writer.add(row("b", seed=2))
        writer.flush()
        writer.add(row("c", seed=3))
        for seed, path in enumerate("abc", 1):
            found = writer.find(Row("new", "failed", audio_hash=f"hash of {path}"))
            expected = row(path, seed=seed)
            assert (found.path, found.reader, found.notes) == (path, "soundfile", [])
            np.testing.assert_array_equal(found.times, expected.times)
            np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-6)
            if kept == "timeline":
                np.testing.assert_array_equal(found.values, expected.values)
        assert writer.find(Row("new", "failed", audio_hash="another")) is None
        writer.add(row("a", audio_hash="new", seed=9))
        found = writer.find(Row("new", "failed", audio_hash="hash of a"))
        if format == "npz":  # whose file has the new one, or will have
            assert found is None
        else:  # its old row is there until the end
            np.testing.assert_allclose(found.mean, row("a", seed=1).mean, rtol=1e-6)
        writer.add(Row("c", "failed", "why"))
        assert writer.find(Row("new", "failed", audio_hash="hash of c")) is None


WRITE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from embedding.test_store import *
with Writer(sys.argv[2], MADE, (int(sys.argv[3]), int(sys.argv[4]))) as writer:
    for number in range(3):
        writer.add(row(f"{sys.argv[3]}/{number}"))
        writer.flush()
    print("open", flush=True)
    sys.stdin.read()
"""


def hold_open(folder, shard=(0, 1)):
    """Another process that holds a data set open until its input ends."""
    process = start_python("-c", WRITE, DATA.parent, folder, *shard, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "open\n"
    return process


def test_one_writes_at_a_time_and_all_may_read(tmp_path):
    process = hold_open(tmp_path)
    with pytest.raises(InputError, match=f"process {process.pid} on .* writes into it since"):
        Writer(tmp_path, MADE)
    assert Embeddings(tmp_path).paths == ["0/0", "0/1", "0/2"]
    process.kill()
    process.wait()
    write(tmp_path, [row("a")])
    assert len(Embeddings(tmp_path)) == 4


def test_shards_write_at_a_time_and_replace_rows(tmp_path):
    write(tmp_path, [row(f"{shard}/{number}", seed=5) for shard in range(2) for number in range(3)])
    processes = [hold_open(tmp_path, (shard, 2)) for shard in range(2)]
    with pytest.raises(InputError, match="writes into it since"):
        Writer(tmp_path, MADE, (1, 2))
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    embeddings = Embeddings(tmp_path)
    assert len(embeddings) == 6
    np.testing.assert_allclose(embeddings.mean("1/2"), row("1/2").mean, rtol=1e-6)
    assert len(raw_paths(tmp_path)) == 6


@pytest.mark.parametrize("format", ["parquet", "npz"])
def test_shards_that_find_the_same_disk_gone_remove_nothing(tmp_path, format):
    """The first that ends rewrites the part that the other has opened."""
    paths = ["0/0", "0/1", "0/2", "1/0", "1/1", "1/2"]
    assert {files.shard_of(path, 2) for path in paths} == {0, 1}
    made = {**MADE, "format": format}
    write(tmp_path, [row(path) for path in paths], format=format)
    writers = [Writer(tmp_path, made, (shard, 2)) for shard in range(2)]
    for writer in writers:
        writer.leave(paths)
        writer.close()
    assert Embeddings(tmp_path).gone == paths
    npz_files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.npz"))
    assert len(npz_files) == (len(paths) if format == "npz" else 0)
    write(tmp_path, [row("0/1")], format=format)  # it is back, with its embedding
    assert Embeddings(tmp_path).paths == ["0/1"]


def test_a_file_that_is_gone_with_its_npz_is_removed(tmp_path):
    write(tmp_path, [row("a"), row("b")], format="npz")
    (tmp_path / "a.npz").unlink()
    with Writer(tmp_path, {**MADE, "format": "npz"}) as writer:
        writer.leave(["a", "b"])
    assert Embeddings(tmp_path).gone == ["b"]
    assert raw_paths(tmp_path) == ["b"]


def test_a_shard_removes_no_row_of_another(tmp_path):
    """It still takes for gone what the other found back, and has a copy of it."""
    own, copy = (next(p for p in "abcdef" if files.shard_of(p, 2) == shard) for shard in (1, 0))
    write(tmp_path, [row(own)])
    with Writer(tmp_path, MADE) as writer:
        writer.leave([own])
    assert Embeddings(tmp_path).gone == [own]
    last, first = (Writer(tmp_path, MADE, (shard, 2)) for shard in range(2))
    first.add(row(own))
    first.close()
    last.add(row(copy, audio_hash=f"hash of {own}"))
    last.leave([])
    last.close()
    assert Embeddings(tmp_path).paths == sorted([own, copy])


# --------------------------------------------------------------------------------------- damage


def test_what_is_no_data_set_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot be made: File exists"):
        Writer(tmp_path / "file", MADE)
    with pytest.raises(InputError, match="holds no embeddings"):
        Embeddings(tmp_path)
    write(tmp_path, [row("a")])
    (part,) = tmp_path.glob("*.parquet")
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"{part.name}: not a readable Parquet file"):
        Embeddings(tmp_path)
    pq.write_table(pa.table({"path": ["a"]}), part)
    with pytest.raises(InputError, match="no provenance"):
        Writer(tmp_path, MADE)


def test_a_later_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "SCHEMA", 3)
    write(tmp_path, [row("a")])
    monkeypatch.undo()
    with pytest.raises(InputError, match="expected a schema of at most 2, found 3"):
        Embeddings(tmp_path)


@pytest.mark.parametrize("kept", ["mean", "timeline"])
def test_a_flipped_bit_is_never_an_embedding(tmp_path, kept):
    """At many places: the data set is refused by name, or what is read is right."""
    rows = [row(f"{number}", 3, number) for number in range(50)]
    write(tmp_path, rows, store=kept)
    (part,) = tmp_path.glob("*.parquet")
    content = part.read_bytes()
    expected = Embeddings(tmp_path).means([each.path for each in rows])
    rng, damaged = np.random.default_rng(0), 0
    for place in rng.choice(len(content), 300, replace=False):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(8)
        part.write_bytes(flipped)
        try:
            means = Embeddings(tmp_path).means([each.path for each in rows])
        except InputError as error:
            damaged += str(part) in str(error)
        else:
            np.testing.assert_array_equal(means, expected)
    assert damaged > 100


def test_a_damaged_npz_is_named(tmp_path):
    write(tmp_path, [row("a")], format="npz")
    file = tmp_path / "a.npz"
    content = bytearray(file.read_bytes())
    content[content.index(b"\x93NUMPY") + 140] ^= 4
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: not an archive of arrays.*CRC"):
        Embeddings(tmp_path).mean("a")


def test_a_full_disk_loses_nothing_that_was_there(tmp_path):
    """On a real file system of one megabyte, where that can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    try:
        write(disk / "set", [row("a")])
        with Writer(disk / "set", MADE) as writer:
            writer.add(row("b", 3))
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            (disk / "filler").write_bytes(b"x" * free)
            with pytest.raises(InputError, match=r"cannot be written: .*[Nn]o space"):
                writer.flush()
            (disk / "filler").unlink()
            assert raw_paths(disk / "set") == ["a"]
            assert [path.name for path in (disk / "set").glob(".*unfinished")] == []
            writer.flush()  # nothing was lost
            assert raw_paths(disk / "set") == ["a", "b"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
