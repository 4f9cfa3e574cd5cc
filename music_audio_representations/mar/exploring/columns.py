"""What tracks can be coloured by: what the data set knows of them, and labels from tables or heads.

A table is either wide, a row for each track, or long, as mar tag writes it: a row for each track
and label. Columns are read when they are asked for.
"""

import dataclasses
import functools
import itertools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mar.errors import InputError
from mar.probing import tagging
from mar.probing.head import Head

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

_OF_TRACKS = ("duration", "sample_rate", "channels", "silence", "damaged_seconds", "reader")
_TEXTS = ("path", "head", "label")  # whatever stands there


def _read_csv(path: pathlib.Path) -> pd.DataFrame:
    """A table in which None, NA and the like are missing among numbers, and labels among texts."""
    frame = pd.read_csv(path)
    texts = [
        place
        for place, name in enumerate(frame)
        if name in _TEXTS
        or not pd.api.types.is_numeric_dtype(frame[name])
        or frame[name].isna().all()
    ]
    as_they_are = {"dtype": str, "keep_default_na": False, "na_values": [""]}
    names = frame.columns[texts]
    frame[names] = pd.read_csv(path, usecols=texts, **as_they_are)[names]
    return frame


_READERS: dict[str, Callable[..., pd.DataFrame]] = {
    ".parquet": pd.read_parquet,
    ".csv": _read_csv,
    ".jsonl": lambda path: pd.read_json(path, lines=True),
}


@dataclasses.dataclass(frozen=True)
class Values:
    """What colours the tracks.

    Attributes:
        categories: their names, the most frequent first; None for numbers.
        numbers: float32 `(tracks,)`: of a category, or the number itself; NaN where there is none.
    """

    categories: list[str] | None
    numbers: np.ndarray

    @classmethod
    def of(cls, series: pd.Series) -> "Values":
        """Those of a column of a table, of any kind."""
        if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series):
            return cls(None, series.to_numpy(np.float32, na_value=np.nan))
        texts = series.map(str, na_action="ignore")
        names = texts.value_counts().index.tolist()  # without those that are missing
        codes = pd.Categorical(texts, names).codes.astype(np.float32)
        return cls(names, np.where(codes < 0, np.float32(np.nan), codes))

    def having(self, text: str) -> np.ndarray:
        """Which tracks have a category in whose name, in lower case, a text is, bool."""
        names = self.categories or []
        return np.isin(self.numbers, [n for n, name in enumerate(names) if text in name.lower()])

    def legend(self) -> dict[str, Any]:
        """`categories` and how many tracks have each, `counts`; or the range, `low` to `high`,
        that all but a hundredth of the numbers lie in, at either end.
        """
        finite = self.numbers[np.isfinite(self.numbers)]
        if self.categories is not None:
            counts = np.bincount(finite.astype(np.int64), minlength=len(self.categories))
            return {"categories": self.categories, "counts": counts.tolist()}
        if not len(finite):
            return {"categories": [], "counts": []}
        low, high = np.percentile(finite, [1, 99]).tolist()
        return {"low": low, "high": high if high > low else low + 1.0}


@dataclasses.dataclass(frozen=True)
class Column:
    """One way to colour tracks.

    Attributes:
        name: of it.
        group: what it is from: the tracks themselves, a table or a head.
        values: computes or reads its `Values`.
        is_text: whether a search looks into it: labels, and what else a table has as text.
    """

    name: str
    group: str
    values: Callable[[], Values]
    is_text: bool = False


def of_tracks(embeddings: "Embeddings", paths: Sequence[str]) -> list[Column]:
    """The folders of tracks, and what the data set knows of them.

    Args:
        embeddings: the `mar.Embeddings`.
        paths: of the tracks.
    """

    def noted(name: str) -> Values:
        frame = embeddings.table([name]).to_pandas().set_index("path")
        return Values.of(frame.reindex(index=paths, columns=[name])[name])

    folders = Column("folder", "tracks", lambda: Values.of(pd.Series(_folders(paths))))
    known = [Column(name, "tracks", functools.partial(noted, name)) for name in _OF_TRACKS]
    return [folders, *known]


def of_heads(
    embeddings: "Embeddings", paths: Sequence[str], heads: Sequence[str | os.PathLike]
) -> list[Column]:
    """What heads say of tracks, which is computed once one of them is asked.

    Raises:
        InputError: there is no such head, or it does not fit the data set.
    """
    columns = []
    for name, head in tagging.named([Head(path) for path in heads]).items():
        tagging.check({name: head}, embeddings, timeline=False)

        frame = _once(functools.partial(_said, name, head, embeddings))
        columns += _long(name, frame, head.labels, paths)
    return columns


def _said(name: str, head: Head, embeddings: "Embeddings") -> pd.DataFrame:
    return pa.concat_tables(tagging.tags({name: head}, embeddings)).to_pandas()


def of_table(path: str | os.PathLike, paths: Sequence[str]) -> list[Column]:
    """The columns of a table with the column `path`.

    Raises:
        InputError: it cannot be read, names none of the tracks, or labels windows of them.
    """
    path = pathlib.Path(path)
    if path.suffix not in _READERS:
        raise InputError(f"{path}: expected a table that ends in {', '.join(_READERS)}")
    try:
        frame = _READERS[path.suffix](path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from None
    if "path" not in frame or not frame["path"].isin(set(paths)).any():
        raise InputError(
            f"{path}: expected a column path that names tracks of the data set, such as "
            f"{paths[0]!r}"
        )
    if {"label", "start", "end"} <= set(frame.columns):
        raise InputError(
            f"{path}: expected labels of whole tracks, got those of windows, with start and end; "
            f"write the table by mar tag without --timeline"
        )
    if "label" not in frame:
        wide = frame.drop_duplicates("path").set_index("path").reindex(paths)
        return [
            Column(
                *(str(name), path.name, functools.partial(Values.of, wide[name])),
                is_text=not pd.api.types.is_numeric_dtype(wide[name]),
            )
            for name in wide.columns
        ]
    heads = frame.groupby("head") if "head" in frame else [(path.name, frame)]
    columns = []
    for head, rows in heads:
        labels = rows["label"].unique().tolist()
        columns += _long(str(head), _once(rows.copy), labels, paths)
    return columns


def _long(
    head: str, frame: Callable[[], pd.DataFrame], labels: Sequence[str], paths: Sequence[str]
) -> list[Column]:
    """The most probable label, and the probability of each, or its value."""

    def most_probable() -> Values:
        rows = frame()
        if "decision" in rows:
            rows = rows[rows["decision"].astype(str).str.lower() != "false"]
        if "probability" in rows:
            rows = rows.sort_values("probability", ascending=False, kind="stable")
        return Values.of(rows.drop_duplicates("path").set_index("path")["label"].reindex(paths))

    def of_label(label: str) -> Values:
        rows = frame()
        rows = rows[rows["label"] == label].drop_duplicates("path").set_index("path")
        names = [name for name in ("probability", "value") if name in rows and rows[name].count()]
        return Values.of((rows[names[0]] if names else rows["label"]).reindex(paths))

    columns = [Column("label", head, most_probable, is_text=True)] if len(labels) > 1 else []
    return columns + [Column(label, head, functools.partial(of_label, label)) for label in labels]


def _folders(paths: Sequence[str]) -> list[str]:
    """The first part of each path's folder that not all have."""
    folders = [path.split("/")[:-1] for path in paths]
    first, last = min(folders), max(folders)
    same = (one == other for one, other in zip(first, last, strict=False))
    common = sum(itertools.takewhile(bool, same))
    return [folder[common] if len(folder) > common else "." for folder in folders]


def _once(compute: Callable[[], pd.DataFrame]) -> Callable[[], pd.DataFrame]:
    """What is computed at the first call."""
    return functools.lru_cache(maxsize=1)(compute)
