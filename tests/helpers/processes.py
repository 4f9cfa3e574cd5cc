"""Other processes."""

import os
import socket
import subprocess
import sys

from helpers.resources import ROOT


def run_python(*arguments, cwd=None, encoding=None, **environment):
    """Runs another Python process; returns it, finished, with its output as text.

    The tests' helpers can be imported there, and so can the examples.
    """
    folders = [str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, folders))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding=encoding,
        check=False,
    )


def free_port():
    """A port of this machine that nothing listens on."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]
