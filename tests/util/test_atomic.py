"""What appears under its name is whole, whatever happens on the way."""

import errno
import os
import signal
import time

import pytest

from helpers.processes import run_python
from mar.errors import InputError
from mar.util.atomic import appearing, remove_abandoned, whole


def contents(folder):
    """All paths below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "a.keras"
    path.write_text("old")
    with whole(path) as unfinished:
        unfinished.write_text("new")
        assert unfinished.name == "a.keras", "its format can be told by its name"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert contents(tmp_path) == ["a.keras"]


def test_a_folder_appears_when_it_is_whole(tmp_path):
    with whole(tmp_path / "set") as unfinished:
        (unfinished / "below").mkdir(parents=True)
        (unfinished / "below" / "file").write_text("x")
        assert not (tmp_path / "set").exists()
    assert contents(tmp_path) == ["set", "set/below", "set/below/file"]


def test_all_bytes_are_on_the_disk_before_the_name_is_given(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        events.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def replaced(source, target):
        events.append("replaced")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with whole(tmp_path / "set") as unfinished:
        unfinished.mkdir()
        (unfinished / "file").write_text("x")
    assert events == ["file", "set", "replaced", tmp_path.name]


def _half_written(path):
    path.write_text("half")
    raise ZeroDivisionError


def test_an_error_leaves_what_was_there(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "a") as unfinished:
        _half_written(unfinished)
    assert contents(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def folder_with(path, text):
    path.mkdir()
    (path / "x").write_text(text)


def test_a_folder_takes_the_place_of_another(tmp_path):
    folder_with(tmp_path / "a", "old")
    with whole(tmp_path / "a", replaces=True) as unfinished:
        folder_with(unfinished, "new")
        assert (tmp_path / "a" / "x").read_text() == "old"
    assert contents(tmp_path) == ["a", "a/x"]
    assert (tmp_path / "a" / "x").read_text() == "new"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_folder_that_cannot_be_replaced_is_there_as_it_was(tmp_path, monkeypatch, failing):
    """Whichever call fails of those that make the new one appear."""
    folder_with(tmp_path / "a", "old")
    call = getattr(os, failing)

    def fails(*arguments):
        if failing == "fsync" or "replaced" not in map(lambda a: str(a)[-8:], arguments):
            raise OSError(errno.ENOSPC, "No space left on device")
        return call(*arguments)

    with pytest.raises(InputError, match="No space left"):  # noqa: PT012, SIM117
        with whole(tmp_path / "a", replaces=True) as unfinished:
            folder_with(unfinished, "new")
            monkeypatch.setattr(os, failing, fails)
    assert contents(tmp_path) == ["a", "a/x"]
    assert (tmp_path / "a" / "x").read_text() == "old"


def test_the_longest_possible_name(tmp_path):
    name = "é" * 125 + ".keras"[:5]
    with whole(tmp_path / name) as unfinished:
        unfinished.write_text("x")
    assert contents(tmp_path) == [name]


def test_the_unfinished_file_may_lie_in_another_folder(tmp_path):
    (tmp_path / "parts").mkdir()
    with whole(tmp_path / "a", beside=tmp_path / "parts") as unfinished:
        unfinished.write_text("x")
        assert unfinished.is_relative_to(tmp_path / "parts")
    assert contents(tmp_path) == ["a", "parts"]


def test_what_cannot_be_written_is_named(tmp_path):
    message = "none/a: cannot be written: No such file"
    with pytest.raises(InputError, match=message), whole(tmp_path / "none" / "a"):
        pass
    with pytest.raises(FileNotFoundError), appearing(tmp_path / "none" / "a"):
        pass


KILLED = """
import os, signal, sys
from mar.util.atomic import whole

with whole(sys.argv[1]) as unfinished:
    unfinished.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path):
    assert run_python("-c", KILLED, path).returncode == -signal.SIGKILL


def test_what_a_killed_process_leaves_is_removed_once_it_is_old(tmp_path):
    killed(tmp_path / "a")
    (tmp_path / f".{32 * '0'}.unfinished").write_text("as version 0.1.0 left them")
    left = contents(tmp_path)
    assert len(left) == 3
    assert all(name.startswith(".") for name in left)
    remove_abandoned(tmp_path)
    assert contents(tmp_path) == left, "another process may be writing it"
    hour_ago = time.time() - 3600
    for name in left:
        os.utime(tmp_path / name, (hour_ago, hour_ago))
    (tmp_path / ".0123.unfinished.txt").write_text("somebody's")
    (tmp_path / ".demo.unfinished").mkdir()
    os.utime(tmp_path / ".demo.unfinished", (hour_ago, hour_ago))
    remove_abandoned(tmp_path)
    assert contents(tmp_path) == [".0123.unfinished.txt", ".demo.unfinished"]


def test_a_file_that_is_still_written_to_is_not_abandoned(tmp_path):
    with whole(tmp_path / "a") as unfinished:
        unfinished.write_text("x")
        os.utime(unfinished.parent, (0, 0))
        remove_abandoned(tmp_path)
    assert contents(tmp_path) == ["a"]


def test_the_one_writer_of_a_file_need_not_wait(tmp_path):
    killed(tmp_path / "a")
    killed(tmp_path / "b")
    remove_abandoned(tmp_path, "a")
    assert len(contents(tmp_path)) == 2
    assert contents(tmp_path)[1].endswith("/b")
