"""Python functions that TensorFlow's threads call must not be running when the process ends."""

import atexit
import functools
import threading
import time

_QUIET_SECONDS = 0.1


class PythonCalls:
    """Calls of Python functions by TensorFlow's threads, none of which may be left at exit.

    An interpreter that is ending never answers a call, and an iterator is destroyed only once its
    calls have returned: the process would hang. So before the end, calls return at once until the
    buffers are full and no more come.

    Used as a context manager around each call.
    """

    def __init__(self) -> None:
        self._running, self._last = 0, 0.0
        self._lock = threading.Lock()
        atexit.register(self._wait)

    def __enter__(self) -> bool:
        """Whether the call should do its work; False when the process is ending."""
        with self._lock:
            self._running += 1
        return threading.main_thread().is_alive()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running, self._last = self._running - 1, time.monotonic()

    def _wait(self) -> None:
        while self._running or time.monotonic() - self._last < _QUIET_SECONDS:
            time.sleep(_QUIET_SECONDS / 10)


python_calls = functools.cache(PythonCalls)  # one for the process
