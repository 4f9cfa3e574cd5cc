"""The end of the process, guarded against Python functions that TensorFlow's threads call."""

import atexit
import functools
import threading
import time

_QUIET_SECONDS = 0.1


class ExitGuard:
    """Lets the process end only when none of TensorFlow's threads is inside a Python function.

    The interpreter never answers a call that comes while it is ending, and an iterator is only
    destroyed when its calls have returned: the process would hang. So each call is made under the
    guard, and before the end calls return at once, until the buffers are full and no more come.

    ```python
    with exit_guard() as process_lives:
        return read(batch) if process_lives else EMPTY
    ```
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


@functools.cache
def exit_guard() -> ExitGuard:
    """The one guard of the process."""
    return ExitGuard()
