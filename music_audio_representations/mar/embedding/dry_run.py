"""What a run of `mar embed` would do, as far as headers of files tell it."""

import concurrent.futures
import dataclasses
import math
import os
from collections.abc import Sequence

from mar.audio import isolated
from mar.embedding import changes, model_names, npz
from mar.embedding.catalogue import Catalogue
from mar.embedding.files import AudioItem
from mar.embedding.stored import Stored
from mar.errors import InputError
from mar.util.processes import processors
from mar.util.progress import Progress

_FLOAT_BYTES = 4  # before compression, which takes off a tenth or two


@dataclasses.dataclass
class Estimate:
    """What would be done; of copies and moved files, which only decoding tells, as of new ones.

    Attributes:
        files: that would be decoded.
        unchanged, skipped, gone: numbers of others: as they were, not audio, not there any more.
        seconds: of audio, by their headers.
        unmeasured: files whose headers do not tell a length: in buckets, or raw streams.
        unreadable: files that are not audio, whatever they are called.
        windows: how many there are in those seconds.
        bytes: of embeddings, before compression.
    """

    files: int = 0
    unchanged: int = 0
    skipped: int = 0
    gone: int = 0
    seconds: float = 0.0
    unmeasured: int = 0
    unreadable: int = 0
    windows: int = 0
    bytes: int = 0


def estimate(
    job: Catalogue,
    model: str,
    items: Sequence[AudioItem],
    folder: str | os.PathLike,
    shard: tuple[int, int] = (0, 1),
) -> Estimate:
    """What a run would do; nothing is decoded beyond headers, and nothing written.

    Args:
        job, model, items, shard: as of `Catalogue.run`.
        folder: of the data set, which need not be there.

    Raises:
        InputError: the data set is damaged, or the model is not there.
    """
    stored = Stored(folder)
    is_parquet = job.format == "parquet"
    plan = changes.plan(
        items,
        stored.known,
        lambda path: is_parquet or npz.path_of(folder, path).exists(),
        shard,
    )
    todo = [item for item in plan.todo if item.expected]
    skipped = len(plan.todo) - len(todo)
    result = Estimate(len(todo), plan.unchanged, skipped, len(plan.gone))
    with (
        concurrent.futures.ThreadPoolExecutor(job.workers or processors()) as pool,
        Progress(len(todo), "file") as progress,
    ):
        for seconds in pool.map(_seconds, todo):
            progress.update()
            result.unreadable += seconds is None
            result.unmeasured += seconds == 0.0
            if seconds:
                result.seconds += seconds
                result.windows += max(1, math.ceil(seconds / job.windows.hop_seconds) - 1)
    if stored.opened:
        dimensions = stored.opened[0].provenance["dimensions"]
    else:
        name = model.partition(":")[0]
        known = model_names.DIMENSIONS.get(name)
        dimensions = job.embedder(model).dimensions if known is None else known
    embeddings = result.windows if job.store == "timeline" else len(todo) - result.unreadable
    result.bytes = embeddings * dimensions * _FLOAT_BYTES
    return result


def _seconds(item: AudioItem) -> float | None:
    """Length of a file by its header; 0 where that does not tell it, None where it is not audio."""
    if item.bucket:
        return 0.0
    try:
        with isolated.decoder() as decoder:
            return decoder.estimated_seconds(item.path) or 0.0
    except InputError:
        return None
