"""Other processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from helpers import quick, warm_start

PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
UNREAD = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def start_python(*arguments, cwd=None, encoding=None, fresh=False, **options):
    """Starts a Python program in a process of its own; returns its `Popen`.

    The tests' helpers can be imported there, and so can the examples. It starts warm, see
    `helpers.warm_start`: TensorFlow and other libraries are already imported.

    Args:
        fresh: starts a new interpreter, where its start, or what is imported, is the point.
        **options: environment variables, in capitals, and arguments of `Popen`; `stdout` and
            `stderr` are pipes by default, or `**UNREAD`, and `stdin` is empty.
    """
    quick.refuse("starts a program")
    environment = {name: value for name, value in options.items() if name.isupper()}
    streams = {name: value for name, value in options.items() if not name.isupper()}
    path = {"PYTHONPATH": warm_start.python_path()}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **path, **environment}
    warm = not fresh and warm_start.is_possible(environment)
    return (warm_start.Program if warm else subprocess.Popen)(
        [sys.executable, *map(str, arguments)],
        **{"stdin": subprocess.DEVNULL, **PIPES, **streams},
        env=environment,
        cwd=cwd,
        text=True,
        encoding=encoding,
    )


def run_python(*arguments, **options):
    """As `start_python`; returns the process once it has finished, with its output."""
    with start_python(*arguments, **options) as process:
        output = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, *output)


def wait_for(condition, process=None):
    """Waits until a condition holds; fails where the process has ended, or the machine hangs."""
    limit = time.monotonic() + 1200
    while not condition():
        assert process is None or process.poll() is None, "it ended too soon"
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.005)


def is_running(pid):
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


def stop_the_warm_decoder(path, kill=False):
    """Stops the process that will decode next, after a file of its own; kills it once asked."""
    from mar.audio import isolated

    with isolated.decoder() as decoder:
        decoder.info(path)
    process = decoder._process
    process.send_signal(signal.SIGSTOP)

    def kill_once_asked():
        while not decoder._unread:
            time.sleep(0.001)
        process.kill()

    if kill:
        threading.Thread(target=kill_once_asked, daemon=True).start()


def free_port():
    """A port of this machine that nothing listens on."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]
