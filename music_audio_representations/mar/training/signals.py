"""Signals that end a run after a checkpoint."""

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator


@dataclasses.dataclass
class Caught:
    """What came so far: the first SIGINT or SIGTERM, or None."""

    received: signal.Signals | None = None


@contextlib.contextmanager
def caught_signals() -> Iterator[Caught]:
    """The first SIGINT or SIGTERM is noted; the second has its usual effect.

    In a thread that is not the main one, which Python sends no signals to, none is.
    """
    caught = Caught()
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number, _):
        caught.received = signal.Signals(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        restore()
