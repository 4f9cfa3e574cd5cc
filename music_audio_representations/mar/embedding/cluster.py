"""Embeds a catalogue on a Ray cluster (extra `cluster`).

Each actor holds the model, takes one GPU where there are GPUs, and writes its own part of the data
set: only what became of the files comes back. All machines must see the files, the model and the
output under the same paths.
"""

import dataclasses
import hashlib
import os

from mar.embedding import catalogue
from mar.embedding.store import Writer, storable, write_part
from mar.errors import InputError
from mar.models.loading import load_model

_FILES = 32  # that an actor embeds, and writes as one part, at a time
_RETRIES = 3


def run(job, source, items, output, address):
    """Embeds files into a data set; what it has already is not done again.

    Args:
        job: a `Catalogue`.
        source: the model: what `mar.load_model` takes, on every machine.
        items: list of `AudioItem`s.
        output: folder of the data set.
        address: of the Ray cluster; "local" starts one on this machine.

    Returns:
        A `Summary`.

    Raises:
        InputError: Ray is not installed or the cluster does not answer.
    """
    ray = _connected(address)
    output = os.path.abspath(output)  # the workers' folders are others
    source = os.path.abspath(source) if os.path.exists(source) else source
    items = [dataclasses.replace(item, path=os.path.abspath(item.path)) for item in items]
    provenance = job.provenance(load_model(source), source)
    with Writer(output, provenance) as writer:
        todo = catalogue.missing(writer, items)
        writer.forget(item.key for item in todo)
    summary = catalogue.Summary(already=len(items) - len(todo))
    if not todo:
        return summary
    gpus = int(ray.cluster_resources().get("GPU", 0))
    cores = int(ray.cluster_resources()["CPU"])
    actors = gpus or max(1, cores // 2)
    files = ray.data.from_items([{"item": item} for item in todo], override_num_blocks=actors)
    outcomes = files.map_batches(
        _Actor,
        fn_constructor_args=(job.resolved(), source, provenance, output, max(1, cores // actors)),
        batch_size=min(_FILES, -(-len(todo) // actors)),
        concurrency=(1, actors),
        num_cpus=max(1, cores // actors),
        num_gpus=1 if gpus else 0,
        max_restarts=_RETRIES,
        max_task_retries=_RETRIES,
    )
    for outcome in outcomes.iter_rows():
        summary.count(catalogue.Row(**outcome))
    return summary


class _Actor:
    """Holds the model; embeds and writes a batch of files."""

    def __init__(self, job, source, provenance, output, cores):
        job = catalogue.Catalogue.from_config(job)
        self._job = job.replace(workers=job.workers or cores)
        self._embedder = self._job.embedder(load_model(source))
        self._provenance = provenance
        self._output = output

    def __call__(self, batch):
        items = list(batch["item"])
        rows = self._job.rows(self._embedder, items)
        rows = [storable(self._provenance, row) for row in rows]
        # Named after the files: a batch that is tried again replaces what it wrote.
        name = hashlib.sha256("\0".join(item.key for item in items).encode()).hexdigest()[:16]
        write_part(self._output, self._provenance, rows, name)
        kept = ("path", "status", "reason", "duration")
        return {column: [getattr(row, column) for row in rows] for column in kept}


def _connected(address):
    try:
        import ray
    except ImportError:
        raise InputError("--ray_address needs Ray: pip install 'ray[data]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False)
        except ConnectionError as error:
            raise InputError(f"--ray_address {address}: no Ray cluster answers ({error})") from None
    return ray
