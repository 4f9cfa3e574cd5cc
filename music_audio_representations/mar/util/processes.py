"""What processes that work for another one share."""

import multiprocessing
import os
import signal
import threading


def end_with_parent():
    """Makes a worker end when its parent does, however that ends, and at once on Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
