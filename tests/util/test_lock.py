"""With real processes."""

import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from helpers.processes import run_python, start_python
from mar.errors import InputError
from mar.util import lock
from mar.util.lock import FolderLock

HOLD = """
import sys, time
from mar.util.lock import FolderLock
lock = FolderLock(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def hold(tmp_path):
    """Starts processes that hold a lock; returns each when it does."""
    processes = []

    def start(shard=(0, 1)):
        process = start_python("-c", HOLD, tmp_path, *shard)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def is_held(folder, shard=(0, 1)):
    try:
        FolderLock(folder, shard).release()
    except InputError:
        return True
    return False


def test_the_second_is_told_who_holds_it_and_since_when(tmp_path, hold):
    process = hold()
    with pytest.raises(InputError) as refused:
        FolderLock(tmp_path)
    (file,) = tmp_path.iterdir()
    holder = json.loads(file.read_text())
    for word in (tmp_path, f"process {process.pid}", holder["since"], holder["host"], "-c", file):
        assert str(word) in str(refused.value)


def test_one_that_was_killed_holds_it_no_longer(tmp_path, hold):
    process = hold()
    process.kill()
    while pathlib.Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    assert not is_held(tmp_path)  # a process that nobody waited for has a number still
    assert list(tmp_path.iterdir()) == []
    process = hold()
    process.kill()
    process.wait()
    with FolderLock(tmp_path):
        assert is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_process_of_the_same_number_does_not_hold_it(tmp_path, hold):
    process = hold()
    (file,) = tmp_path.iterdir()
    holder = json.loads(file.read_text())
    assert is_held(tmp_path)
    file.write_text(json.dumps({**holder, "started": holder["started"] - 1}))
    assert not is_held(tmp_path)
    assert process.poll() is None


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"boot": "x"}, {"processes": "pid:[1]"}])
def test_of_another_machine_its_heartbeat_tells(tmp_path, other):
    with FolderLock(tmp_path):
        (file,) = tmp_path.iterdir()
        holder = {**json.loads(file.read_text()), **other, "process": 2**22 + 1}
    file.write_text(json.dumps(holder))
    assert is_held(tmp_path)
    os.utime(file, (time.time() - 299,) * 2)
    assert is_held(tmp_path)
    os.utime(file, (time.time() - 301,) * 2)
    assert not is_held(tmp_path)


def test_a_lock_that_cannot_be_read_is_held_until_it_is_old(tmp_path):
    file = tmp_path / ".writer"
    file.touch()
    with pytest.raises(InputError, match="another process writes into it"):
        FolderLock(tmp_path)
    os.utime(file, (0, 0))
    assert not is_held(tmp_path)


def test_the_heartbeat_renews_it(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 0.01)
    with FolderLock(tmp_path):
        (file,) = tmp_path.iterdir()
        os.utime(file, (0, 0))
        for _ in range(6000):  # a heart that does not beat fails, and does not hang
            if file.stat().st_mtime:
                break
            time.sleep(0.01)
        assert file.stat().st_mtime > 0


def test_one_that_lost_it_is_told_and_does_not_remove_its_successors(tmp_path):
    held = FolderLock(tmp_path)
    held.check()
    (file,) = tmp_path.iterdir()
    file.unlink()
    with pytest.raises(InputError, match="another process took over"):
        held.check()
    with FolderLock(tmp_path) as successor:
        held.release()
        successor.check()


def test_one_that_waits_gets_it_when_the_other_ends(tmp_path, hold):
    process = hold()
    threading.Timer(0.5, process.kill).start()
    with FolderLock.waiting(tmp_path):
        assert process.wait() == -signal.SIGKILL
        assert is_held(tmp_path)


def test_one_that_waits_in_vain_is_told_who_holds_it(tmp_path, hold, monkeypatch):
    monkeypatch.setattr(lock, "_PATIENCE_SECONDS", 0.2)
    process = hold()
    with pytest.raises(InputError, match=f"process {process.pid} .*writes into it since"):
        FolderLock.waiting(tmp_path)
    with pytest.raises(InputError, match="absent: cannot be locked"):
        FolderLock.waiting(tmp_path / "absent")


def test_shards_share_a_folder_and_exclude_all_else(tmp_path, hold):
    first = hold((0, 2))
    assert not is_held(tmp_path, (1, 2))
    for excluded in ((0, 2), (0, 1), (1, 3), (0, 12)):
        assert is_held(tmp_path, excluded)
    first.kill()
    first.wait()
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []
    hold()
    assert is_held(tmp_path, (1, 2))


def test_of_many_that_find_a_dead_lock_one_gets_it(tmp_path, hold):
    """They start together, for several rounds, and none ends before all have tried."""
    script = """
import sys
from mar.errors import InputError
from mar.util.lock import FolderLock
print("ready", flush=True)
sys.stdin.readline()
try:
    FolderLock(sys.argv[1])
    print("held", flush=True)
except InputError as error:
    print("refused", flush=True)
sys.stdin.readline()
"""
    for _ in range(3):
        process = hold()
        process.kill()
        process.wait()
        rivals = [
            start_python("-c", script, tmp_path, stdin=subprocess.PIPE, bufsize=1) for _ in range(6)
        ]
        assert [rival.stdout.readline() for rival in rivals] == ["ready\n"] * 6
        for rival in rivals:
            rival.stdin.write("\n")
        outcomes = [rival.stdout.readline() for rival in rivals]
        for rival in rivals:
            rival.communicate("\n")
        assert sorted(outcomes) == ["held\n", *["refused\n"] * 5]


def test_without_flock(tmp_path):
    script = """
import errno, fcntl, os, sys
def none(*_): raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
fcntl.flock = fcntl.lockf = none
from mar.util.lock import FolderLock
with FolderLock(sys.argv[1]): print("held")
"""
    finished = run_python("-c", script, tmp_path)
    assert finished.stdout == "held\n", finished.stderr


def test_a_full_disk_keeps_nobody_out_later(tmp_path):
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    finished = run_python("-c", limited + HOLD, tmp_path, 0, 1)
    assert f"{tmp_path}: cannot be locked: File too large" in finished.stderr
    with FolderLock(tmp_path):
        pass


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="absent: cannot be locked: No such file"):
        FolderLock(tmp_path / "absent")


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"b\xff")
    os.mkdir(folder)
    with pytest.raises(InputError, match=r"b\\xff: expected a folder whose name is text in UTF-8"):
        FolderLock(os.fsdecode(folder))
    assert os.listdir(folder) == []


def test_access_keys_are_not_told_to_others(tmp_path, monkeypatch):
    arguments = ["s3://KEY:SECRET@bucket/music?region=a", "--output=s3://KEY:SECRET@b/e", "a@b://"]
    monkeypatch.setattr("sys.argv", ["mar", "embed", *arguments, "--model=mule"])
    with FolderLock(tmp_path):
        (file,) = tmp_path.iterdir()
        with pytest.raises(InputError) as refused:
            FolderLock(tmp_path)
        for told in (file.read_text(), str(refused.value)):
            assert "SECRET" not in told
            assert "mar embed s3://bucket/music --output=s3://b/e a@b:// --model=mule" in told
