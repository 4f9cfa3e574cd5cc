"""A program of another environment that takes a turn whenever it is told to (`contest.program`).

It needs nothing but Python: the environments have their own packages.
"""

import os
import pathlib
import sys
import time
from collections.abc import Callable


def take(turn: Callable[[], object]) -> None:
    """Takes a turn for each line of its input; prints its seconds, and the peak megabytes so far.

    What the turn itself prints goes where errors do.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print("ready", file=answers)
    for _ in sys.stdin:
        began = time.perf_counter()
        turn()
        seconds = time.perf_counter() - began
        peak = peak_megabytes()
        print(seconds, peak, file=answers)


def peak_megabytes() -> float:
    """Of this program alone; the usage that `resource` tells has its parent's, too."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
