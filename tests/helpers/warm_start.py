"""Python programs that start from a process that has imported what is slow to import.

TensorFlow takes seconds to import, and hundreds of tests run a command in a process of its own. A
server (`warm_server.py`) imports it once, before its first operation, which starts threads that no
copy would have, and runs each program in a copy of itself (`fork`). The copy becomes a child of the
tests' process: its pid, its signals and its exit status are real.
"""

import atexit
import contextlib
import ctypes
import os
import pickle
import socket
import subprocess
import sys
import threading

from helpers.resources import ROOT

# Variables that are read while Python, or what the server imports, starts.
_READ_AT_START = ("PYTHON", "KERAS_", "TF_CPP_", "XLA_", "OMP_", "OPENBLAS_", "LC_", "LANG")
_SET_CHILD_SUBREAPER = 36  # of <sys/prctl.h>


def at_start(environment):
    """What an environment says to a process that starts."""
    return {k: v for k, v in environment.items() if k.startswith(_READ_AT_START)}


def python_path():
    """Of programs, which can import the tests' helpers and the examples."""
    folders = [str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH")]
    return os.pathsep.join(filter(None, folders))


class Program(subprocess.Popen):
    """`Popen([sys.executable, *arguments], …)` that starts warm."""

    def _execute_child(  # where `Popen` starts the process; all the rest stays as it is
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo,
        creationflags, shell, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *others
    ):  # fmt: skip
        streams = (p2cread, c2pwrite, errwrite)
        descriptors = [n if stream == -1 else stream for n, stream in enumerate(streams)]
        program = args[1:], os.fspath(cwd or os.getcwd()), env
        self.pid = _server().start(program, descriptors)
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)


def is_possible(environment):
    """Whether a program with this environment may start warm."""
    return sys.platform == "linux" and at_start(environment) == _server(environment).at_start


class _Server:
    def __init__(self, environment):
        self.at_start = at_start(environment)
        self._lock = threading.Lock()
        self._connection, theirs = socket.socketpair()
        command = [sys.executable, "-m", "helpers.warm_server", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                env={**environment, "PYTHONPATH": python_path()},
                stdin=subprocess.DEVNULL,
            )
        self._stream = self._connection.makefile("rwb")
        atexit.register(self._end)

    def start(self, program, descriptors):
        """Returns the pid of the process, which is a child of this one."""
        with self._lock, _adoption():
            try:
                socket.send_fds(self._connection, [b"."], descriptors)
                pickle.dump(program, self._stream)
                self._stream.flush()
                return pickle.load(self._stream)
            except (OSError, EOFError):
                raise RuntimeError("helpers.warm_server has ended; its output says why") from None

    def _end(self):
        self._stream.close()
        self._connection.close()
        self._process.wait()


_started = []


def _server(environment=None):
    """The server, which the first environment starts."""
    if not _started:
        _started.append(_Server(environment))
    return _started[0]


@contextlib.contextmanager
def _adoption():
    """Meanwhile this process becomes the parent of descendants whose own parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    try:
        yield
    finally:
        libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
