"""Commands as a user starts them: with nothing imported, on a terminal or with pipes."""

import os
import pty
import subprocess
import sys

from helpers.resources import ROOT


def environment(*folders, **variables):
    """That of a fresh shell; Python finds what is in the folders before all else."""
    path = [*map(str, folders), str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    inherited = {name: value for name, value in os.environ.items() if name[:3] != "TF_"}
    return {**inherited, "PYTHONPATH": os.pathsep.join(path), **variables}


def run_fresh(*arguments, input=None, cwd=None, env=None):
    """Runs Python with pipes; returns the finished process."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command,
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        cwd=cwd,
        env=env or environment(),
        capture_output=True,
        text=True,
    )


def run_on_terminal(*arguments, cwd=None, env=None):
    """As `run_fresh`, with standard error on a terminal; `stderr` is all that was shown there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=cwd,
        env=env or environment(),
        text=True,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while content := os.read(ours, 65536):
                shown += content
        except OSError:  # nobody has the other end any more
            pass
        os.close(ours)
        output = process.stdout.read()
    return subprocess.CompletedProcess(command, process.returncode, output, shown.decode())
