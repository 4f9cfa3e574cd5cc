"""Decoding in a process of its own, as all that embeds, analyses or searches files does it.

A file that crashes the decoder, hangs it or takes all memory costs itself, and nothing else.
"""

import atexit
import contextlib
import dataclasses
import logging
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

try:
    import resource
except ImportError:  # on Windows: no limit of memory
    resource = None  # type: ignore[assignment]

from mar.audio import decode, inspection
from mar.errors import InputError
from mar.util.processes import WITHOUT_WORKING_FOLDER, processors

STALL_SECONDS = 120.0  # without a block, or a word that it goes on
MEMORY_BYTES = 4 * 2**30  # of address space; music takes a tenth of it, of any length
_SIGNS = 20  # of life in that time, where there are no blocks
_STDERR = 2
_LOG = logging.getLogger(__name__)
_ANSWERS: dict[str, Callable[[decode.Path, Callable[[], None]], Any]] = {
    "info": lambda path, _: decode.info(path),
    "audio_hash": decode.audio_hash,
    "estimated_seconds": lambda path, _: decode.estimated_seconds(path),
}
_GENERATORS = {"blocks": decode.blocks, "measures": inspection.measured}
_PACKAGES = str(pathlib.Path(__file__).parents[2])
_MAIN = f"{WITHOUT_WORKING_FOLDER}; import mar.audio.isolated; mar.audio.isolated.main()"
_REMEDY = "leave the file out, or convert it: ffmpeg -i FILE -ac 2 -ar 44100 FILE.flac"


class IsolatedDecoder:
    """Decodes files one after another in a child process, which is replaced when it dies.

    Used as a context manager. The process starts with the first file.

    Attributes:
        condition: the `mar.audio.decode.Condition` of the file whose blocks were last read to
            their end.
    """

    condition = decode.Condition()

    def __init__(self) -> None:
        self._process: Any = None  # its pipe and its standard error come and go with it
        self._unread = False  # whether it has more to say of the file that was opened last
        _all.add(self)

    def __enter__(self) -> "IsolatedDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def settle(self) -> None:
        """Ends what it still does for a file that was abandoned; without one, it stays warm."""
        if self._unread:
            self._stop()

    def interrupt(self) -> None:
        """Makes the file fail that another thread is decoding, so that its wait ends."""
        if (process := self._process) is not None:
            process.kill()

    def info(self, path: decode.Path) -> decode.AudioInfo:
        """The `AudioInfo` of an audio file; raises as `open` does."""
        return self._answer("info", path)

    def audio_hash(self, path: decode.Path) -> str:
        """See `mar.audio.decode.audio_hash`; raises as `open` does."""
        return self._answer("audio_hash", path)

    def estimated_seconds(self, path: decode.Path) -> float | None:
        """See `mar.audio.decode.estimated_seconds`; raises as `open` does."""
        return self._answer("estimated_seconds", path)

    def open(
        self, path: decode.Path, **decoding: Any
    ) -> tuple[decode.AudioInfo, Generator[np.ndarray, None, None]]:
        """Opens an audio file.

        Args:
            path: str, bytes or os.PathLike.
            **decoding: see `mar.audio.decode.blocks`.

        Returns:
            The file's `AudioInfo`, and its blocks as `mar.audio.decode.blocks` yields them. They
            must be read, or abandoned, before the next file is opened.

        Raises:
            InputError: also where the decoder crashes, stalls for `STALL_SECONDS`, or needs more
                than `MEMORY_BYTES`.
        """
        self._request("blocks", path, decoding)
        return self._receive(path), self._blocks(path)

    def measure(
        self, path: decode.Path
    ) -> tuple[decode.AudioInfo, Generator[np.ndarray, None, None]]:
        """As `open`, with the blocks' measures (`mar.audio.inspection.measured`) in their place."""
        self._request("measures", path, {})
        return self._receive(path), self._blocks(path)

    def _answer(self, wanted, path):
        """The one answer to a request."""
        self._request(wanted, path, {})
        answer = self._receive(path)
        for _ in self._blocks(path):
            pass
        return answer

    def _request(self, wanted, path, decoding):
        self.settle()
        if self._process is None or self._process.poll() is not None:  # it died in between
            self._stop()
            self._start()
        self._unread = True
        every = STALL_SECONDS / _SIGNS
        self._send((_working_folder(), wanted, path, decoding, every), path)

    def _blocks(self, path):
        while isinstance(content := self._receive(path), np.ndarray):
            yield content
        if content is not None:
            remarks = tuple(dict.fromkeys(self._remarks()))  # it is opened twice
            for line in remarks:
                _LOG.debug("%s: %s", decode.shown(path), line)
            self.condition = dataclasses.replace(content, remarks=remarks)

    def _start(self):
        # Not by `multiprocessing`, whose children begin by importing the main module again.
        self._pipe, theirs = multiprocessing.Pipe()
        # Decoders comment on every damaged frame; the last words of one that crashed are kept.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, str(theirs.fileno()), str(MEMORY_BYTES)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), _PACKAGES]),
                "OPENBLAS_NUM_THREADS": "1",  # there is a decoder per core
                "MALLOC_ARENA_MAX": "2",  # each takes address space
            },
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=self._complaints,
            start_new_session=True,  # Ctrl-C is its parent's, which decides
        )
        theirs.close()

    def _stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._pipe.close()
            self._complaints.close()
            self._process, self._unread = None, False

    def _forget(self):
        """Leaves the process to the one that this one was forked from."""
        if self._process is not None:
            self._process.returncode = 0  # else it would be told that it still runs
            self._pipe.close()
            self._complaints.close()
            self._process, self._unread = None, False

    def _send(self, message, path):
        try:
            self._pipe.send(message)
        except OSError:
            raise self._crash(path) from None

    def _receive(self, path):
        """The child's next answer; raises what it raised."""
        try:
            kind = "goes on"
            while kind == "goes on":
                if not self._pipe.poll(STALL_SECONDS):
                    self._stop()
                    raise InputError(
                        f"{decode.shown(path)}: the decoder made no progress for "
                        f"{STALL_SECONDS:.0f} s; {_REMEDY}"
                    )
                kind, content = self._pipe.recv()
        except (EOFError, OSError):
            raise self._crash(path) from None
        self._unread = kind not in ("end", "refused")
        if kind == "refused":
            raise content
        return content

    def _remarks(self):
        """What libraries wrote about the file, in lines."""
        size = os.fstat(self._complaints.fileno()).st_size
        text = os.pread(self._complaints.fileno(), size, 0).decode(errors="replace")
        return [line for line in map(str.strip, text.splitlines()) if line]

    def _crash(self, path):
        code = self._process.wait()
        last = (self._remarks() or [""])[-1]
        self._stop()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        words = f": {last}" if last else ""
        return InputError(f"{decode.shown(path)}: the decoder crashed ({how}){words}; {_REMEDY}")


_all: weakref.WeakSet[IsolatedDecoder] = weakref.WeakSet()
_idle: list[IsolatedDecoder] = []


@contextlib.contextmanager
def decoder() -> Iterator[IsolatedDecoder]:
    """Lends a decoder; its process stays warm for whoever is next, and ends with this one.

    Threads that decode at the same time have one each, and so has a process that was forked. As
    many as there are cores stay warm.

        with isolated.decoder() as decoder:
            info, blocks = decoder.open("song.mp3", sample_rate=16000)
            samples = np.concatenate(list(blocks))
    """
    try:
        lent = _idle.pop()
    except IndexError:
        lent = IsolatedDecoder()
    try:
        yield lent
    finally:
        lent.settle()
        if len(_idle) < processors():
            _idle.append(lent)
        else:
            lent._stop()


def blocks(path: decode.Path, **decoding: Any) -> Iterator[np.ndarray]:
    """`mar.audio.decode.blocks`, by a decoder that is lent; raises as `IsolatedDecoder.open`."""
    with decoder() as lent:
        yield from lent.open(path, **decoding)[1]


@atexit.register
def _stop_all():
    for each in list(_all):
        each._stop()


def _forget_all():
    _idle.clear()
    for each in list(_all):
        each._forget()


if hasattr(os, "register_at_fork"):  # not on Windows, where there are no forks
    os.register_at_fork(after_in_child=_forget_all)


def _serve(pipe):
    """Answers each request with the file's info, its blocks if they are wanted, and None."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # it is gone
        while True:
            _answer(pipe, *pipe.recv())


def _answer(pipe, folder, wanted, path, decoding, every):
    os.ftruncate(_STDERR, 0)  # a file: what it holds is of this request alone
    os.lseek(_STDERR, 0, os.SEEK_SET)
    with contextlib.suppress(OSError):  # then relative paths are of nothing, as in the parent
        os.chdir(folder)  # which may be another than when this process began
    try:
        of_file = _ANSWERS.get(wanted, _ANSWERS["info"])
        pipe.send(("answer", of_file(path, _signs(pipe, every))))
        generator = _GENERATORS.get(wanted)
        blocks = generator(path, **decoding) if generator else iter([])
        pipe.send(("end", _send(pipe, blocks)))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except InputError as error:
        pipe.send(("refused", error))
    except MemoryError:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        reason = f"decoding takes more than {limit / 2**30:.3g} GiB of memory; {_REMEDY}"
        pipe.send(("refused", InputError(f"{decode.shown(path)}: {reason}")))
    except Exception as error:  # a defect in a decoder, on this file
        reason = f"{type(error).__name__}: {error}"
        refusal = InputError(f"{decode.shown(path)}: the decoder failed ({reason})")
        pipe.send(("refused", refusal))


def _signs(pipe, every):
    """Sends, when it is called, that it goes on: once in so many seconds at most."""
    last = time.monotonic()

    def goes_on():
        nonlocal last
        if time.monotonic() - last >= every:
            pipe.send(("goes on", None))
            last = time.monotonic()

    return goes_on


def _send(pipe, blocks):
    """Sends each, and returns what the generator returns."""
    while True:
        try:
            pipe.send(("block", next(blocks)))
        except StopIteration as end:
            return end.value


def _working_folder():
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return os.sep


def _limit_memory(limit):
    if resource is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def main() -> None:
    """The child, which is told its end of the pipe and how much memory it may take."""
    _limit_memory(int(sys.argv[2]))
    _serve(multiprocessing.connection.Connection(int(sys.argv[1])))
