"""Tracks as people and players read them: text, JSON, CSV, or an M3U playlist."""

import csv
import json
import logging
import os
from collections.abc import Sequence
from typing import Literal, TextIO

from mar.audio import decode
from mar.embedding import files
from mar.embedding.choosing import Neighbour

Format = Literal["text", "json", "csv", "m3u"]
_LOG = logging.getLogger(__name__)


def write(
    file: TextIO, tracks: Sequence[Neighbour], format: Format, audio: str | None = None
) -> None:
    """Writes tracks in their order; a playlist in the bytes that names have.

    Args:
        file: is written to.
        tracks: of a data set.
        format: how.
        audio: folder that the paths are relative to, for a playlist; None for as they are.
    """
    if format == "m3u":
        file.flush()
        places = [files.place_of(track.path, audio or "") for track in tracks]
        file.buffer.write(playlist(places))
        file.buffer.flush()
    elif format == "json":
        json.dump([track._asdict() for track in tracks], file, ensure_ascii=False, indent=1)
        file.write("\n")
    elif format == "csv":
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(Neighbour._fields)
        rows.writerows((f"{track.similarity:.6f}", track.path) for track in tracks)
    else:
        for track in tracks:
            file.write(f"{track.similarity:.4f}  {decode.shown(track.path)}\n")


def playlist(places: Sequence[bytes]) -> bytes:
    """A playlist of files; a name that is not one line is left out, with a warning."""
    lines = [b"#EXTM3U"]
    for place in places:
        if len(os.fsdecode(place).splitlines()) > 1:
            _LOG.warning("%r: not in the playlist, where a name is one line", os.fsdecode(place))
        else:
            lines.append(b"./" + place if place.startswith(b"#") else place)  # else it is a comment
    return b"\n".join([*lines, b""])
