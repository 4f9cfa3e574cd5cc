"""Data sets that grow: tracks that are added, tried again and dropped, whenever it is killed."""

import dataclasses
import pathlib
import shutil
import signal

import numpy as np
import pyarrow as pa
import pytest

from helpers import small_records
from helpers.processes import UNREAD, run_python, start_python, wait_for
from mar.errors import ConfigError, InputError
from mar.records import growth, writer
from mar.records import manifest as manifests
from mar.records.reader import RecordReader
from mar.records.verify import verify

EARLIER = {"a": (350, [0]), "b": (300, [1, 2]), "c": (320, []), "d": (310, [6])}
LATER = {"e": (400, [3]), "a": (350, [0]), "b": (300, [1]), "d": (310, [6]), "f": (444, [0, 6])}


def job(tracks, vocabulary=small_records.VOCABULARY, groups=None, shard_bytes=150_000):
    """A job of tracks `{id: (frames, labels)}`; a track's frames say what is in it."""
    columns = {
        "id": list(tracks),
        "labels": pa.array([labels for _, labels in tracks.values()], pa.list_(pa.int32())),
        "group": pa.array(groups or [None] * len(tracks), pa.string()),
        "seed": [frames for frames, _ in tracks.values()],
        "frames": [frames for frames, _ in tracks.values()],
    }
    written = small_records.job([1], shard_bytes)
    return dataclasses.replace(written, tracks=pa.table(columns), vocabulary=list(vocabulary))


def append(folder, *arguments, share=(0, 1), ordered=False, **settings):
    grown = growth.added(job(*arguments, **settings), folder, ordered)
    return grown, small_records.write_here(grown, folder, share)


def problems(location):
    return [str(problem) for found in verify(manifests.read(location)) for problem in found]


def content(location):
    """`{id: (labels, sound)}` of a data set, all of it read; names of the labels."""
    reader = RecordReader(location)
    manifest = reader.manifest
    tracks = {}
    for track, frames in enumerate(manifest.frames):
        (spectrogram,) = reader.read([track], [0], frames, None)
        np.testing.assert_array_equal(spectrogram, small_records.spectrogram(frames, frames))
        labels = [manifest.header.vocabulary[label] for label in manifest.labels(track)]
        tracks[manifest.id(track)] = (int(frames), labels)
    return tracks


def expected(tracks, vocabulary=small_records.VOCABULARY):
    named = {id: (n, [vocabulary[label] for label in labels]) for id, (n, labels) in tracks.items()}
    return {id: track for id, track in named.items() if id != "broken"}


@pytest.fixture
def folder(tmp_path):
    small_records.write_here(job(EARLIER), tmp_path / "set")
    return tmp_path / "set"


def test_a_data_set_follows_its_table(folder):
    """`e` and `f` are new, `b` has other labels, `c` is gone; a reader that was open reads on."""
    before, shards = RecordReader(folder), {p: p.read_bytes() for p in folder.glob("*.tfrecord")}
    grown, outcome = append(folder, LATER)
    assert grown.tracks["id"].to_pylist() == ["e", "b", "f"]
    assert (outcome.tracks, grown.earlier.dropped, outcome.failed) == (5, 2, [])
    assert outcome.seconds == pytest.approx(sum(frames for frames, _ in LATER.values()) / 100)
    assert content(folder) == expected(LATER)
    assert problems(folder) == []
    assert {path: path.read_bytes() for path in shards} == shards
    (kept,) = folder.glob("manifest-*.parquet")
    assert content(kept) == expected(EARLIER)
    assert problems(kept) == []
    (snippet,) = before.read([2], [0], 320, None)
    np.testing.assert_array_equal(snippet, small_records.spectrogram(320, 320))


def test_it_grows_again_and_again(folder):
    tables = [LATER, {**LATER, "c": (320, [])}, {"c": (320, []), "z": (301, [])}, {"z": (301, [])}]
    for table in tables:
        append(folder, table)
        assert content(folder) == expected(table)
        assert problems(folder) == []
    assert len(list(folder.glob("manifest-*.parquet"))) == len(tables)
    for kept in folder.glob("manifest-*.parquet"):
        assert problems(kept) == []
    assert len(manifests.read(folder).header.shards) == 1, "shards without a track are left out"


def test_what_failed_is_tried_again_and_what_is_up_to_date_left_alone(folder):
    broken = {**EARLIER, "broken": (999, [])}
    _, outcome = append(folder, broken)
    assert [id for id, _ in outcome.failed] == ["broken"]
    before = small_records.contents(folder)
    assert set(before) == {"manifest.parquet", "failed.csv"} | {
        path.name for path in folder.glob("*.tfrecord")
    }
    _, outcome = append(folder, broken)
    assert (outcome.tracks, len(outcome.failed)) == (4, 1)
    assert small_records.contents(folder) == before
    mended = dataclasses.replace(job(broken), source=Mended("float16"))
    outcome = small_records.write_here(growth.added(mended, folder), folder)
    assert (outcome.tracks, outcome.failed) == (5, [])
    assert not (folder / "failed.csv").exists()
    assert content(folder).keys() == broken.keys()


class Mended(small_records.Arrays):
    def read(self, item):
        return small_records.spectrogram(item["seed"], item["frames"], self.dtype)


def test_labels_keep_their_numbers_and_new_ones_follow(folder):
    names = ["label 9", "label 6", "label 0", "label 1"]
    table = {**EARLIER, "n": (444, [0, 1])}
    del table["b"]
    reordered = {"a": (350, [2]), "c": (320, []), "d": (310, [1]), "n": (444, [0, 1])}
    grown, _ = append(folder, reordered, names)
    assert grown.tracks["id"].to_pylist() == ["n"]
    assert grown.vocabulary == [*small_records.VOCABULARY, "label 9"]
    assert content(folder)["n"] == (444, ["label 6", "label 9"])
    assert problems(folder) == []
    with pytest.raises(ConfigError, match="expected the 8 labels of .*set in their order"):
        append(folder, reordered, names, ordered=True)
    append(folder, {**reordered, "m": (345, [8])}, [*grown.vocabulary, "x"], ordered=True)


def test_groups_follow_the_table(folder):
    append(folder, EARLIER, groups=["x", "x", None, "y"])
    manifest = manifests.read(folder)
    assert [manifest.group(track) for track in range(4)] == ["x", "x", None, "y"]
    assert manifest.groups.to_pylist() == ["x", "x", "c", "y"]
    assert problems(folder) == []


def test_what_cannot_be_added_to_is_told(folder, tmp_path):
    with pytest.raises(InputError, match="none of its 4 tracks is in the table.*merge joins"):
        append(folder, {"y": (350, [0]), "z": (350, [0])})
    other = dataclasses.replace(job(LATER), dtype="float32")
    with pytest.raises(ConfigError, match="dtype is float16, not float32"):
        growth.added(other, folder)
    front_end = {"LogMel": {**small_records.FRONT_END["LogMel"], "hop_length": 320}}
    with pytest.raises(ConfigError, match="hop_length is 160, not 320"):
        growth.added(dataclasses.replace(job(LATER), front_end=front_end), folder)
    with pytest.raises(ConfigError, match="--append"):
        small_records.write_here(job(LATER), folder)
    manifest = manifests.read(folder)
    header = dataclasses.replace(manifest.header, features={"id": None, "spectrogram": "x"})
    manifests.write(folder / "m.parquet", header, manifests.read_rows(folder))
    with pytest.raises(InputError, match=r"another program.*mar records merge"):
        growth.added(job(LATER), folder / "m.parquet")


# ---------------------------------------------------------------------- kills, and several at once

KILLED = """
import sys
import test_growth
from helpers import kills

moment, when, table, folder = int(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), sys.argv[4]
names = kills.at_replace(moment, when)
test_growth.append(folder, table)
print(len(names))
"""
HERE = pathlib.Path(__file__).parent


def killed_append(folder, table, moment, when):
    return run_python("-c", KILLED, moment, when, repr(table), folder, cwd=HERE)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_earlier_or_the_later(folder, tmp_path):
    """Plan, two shards and their parts, failures, the manifest kept, the manifest."""
    table = {**LATER, "broken": (900, [])}
    whole = killed_append(shutil.copytree(folder, tmp_path / "whole"), table, 0, "never")
    moments = int(whole.stdout)
    assert moments == 8, whole.stderr
    final = small_records.contents(tmp_path / "whole")
    states = []
    for moment, when in [*((moment, "before") for moment in (2, 3, 6, 7, 8)), (8, "after")]:
        copy = shutil.copytree(folder, tmp_path / f"{when} {moment}")
        killed = killed_append(copy, table, moment, when)
        assert killed.returncode == -signal.SIGKILL
        states.append(content(copy))
        assert problems(copy) == []
        append(copy, table)
        assert content(copy) == expected(table)
        assert small_records.contents(copy) == final, copy.name
    assert states == [expected(EARLIER)] * 5 + [expected(table)]


def test_an_append_that_was_killed_gives_way_to_one_of_another_table(folder):
    killed = killed_append(folder, LATER, 3, "after")  # a shard and its part are finished
    assert killed.returncode == -signal.SIGKILL
    abandoned = {p.name for p in folder.glob("shard-*-*-*-*")}
    assert abandoned
    grown = {**LATER, "g": (380, [])}
    with pytest.raises(InputError, match="being added to it by several machines"):
        append(folder, grown, share=(0, 2))
    append(folder, grown)
    assert content(folder) == expected(grown)
    assert problems(folder) == []
    assert not abandoned & {p.name for p in folder.iterdir()}


def test_one_process_adds_at_a_time_and_a_reader_reads_on(folder):
    """The first is held within a track, and then killed; the next one resumes."""
    script = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import test_growth; from mar.records import growth, writer\n"
        "if __name__ == '__main__':\n"
        "    job = growth.added(test_growth.job(test_growth.LATER), sys.argv[1])\n"
        "    writer.write(job, sys.argv[1])\n"
    )
    path = folder.parent / "append.py"
    path.write_text(script)
    first = start_python(path, folder, **UNREAD, HOLD_FROM="444")
    wait_for((folder / "parts" / "shard-00000.parquet").exists, first)
    assert content(folder) == expected(EARLIER)
    with pytest.raises(InputError, match=rf"\(process {first.pid} on .*\) writes into it since"):
        append(folder, LATER)
    first.kill()
    first.wait()
    done = (folder / "parts" / "shard-00000.parquet").stat().st_mtime_ns
    grown = growth.added(job(LATER), folder)
    assert writer.Shards(grown, folder, 2).is_finished(0)
    assert done == (folder / "parts" / "shard-00000.parquet").stat().st_mtime_ns
    small_records.write_here(grown, folder)
    assert content(folder) == expected(LATER)


def test_machines_share_what_is_added(folder, tmp_path):
    alone = shutil.copytree(folder, tmp_path / "alone")
    append(alone, LATER)
    _, outcome = append(folder, LATER, share=(1, 2))
    assert (outcome.missing_shards, outcome.tracks) == (1, 2 + 1)
    assert content(folder) == expected(EARLIER)
    append(folder, LATER, share=(0, 2))
    assert small_records.contents(folder) == small_records.contents(alone)
