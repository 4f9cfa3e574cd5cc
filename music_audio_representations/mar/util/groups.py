"""What is kept on one side when a collection is split: all of an artist, an album or a folder.

Otherwise a model that knows an artist's voice, or an album's sound, is taken for one that knows the
label.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from mar.errors import InputError

Separation = Literal["artist", "album", "folder"]
SEPARATIONS: tuple[Separation, ...] = ("artist", "album", "folder")
COLUMNS = ("artist", "album")


def groups(
    columns: Mapping[str, Sequence[str | None]],
    paths: Sequence[str],
    separated_by: Separation | None,
    where: str | os.PathLike[str],
) -> list[str | None]:
    """The group of each item; None for one that is alone.

    Args:
        columns: of a table, by name: those of `COLUMNS` that there are; empty cells are unknown.
        paths: of the items' files.
        separated_by: None takes the artists where there are any, or else the albums.
        where: the table or folder, for the message.

    Raises:
        InputError: there is no such column.
    """
    if separated_by == "folder":
        return [os.path.dirname(path) for path in paths]
    wanted = COLUMNS if separated_by is None else (separated_by,)
    given = next((name for name in wanted if name in columns), None)
    if given is not None:
        return [cell or None for cell in columns[given]]
    if separated_by is not None:
        raise InputError(f"{where}: expected a column {separated_by} to separate by, found none")
    return [None] * len(paths)
