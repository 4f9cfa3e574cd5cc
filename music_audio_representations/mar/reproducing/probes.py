"""Which probe a task gets: that of Table 2, the published model's own, or one that is searched."""

import dataclasses
import hashlib
import json
import os
import pathlib

from mar.embedding import provenance
from mar.embedding.store import Embeddings
from mar.errors import ConfigError, InputError
from mar.probing.joining import hashes_of_items
from mar.reproducing.audio import Located
from mar.tasks import fetched_folder, fetching
from mar.tasks.base import TaskInfo
from mar.util import shipped
from mar.util.checksums import sha256

TABLE2, PUBLISHED, SEARCH = "table2", "published", "search"


@dataclasses.dataclass(frozen=True)
class Choice:
    """How the probes are configured.

    Attributes:
        kind: "table2"; "published"; "search"; or a folder with a `TASK.yaml` of each task.
        trials: of a search.
    """

    kind: str = TABLE2
    trials: int = 0

    @property
    def name(self) -> str:
        """Of the folder of the results."""
        is_folder = self.kind not in (TABLE2, PUBLISHED, SEARCH)
        return os.path.basename(os.path.abspath(self.kind)) if is_folder else self.kind

    @property
    def folder(self) -> pathlib.Path | None:
        """Where configurations by task lie; None for those that are shipped."""
        return None if self.kind in (TABLE2, PUBLISHED, SEARCH) else pathlib.Path(self.kind)

    def path(self, task: TaskInfo, source: str | None) -> pathlib.Path:
        """The file of a task's configuration.

        Args:
            task: the task.
            source: the published model that the embeddings are of, see
                `mar.embedding.model_names.published_as`.
        """
        if self.kind == PUBLISHED:
            model = str(source).replace("-", "_")
            return fetched_folder(fetching.PROBES) / task.name / f"{model}.yml"
        if self.folder is not None:
            return self.folder / f"{task.name}.yaml"
        return shipped.configuration(f"probe/{task.probe or task.name}")


def chosen(kind: str, trials: int) -> Choice:
    """What the command's flags mean.

    Raises:
        ConfigError: it is none of the kinds, and no folder.
    """
    choice = Choice(kind, trials if kind == SEARCH else 0)
    if choice.folder is not None and not choice.folder.is_dir():
        raise ConfigError(
            f"--probes: expected {TABLE2}, {PUBLISHED}, {SEARCH}, or a folder with a TASK.yaml of "
            f"each task, got {kind!r}"
        )
    return choice


def check_published(source: str | None, model: str) -> None:
    """Raises an InputError where a model has no published probes."""
    if source is None:
        raise InputError(
            f"--probes published: expected the published model (mule, or its file), got {model}, "
            f"for which none were published; give --probes table2 or --probes search"
        )


def hash_of(located: Located, embeddings: Embeddings, config: pathlib.Path, trials: int) -> str:
    """SHA-256 (hex) of all that a result follows from."""
    if not config.is_file():
        raise ConfigError(f"{config}: expected the configuration of a probe, found none")
    made = embeddings.provenance
    model = {name: value for name, value in made.items() if name not in provenance.NOT_COMPARED}
    of_items = hashes_of_items(embeddings, located.paths)
    parts = [located.task.hash(), of_items, model, made.get("front_end"), sha256(config), trials]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
