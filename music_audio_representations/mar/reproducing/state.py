"""How far a reproduction is: what becomes of each task, and how much is left."""

import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Literal

from mar.embedding.store import Embeddings
from mar.reproducing.audio import Check, Located
from mar.reproducing.collections import Collection
from mar.tasks import TASKS

Stage = Literal["left out", "missing", "waiting", "embedding", "probing", "measured"]

# Minutes that a probe of Table 2 takes on two cores, as `configs/probe` say.
_MINUTES = {
    **{"GTZAN": 4, "Emo": 9, "GS_Key": 5, "MTT": 7, "NSynth_P": 8, "NSynth_I": 4, "MSDS": 34},
    **{"MSD50": 7, "MSD100": 85, "MSD500": 282, "AMM": 14, "MuMu": 1},
    **{"Jam-50": 4, "Jam-All": 17, "Jam-MT": 3},
}


@dataclasses.dataclass(frozen=True)
class State:
    """What becomes of a task.

    Attributes:
        stage: "left out", since its audio is not at hand; "missing", since it cannot be measured;
            "waiting"; "embedding"; "probing"; or "measured".
        why: a sentence, or nothing.
    """

    stage: Stage
    why: str = ""


@dataclasses.dataclass
class DataSet:
    """Tasks whose items are embedded together: of one collection, with the same windows.

    Attributes:
        collection: what they are of.
        audio: its folder; that of the embeddings, where others made them.
        folder: of the data set.
        located: the tasks.
        is_complete: whether all was embedded that can be.
    """

    collection: Collection
    audio: pathlib.Path
    folder: pathlib.Path
    located: list[Located]
    is_complete: bool = False

    @functools.cached_property
    def paths(self) -> list[str]:
        """The files to embed, each once, sorted."""
        return sorted({path for each in self.located for path in each.paths if path is not None})

    def opened(self) -> Embeddings | None:
        """What is embedded; None where nothing is yet."""
        return Embeddings(self.folder) if any(self.folder.glob("*.parquet")) else None

    def failures(self) -> Mapping[str, str]:
        """`{path: reason}` of the files that were tried in vain."""
        embeddings = self.opened()
        return {} if embeddings is None else embeddings.failures

    def left(self) -> list[str]:
        """The files that were neither embedded nor tried in vain."""
        if self.is_complete:
            return []
        embeddings = self.opened()
        tried = set() if embeddings is None else {*embeddings.paths, *embeddings.failures}
        return [path for path in self.paths if path not in tried]


def by_windows(collection: Collection) -> list[list[str]]:
    """The names of a collection's tasks, those with the same windows together."""
    groups: dict[str, list[str]] = {}
    for name in collection.tasks:
        groups.setdefault(json.dumps(TASKS[name].windows), []).append(name)
    return list(groups.values())


class Remaining:
    """How long embedding will take, by how long it took since this was made.

    Args:
        sets: what is embedded.
        checks: by the collections' names.
    """

    def __init__(self, sets: list[DataSet], checks: dict[str, Check]) -> None:
        self._sets, self._checks = sets, checks
        self._began, self._at_first = time.monotonic(), self._audio_seconds()

    def seconds(self) -> float | None:
        """Of time; None as long as nothing was embedded."""
        left = self._audio_seconds()
        done = self._at_first - left
        if not left:
            return 0.0
        return left * (time.monotonic() - self._began) / done if done else None

    def _audio_seconds(self) -> float:
        """Of audio that is not embedded, as far as its files tell."""
        return sum(
            self._checks[each.collection.name].seconds.get(path, 0.0)
            for each in self._sets
            for path in each.left()
        )


def probing_seconds(left: list[str], measured: dict[str, float], trials: int, jobs: int) -> float:
    """How long probes will take.

    Args:
        left: the tasks.
        measured: seconds that one training took, by task; those of Table 2 are scaled by them.
        trials: of a search.
        jobs: probes that are trained at once.
    """
    typical = 60 * sum(_MINUTES[task] for task in measured)
    scale = sum(measured.values()) / typical if typical else 1.0
    return scale * 60 * sum(_MINUTES[task] for task in left) * (trials + 1) / jobs
