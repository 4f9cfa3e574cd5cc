"""Marking, pruning and compacting a data set: nothing is lost, however it ends."""

import shutil
import signal
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest

from helpers.processes import run_python
from helpers.resources import DATA
from mar.embedding import npz, parts, upkeep
from mar.embedding.engine import InMemory
from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.stored import Stored
from mar.embedding.writer import Writer
from mar.errors import InputError
from mar.util.lock import FolderLock

EARLIER = DATA / "earlier" / "embeddings"
MADE = {"model": "a", "front_end": "b", "dimensions": 4, "precision": "float32", "version": "1"}
KINDS = [("mean", "parquet"), ("timeline", "parquet"), ("mean", "npz")]


def row(number, windows=3, **changed):
    values = np.random.default_rng(number).standard_normal((windows, 4)).astype(np.float32)
    known = {
        "folder": "/music",
        "size": number,
        "mtime_ns": 7,
        "audio_hash": f"hash {number}",
        "times": np.arange(windows, dtype=np.float32),
    }
    return Row(f"{number:03}.wav", "ok", **{**known, **changed}, values=values)


def in_parts(folder, parts=6, rows=5, store="mean", format="parquet"):
    """A data set of many small parts; two of its files are gone, one failed."""
    made = {**MADE, "store": store, "format": format}
    for part in range(parts):
        with Writer(folder, made) as writer:
            for number in range(part * rows, (part + 1) * rows):
                writer.add(row(number))
    with Writer(folder, made) as writer:
        writer.add(Row("bad.wav", "failed", "why", folder="/music"))
        assert writer.leave(["003.wav", "017.wav"]) == {"003.wav", "017.wav"}
    return folder


def content(folder):
    """All that can be read, of whatever state."""
    embeddings = Embeddings(folder)
    vectors = {path: embeddings.mean(path).tobytes() for path in embeddings.paths}
    hashes = embeddings.audio_hashes()
    return vectors, hashes, dict(embeddings.failures), embeddings.gone


def parts_of(folder):
    return sorted(folder.glob("*.parquet"))


# ------------------------------------------------------------------------------------------- gone


@pytest.mark.parametrize(("store", "format"), KINDS)
def test_what_is_gone_is_left_out_and_keeps_its_embedding(tmp_path, store, format):
    in_parts(tmp_path, store=store, format=format)
    embeddings = Embeddings(tmp_path)
    assert embeddings.gone == ["003.wav", "017.wav"]
    assert embeddings.failures == {"bad.wav": "why"}
    assert len(embeddings) == len(embeddings.paths) == 28
    assert "003.wav" not in embeddings
    assert "003.wav" not in {track.path for track in embeddings.nearest(np.ones(4), k=99)}
    assert "003.wav" not in embeddings.audio_hashes()
    with pytest.raises(InputError, match="003.wav is gone.*run that again"):
        embeddings.mean("003.wav")
    frame = embeddings.to_pandas().set_index("path")
    assert frame.loc["003.wav", "status"] == "gone"
    assert frame.loc["003.wav", "mean"] is None
    with Writer(tmp_path, embeddings.provenance) as writer:
        back = writer.find(Row("003.wav", "failed", audio_hash="hash 3"))
        np.testing.assert_allclose(back.mean, row(3).mean, rtol=1e-6)
        elsewhere = writer.find(Row("new.wav", "failed", audio_hash="hash 17"))
        np.testing.assert_allclose(elsewhere.mean, row(17).mean, rtol=1e-6)


@pytest.mark.parametrize(("store", "format"), KINDS)
def test_a_path_that_was_moved_leaves_nothing(tmp_path, store, format):
    in_parts(tmp_path, store=store, format=format)
    with Writer(tmp_path, Embeddings(tmp_path).provenance) as writer:
        for old, new in ((3, 103), (5, 105)):  # one was gone before
            writer.add(moved(old, new))
        writer.leave(["005.wav", "bad.wav"])
    embeddings = Embeddings(tmp_path)
    assert embeddings.gone == ["017.wav"]
    assert dict(embeddings.failures) == {}
    assert {"103.wav", "105.wav"} < set(embeddings.paths)
    raw = [path for part in parts_of(tmp_path) for path in pq.read_table(part)["path"].to_pylist()]
    assert not {"003.wav", "005.wav", "bad.wav"} & set(raw)
    if format == "npz":
        assert not (tmp_path / "005.wav.npz").exists()


def moved(old, new):
    kept = row(old)
    kept.path = f"{new:03}.wav"
    return kept


def test_of_two_copies_that_go_at_once_one_stays_marked(tmp_path):
    with Writer(tmp_path, {**MADE, "store": "mean", "format": "parquet"}) as writer:
        for path in ("a.wav", "b.wav", "c.wav"):
            copy = row(1)
            copy.path = path
            writer.add(copy)
    with Writer(tmp_path, Embeddings(tmp_path).provenance) as writer:
        writer.leave(["a.wav"])  # its audio is there
    assert Embeddings(tmp_path).gone == []
    assert Embeddings(tmp_path).paths == ["b.wav", "c.wav"]
    with Writer(tmp_path, Embeddings(tmp_path).provenance) as writer:
        writer.leave(["b.wav", "c.wav"])
    assert Embeddings(tmp_path).gone == ["b.wav", "c.wav"]


# --------------------------------------------------------------------------------------- pruning


@pytest.mark.parametrize(("store", "format"), KINDS)
def test_pruning_removes_what_is_gone_and_nothing_else(tmp_path, store, format):
    in_parts(tmp_path, store=store, format=format)
    vectors, hashes, failures, _ = content(tmp_path)
    assert upkeep.prune(tmp_path) == 2
    assert content(tmp_path) == (vectors, hashes, failures, [])
    assert not list(tmp_path.glob("003.wav*"))
    assert upkeep.prune(tmp_path) == 0
    with Writer(tmp_path, Embeddings(tmp_path).provenance) as writer:
        assert writer.find(Row("003.wav", "failed", audio_hash="hash 3")) is None


# ------------------------------------------------------------------------------------- compacting


@pytest.mark.parametrize(("store", "format"), KINDS)
def test_compacting_leaves_one_part_that_reads_the_same(tmp_path, store, format):
    in_parts(tmp_path, store=store, format=format)
    before, version = content(tmp_path), Embeddings(tmp_path).version
    assert upkeep.compact(tmp_path) == (7, 1)
    assert content(tmp_path) == before
    assert Embeddings(tmp_path).version != version
    assert upkeep.compact(tmp_path) == (1, 1)
    with Writer(tmp_path, Embeddings(tmp_path).provenance) as writer:  # and is added to
        writer.add(row(0, size=99))
    assert content(tmp_path) == before
    assert Embeddings(tmp_path).row("000.wav")["size"] == 99


def test_parts_of_healthy_size_stay_and_none_grows_beyond_it(tmp_path, monkeypatch):
    in_parts(tmp_path, parts=9, rows=20)
    sizes = [part.stat().st_size for part in parts_of(tmp_path)]
    monkeypatch.setattr(upkeep, "_PART_BYTES", 3.5 * max(sizes))
    before = content(tmp_path)
    _, after = upkeep.compact(tmp_path)
    assert content(tmp_path) == before
    assert 3 <= after <= 4
    assert all(part.stat().st_size < 3.5 * max(sizes) for part in parts_of(tmp_path))
    inodes = {part.stat().st_ino for part in parts_of(tmp_path)}
    monkeypatch.setattr(upkeep, "_PART_BYTES", 1.0)
    assert upkeep.compact(tmp_path) == (after, after)
    assert {part.stat().st_ino for part in parts_of(tmp_path)} == inodes


def test_groups_of_rows_stay_small_and_are_read_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("mar.embedding.rows._GROUP_ROWS", 10)
    in_parts(tmp_path, parts=7, rows=4)
    before = content(tmp_path)
    upkeep.compact(tmp_path)
    (part,) = parts_of(tmp_path)
    footer = pq.ParquetFile(part).metadata
    groups = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    assert max(groups) <= 10
    assert min(groups[:-1]) > 5
    assert content(tmp_path) == before
    assert [len(paths) for paths, _ in Embeddings(tmp_path).vectors(["000.wav", "027.wav"])] == [
        1,
        1,
    ]


@pytest.mark.parametrize("kept", ["parquet_mean", "parquet_timeline", "npz_mean", "npz_timeline"])
def test_what_version_010_wrote_is_compacted(tmp_path, kept):
    folder = tmp_path / "set"
    shutil.copytree(EARLIER / kept, folder)
    before = content(folder)
    made = Embeddings(folder).provenance
    values = np.ones((2, made["dimensions"]), np.float32)
    with Writer(folder, made) as writer:
        new = Row("n.wav", "ok", audio_hash="h", times=np.arange(2.0), values=values)
        writer.add(new)
    assert upkeep.compact(folder) == (2, 1)
    assert Embeddings(folder).paths == sorted([*before[0], "n.wav"])
    for path, vector in before[0].items():
        assert Embeddings(folder).mean(path).tobytes() == vector
    assert Embeddings(folder).row("a.wav")["audio_hash"] is None


# ------------------------------------------------------------------------------------------ kills

SCRIPT = """
import sys
from helpers import kills
from mar.embedding import parts, upkeep
names = kills.at_change(int(sys.argv[3]), sys.argv[4])
getattr(upkeep, sys.argv[1])(sys.argv[2])
print(len(names))
"""


@pytest.mark.parametrize(
    ("what", "moment", "when"),
    [("compact", 1, "before"), ("compact", 5, "after"), ("prune", 1, "before")],
)
def test_a_kill_loses_nothing_and_the_next_goes_on(tmp_path, what, moment, when):
    """Where a part takes its name (1), and where others are deleted (2…8)."""
    assert is_killed_without_loss(in_parts(tmp_path / "set"), tmp_path, what, moment, when)


@pytest.mark.slow
@pytest.mark.parametrize(("store", "format"), KINDS)
@pytest.mark.parametrize("what", ["compact", "prune"])
def test_kills_at_every_moment_lose_nothing(tmp_path, what, store, format):
    for when in ("before", "after"):
        for moment in range(1, 99):
            place = tmp_path / f"{when} {moment}"
            folder = in_parts(place / "set", store=store, format=format)
            if not is_killed_without_loss(folder, place, what, moment, when):
                break
        assert moment > 1


def is_killed_without_loss(folder, place, what, moment, when):
    """Whether it was killed; then what is read is as before, and at last as if undisturbed."""
    before = content(folder)
    undisturbed = place / "undisturbed"
    shutil.copytree(folder, undisturbed)
    getattr(upkeep, what)(undisturbed)
    process = run_python("-c", SCRIPT, what, folder, moment, when)
    if process.returncode == 0:
        return False
    assert process.returncode == -signal.SIGKILL, process.stderr
    now = content(folder)
    assert now[:3] == before[:3]
    assert set(now[3]) <= set(before[3])
    getattr(upkeep, what)(folder)
    assert content(folder) == content(undisturbed)
    counts = [sum(map(rows_in, parts_of(each))) for each in (folder, undisturbed)]
    assert counts[0] == counts[1]
    assert len(parts_of(folder)) == len(parts_of(undisturbed))
    assert {f.name for f in folder.glob("*.npz")} == {f.name for f in undisturbed.glob("*.npz")}
    return True


def rows_in(part):
    return pq.read_metadata(part).num_rows


def test_a_reader_sees_one_state_or_says_that_it_changed(tmp_path):
    folder = in_parts(tmp_path / "set", parts=30)
    expected, stop, wrong = content(folder)[0], threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                if content(folder)[0] != expected:
                    wrong.append("other content")
            except InputError as error:
                if "open it anew" not in str(error) and "changes all the time" not in str(error):
                    wrong.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    upkeep.compact(folder)
    upkeep.prune(folder)
    stop.set()
    reader.join()
    assert not wrong


def test_a_part_that_is_replaced_while_it_is_opened_is_not_called_damaged(tmp_path, monkeypatch):
    part = parts.open_all(in_parts(tmp_path / "set"))[0]
    other = parts_of(in_parts(tmp_path / "other", rows=9))[0]
    opens = pq.ParquetFile

    def replaced(path, **options):
        other.replace(path)
        return opens(path, **options)

    monkeypatch.setattr(pq, "ParquetFile", replaced)
    with pytest.raises(InputError, match="open it anew"):
        list(part.batches(part.columns))


# --------------------------------------------------------------------------------------- refusals


def test_what_is_written_into_is_left_alone(tmp_path):
    in_parts(tmp_path, parts=4)
    with FolderLock(tmp_path):
        for upkept in (upkeep.prune, upkeep.compact):
            with pytest.raises(InputError, match="writes into it since"):
                upkept(tmp_path)
    for upkept in (upkeep.prune, upkeep.compact):
        with pytest.raises(InputError, match="absent: holds no embeddings"):
            upkept(tmp_path / "absent")


def test_a_damaged_part_stops_compaction_and_nothing_is_deleted(tmp_path):
    in_parts(tmp_path, parts=3, rows=20)
    first = parts_of(tmp_path)[0]
    damaged = bytearray(first.read_bytes())
    damaged[300] ^= 4
    first.write_bytes(damaged)
    before = {part: part.read_bytes() for part in parts_of(tmp_path)}
    with pytest.raises(InputError, match=f"{first.name}: damaged"):
        upkeep.compact(tmp_path)
    assert {part: part.read_bytes() for part in parts_of(tmp_path)} == before


def test_the_command_keeps_a_data_set_in_order_without_tensorflow(tmp_path):
    in_parts(tmp_path)
    script = """
import sys
from mar import embed
from mar.util import cli
try:
    cli.run(embed.main)
finally:
    print(*({"tensorflow", "keras", "librosa"} & {*sys.modules}))
"""
    process = run_python("-c", script, "--output", tmp_path, "--prune", "--compact", fresh=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split("\n")[-2] == ""
    assert "2 that were gone are removed" in process.stdout
    assert "1 files of Parquet, of 7" in process.stdout
    refused = run_python("-m", "mar.embed", "--output", tmp_path, "--prune", "--shard=0/2")
    assert refused.returncode == 1
    assert "--prune and --compact: expected no --shard" in refused.stderr


def test_files_that_shards_number_anew_keep_their_embeddings(tmp_path):
    """`.npz` files change before the rows that tell of them: a becomes c, and c becomes e."""
    made = {**MADE, "store": "mean", "format": "npz"}
    with Writer(tmp_path, made) as writer:
        for number in (1, 3, 5):
            writer.add(row(number))
    with Writer(tmp_path, made, (0, 2)) as one, Writer(tmp_path, made, (1, 2)) as other:
        renamed = row(1)
        renamed.path = "003.wav"
        one.add(renamed)
        one.flush()
        wanted = Row("005.wav", "failed", audio_hash="hash 3")
        in_memory = InMemory(made, Stored(tmp_path, before=one.written))
        for found in (other.find(wanted), in_memory.find(wanted)):
            assert found is None  # it is embedded afresh
    npz.write(tmp_path, made, "001.wav", "hash 9", np.zeros(1), row(9).values)  # killed after that
    with pytest.raises(
        InputError, match="001.wav.npz: the embedding of another audio .*run mar em"
    ):
        Embeddings(tmp_path).mean("001.wav")


def test_two_paths_of_one_npz_file_are_refused(tmp_path):
    with Writer(tmp_path, {**MADE, "store": "mean", "format": "npz"}) as writer:
        for path in ("x/a.wav", "/y.wav"):
            added = row(1)
            added.path = path
            writer.add(added)
        for path in ("/x/a.wav", "y.wav"):
            added = row(2)
            added.path = path
            with pytest.raises(InputError, match="would both lie in .*--format parquet"):
                writer.add(added)


def test_shards_that_end_together_tidy_beside_each_other(tmp_path, monkeypatch):
    """One rewrites a part while the other is about to."""
    made = {**MADE, "store": "mean", "format": "parquet"}
    with Writer(tmp_path, made) as writer:
        for number in range(4):
            writer.add(row(number))
    one, other = (Writer(tmp_path, made, (shard, 2)) for shard in range(2))
    one.add(row(0, windows=2))
    other.add(row(1, windows=2))
    indexed, closed = upkeep.LatestRows, []

    def between(opened):
        index = indexed(opened)
        if not closed:
            closed.append(one)
            one.close()
        return index

    monkeypatch.setattr(upkeep, "LatestRows", between)
    other.close()
    assert closed
    assert [len(each) for each in Embeddings(tmp_path).table(["times"])["times"].to_pylist()]
    raw = [path for part in parts_of(tmp_path) for path in pq.read_table(part)["path"].to_pylist()]
    assert sorted(raw) == [f"00{number}.wav" for number in range(4)]
