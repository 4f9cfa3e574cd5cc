"""What audio files say of themselves: ID3 tags, Vorbis comments and the like, read by FFmpeg."""

import logging
import pathlib
from collections.abc import Sequence

import av

from mar.errors import InputError
from mar.util.names import composed
from mar.util.tables import Table

SEPARATOR = ";"  # of what a file has several of, as FFmpeg joins them
_GROUPS = ("artist", "album")
_SHOWN = 5
_LOG = logging.getLogger(__name__)


def read(folder: pathlib.Path, paths: Sequence[str], tag: str) -> Table:
    """A table of the files that have a tag; how many have none is logged, with five names.

    Args:
        folder: of the files.
        paths: of them, relative to it.
        tag: its name in FFmpeg, in whatever case, such as `genre`.

    Returns:
        The columns `path`, the tag's, and of `artist` and `album` those that any file has; empty
        where it is unknown.

    Raises:
        InputError: no file has it.
    """
    of_files = {path: tags(folder / path) for path in paths}
    tagged = {path: found for path, found in of_files.items() if found.get(tag.lower())}
    without = [path for path in paths if path not in tagged]
    if not tagged:
        raise InputError(f"{folder}: expected files with the tag {tag}, found none of {len(paths)}")
    if without:
        shown = ", ".join(without[:_SHOWN]) + (", …" if len(without) > _SHOWN else "")
        _LOG.warning(
            "%s: left out %d of %d files, without the tag %s or unreadable: %s",
            *(folder, len(without), len(paths), tag, shown),
        )
    columns = {"path": [*tagged], tag: [found[tag.lower()] for found in tagged.values()]}
    for name in _GROUPS:
        cells = [found.get(name, "") for found in tagged.values()]
        if name != tag and any(cells):
            columns[name] = cells
    return Table(columns, range(1, len(tagged) + 1))


def tags(path: pathlib.Path) -> dict[str, str]:
    """The tags of a file by name, in lower case; none where it cannot be read.

    No protocol is allowed, so that a playlist cannot open other files.
    """
    options = {"protocol_whitelist": "none"}
    try:
        with (
            open(path, "rb") as file,
            av.open(file, options=options, metadata_errors="replace") as container,
        ):
            # Ogg has them in its stream, other formats in the file.
            places = [*(stream.metadata for stream in container.streams), container.metadata]
            return {
                name.lower(): composed(value.strip())
                for place in places
                for name, value in place.items()
            }
    except (av.FFmpegError, OSError):
        return {}
