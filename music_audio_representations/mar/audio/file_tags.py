"""Text fields are written into the tags of audio files; all else in a file stays as it is.

MP3 (ID3v2.3 and 2.4), FLAC, Ogg Vorbis, Opus, M4A, AIFF and WAV. A field is a standard one
(`genre`, `key`, `tempo`), or one of our own, whose name begins with `OWN`.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Mapping

from mar.audio import tag_formats
from mar.audio.decode import audio_hash
from mar.audio.tag_formats import STANDARD, Path, Tags, Values, errors_named
from mar.errors import InputError
from mar.util.atomic import whole

__all__ = ["OWN", "STANDARD", "Changes", "Values", "changes", "write"]

OWN = "MAR_"
Changes = dict[str, tuple[Values, Values]]


def changes(path: Path, wanted: Mapping[str, Values] | None) -> Changes:
    """What `write` would change: `{field: (values now, values wanted)}` where these differ.

    Raises:
        InputError: the file cannot be read, or has no tags that can be written.
    """
    return _changes(tag_formats.opened(path), wanted)


def write(path: Path, wanted: Mapping[str, Values] | None) -> Changes:
    """Gives fields their values in a file, which is replaced whole, or stays as it is.

    What was written is read back before it takes the file's place: the fields are as wanted, other
    tags and the audio as they were. Permissions and, where the system lets us, the owner stay. A
    file whose fields have their values already is not written.

    Args:
        path: of the file.
        wanted: the values of each field; of one that is to be removed, none. None removes all of
            our own.

    Returns:
        What was changed, see `changes`.

    Raises:
        InputError: it cannot be done; the file is as it was.
    """
    real = pathlib.Path(os.path.realpath(path))
    with errors_named(path, "read"):
        status = os.stat(real)
    differing = _changes(tag_formats.opened(path), wanted)
    if not differing:
        return {}
    if not status.st_mode & 0o222 or not os.access(real, os.W_OK):
        raise InputError(f"{path}: cannot be written: it is read-only")
    after = {name: values for name, (_, values) in differing.items()}
    with whole(real) as unfinished:
        with errors_named(path, "written"):
            tag_formats.opened(real).write(unfinished, after)
        _compare(path, unfinished, after)
        with errors_named(path, "written"):
            now = os.stat(real)
        if any(getattr(now, part) != getattr(status, part) for part in _STATE):
            raise InputError(f"{path}: was changed while its tags were written; run again")
        _take_over(status, real, unfinished)
    return differing


_STATE = ("st_size", "st_mtime_ns", "st_ino")


def _changes(tags: Tags, wanted):
    if wanted is None:
        wanted = {name: () for name in tags.names() if name.startswith(OWN)}
    now = {name: tags.values(name) for name in wanted}
    return {name: (now[name], wanted[name]) for name in wanted if now[name] != wanted[name]}


def _compare(path, unfinished, after):
    """Raises InputError unless a copy differs from the file in these fields alone."""
    original, copy = tag_formats.opened(path), tag_formats.opened(unfinished)
    for name, values in after.items():
        if (read := copy.values(name)) != values:
            raise InputError(f"{path}: {name} reads back as {read}, expected {values}")
    if original.others(after) != copy.others(after):
        raise InputError(f"{path}: its other tags would not stay as they are")
    if audio_hash(path) != audio_hash(unfinished):
        raise InputError(f"{path}: its audio would not stay as it is")


def _take_over(status, path, unfinished):
    """Gives a copy the owner, permissions and extended attributes of a file, but not its times."""
    with contextlib.suppress(PermissionError):  # who is not root cannot give files away
        os.chown(unfinished, status.st_uid, status.st_gid)
    shutil.copystat(path, unfinished)
    os.utime(unfinished)
