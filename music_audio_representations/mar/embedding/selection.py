"""Some of the tracks of a data set: those in a folder, of a duration, with a label."""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from mar.errors import ConfigError, InputError, nearest
from mar.util import files, plain_data, tables, text

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings


def select(
    embeddings: "Embeddings",
    folder: str | None = None,
    min_seconds: float | None = None,
    max_seconds: float | None = None,
    labels: Sequence[str] = (),
    tags: str | os.PathLike | None = None,
) -> frozenset[str]:
    """The paths of a data set that meet all of some conditions.

    Args:
        embeddings: the `mar.Embeddings`.
        folder: lie in this folder, or below it.
        min_seconds: are of at least this duration.
        max_seconds: are of at most this duration.
        labels: have each of these labels.
        tags: the table that says who has a label: with the columns `path` and `label`, as mar tag
            writes it (where it has `decision`, of labels that are given), or as CSV.

    Raises:
        ConfigError: there are labels without a table.
        InputError: the table cannot be read; or no track meets a condition.
    """
    if labels and tags is None:
        raise ConfigError("tags: expected the table that says who has a label, got none")
    paths = set(embeddings.paths)
    if folder is not None:
        below = folder.rstrip("/") + "/"
        paths = _some(
            embeddings,
            f"in the folder {folder!r}",
            {path for path in paths if path.startswith(below)},
            nearest(folder, {os.path.dirname(path) for path in paths}),
        )
    if min_seconds is not None or max_seconds is not None:
        least, most = min_seconds or 0.0, float("inf") if max_seconds is None else max_seconds
        of_duration = {
            path for path, seconds in embeddings.durations().items() if least <= seconds <= most
        }
        paths = _some(embeddings, f"of {least:g}–{most:g} s", paths & of_duration)
    if labels and tags is not None:
        given = _labelled(pathlib.Path(tags))
        known = {label for label, _ in given}
        for label in labels:
            with_label = {path for other, path in given if other == label}
            hint = "" if label in known else nearest(label, known)
            paths = _some(embeddings, f"labelled {label!r}", paths & with_label, hint)
    return frozenset(paths)


def _some(embeddings: "Embeddings", what: str, paths: set[str], hint: str = "") -> set[str]:
    if not paths:
        raise InputError(f"{embeddings.folder}: has no track {what}{hint}")
    return paths


def _labelled(path: pathlib.Path) -> set[tuple[str, str]]:
    """`(label, path)` of each label that a table gives."""
    if path.suffix == ".parquet":
        rows: Iterable[dict] = _of_parquet(path)
    elif path.suffix == ".jsonl":
        rows = _of_json_lines(path)
    else:
        table = tables.read(path, ["path", "label"], ["decision"], blank=["decision"])
        given = table.columns.get("decision", ["true"] * len(table))
        rows = (
            {"path": track, "label": label, "decision": decision.lower() == "true"}
            for track, label, decision in zip(table["path"], table["label"], given, strict=True)
        )
    try:
        rows = [plain_data.checked(row, {"path": str, "label": str}, "a row") for row in rows]
    except ValueError as error:
        raise InputError(f"{path}: expected the columns path and label: {error}") from None
    return {(row["label"], row["path"]) for row in rows if row.get("decision", True)}


def _of_parquet(path: pathlib.Path) -> list[dict]:
    files.refuse_others(path)
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from None
    wanted = [name for name in ("path", "label", "decision") if name in table.column_names]
    return table.select(wanted).to_pylist()


def _of_json_lines(path: pathlib.Path) -> list[dict]:
    lines = text.read_lines(path)
    try:
        return [plain_data.parsed(line) for line in lines if line.strip()]
    except ValueError as error:
        raise InputError(f"{path}: expected an object of JSON a line: {error}") from None
