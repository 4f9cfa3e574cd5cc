"""AudioSet as it is downloaded: segments, classes, how good their labels are, the ontology, clips.

Segments (`balanced_train_segments.csv` and its like) are read with or without their comment lines,
spaces and quotation marks. Clips are files called in one of the ways in which people call them; the
segment of YouTube's `--PJHxphWEs` from 30 to 40 s is the file, of whatever format, called

    --PJHxphWEs    --PJHxphWEs_30    --PJHxphWEs_30_40    --PJHxphWEs_30000_40000

or the same with a Y in front; seconds may have decimals (30.000).
"""

import collections
import csv
import io
import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence

from mar.errors import ConfigError, InputError
from mar.util import plain_data, tables, text
from mar.util.files import below
from mar.util.text import Path

_LOG = logging.getLogger(__name__)
_ID = re.compile(r"[\w-]{11}", re.ASCII)
_BEGINNING = re.compile(r"# Segments csv created|(# )?YTID\s*,|[\w-]{11}\s*,\s*\d", re.ASCII)
_COMMENT = re.compile(r"# .*num_segs=(\d+)")
_CLIP_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("aac", "aif", "aiff", "flac", "m4a", "mka", "mkv", "mp3"),
        *("mp4", "oga", "ogg", "opus", "wav", "wave", "webm", "wma"),
    )
)
Segment = tuple[str, float, float, list[str]]


def is_segments(path: Path) -> bool:
    """Whether a file is one of AudioSet's tables of segments.

    Raises:
        InputError: it cannot be read.
    """
    if os.fspath(path).endswith(".parquet"):
        return False
    return _BEGINNING.match(text.read_text(path, errors="surrogateescape")) is not None


def segments(path: Path) -> list[Segment]:
    """YouTube's id, start and end in seconds, and labels of each segment.

    Raises:
        InputError: a line is none of AudioSet's; a spreadsheet has changed it, for example.
    """
    content = text.read_text(path, errors="surrogateescape")
    found = [
        _segment(path, number, row)
        for number, row in enumerate(
            csv.reader(io.StringIO(content, newline=""), skipinitialspace=True), 1
        )
        if row and not row[0].startswith("# ") and row[0].strip() != "YTID"
    ]
    announced = _COMMENT.search(content)
    if announced and int(announced[1]) != len(found):
        _LOG.warning(
            *("%s: its header announces %s segments, it has %d", path, announced[1], len(found))
        )
    return found


def _segment(path: Path, number: int, row: Sequence[str]) -> Segment:
    id, *times = (cell.strip() for cell in row[:3])
    labels = [label.strip() for cell in row[3:] for label in cell.split(",")]
    labels = [label for label in labels if label]
    try:
        start, end = map(float, times)
        if not (_ID.fullmatch(id) and 0 <= start < end and labels):
            raise ValueError
    except ValueError:
        raise InputError(
            f"{path}: line {number}: expected AudioSet's own format "
            f'(YTID, 0.000, 10.000, "/m/…,/m/…"), got {", ".join(row)[:80]!r}'
        ) from None
    return id, start, end, list(dict.fromkeys(labels))


# ------------------------------------------------------------------------------------------ clips


class Clips:
    """The audio files in a folder, however deep, by name without suffix.

    Args:
        folder: of the clips.
        name: how they are called: text with the fields `id`, `start`, `end` (seconds), `start_ms`
            and `end_ms`; None for any of the usual ways.

    Raises:
        InputError: there is none.
    """

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self._folder, self._name = folder, name
        self._paths: dict[str, list[str]] = collections.defaultdict(list)
        for path in below(folder):
            stem, suffix = os.path.splitext(os.path.basename(path))
            if suffix.lower() in _CLIP_SUFFIXES:
                self._paths[stem].append(path)
        if not self._paths:
            raise InputError(f"{folder}: holds no clips ({' '.join(sorted(_CLIP_SUFFIXES))})")

    def path(self, id: str, start: float, end: float) -> str:
        """Path of a segment's clip, relative to the folder; its bare name where there is none.

        Raises:
            InputError: two files may be this clip.
            ConfigError: the clips' name has other fields.
        """
        if self._name is None:
            stems = _usual_names(id, start, end)
        else:
            stems = [_formatted(self._name, id, start, end)]
        found = [path for stem in stems for path in self._paths.get(stem, ())]
        if len(found) > 1:
            raise InputError(
                f"{self._folder}: two files for one clip: {found[0]} and {found[1]}; move one "
                f"away, or give --clip_name where the names are of two kinds"
            )
        return found[0] if found else stems[0]


def _usual_names(id: str, start: float, end: float) -> list[str]:
    spelled = [
        (str(_Seconds(time)), f"{time:.1f}", f"{time:.3f}", f"{time * 1000:.0f}")
        for time in (start, end)
    ]
    starts = [f"_{start}" for start in spelled[0]]
    both = [f"_{start}_{end}" for start, end in zip(*spelled, strict=True)]
    times = dict.fromkeys(["", *starts, *both])
    return [f"{prefix}{id}{time}" for prefix in ("", "Y") for time in times]


class _Seconds(float):
    """Seconds that are 30 in a name, not 30.0, unless it asks for decimals."""

    def __str__(self) -> str:
        return f"{float(self):.3f}".rstrip("0").rstrip(".")

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)


def _formatted(name: str, id: str, start: float, end: float) -> str:
    fields = {"id": id, "ytid": id, "start": _Seconds(start), "end": _Seconds(end)}
    milliseconds = {"start_ms": round(start * 1000), "end_ms": round(end * 1000)}
    try:
        return name.format(**fields, **milliseconds)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"the clips' name: expected text with fields such as {{id}}, {{start}}, {{end:.3f}} or "
            f"{{start_ms}}, got {name!r} ({error})"
        ) from None


# ---------------------------------------------------------------------------------------- classes


def descendants(path: Path, classes: Sequence[str]) -> set[str]:
    """Classes and all that the ontology has below them, as ids (`/m/…`).

    Args:
        path: of `ontology.json`.
        classes: by name ("Music") or id.

    Raises:
        InputError: it is no ontology, or has no such class.
    """
    try:
        nodes = {node["id"]: node for node in plain_data.parsed(text.read_text(path))}
        ids = {node["name"]: id for id, node in nodes.items()}
        children = {id: list(node["child_ids"]) for id, node in nodes.items()}
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: expected AudioSet's ontology.json ({error!r})") from None
    unknown = [name for name in classes if name not in ids and name not in nodes]
    if unknown:
        raise InputError(f"{path}: expected classes of the ontology, got {unknown[0]!r}")
    found: set[str] = set()
    pending = [ids.get(name, name) for name in classes]
    while pending:
        if (id := pending.pop()) not in found:
            found.add(id)
            pending += children.get(id, ())
    return found


def well_labelled(path: Path, minimum: float, keys: Collection[str]) -> set[str]:
    """Those classes whose labels are right often enough.

    Args:
        path: of `qa_true_counts.csv`, in which people have rated some labels of each class.
        minimum: share of the rated labels that must be right.
        keys: ids of the classes. One without a rated label is taken.

    Raises:
        InputError: it cannot be read, or has no such columns.
    """
    table = tables.read(path, ["label_id", "num_rated", "num_true"])
    try:
        counts: Mapping[str, tuple[int, int]] = {
            id: (int(rated), int(true))
            for id, rated, true in zip(
                table["label_id"], table["num_rated"], table["num_true"], strict=True
            )
        }
    except ValueError as error:
        raise InputError(f"{path}: expected whole numbers of rated labels ({error})") from None
    return {key for key in keys if _share(*counts.get(key, (0, 0))) >= minimum}


def _share(rated: int, true: int) -> float:
    return true / rated if rated else 1.0
