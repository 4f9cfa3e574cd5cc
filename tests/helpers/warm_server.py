"""The process whose copies are the programs of `warm_start`; started with a socket's descriptor."""

import atexit
import gc
import importlib
import os
import pickle
import runpy
import signal
import socket
import sys
import types

IMPORTED = (
    *("tensorflow", "keras", "librosa.filters", "librosa.core.pitch", "scipy.signal", "pandas"),
    *("pyarrow.parquet", "pyarrow.dataset", "soundfile", "av", "sklearn.linear_model", "tqdm"),
    *("mar.embedding.catalogue", "mar.models.saving", "mar.training.trainer"),
    *("mar.probing.experiment", "mar.records.writer"),
)


def serve(connection):
    """Answers requests; returns, in each copy, the program that it is and its descriptors."""
    stream = connection.makefile("rwb")
    while True:
        _, descriptors, *_ = socket.recv_fds(connection, 1, 3)
        if not descriptors:
            sys.exit()  # the tests have ended
        program = pickle.load(stream)
        read, write = os.pipe()
        between = os.fork()
        if between == 0:
            if (pid := os.fork()) == 0:
                stream.close()
                connection.close()
                os.close(read)
                os.close(write)
                return program, descriptors
            os.write(write, str(pid).encode())
            os._exit(0)  # and the tests' process adopts the program
        os.waitpid(between, 0)
        pickle.dump(int(os.read(read, 20)), stream)
        stream.flush()
        for descriptor in (*descriptors, read, write):
            os.close(descriptor)


def become(program, descriptors):
    """Runs a program as `python` with its arguments does."""
    (first, *arguments), folder, environment = program
    for number, (name, descriptor) in enumerate(
        zip(("stdin", "stdout", "stderr"), descriptors, strict=True)
    ):
        os.dup2(descriptor, number)
        os.close(descriptor)
        setattr(sys, name, _opened(number, getattr(sys, name)))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.modules["numpy"].random.seed()
    if first == "-m":
        name, *arguments = arguments
        sys.path[0], sys.argv = folder, [name, *arguments]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    elif first == "-c":
        code, *arguments = arguments
        sys.path[0], sys.argv = "", ["-c", *arguments]
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(module))
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.abspath(first)), [first, *arguments]
        runpy.run_path(first, run_name="__main__")


def _opened(number, before):
    """A standard stream, whose descriptor is another file now."""
    mode, buffering = ("r", -1) if number == 0 else ("w", 1 if number == 2 else -1)
    text = {"encoding": before.encoding, "errors": before.errors}
    return open(number, mode, buffering, **text, closefd=False)


class End:
    """The end of a program: as Python's, but for half a second in which it frees its memory.

    Workers of a training job say goodbye to each other there, and keep it.
    """

    status = 0

    def __enter__(self):
        atexit.register(self._leave)  # before all others, thus called after them

    def __exit__(self, kind, error, traceback):
        if kind is KeyboardInterrupt:
            self.status = -signal.SIGINT
        elif kind is SystemExit and not isinstance(error.code, str):
            self.status = error.code or 0
        else:
            self.status = int(kind is not None)

    def _leave(self):
        if "TF_CONFIG" in os.environ:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        if self.status == -signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        os._exit(self.status)


if __name__ == "__main__":
    with End():
        server_end = socket.socket(fileno=int(sys.argv[1]))
        for imported in IMPORTED:
            importlib.import_module(imported)
        options = {"disable_meta_optimizer": True}  # as where training is on a CPU: starts sooner
        sys.modules["tensorflow"].config.optimizer.set_experimental_options(options)
        gc.collect()
        gc.freeze()  # or the copies' first search for garbage would copy all of it
        become(*serve(server_end))
