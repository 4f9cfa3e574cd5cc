"""What a run finds changed in a catalogue since the last one, and what became of each file.

A track is its audio, not its path, size and time of change:

    new         embedded: its audio was not there
    changed     embedded afresh: the path had another audio before
    moved       its embedding was under a path (or in a folder) that no longer has this audio
    copied      shares the embedding of another file with the same audio
    retagged    size or time of change differ, the audio does not
    returned    was gone, and is back
    taken_up    an earlier version of mar noted less of it, but its embedding
    unchanged   nothing to be done
    gone        not there any more; its embedding stays, marked
    skipped     not called as audio is, and not named
    failed      could not be embedded
"""

import collections
import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from mar.embedding import files
from mar.embedding.files import AudioItem
from mar.embedding.rows import Row
from mar.errors import ConfigError, InputError

EMBEDDED = ("new", "changed")
KEPT = ("moved", "copied", "retagged", "returned", "taken_up")
_WITH_EMBEDDING = ("ok", "gone")


class Known(NamedTuple):
    """What a data set knows of a file; `place` is where its row lies, None while in memory."""

    status: str
    size: int | None
    mtime_ns: int | None
    folder: str | None
    audio_hash: str | None
    place: int | None = None

    @property
    def state(self) -> files.State:
        """Size and time of change, by which a file is told from an earlier one."""
        return self.size, self.mtime_ns

    @property
    def has_embedding(self) -> bool:
        """Whether it was embedded, be the file there or not."""
        return self.status in _WITH_EMBEDDING


class Plan(NamedTuple):
    """What is to be done.

    Attributes:
        todo: files that the data set lacks, or has of another state.
        unchanged: number of the others.
        gone: paths of the data set whose files are not there any more, of whatever share.
    """

    todo: list[AudioItem]
    unchanged: int
    gone: list[str]


def plan(
    items: Sequence[AudioItem],
    known: Mapping[str, Known],
    is_kept: Callable[[str], bool],
    shard: tuple[int, int] = (0, 1),
) -> Plan:
    """Compares the files that were found with what a data set knows.

    A path is gone where its folder is one of those that were searched, or listed from, and the file
    is not there. Of a folder that has another name now, or that an earlier version did not note,
    paths are taken for those of the folder in which one of them was found as it was.

    Args:
        items: all files of the run.
        known: by path.
        is_kept: whether the embedding of a path is there, where its row is.
        shard: `(i, n)`: whose share of the files is to be done.
    """
    todo: list[AudioItem] = []
    absent: set[str] = set()
    heirs: dict[str | None, str] = {item.folder: item.folder for item in items}
    lost = {f for f in {earlier.folder for earlier in known.values()} if not files.is_there(f)}
    mine = share(items, *shard)
    for item in mine:
        earlier, state = known.get(item.key), files.state(item)
        if earlier is None:
            todo.append(item)
        elif earlier.has_embedding and state == files.ABSENT:
            absent.add(item.key)
        elif earlier.state != state:
            todo.append(item)
        elif earlier.folder in lost:
            heirs.setdefault(earlier.folder, item.folder)
            todo.append(item)
        elif not _is_done(item, earlier, is_kept) or is_another(item, earlier):
            todo.append(item)
    there = {item.key for item in items} - absent
    gone = [
        path
        for path, earlier in known.items()
        if earlier.status != "gone"
        and path not in there
        and earlier.folder in heirs
        and files.is_gone(heirs[earlier.folder], path)
    ]
    return Plan(todo, len(mine) - len(todo) - len(absent), gone)


def is_another(item: AudioItem, earlier: Known) -> bool:
    """Whether a file is another one than that which its path stood for, and which is still there.

    Where `A/1.wav` was embedded as `1.wav`, so may be a copy of it, `B/1.wav`, and no other audio.
    """
    if earlier.folder in (None, item.folder) or not files.is_there(earlier.folder):
        return False
    return not files.is_same(item, earlier.folder)


def check_name(item: AudioItem, audio_hash: str | None, earlier: Known | None) -> None:
    """That the audio of a file may take the place of what its path stood for.

    Raises:
        TakenError: that is another file's, which is still there.
    """
    if earlier is None or not earlier.has_embedding or earlier.audio_hash in (None, audio_hash):
        return
    if is_another(item, earlier):
        raise TakenError(
            f"{item.path}: the data set has {item.key!r} of {earlier.folder}, which is another "
            f"file and still there; embed them into different folders, or give the folder above "
            f"them; where one takes the place of the other, move that away"
        )


class TakenError(InputError):
    """A file's path stands for another one that is there."""


def failed(known: Mapping[str, Known]) -> dict[str, files.State]:
    """The states of the files that could not be embedded."""
    return {path: earlier.state for path, earlier in known.items() if earlier.status == "failed"}


def check_shard(shard: tuple[int, int]) -> None:
    """That a shard is one of so many: `(i, n)`.

    Raises:
        ConfigError: it is none, and would have no share.
    """
    match shard:
        case int(number), int(count) if 0 <= number < count:
            return
    raise ConfigError(f"shard: expected (i, n) with i from 0 to n - 1, got {shard!r}")


def share(items: Sequence[AudioItem], shard: int, shards: int) -> list[AudioItem]:
    """The items of one of `shards` machines: which one has a file depends on its key alone."""
    if shards == 1:
        return list(items)
    return [item for item in items if files.shard_of(item.key, shards) == shard]


def _is_done(item: AudioItem, earlier: Known, is_kept: Callable[[str], bool]) -> bool:
    """Whether nothing is left to do for a file that is as it was."""
    if earlier.status == "skipped":
        return not item.expected
    return earlier.status == "ok" and earlier.audio_hash is not None and is_kept(item.key)


def embedded(earlier: Known | None) -> str:
    """What the embedding of a path is, that has been computed."""
    return "changed" if earlier is not None and earlier.has_embedding else "new"


def of_same_audio(original: Row, row: Row, earlier: Known | None) -> Row:
    """The row of a file that has the audio of another one, or of itself as it was."""
    if original.path != row.path or earlier is None:
        change = "copied"  # or moved, which is known at the end alone
    elif earlier.status == "gone":
        change = "returned"
    elif earlier.state != (row.size, row.mtime_ns):
        change = "retagged"
    elif earlier.folder is None or earlier.audio_hash is None:
        change = "taken_up"
    else:
        change = "moved"
    return dataclasses.replace(
        original,
        status="ok",
        reason=None,
        path=row.path,
        folder=row.folder,
        size=row.size,
        mtime_ns=row.mtime_ns,
        audio_hash=row.audio_hash,
        change=change,
        source=original.path,
    )


@dataclasses.dataclass
class Summary:
    """What became of the files.

    Attributes:
        counts: how many files each of the words above applies to.
        failures: [(path, reason)].
        seconds: of audio that were embedded.
        remarkable: number of embedded files with `notes` or `damaged_seconds`.
        silent: number of embedded files that are silent, or nearly.
        failed_before: states of files that failed in an earlier run.
        again: paths of those that failed again, and have not changed since.
    """

    counts: dict[str, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(
            (*EMBEDDED, *KEPT, "unchanged", "gone", "skipped", "failed"), 0
        )
    )
    failures: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    remarkable: int = 0
    silent: int = 0
    failed_before: Mapping[str, files.State] = dataclasses.field(default_factory=dict)
    again: set[str] = dataclasses.field(default_factory=set)
    began: float = dataclasses.field(default_factory=time.monotonic)
    _copies: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)

    @property
    def embedded(self) -> int:
        """How many files were decoded and embedded."""
        return sum(self.counts[change] for change in EMBEDDED)

    @property
    def changed(self) -> bool:
        """Whether anything was to be done."""
        return any(count for change, count in self.counts.items() if change != "unchanged")

    def count(self, row: Row) -> None:
        """Takes one `Row` into account."""
        self.counts[row.change if row.status == "ok" else row.status] += 1
        if row.status == "failed":
            self.failures.append((row.path, row.reason or ""))
            if self.failed_before.get(row.path) == (row.size, row.mtime_ns):
                self.again.add(row.path)
        if row.change == "copied":
            self._copies.append((row.source or "", row.audio_hash))
        if row.status == "ok" and row.change in EMBEDDED:
            self.seconds += row.duration or 0.0
            self.remarkable += bool(row.notes or row.damaged_seconds)
            self.silent += row.silence in ("near", "digital")

    def tell_left(
        self, known: Mapping[str, Known], gone: Sequence[str], left: Collection[str]
    ) -> None:
        """Counts at the end, of the files that are not there any more, which moved and which went.

        A copy is a file that moved where its audio left another path in the same run:

            a.wav, b.wav -> c.wav, d.wav, e.wav    all of one audio: 2 moved, 1 copied
            a.wav, b.wav -> a.wav, c.wav           1 moved
            a.wav, b.wav -> a.wav                  1 gone

        Args:
            known: what is known now.
            gone: paths whose files are not there.
            left: those of `gone` that are of this share.
        """
        lost = {path: known[path].audio_hash for path in gone if path in known}
        others = {
            source: audio
            for source, audio in self._copies
            if known[source].status != "ok" or known[source].audio_hash != audio
        }
        copies = collections.Counter(audio for _, audio in self._copies)
        moved = copies & collections.Counter((others | lost).values())
        self.counts["copied"] -= moved.total()
        self.counts["moved"] += moved.total()
        went = collections.Counter(lost[path] for path in left) - moved
        self.counts["gone"] = went.total()
        self._copies.clear()

    def rate(self) -> str:
        """The speed, as text."""
        speed = self.seconds / max(time.monotonic() - self.began, 1e-9)
        return f"{speed:.0f} s of audio/s, {self.counts['failed']} failed"
