"""A data set in a bucket (`s3://bucket/embeddings`, `gs://…`): read and written by a copy on the
disk, of which only what differs is transferred.

The copy lies in the cache, and takes the space of the data set. What a run adds is uploaded at its
end, however that comes; where the process was killed, the next run on this machine uploads it. New
files go first, deletions last: whoever reads in between finds rows twice, and the later one counts.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import threading
import uuid
from collections.abc import Iterator

from mar.embedding import remembered
from mar.errors import InputError
from mar.records import buckets, storage
from mar.util import plain_data
from mar.util.atomic import make_folder, whole
from mar.util.download import cache_folder
from mar.util.lock import FolderLock

_STATE, _LOCK = "transferred.json", ".writer-"
_BEAT_SECONDS, _VOID_SECONDS = 60.0, 300.0
_UNKNOWN = {"remote": [0, 0], "local": [0, 0]}  # of what is yet to be copied


def readable(folder: str | os.PathLike) -> pathlib.Path:
    """The folder of a data set; of one in a bucket, a copy that is brought up to date.

    Raises:
        InputError: it cannot be listed or copied.
    """
    if not storage.is_remote(folder):
        return pathlib.Path(folder).expanduser()
    mirror = _Mirror(os.fspath(folder))
    with FolderLock.waiting(mirror.place):
        mirror.fetch()
    return mirror.folder


@contextlib.contextmanager
def writable(folder: str | os.PathLike) -> Iterator[pathlib.Path]:
    """The folder of a data set that is written in the block; what changes is uploaded afterwards.

    Raises:
        InputError: it cannot be listed, copied or uploaded, or another process writes into it.
    """
    if not storage.is_remote(folder):
        yield pathlib.Path(folder).expanduser()
        return
    mirror = _Mirror(os.fspath(folder))
    with FolderLock(mirror.place), _RemoteLock(mirror.address):
        mirror.fetch()
        try:
            yield mirror.folder
        finally:
            mirror.publish()


class _Mirror:
    """The copy of a folder in a bucket, and what was last transferred."""

    def __init__(self, address: str) -> None:
        self.address = address
        name = hashlib.sha256(buckets.without_options(address).encode()).hexdigest()[:16]
        self.place = cache_folder() / "data_sets" / name
        self.folder = self.place / "set"
        make_folder(self.folder)

    def fetch(self) -> None:
        """Copies what the bucket has and the disk has not, and removes what it has no longer.

        What was added here and not uploaded yet stays, though the bucket has it in part.
        """
        noted = self._transferred()
        transferred = noted or {}
        there = {listed.name: listed for listed in self._listed()}
        for name in transferred.keys() - there.keys():
            (self.folder / name).unlink(missing_ok=True)
            del transferred[name]
        wanted = {}
        for name, listed in there.items():
            remote, is_here = [listed.size, listed.mtime_ns], (self.folder / name).exists()
            added_here = noted is not None and name not in transferred
            if not is_here or (
                transferred.get(name, {}).get("remote") != remote and not added_here
            ):
                wanted[name] = remote
        # Noted before they are copied: what an interruption leaves of them was not added here.
        self._note({**transferred, **{name: _UNKNOWN for name in wanted}})
        for name, remote in wanted.items():
            file = self.folder / name
            make_folder(file.parent)
            with whole(file, self.place) as unfinished, open(unfinished, "wb") as opened:
                buckets.copy(self.address, name, opened)
            transferred[name] = {"remote": remote, "local": _state(file)}
        self._note(transferred)

    def publish(self) -> None:
        """Uploads what the disk has and the bucket has not, and deletes what it has no longer."""
        transferred = self._transferred() or {}
        names = {
            os.fspath(file.relative_to(self.folder)): file
            for file in self.folder.rglob("*")
            if file.is_file() and _is_kept(os.fspath(file.relative_to(self.folder)))
        }
        changed = [
            name
            for name, file in names.items()
            if name not in transferred or transferred[name]["local"] != _state(file)
        ]
        for name in sorted(changed, key=lambda name: (name in transferred, name)):
            local = _state(names[name])
            remote = buckets.upload(names[name], self.address, name)
            transferred[name] = {"remote": list(remote), "local": local}
            self._note(transferred)
        for name in transferred.keys() - names.keys():
            buckets.delete(self.address, name)
            del transferred[name]
        self._note(transferred)

    def _listed(self) -> list[buckets.Listed]:
        listed = buckets.files_below(self.address, missing_ok=True)
        return [each for each in listed if _is_kept(each.name)]

    def _transferred(self) -> dict[str, dict] | None:
        """What was last transferred, by name; None where that is not known."""
        try:
            noted = plain_data.read(self.place / _STATE)
            form = {"remote": tuple[int, ...], "local": tuple[int, ...]}
            return {name: plain_data.checked(states, form) for name, states in noted.items()}
        except (FileNotFoundError, ValueError):
            return None

    def _note(self, transferred: dict[str, dict]) -> None:
        with whole(self.place / _STATE) as unfinished:
            unfinished.write_text(json.dumps(transferred), encoding="utf-8")


class _RemoteLock:
    """Keeps other machines from writing, for as long as the block lasts.

    Buckets have no exclusive creation: each writer puts an object of its own name, then looks for
    others. Of two that come at once both are refused.
    """

    def __init__(self, address: str) -> None:
        self._address, self._name = address, f"{_LOCK}{uuid.uuid4().hex}"
        self._ended = threading.Event()

    def __enter__(self) -> "_RemoteLock":
        buckets.put(self._address, self._name, b"")
        locks = [
            each
            for each in buckets.files_below(self._address, missing_ok=True)
            if each.name.startswith(_LOCK)
        ]
        own = next(each.mtime_ns for each in locks if each.name == self._name)
        for other in locks:
            age = (own - other.mtime_ns) / 1e9
            if other.name != self._name and age < _VOID_SECONDS:
                buckets.delete(self._address, self._name)
                raise InputError(
                    f"{buckets.without_options(self._address)}: another process writes into it; "
                    f"wait for its end, or for five minutes if it is dead ({other.name})"
                )
            if other.name != self._name:
                buckets.delete(self._address, other.name)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        buckets.delete(self._address, self._name)

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with contextlib.suppress(InputError):  # the network is back the next time, or never
                buckets.put(self._address, self._name, b"")


def _is_kept(name: str) -> bool:
    """Whether a file is one of a data set, not a lock or what is unfinished."""
    return name == remembered.NAME or not any(part[:1] == "." for part in name.split("/"))


def _state(file: pathlib.Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
