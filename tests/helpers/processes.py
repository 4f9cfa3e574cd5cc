"""Other processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

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
