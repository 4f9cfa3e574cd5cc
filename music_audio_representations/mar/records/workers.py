"""Who writes the shards of a data set: processes of this machine, or a Ray cluster."""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from mar.errors import InputError
from mar.records.shards import Shards, write_shard
from mar.util import cluster, terminal
from mar.util.processes import end_with_parent
from mar.util.progress import Progress

# One thread for each worker's arithmetic; with several, sums depend on their number.
_SINGLE_THREADED = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def write_shards(
    shards: Shards, numbers: Sequence[int], workers: int, address: str | None = None
) -> None:
    """Writes the shards with these numbers.

    Args:
        shards: of the data set.
        numbers: those to be written.
        workers: number of processes on this machine.
        address: of a Ray cluster, which then writes them, each machine as many as it has cores.

    Raises:
        InputError: a worker was killed, or the cluster does not answer.
        OSError: a shard cannot be written.
    """
    if not numbers:
        return
    job = dataclasses.replace(shards.job, tracks=None, earlier=None)
    tracks = {number: shards.tracks(number) for number in numbers}
    folder = shards.folder.absolute()  # a cluster's workers have other working folders
    calls = [
        (job, folder, shards.name(number), shards.part(number).absolute(), tracks[number])
        for number in numbers
    ]
    finished = _by_processes(calls, workers) if address is None else _by_cluster(calls, address)
    total = sum(map(len, tracks.values()))
    with (
        contextlib.closing(finished),
        Progress(total, "track") as progress,
    ):
        for call in finished:
            progress.update(len(tracks[numbers[call]]))


def _by_processes(calls: Sequence[tuple], workers: int) -> Generator[int, None, None]:
    """Calls `write_shard` in processes; yields the index of each call that is done."""
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    with (
        _environment(_SINGLE_THREADED),
        concurrent.futures.ProcessPoolExecutor(workers, context, _begin) as pool,
    ):
        try:
            futures = {pool.submit(write_shard, *call): n for n, call in enumerate(calls)}
            for future in concurrent.futures.as_completed(futures):
                future.result()
                yield futures[future]
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # or it would finish its shard first
            raise
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed (out of memory?). Finished shards are kept: run the "
                "same command again, with fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    end_with_parent()
    terminal.hold_imports()


def _by_cluster(calls: Sequence[tuple], address: str) -> Generator[int, None, None]:
    """As `_by_processes`, on a Ray cluster; what died is tried again."""
    ray = cluster.connected(address)
    task = ray.remote(
        num_cpus=1,
        max_retries=cluster.RETRIES,
        runtime_env={"env_vars": _SINGLE_THREADED},
    )(write_shard)
    yield from cluster.finished(ray, {task.remote(*call): n for n, call in enumerate(calls)})


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Environment variables that processes which are started meanwhile have."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
