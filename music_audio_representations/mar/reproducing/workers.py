"""Probes that are trained side by side, each in a process of its own."""

import concurrent.futures
import contextlib
import dataclasses
import logging
import multiprocessing
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from mar.errors import InputError
from mar.util import terminal
from mar.util.processes import end_with_parent


@dataclasses.dataclass(frozen=True)
class Job:
    """One probe.

    Attributes:
        task: name of the task.
        metadata: folder of its official files; None for where they are fetched to.
        embeddings: folder of the data set.
        config: file of the probe's configuration.
        trials: of a search.
        results: folder of the results.
        model: name of the row.
        asked: what tells it from any other, see `Reproduction`.
    """

    task: str
    metadata: pathlib.Path | None
    embeddings: pathlib.Path
    config: pathlib.Path
    trials: int
    results: pathlib.Path
    model: str
    asked: str


Submit = Callable[[Job, Callable[[], None]], "concurrent.futures.Future[None]"]


@contextlib.contextmanager
def workers(count: int) -> Iterator[Submit]:
    """Processes that train probes; they end with the block, and with this process.

    Args:
        count: how many probes are trained at once.

    Yields:
        A function of a `Job` and of what is called when it begins, which returns its future. That
        raises ConfigError or InputError where the probe cannot be trained.
    """
    others, stopped = set(multiprocessing.active_children()), threading.Event()
    context, mine = multiprocessing.get_context("spawn"), threading.local()
    with (
        contextlib.ExitStack() as opened,
        concurrent.futures.ThreadPoolExecutor(count) as threads,
    ):

        def own_process() -> concurrent.futures.ProcessPoolExecutor:
            """That of this thread; another one where it was killed."""
            if getattr(mine, "process", None) is None:
                alone = concurrent.futures.ProcessPoolExecutor(1, context, _begin)
                mine.process = opened.enter_context(alone)
            return mine.process

        def run(job: Job, began: Callable[[], None]) -> None:
            began()
            try:
                own_process().submit(probe, job).result()
            except BrokenProcessPool:
                mine.process = None
                if stopped.is_set():
                    raise concurrent.futures.CancelledError from None
                raise InputError(
                    "the process of a probe was killed (out of memory?); run again, with fewer "
                    "--jobs"
                ) from None

        try:
            yield lambda job, began: threads.submit(run, job, began)
        except BaseException:
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # or its probe would be waited for
            raise


def _begin() -> None:
    end_with_parent()
    terminal.hold_imports()
    logging.disable(logging.WARNING)  # of tasks and missing items this was told before
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the accelerator is taken by what embeds
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def probe(job: Job) -> None:
    """Trains and tests a probe, and keeps the result.

    Raises:
        ConfigError: its configuration is not there, or does not fit the task.
        InputError: the embeddings are not what they should be.
    """
    from mar.embedding.store import Embeddings
    from mar.probing import results
    from mar.probing.experiment import MLP, Probe
    from mar.tasks import Task

    task = Task(job.task, job.metadata)
    settings: dict[str, Any] = {"trials": job.trials, "allow_missing": True}
    result = Probe(MLP.load(job.config), task).run(
        Embeddings(job.embeddings),
        model=job.model,
        scratch=results.prepare(job.results, task.name, job.model, task.hash()),
        **settings,
    )
    dataclasses.replace(result, facts={**result.facts, "asked": job.asked}).save(job.results)
