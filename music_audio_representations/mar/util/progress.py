"""How far a command is: a bar on a terminal; elsewhere, in a pipe or from cron, a line a minute."""

import datetime
import os
import sys
import time
from types import TracebackType
from typing import Any, TextIO

from typing_extensions import Self

_BAR_SECONDS, _LINE_SECONDS = 0.5, 60.0
_SIZE = {"ncols": 80, "nrows": 24}


class Progress:
    """Counts what is done; used as a context manager.

    Args:
        total: how much there is.
        unit: what is counted, in the singular.
        initial: how much of it was done before.
    """

    def __init__(self, total: int, unit: str, initial: int = 0) -> None:
        self._total, self._unit, self._initial, self._done = total, unit, initial, initial
        self._began = self._told = time.monotonic()
        self._more = ""
        self._bar: Any = None
        if total and sys.stderr.isatty():
            import tqdm

            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            size: dict[str, Any] = {} if columns else _SIZE  # some terminals do not know theirs
            self._bar = tqdm.tqdm(
                total=total,
                unit=unit,
                initial=initial,
                mininterval=_BAR_SECONDS,
                smoothing=0.05,
                dynamic_ncols=columns > 0,
                file=sys.stderr,
                **size,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, count: int = 1, more: str | None = None) -> None:
        """Counts so many more.

        Args:
            more: what else there is to say from now on.
        """
        self._done += count
        self._more = self._more if more is None else f", {more}"
        if self._bar is not None:
            self._bar.set_postfix_str(self._more.removeprefix(", "), refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._told >= _LINE_SECONDS:
            self._told = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()

    def _line(self) -> str:
        """As `120 of 4000 files in 0:01:00, 0:32:20 left, 0 failed`."""
        seconds = time.monotonic() - self._began
        left = seconds * (self._total - self._done) / max(self._done - self._initial, 1)
        elapsed, remaining = (datetime.timedelta(seconds=round(s)) for s in (seconds, left))
        counts = f"{self._done} of {self._total} {self._unit}s in {elapsed}"
        return f"{counts}, {remaining} left{self._more}"


def write(line: str, stream: TextIO | None = None) -> None:
    """Prints a line, above a bar if there is one.

    Args:
        stream: None for standard error.
    """
    stream = stream or sys.stderr
    if (tqdm := sys.modules.get("tqdm")) is None:
        print(line, file=stream, flush=True)
        return
    with tqdm.tqdm.external_write_mode(file=sys.stderr):
        print(line, file=stream, flush=True)
