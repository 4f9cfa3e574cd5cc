"""Probes in processes of their own, one of which is killed."""

import concurrent.futures
import os
import signal

import pytest

from mar.errors import InputError
from mar.reproducing import workers


def probe(job):
    """In place of the one that trains."""
    if job == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("count", [1, 2])
def test_one_that_is_killed_costs_itself_alone(count, monkeypatch):
    monkeypatch.setattr(workers, "probe", probe)
    with workers.workers(count) as submit:
        jobs = ["first", "killed", "next", "killed", "last"]
        futures = [submit(job, lambda: None) for job in jobs]
        concurrent.futures.wait(futures)
    errors = [type(future.exception()) for future in futures]
    assert errors == [InputError if job == "killed" else type(None) for job in jobs]
    assert "was killed (out of memory?)" in str(futures[1].exception())
