"""One writer of a folder at a time: a lock file that lies in it for as long as the run.

It is made by exclusive creation, which every file system has (flock is missing on some). It says
who holds it, and its modification time is renewed twice a minute. A lock is void when its process
is dead, as can be told on its own machine, or has not renewed it for five minutes, on another one.

    process A, killed      .writer: {"host": "a", "process": 812, "started": 55021, …}
    B, on the same host    no process 812, or one that started at another tick: B takes over
    C, on another host     refused until the file is five minutes old
"""

import contextlib
import datetime
import json
import os
import pathlib
import re
import shlex
import socket
import sys
import tempfile
import threading
import time
import uuid

import psutil

from mar.errors import InputError
from mar.util import plain_data
from mar.util.names import printable

_NAME, _GUARD = ".writer", ".taken-over"
_FORM = {"host": str, "process": int, "started": object, "since": str, "command": str}
_BEAT_SECONDS, _VOID_SECONDS = 30.0, 300.0
_TRIES, _TRY_SECONDS = 50, 0.1
_PATIENCE_SECONDS = 2 * _VOID_SECONDS


class _HeldError(InputError):
    """Another process holds a lock."""


class FolderLock:
    """Held from construction until `release`, or the end of a `with` block.

    Shards of the same number share a folder: each has a lock of its own. A whole run, the same
    shard, and shards of another number are kept out.

    Args:
        folder: is there, and can be written.
        shard: `(i, n)`; `(0, 1)` is a whole run.

    Raises:
        InputError: another one holds it; the message says who, and since when. Or the folder's name
            is not UTF-8.
    """

    def __init__(self, folder: str | os.PathLike, shard: tuple[int, int] = (0, 1)) -> None:
        folder = pathlib.Path(folder)
        try:
            os.fspath(folder).encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{printable(folder)}: expected a folder whose name is text in UTF-8: Arrow and "
                f"TensorFlow open no others; give another one"
            ) from None
        self._path = folder / _name(shard)
        self._text = json.dumps(_this_process())
        try:
            _create(self._path, self._text)
            for other in sorted(folder.glob(f"{_NAME}*")):
                if not _excludes(other.name, shard):
                    continue
                if (holder := _holder(other)) is not None:
                    self._path.unlink()
                    raise _refusal(other, holder)
                _remove_void(other)
        except OSError as error:
            raise InputError(f"{folder}: cannot be locked: {error.strerror or error}") from None
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    @classmethod
    def waiting(cls, folder: str | os.PathLike) -> "FolderLock":
        """As the constructor, for locks that are held for moments: waits until it gets it.

        Raises:
            InputError: it cannot be locked, or another one holds it for ten minutes.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return cls(folder)
            except _HeldError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_TRY_SECONDS)

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def check(self) -> None:
        """Raises InputError where the lock was lost: this machine slept, and another took over."""
        if _read(self._path) != self._text:
            raise InputError(
                f"{self._path.parent}: another process took over while this one was suspended, or "
                f"{self._path.name} was deleted; nothing more is written"
            )

    def release(self) -> None:
        """Lets others write."""
        self._ended.set()
        if _read(self._path) == self._text:
            self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):  # `check` tells what became of it
                if _read(self._path) == self._text:
                    os.utime(self._path)


def _name(shard: tuple[int, int]) -> str:
    return _NAME if shard[1] == 1 else f"{_NAME}-{shard[0]}-of-{shard[1]}"


def _excludes(name: str, shard: tuple[int, int]) -> bool:
    """Whether the lock `name` keeps a shard out that has its own."""
    if name == _name(shard) or name.endswith(_GUARD):
        return False
    return shard[1] == 1 or not name.endswith(f"-of-{shard[1]}")


def _create(path: pathlib.Path, text: str) -> None:
    """Makes the lock file, in place of one that is void."""
    for _ in range(_TRIES):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            if (holder := _holder(path)) is not None:
                raise _refusal(path, holder) from None
            _remove_void(path)
            continue
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:  # the disk is full
            path.unlink()
            raise
        return
    raise InputError(f"{path}: cannot be taken over; delete it if nothing writes into its folder")


def _remove_void(path: pathlib.Path) -> None:
    """Removes a void lock. Of two that found it, the second must not remove the first's new one."""
    guard = path.with_name(path.name + _GUARD)
    try:
        open(guard, "x").close()
    except FileExistsError:
        if _age(guard) > _VOID_SECONDS:  # its maker was killed within the next four lines
            guard.unlink(missing_ok=True)
        time.sleep(_TRY_SECONDS)
        return
    try:
        if _holder(path) is None:
            path.unlink(missing_ok=True)
    finally:
        guard.unlink(missing_ok=True)


def _holder(path: pathlib.Path) -> dict | None:
    """Who holds a lock; None where it is void or gone."""
    text = _read(path)
    if text is None:
        return None
    try:
        holder = plain_data.checked(plain_data.parsed(text), _FORM)
    except ValueError:  # it is being written, or the disk was full
        holder = {}
    if _place(holder) == _place(_this_process()):
        return holder if _started(holder["process"]) == holder["started"] else None
    return holder if _age(path) <= _VOID_SECONDS else None


def _refusal(path: pathlib.Path, holder: dict) -> _HeldError:
    if not holder:
        return _HeldError(f"{path.parent}: another process writes into it ({path})")
    return _HeldError(
        f"{path.parent}: {holder['command']} (process {holder['process']} on {holder['host']}) "
        f"writes into it since {holder['since']}; wait for its end, or delete {path} if it is dead"
    )


def _this_process() -> dict:
    boot, processes = "", ""
    if sys.platform == "linux":
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        processes = os.readlink("/proc/self/ns/pid")  # containers number theirs anew
    return {
        "host": socket.gethostname(),
        "boot": boot,
        "processes": processes,
        "process": os.getpid(),
        "started": _started(os.getpid()),
        "since": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
        "command": shlex.join([pathlib.Path(sys.argv[0]).name, *map(_shown, sys.argv[1:])]),
        "lock": uuid.uuid4().hex,
    }


def _shown(argument: str) -> str:
    """An argument as others may read it: an address without access keys and options.

    --audio=s3://key:secret@bucket/music?region=a    --audio=s3://bucket/music
    """
    return re.sub(r"(\w+://)(?:[^/@]*@)?([^?]*).*", r"\1\2", argument, flags=re.DOTALL)


def _place(holder: dict) -> tuple:
    """Where process numbers mean the same."""
    return tuple(holder.get(name) for name in ("host", "boot", "processes"))


def _started(process: int) -> float | None:
    """When a process was started, in clock ticks from the machine's start; None where it is dead.

    On other systems than Linux, in seconds since 1970.
    """
    if sys.platform != "linux":
        try:
            return psutil.Process(process).create_time()
        except psutil.NoSuchProcess:
            return None
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            state, *numbers = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(numbers[18])


def _read(path: pathlib.Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _age(path: pathlib.Path) -> float:
    """Seconds since a file was changed, by the clock of its file system; 0 where it is gone."""
    with tempfile.TemporaryFile(dir=path.parent) as file:
        file.write(b" ")
        file.flush()
        now = os.fstat(file.fileno()).st_mtime
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
