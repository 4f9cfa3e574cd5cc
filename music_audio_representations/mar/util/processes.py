"""Worker processes: how many there may be, and how they end."""

import multiprocessing
import os
import signal
import threading

# Begins a program that Python is given by `-c`: what lies in the working folder, such as
# `signal.py`, is not taken for a module that is imported.
WITHOUT_WORKING_FOLDER = "import sys; sys.path[:] = [place for place in sys.path if place]"


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def end_with_parent() -> None:
    """Makes a worker process end when its parent does, however that ends, and at once on Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent was called outside of a multiprocessing worker")

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
