"""What a reproduction is asked for."""

import dataclasses
import pathlib
from collections.abc import Sequence

from mar.reproducing.collections import Place
from mar.reproducing.probes import Choice


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        output: the folder.
        model: what `mar.Embedder` takes, by name.
        row: name of the model's row in the tables, and of its folders.
        places: where the collections lie, by name.
        tasks: names of the tasks.
        choice: which probes.
        allow_missing: whether tasks are probed without items that have no embedding.
        workers: files that are decoded at once; None for one per core.
        jobs: probes that are trained at once.
        shard: `(i, n)`: embeds the share of one of n machines, and probes nothing.
        ray_address: of a Ray cluster that embeds; None for this machine.
    """

    output: pathlib.Path
    model: str
    row: str
    places: dict[str, Place]
    tasks: Sequence[str]
    choice: Choice = Choice()  # noqa: RUF009 - immutable
    allow_missing: bool = False
    workers: int | None = None
    jobs: int = 1
    shard: tuple[int, int] = (0, 1)
    ray_address: str | None = None

    @property
    def results(self) -> pathlib.Path:
        """Folder of the results."""
        return self.output / "results" / self.choice.name
