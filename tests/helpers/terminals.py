"""Commands as a user starts them: with nothing imported, on a terminal or with pipes."""

import json
import os
import pty
import subprocess
import sys

from helpers import quick
from helpers.resources import ROOT

SLOW = [
    "tensorflow",
    "keras",
    "jax",
    "torch",
    "librosa",
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
]

# Every command line in a child of its own of one process, which has imported what most need.
_SCRIPT = """
import json, os, runpy, sys, tempfile
import numpy, pyarrow.parquet, av, soundfile, scooch
class Refusing:
    def find_spec(self, name, path=None, target=None):
        assert name not in SLOW, f"{name} is imported"
sys.meta_path.insert(0, Refusing())
SLOW, lines = json.loads(sys.argv[1])
import mar.commands, mar.embedding.upkeep, mar.util.cli
for line in lines:
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    if (child := os.fork()) == 0:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.argv = ["mar", *line]
        try:
            runpy.run_module("mar", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code or 0)
        os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([code, *(os.pread(f.fileno(), 99999, 0).decode() for f in (out, err))]))
"""


def environment(*folders, **variables):
    """That of a fresh shell; Python finds what is in the folders before all else."""
    path = [*map(str, folders), str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    inherited = {name: value for name, value in os.environ.items() if name[:3] != "TF_"}
    return {**inherited, "PYTHONPATH": os.pathsep.join(path), **variables}


def run_fresh(*arguments, input=None, cwd=None, env=None):
    """Runs Python with pipes; returns the finished process."""
    quick.refuse("starts a program")
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
    quick.refuse("starts a program")
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


def run_without_slow_packages(lines, folder):
    """Runs command lines of `mar` where `SLOW` packages cannot be imported.

    Returns:
        `[exit code, standard output, standard error]` of each.
    """
    quick.refuse("starts a program")
    command = [sys.executable, "-c", _SCRIPT, json.dumps([SLOW, lines])]
    process = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    return list(map(json.loads, process.stdout.splitlines()))
