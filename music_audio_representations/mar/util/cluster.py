"""A Ray cluster (extra `cluster`): all its machines see files, models, outputs under one path."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, TypeVar

from mar.errors import ConfigError, InputError

RETRIES = 3  # of work whose process or machine died
_LOOK_SECONDS = 30.0  # after which is asked whether there is a machine left
Tag = TypeVar("Tag")


def connected(address: str) -> ModuleType:
    """Ray, connected to a cluster.

    Args:
        address: of the cluster; "local" starts one on this machine.

    Raises:
        InputError: Ray is not installed, or the cluster does not answer or start.
    """
    is_verbose = logging.getLogger("mar").isEnabledFor(logging.DEBUG)
    if not is_verbose:
        os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
    except ImportError:
        raise InputError("--ray_address needs Ray: pip install 'ray[data]'") from None
    if not is_verbose:  # it logs past what its user has set up
        logging.getLogger("ray").setLevel(logging.ERROR)
    if not ray.is_initialized():
        level = logging.INFO if is_verbose else logging.ERROR
        try:
            ray.init(address=address, log_to_driver=is_verbose, logging_level=level)
        except Exception as error:  # of whatever part of Ray does not start
            why = _first_line(error)
            what = "Ray does not start here" if address == "local" else "no Ray cluster answers"
            raise InputError(f"--ray_address {address}: {what} ({why})") from None
    return ray


def finished(ray: ModuleType, pending: Mapping[Any, Tag]) -> Iterator[Tag]:
    """Yields the tags of tasks as they are done; those that are not, where it ends, are cancelled.

    Args:
        ray: as `connected` returns it.
        pending: tags by the references to the tasks' results.

    Raises:
        InputError: a task was killed as often as it was tried, or no machine is left; or what a
            task itself raised.
    """
    waiting = dict(pending)
    try:
        with errors_told(ray):
            while waiting:
                done, _ = ray.wait(list(waiting), timeout=_LOOK_SECONDS)
                if not done and not ray.cluster_resources().get("CPU"):
                    raise _lost("no machine of it is left")
                for reference in done:
                    tag = waiting.pop(reference)
                    ray.get(reference)
                    yield tag
    finally:
        # Ray itself can die of cancelling a task just as it ends: what has ended is left alone.
        if waiting:
            _, running = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
            for reference in running:
                ray.cancel(reference, force=True)


@contextlib.contextmanager
def errors_told(ray: ModuleType) -> Iterator[None]:
    """Turns what Ray raises of lost processes and machines into a sentence.

    What was raised on another machine is raised here, where it is an error of ours or the system's.
    """
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = _innermost(error)
        if isinstance(cause, (InputError, ConfigError, OSError)):
            raise cause from None
        if isinstance(cause, ray.exceptions.RayError):
            raise _lost(_first_line(cause)) from None
        raise
    except ray.exceptions.RayError as error:
        raise _lost(_first_line(error)) from None


def _innermost(error: BaseException) -> BaseException:
    """What an error is about that others enclose."""
    while isinstance(inner := getattr(error, "cause", None) or error.__cause__, Exception):
        error = inner
    return error


def _lost(why: str) -> InputError:
    return InputError(
        f"the Ray cluster lost a process or a machine (out of memory?): {why}. What was finished "
        "is kept: run the same command again, with more memory on each machine"
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
