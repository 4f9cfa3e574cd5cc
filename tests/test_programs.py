"""Programs of the tests that start warm are as those that start by themselves."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from helpers.processes import run_python, start_python

ENDS = {
    "pass": 0,
    "import sys; sys.exit(3)": 3,
    "raise SystemExit('a remark')": 1,
    "import sys; sys.exit(True)": 1,
    "1 / 0": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "import os; os.kill(os.getpid(), 9)": -signal.SIGKILL,
    "import atexit; atexit.register(print, 'last'); print('first', end=' ')": 0,
    "import threading\nthreading.Timer(0.2, print, ['later']).start()": 0,
}


@pytest.mark.parametrize("code", ENDS)
def test_they_end_alike(code):
    warm, fresh = run_python("-c", code), run_python("-c", code, fresh=True)
    assert warm.returncode == fresh.returncode == ENDS[code]
    assert warm.stdout == fresh.stdout
    assert warm.stderr.splitlines()[-1:] == fresh.stderr.splitlines()[-1:]


SHOWS = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["OURS"], sys.path[0], __name__, input())
import helpers, examples
"""


def test_they_are_given_the_same(tmp_path):
    (tmp_path / "program.py").write_text(SHOWS)
    for arguments in (["-c", SHOWS], ["-m", "program"], [str(tmp_path / "program.py")]):
        shown = []
        for fresh in (False, True):
            with start_python(
                *(*arguments, "a b", "ü"),
                **{"cwd": tmp_path, "fresh": fresh, "stdin": subprocess.PIPE, "OURS": "é"},
            ) as program:
                shown.append(program.communicate("line\n"))
            assert program.returncode == 0, shown
        assert shown[0] == shown[1]
        assert "'a b', 'ü'] " in shown[0][0]


def test_what_is_slow_to_import_is_there_and_computes():
    code = "import sys; print('tensorflow' in sys.modules, 'mar.embed' in sys.modules)"
    assert run_python("-c", code).stdout == "True False\n"
    code = (
        "import tensorflow as tf; print(int(tf.reduce_sum(tf.ones((30, 40)) @ tf.ones((40, 5)))))"
    )
    assert run_python("-c", code).stdout == "6000\n"


def test_they_are_children_that_can_be_stopped_and_signalled():
    program = start_python("-c", "import time; print('ready', flush=True); time.sleep(600)")
    assert program.stdout.readline() == "ready\n"
    status = pathlib.Path(f"/proc/{program.pid}/stat")
    if status.exists():
        assert int(status.read_text().rpartition(")")[2].split()[1]) == os.getpid()
    program.send_signal(signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(program.pid, os.WUNTRACED)[1])
    program.send_signal(signal.SIGCONT)
    program.send_signal(signal.SIGTERM)
    program.communicate()
    assert program.returncode == -signal.SIGTERM


def test_what_is_read_at_the_start_is_read():
    code = "import sys; print(sys.stdout.encoding, 'tensorflow' in sys.modules)"
    assert run_python("-c", code, PYTHONIOENCODING="koi8-r").stdout == "koi8-r False\n"
    assert sys.executable in run_python("-c", "import sys; print(sys.executable)").stdout
