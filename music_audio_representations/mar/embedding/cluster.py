"""Embeds a catalogue on a Ray cluster (extra `cluster`).

Each actor holds the model, takes one GPU where there are GPUs, and writes its own part of the data
set: only what became of the files comes back. At the end these small parts become large ones. All
machines must see the files, the model and the
output under the same paths.
"""

import dataclasses
import hashlib
import os
from collections.abc import Sequence

from mar.embedding import changes, engine
from mar.embedding.catalogue import Catalogue
from mar.embedding.changes import Summary
from mar.embedding.engine import InMemory
from mar.embedding.files import AudioItem
from mar.embedding.rows import Row
from mar.embedding.stored import Stored
from mar.embedding.writer import Writer, write_part
from mar.util.cluster import RETRIES, connected, errors_told
from mar.util.progress import Progress

_FILES = 32  # that an actor embeds, and writes as one part, at a time
_TOLD = (  # of a row
    *("path", "status", "reason", "folder", "size", "mtime_ns", "audio_hash", "duration"),
    *("damaged_seconds", "silence", "change", "source"),
)


def run(
    job: Catalogue,
    model: str,
    items: Sequence[AudioItem],
    output: str | os.PathLike,
    address: str,
    shard: tuple[int, int] = (0, 1),
) -> Summary:
    """Embeds files into a data set; what it has already is not done again.

    Of files with the same audio that the data set has not, one is embedded of those that an actor
    has at a time.

    Args:
        job: how.
        model: a name or a file, as `mar.Embedder` takes it on every machine.
        items: the files.
        output: folder of the data set.
        address: of the Ray cluster; "local" starts one on this machine.
        shard: `(i, n)`: embeds the share of one of n clusters.

    Returns:
        What became of the files.

    Raises:
        InputError: Ray is not installed or the cluster does not answer.
    """
    ray = connected(address)
    output = os.path.abspath(output)  # the workers' folders are others
    items = [
        item if item.bucket else dataclasses.replace(item, path=os.path.abspath(item.path))
        for item in items
    ]
    made = job.embedder(model).provenance
    provenance = {**made, "store": job.store, "format": job.format}
    with Writer(output, provenance, shard) as writer:
        plan = changes.plan(items, writer.known, writer.is_kept, shard)
        gone = list(plan.gone)
        summary = Summary(failed_before=changes.failed(writer.known))
        summary.counts["unchanged"] = plan.unchanged
        if plan.todo:
            with Progress(len(plan.todo), "file") as progress:
                for outcome in _outcomes(ray, job, made["model_source"], plan.todo, writer):
                    if outcome.status == "gone":
                        gone.append(outcome.path)
                    else:
                        summary.count(outcome)
                        writer.note(outcome)
                    progress.update(more=summary.rate())
        left = writer.leave([path for path in gone if path in writer.known])
        summary.tell_left(writer.known, gone, left)
        writer.merge()
    return summary


def _outcomes(ray, job, model, todo, writer):
    """Yields a `Row` of each file, without its embedding, when it is on disk."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    cores = int(ray.cluster_resources()["CPU"])
    actors = gpus or max(1, cores // 2)
    workers = max(1, cores // actors)
    files = ray.data.from_items([{"item": item} for item in todo], override_num_blocks=actors)
    part = (writer.provenance, str(writer.folder), writer.written)
    outcomes = files.map_batches(
        _Actor,
        fn_constructor_args=(job.resolved(), model, part, workers),
        batch_size=min(_FILES, -(-len(todo) // actors)),
        concurrency=(1, actors),
        num_cpus=workers,
        num_gpus=1 if gpus else 0,
        max_restarts=RETRIES,
        max_task_retries=RETRIES,
    )
    with errors_told(ray):
        for outcome in outcomes.iter_rows():
            yield Row(**{**outcome, "notes": str(outcome["notes"]).splitlines()})


class _Actor:
    """Holds the model; embeds and writes a batch of files."""

    def __init__(self, job, model, part, workers):
        job = Catalogue.from_config(job)
        self._embedder, self._workers = job.embedder(model), job.workers or workers
        self._provenance, self._output, self._written = part
        # As it was before: a batch is tried again where an actor died that had written it.
        self._stored = Stored(self._output, before=self._written)

    def __call__(self, batch):
        items = list(batch["item"])
        kept = InMemory(self._provenance, self._stored)
        rows = list(engine.rows(lambda: self._embedder, items, kept, self._workers))
        # Named after the files: a batch that is tried again replaces what it wrote.
        keys = "\0".join([str(self._written), *(item.key for item in items)])
        name = hashlib.sha256(keys.encode()).hexdigest()[:16]
        there = list(kept.rows.values())
        if there:
            write_part(self._output, self._provenance, there, name, self._written)
        outcomes = {name: [getattr(row, name) for row in rows] for name in _TOLD}
        # As text: Ray makes arrays of lists.
        return {**outcomes, "notes": ["\n".join(row.notes or ()) for row in rows]}
