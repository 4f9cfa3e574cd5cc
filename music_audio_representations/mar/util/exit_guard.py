"""Python functions that TensorFlow's threads call, and the end of the process."""

import atexit
import functools
import threading
import time

_QUIET_SECONDS = 0.1


class PythonCalls:
    """Calls of Python functions by TensorFlow's threads, none of which may be left at exit.

    The interpreter never answers a call that comes while it is ending, and an iterator is only
    destroyed when its calls have returned: the process would hang. So before the end calls return
    at once, until the buffers are full and no more come.
    """

    def __init__(self):
        self._running, self._last = 0, 0.0
        self._lock = threading.Lock()
        atexit.register(self._wait)

    def __enter__(self):
        with self._lock:
            self._running += 1
        return threading.main_thread().is_alive()

    def __exit__(self, *_):
        with self._lock:
            self._running, self._last = self._running - 1, time.monotonic()

    def _wait(self):
        while self._running or time.monotonic() - self._last < _QUIET_SECONDS:
            time.sleep(_QUIET_SECONDS / 10)


python_calls = functools.cache(PythonCalls)  # one for the process
