"""Standard error of a command: its own lines alone.

Libraries write about themselves there: their loggers, Python's warnings, and TensorFlow's C++, past
Python and whatever its log level, while it starts.
"""

import contextlib
import faulthandler
import importlib.machinery
import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from mar.util import progress

_LOUD = ("tensorflow", "jax")


def take(verbose: bool = False) -> None:
    """Makes standard error that of a command, for the rest of the process.

    `mar`'s log lines are sentences there; those of other loggers, Python's warnings and what
    libraries write while they are imported are left out.

    Args:
        verbose: lets all of that through, and `mar`'s debugging lines.
    """
    if isinstance(sys.stderr, io.TextIOWrapper):
        # A descriptor of its own, so that our lines come while those of libraries are held back.
        sys.stderr = open(  # noqa: SIM115
            os.dup(sys.stderr.fileno()),
            "w",
            encoding=sys.stderr.encoding,
            errors="backslashreplace",
            buffering=1,
        )
        faulthandler.enable(sys.stderr)  # where a library crashes while its lines are held back
    ours, others = logging.getLogger("mar"), logging.getLogger()
    ours.handlers, ours.propagate = [_Lines()], False
    ours.handlers[0].setFormatter(_Sentence())
    ours.setLevel(logging.DEBUG if verbose else logging.INFO)
    others.handlers = [logging.StreamHandler(sys.stderr) if verbose else logging.NullHandler()]
    others.handlers[0].setFormatter(logging.Formatter("%(name)s: %(message)s"))
    if not verbose:
        logging.captureWarnings(True)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised, too
        hold_imports()


def hold_imports() -> None:
    """Lets what TensorFlow writes while it is imported wait; it is shown where that fails."""
    if not any(isinstance(finder, _Quiet) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Quiet())


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Keeps what is written to descriptor 2; shows it where an exception ends the block."""
    before = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(before, held.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


class _Quiet:
    """Finds loud libraries as Python does, and holds back what they write while they start."""

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _LOUD:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_quietly(module: Any) -> None:
                with held_back():
                    execute(module)
                    if name == "tensorflow":
                        module.config.list_physical_devices()  # CUDA has its say then

            spec.loader.exec_module = execute_quietly  # type: ignore[method-assign]
        return spec


class _Sentence(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"warning: {text}" if record.levelno >= logging.WARNING else text


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            progress.write(self.format(record))
        except Exception:
            self.handleError(record)
