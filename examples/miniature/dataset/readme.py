"""What the data set says of itself."""

import pathlib
from collections.abc import Sequence

from examples.miniature.dataset.performance import Track
from examples.miniature.dataset.single_notes import Note
from examples.miniature.dataset.splits import SPLITS

_TEMPLATE = pathlib.Path(__file__).with_name("readme_template.md")


def text(tracks: Sequence[Track], notes: Sequence[Note]) -> str:
    """The README of the data set.

    Args:
        tracks: the `Track`s.
        notes: the `Note`s.
    """
    rows = ["| part | tracks | works | notes |", "|---|---|---|---|"]
    for split in SPLITS:
        ours = [track for track in tracks if track.split == split]
        works = len({track.composition.id for track in ours})
        single = sum(note.split == split for note in notes)
        rows.append(f"| {split} | {len(ours)} | {works} | {single} |")
    return _TEMPLATE.read_text(encoding="utf-8").format(
        tracks=len(tracks),
        notes=len(notes),
        families=len({track.instrument for track in tracks}),
        genres=len({track.composition.genre for track in tracks}),
        groups=len({track.group for track in tracks}),
        table="\n".join(rows),
    )
