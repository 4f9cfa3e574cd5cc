"""Tracks as people and players read them: text, JSON, CSV, or an M3U playlist."""

import csv
import json
import logging
import posixpath
from collections.abc import Sequence
from typing import Literal, TextIO

from mar.audio import decode
from mar.embedding.choosing import Neighbour

Format = Literal["text", "json", "csv", "m3u"]
_LOG = logging.getLogger(__name__)


def write(
    file: TextIO, tracks: Sequence[Neighbour], format: Format, audio: str | None = None
) -> None:
    """Writes tracks in their order.

    Args:
        file: is written to.
        tracks: of a data set.
        format: of a playlist, a name that would not be one line is left out with a warning.
        audio: folder that the paths are relative to, for a playlist; None for as they are.
    """
    if format == "json":
        json.dump([track._asdict() for track in tracks], file, ensure_ascii=False, indent=1)
        file.write("\n")
    elif format == "csv":
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(Neighbour._fields)
        rows.writerows((f"{track.similarity:.6f}", track.path) for track in tracks)
    elif format == "m3u":
        file.write("#EXTM3U\n")
        for track in tracks:
            if len(track.path.splitlines()) > 1:
                _LOG.warning("%r: not in the playlist, where a name is one line", track.path)
            else:
                name = posixpath.join(audio or "", track.path)
                file.write(f"{'./' * name.startswith('#')}{name}\n")  # else it is a comment
    else:
        for track in tracks:
            file.write(f"{track.similarity:.4f}  {decode.shown(track.path)}\n")
