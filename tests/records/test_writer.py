"""Writing: the same bytes whatever the workers, the machines and the interruptions."""

import os
import pathlib
import signal
import subprocess

import numpy as np
import pytest

from helpers import small_records
from helpers.processes import UNREAD, is_running, run_python, start_python, wait_for
from mar.errors import ConfigError, InputError
from mar.records import manifest as manifests
from mar.records import writer

FRAMES = [320, 700, 45, 500, 610, 333, 900, 310, 450, 400, 520, 380]
IDS = [f"track {t}" for t in range(11)] + ["broken"]
SCRIPT = f"""
import sys
from helpers import small_records
from mar.records import writer
if __name__ == "__main__":
    job = small_records.job({FRAMES}, 150_000, ids={IDS})
    writer.write(job, sys.argv[1], int(sys.argv[2]), (int(sys.argv[3]), int(sys.argv[4])))
"""


def job(**settings):
    return small_records.job(FRAMES, **{"shard_bytes": 150_000, "ids": IDS, **settings})


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "write.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What every way of writing must end with."""
    folder = tmp_path_factory.mktemp("expected")
    outcome = small_records.write_here(job(), folder)
    assert (outcome.tracks, outcome.missing_shards) == (11, 0)
    assert outcome.seconds == pytest.approx(sum(FRAMES[:-1]) / 100)
    contents = small_records.contents(folder)
    assert len([name for name in contents if name.endswith(".tfrecord")]) == 6
    assert set(contents) >= {"manifest.parquet", "failed.csv"}
    return contents


def write(script, folder, workers=1, share=(0, 1)):
    process = run_python(script, folder, workers, *share)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_does_not_matter(script, expected, tmp_path, workers):
    write(script, tmp_path / "set", workers=workers)
    assert small_records.contents(tmp_path / "set") == expected


def test_machines_share_the_work(script, expected, tmp_path):
    folder = tmp_path / "set"
    write(script, folder, share=(2, 3))
    assert not (folder / manifests.NAME).exists()
    first = {p.name for p in folder.glob("*.tfrecord")}
    write(script, folder, share=(0, 3))
    assert not (folder / manifests.NAME).exists()
    write(script, folder, share=(1, 3))
    assert small_records.contents(folder) == expected
    assert first == set(sorted(n for n in expected if n.endswith("tfrecord"))[2::3])


def test_shards_are_about_as_large_as_asked(tmp_path):
    reader = small_records.data_set(tmp_path / "set", [400] * 40, shard_bytes=400 * 192 * 8)
    sizes = [shard.size for shard in reader.manifest.header.shards]
    assert len(sizes) == 5
    np.testing.assert_allclose(sizes, 400 * 192 * 8, rtol=0.01)


# -------------------------------------------------------------------------------- kills


def children(pid):
    """The processes that a process has started."""
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.mark.parametrize(
    ("workers", "how"),
    [
        pytest.param(1, signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(2, signal.SIGKILL, marks=pytest.mark.slow),
        (2, signal.SIGINT),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bytes(script, expected, tmp_path, workers, how):
    """kill -9, or Ctrl-C, of the parent: within a shard, after one shard, after four."""
    folder = tmp_path / "set"
    begun = []
    for finished in (0, 1, 4):
        hold = str(2 * finished + 1)  # within the shards that follow
        process = start_python(script, folder, workers, 0, 1, **UNREAD, HOLD_FROM=hold)
        parts = folder / "parts"
        wait_for(lambda: len(list(parts.glob("shard*.parquet"))) == finished)  # noqa: B023
        wait_for(lambda: list(parts.glob(".*/shard*.tfrecord")))  # noqa: B023
        workers_there = children(process.pid)
        process.send_signal(how)
        assert process.wait() == -how
        wait_for(lambda: not any(map(is_running, workers_there)))  # noqa: B023
        assert not (folder / manifests.NAME).exists()
        assert len(list(parts.glob(".*/shard*.tfrecord"))) <= workers, "leftovers fill the disk"
        for path in folder.glob("*.tfrecord"):
            assert path.read_bytes() == expected[path.name], "a shard that is not whole"
        begun.append({p.name: p.stat().st_mtime_ns for p in parts.glob("shard*.parquet")})
    write(script, folder, workers=workers)
    assert small_records.contents(folder) == expected
    assert begun[0].items() <= begun[1].items() <= begun[2].items(), "finished work was done again"


KILLED = """
import sys
from helpers import kills, small_records

moment, when, frames, ids, folder = int(sys.argv[1]), sys.argv[2], *eval(sys.argv[3]), sys.argv[4]
names = kills.at_replace(moment, when)
small_records.write_here(small_records.job(frames, 150_000, ids=ids), folder)
print(len(names))
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_at_which_a_file_appears(tmp_path):
    """Plan, two shards and their parts, failures, manifest: killed before and after each."""
    frames, ids = [350, 300, 320, 310], ["a", "b", "c", "broken"]
    arguments = repr((frames, ids))
    whole = run_python("-c", KILLED, 0, "never", arguments, tmp_path / "whole")
    moments = int(whole.stdout)
    assert moments == 7, whole.stderr
    expected = small_records.contents(tmp_path / "whole")
    for moment in range(1, moments + 1):
        for when in ("before", "after"):
            folder = tmp_path / f"{when} {moment}"
            killed = run_python("-c", KILLED, moment, when, arguments, folder)
            assert killed.returncode == -signal.SIGKILL
            small_records.write_here(small_records.job(frames, 150_000, ids=ids), folder)
            assert small_records.contents(folder) == expected, folder.name


STOPPED = """
import os, signal, sys
from helpers import small_records
from mar.records import writer

replace = os.replace

def stopped(source, target):
    if str(target).endswith("manifest.parquet"):
        os.kill(os.getpid(), signal.SIGSTOP)
    replace(source, target)

os.replace = stopped
job = small_records.job([350, 300, 320], 150_000)
outcome = small_records.write_here(job, sys.argv[1], (0, 2))
assert (outcome.tracks, outcome.missing_shards) == (3, 0)
"""


def test_two_machines_may_finish_at_the_same_time(tmp_path):
    """One is about to make the manifest when the other has made it and removed the parts."""
    job = small_records.job([350, 300, 320], 150_000)
    assert small_records.write_here(job, tmp_path / "set", (1, 2)).missing_shards == 1
    slow = start_python("-c", STOPPED, tmp_path / "set")
    _, status = os.waitpid(slow.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), slow.communicate()
    small_records.write_here(job, tmp_path / "set", (1, 2))
    expected = small_records.contents(tmp_path / "set")
    expected.pop(".writer-0-of-2")  # the lock of the slow one
    slow.send_signal(signal.SIGCONT)
    _, complaints = slow.communicate()
    assert slow.returncode == 0, complaints
    assert small_records.contents(tmp_path / "set") == expected


def test_a_share_has_one_writer_and_the_other_shares_go_on(script, expected, tmp_path):
    """One is held within its second track, and then killed."""
    folder = tmp_path / "set"
    first = start_python(script, folder, 1, 0, 2, **UNREAD, HOLD_FROM="1")
    wait_for(lambda: list(folder.glob("parts/.*/shard*.tfrecord")))
    who = rf"\(process {first.pid} on .*\) writes into it since"
    for share in ((0, 2), (0, 1), (1, 3)):
        with pytest.raises(InputError, match=who):
            small_records.write_here(job(), folder, share)
    assert small_records.write_here(job(), folder, (1, 2)).missing_shards == 3
    first.kill()
    first.wait()
    assert small_records.write_here(job(), folder, (0, 2)).missing_shards == 0
    assert small_records.contents(folder) == expected


def test_a_finished_data_set_is_left_alone(expected, tmp_path):
    small_records.write_here(job(), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    outcome = small_records.write_here(job(), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert [track for track, _ in outcome.failed] == ["broken"]


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    "other", [{"dtype": "float32"}, {"ids": [*IDS[:-1], "another"]}, {"shard_bytes": 140_000}]
)
def test_another_data_set_in_the_folder_is_refused(tmp_path, finished, other):
    small_records.write_here(job(), tmp_path)
    if not finished:
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts" / "plan.json").write_text(
            f'{{"job": "{job().hash()}", "tracks_per_shard": 2}}'
        )
        (tmp_path / manifests.NAME).unlink()
    with pytest.raises(ConfigError, match="holds a data set of other files, labels or settings"):
        small_records.write_here(job(**other), tmp_path)


# --------------------------------------------------------------------------- bad input


def test_what_cannot_be_read_is_recorded_and_skipped(tmp_path):
    outcome = small_records.write_here(job(), tmp_path)
    assert outcome.failed == [("broken", 'broken: not audio, "really"\nnot')]
    assert writer.read_failed(tmp_path / manifests.NAME) == outcome.failed
    manifest = manifests.read(tmp_path)
    assert [manifest.id(track) for track in range(len(manifest))] == IDS[:-1]


def test_a_data_set_of_no_track_is_refused_and_nothing_remains_of_it(tmp_path):
    """Most often the folder of audio files was a wrong one; the next command may do better."""
    with pytest.raises(InputError, match="none of the 1 files could be read.*broken: not audio"):
        small_records.write_here(small_records.job([300], ids=["broken"]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_values_that_the_type_cannot_hold_are_recorded(tmp_path):
    class Loud(small_records.Arrays):
        def read(self, item):
            found = small_records.Arrays.read(self, item)
            found[-1, 5] = np.inf if item["seed"] == 3 else 1
            return found

    made_job = job(ids=[f"track {t}" for t in range(12)])
    outcome = small_records.write_here(
        writer.dataclasses.replace(made_job, source=Loud("float16")), tmp_path
    )
    assert outcome.failed == [("track 3", "log-mel that float16 cannot hold (not finite)")]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 700 kB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_full_disk_loses_nothing(script, expected, small_disk):
    folder = small_disk / "set"
    with pytest.raises(InputError, match=r"set: cannot be written: No space left.*kept"):
        small_records.write_here(job(), folder)
    finished = sorted(folder.glob("*.tfrecord"))
    assert finished
    for path in finished:
        assert path.read_bytes() == expected[path.name]
    assert not list((folder / "parts").glob(".*")), "an unfinished file keeps the disk full"
    process = run_python(script, folder, 2, 0, 1)
    assert "InputError" in process.stderr
    assert "No space left on device. Finished shards are kept" in process.stderr
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    write(script, folder)
    assert small_records.contents(folder) == expected


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/set: cannot be written: Not a directory"):
        small_records.write_here(job(), tmp_path / "file" / "set")


def test_what_cannot_be_written_to_is_refused_and_the_home_folder_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigError, match="s3://b/set: expected a place on a disk") as caught:
        writer.write(job(), "s3://key:secret@b/set")
    assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    small_records.write_here(small_records.job([320]), "~/set")
    assert (tmp_path / "home" / "set" / "manifest.parquet").exists()
