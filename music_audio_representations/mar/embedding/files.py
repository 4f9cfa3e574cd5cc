"""The audio files of a catalogue, and the keys under which their embeddings are found."""

import contextlib
import dataclasses
import os
import pathlib
import re
import sys
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence

from mar.errors import InputError
from mar.records import buckets, storage
from mar.util import tables, text
from mar.util.files import walk
from mar.util.names import spelled

STDIN = "-"
State = tuple[int | None, int | None]  # bytes, and when it was changed, nanoseconds
ABSENT: State = (None, None)
LISTS = {".txt", ".m3u", ".m3u8"}
# What a file in a folder must be called to be taken for audio.
AUDIO = re.compile(
    r"\.(3gp|aac|ac3|aif[cf]?|aiff|alac|amr|ape|au|avi|caf|dsf|flac|flv|m4[abv]|mk[av]|mov|mp[234c]|"
    r"mpe?ga?|og[agv]|opus|snd|spx|tta|voc|w64|wave?|webm|wm[av]|wv)$",
    re.IGNORECASE,
)
_SHOWN = 5  # of the files that a list names in vain


@dataclasses.dataclass(frozen=True)
class AudioItem:
    """One file to embed.

    Attributes:
        key: the path under which its embedding is found: relative to the folder that was given, or
            as it stands in the list (absolute, if that leads out of its folder). Bytes that are not
            UTF-8 are written as `\\xNN`.
        path: where it is; of a file in a bucket, its address.
        expected: whether it is meant to be audio: listed, or called so.
        folder: that the key is relative to, absolute, as text.
        bucket: address of the folder of a bucket that the key is relative to, with its options;
            empty for a file on a disk.
        listed: what the listing of the bucket says of its state.
    """

    key: str
    path: str
    expected: bool = True
    folder: str = ""
    bucket: str = ""
    listed: State = (None, None)


def find(inputs: Sequence[str]) -> list[AudioItem]:
    """The files to embed, sorted by key.

    Args:
        inputs: audio files, folders (searched recursively, but for hidden files), lists (`.txt`,
            `.m3u`: a path a line, relative to the list; `#` begins a comment), and folders of
            buckets (`s3://bucket/music`). How many names a list has is logged. `-` is a list that
            standard input has, of paths relative to the working folder.

    Raises:
        InputError: an input does not exist, a folder holds no audio, a list is not text or names no
            file that exists, or two files have the same key.
    """
    items: dict[str, AudioItem] = {}
    for given in inputs:
        found: Collection[AudioItem]
        if storage.is_remote(given) or os.path.isdir(given):
            found = list(_in_bucket(given) if storage.is_remote(given) else _in_folder(given))
            if not any(item.expected for item in found):
                raise InputError(
                    f"{buckets.without_options(given)}: holds no audio ({len(found)} other files); "
                    "is its disk mounted?"
                )
        elif given == STDIN:
            found = _in_list("standard input", "", sys.stdin.buffer.read())
        elif not os.path.lexists(given):
            raise InputError(f"{given}: no such file or folder")
        elif pathlib.Path(given).suffix.lower() in LISTS:
            found = _in_list(given, os.path.dirname(given), text.read_bytes(given))
        else:
            folder = _text(os.path.dirname(given))
            found = [AudioItem(key(os.path.basename(given)), given, folder=folder)]
        for item in found:
            other = items.setdefault(item.key, item)
            if other is not item and not _same(other.path, item.path):
                raise InputError(
                    f"{other.path} and {item.path} would both be called {item.key!r}; "
                    "embed them into different folders, or give the folder above them"
                )
    return [items[key] for key in sorted(items)]


def on_disks(items: Sequence[AudioItem]) -> Sequence[AudioItem]:
    """The items.

    Raises:
        InputError: one lies in a bucket.
    """
    for item in items:
        if item.bucket:
            raise InputError(f"{item.path}: expected a file on a disk; copy it there first")
    return items


def named(folder: str, names: Iterable[str]) -> list[AudioItem]:
    """Files by the names that they have in a folder."""
    place = _text(folder)
    return [AudioItem(name, os.path.join(folder, name), folder=place) for name in names]


def _in_folder(root):
    """Every file below a folder, and the folders in it that hold nothing but ought to."""
    place = _text(root)

    def item(path, expected):
        return AudioItem(key(os.path.relpath(path, root)), path, expected, place)

    closed: list[OSError] = []
    for folder, folders, files in walk(root, closed.append):
        if _is_audio(folder) and not folders and not files:
            yield item(folder, expected=True)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = "" if os.path.samefile(folder, root) else f"{os.path.relpath(folder, root)}{os.sep}"
        for name in files:
            if not name.startswith("."):
                path = os.path.join(folder, name)
                yield AudioItem(key(below + name), path, _is_audio(name), place)
    for error in closed:
        yield item(error.filename, expected=True)


def _in_bucket(folder):
    """Every file below a folder of a bucket, but for hidden ones."""
    place = buckets.without_options(folder)
    for name, size, mtime_ns in buckets.files_below(folder):
        if not any(part.startswith(".") for part in name.split("/")):
            path = f"{place}/{name}"
            yield AudioItem(name, path, _is_audio(name), place, folder, (size, mtime_ns))


def _in_list(path, folder, content):
    """The files that a list names, relative to a folder, each once, as the disk spells them."""
    # Names may be bytes that are no text, as some tools write them; then there are such files.
    lines = text.lines(text.decode(content, path, "surrogateescape"))
    names = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    if not names:
        raise InputError(f"{path}: expected a path a line, found none")
    items: dict[str, AudioItem] = {}
    absent, place = [], _text(folder)
    for number, line in names:
        name = spelled(folder, line)
        target, normal = os.path.join(folder, name), os.path.normpath(name)
        outside = normal.split(os.sep)[0] == os.pardir
        name = os.path.abspath(target) if outside else normal
        item = AudioItem(key(name), target, folder=place)
        items.setdefault(item.key, item)
        if not os.path.lexists(target):
            _refuse_undecoded(path, number, line)
            absent.append(line)
    if len(absent) == len(names):
        shown = "".join(f"\n  {name}" for name in absent[:_SHOWN])
        raise InputError(
            f"{path}: none of the {len(names)} files that it names exists; expected paths that are "
            f"absolute, or relative to the list's folder. The first:{shown}"
        )
    tables.log_account(path, len(names), len(items))
    return items.values()


def _refuse_undecoded(path, number, line):
    """Raises InputError where a line is not UTF-8, and no name of a file in these bytes either."""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: line {number}: expected a path in UTF-8 (or a list in UTF-16 with its "
            f"byte-order mark), found the byte {os.fsencode(line[error.start])[0]:#04x}; save the "
            f"list as UTF-8"
        ) from None


def _is_audio(path):
    return bool(AUDIO.search(path))


def key(path: str | bytes | os.PathLike) -> str:
    """A path as text: bytes that are not UTF-8 are written as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _text(folder):
    """A folder as data sets note it."""
    return key(os.path.abspath(folder))


def state(item: AudioItem) -> State:
    """Size and time of change of a file, `ABSENT` of what cannot be asked."""
    if item.bucket:
        return item.listed
    try:
        status = os.stat(item.path)
    except OSError:
        return ABSENT
    return status.st_size, status.st_mtime_ns


def is_there(folder: str | None) -> bool:
    """Whether a folder that was noted is there; of a bucket's that is supposed."""
    return folder is not None and (storage.is_remote(folder) or os.path.isdir(as_bytes(folder)))


def is_gone(folder: str, key: str) -> bool:
    """Whether the file of a key that was not found is not there.

    What may not be looked at may be; what a bucket does not list is not.
    """
    if storage.is_remote(folder):
        return True
    path = os.path.join(folder, key)
    return all(map(_is_absent, (path, as_bytes(path))))


def _is_absent(path):
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # of the network, or for want of permission
        return False
    return False


def as_bytes(text: str) -> bytes:
    """The bytes of a path, of which `key` made text."""
    return re.sub(
        rb"\\x([89a-f][0-9a-f])", lambda found: bytes([int(found[1], 16)]), os.fsencode(text)
    )


def place_of(key: str, folder: str) -> bytes:
    """Where the file of a key is: that of just this name, or else of what `key` made text of."""
    path = os.path.join(folder, key)
    return os.fsencode(path) if os.path.lexists(path) else as_bytes(path)


def vanished(item: AudioItem) -> bool:
    """Whether a file that was found is not there any more.

    Raises:
        InputError: so is all of its folder: it was renamed, or its disk is no longer mounted.
    """
    if item.bucket:
        return not buckets.exists(item.bucket, item.key)
    if os.path.lexists(item.path):
        return False
    with contextlib.suppress(OSError), os.scandir(as_bytes(item.folder)) as entries:
        if next(entries, None) is not None:
            return True
    raise InputError(
        f"{item.folder}: the folder was renamed or unmounted while it was read, or all in it "
        "removed; what was done until then is kept: run again when it is there"
    )


@contextlib.contextmanager
def on_disk(item: AudioItem) -> Iterator[str]:
    """A path of the file; what lies in a bucket is copied to the disk for as long as it is read.

    Raises:
        InputError: it cannot be copied.
    """
    if not item.bucket:
        yield item.path
        return
    with tempfile.NamedTemporaryFile(suffix=os.path.splitext(item.key)[1]) as file:
        try:
            buckets.copy(item.bucket, item.key, file)
            file.flush()
        except OSError as error:
            where = tempfile.gettempdir()
            raise InputError(f"{where}: cannot be written: {error.strerror or error}") from None
        yield file.name


def is_same(item: AudioItem, folder: str) -> bool:
    """Whether what an item's key stands for in another folder is the item's file, or no file."""
    if item.bucket or storage.is_remote(folder):
        return False
    with contextlib.suppress(OSError):
        return os.path.samefile(place_of(item.key, folder), item.path)
    return True


def _same(one, other):
    return os.path.normpath(one) == os.path.normpath(other)


def shard_of(key: str, shards: int) -> int:
    """Which of so many machines has a file: that depends on its key alone."""
    return zlib.crc32(key.encode()) % shards
