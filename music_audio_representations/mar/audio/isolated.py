"""Decoding in a process of its own: a decoder that crashes or hangs costs one file, not the run."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from typing import Any

import numpy as np

from mar.audio import decode, inspection
from mar.errors import InputError

STALL_SECONDS = 120.0
_GENERATORS = {"blocks": decode.blocks, "measures": inspection.measured}


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

    def __enter__(self) -> "IsolatedDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def interrupt(self) -> None:
        """Makes the file fail that another thread is decoding, so that its wait ends."""
        if (process := self._process) is not None:
            process.kill()

    def info(self, path: decode.Path) -> decode.AudioInfo:
        """The `AudioInfo` of an audio file; raises as `open` does."""
        return self._answer("info", path)

    def audio_hash(self, path: decode.Path) -> str | None:
        """See `mar.audio.decode.audio_hash`; None of what cannot be read.

        Raises:
            InputError: the decoder crashes, or stalls.
        """
        return self._answer("audio_hash", path)

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
            InputError: also where the decoder crashes, or stalls for `STALL_SECONDS`.
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
        idle = self._process is not None and self._process.poll() is None
        if self._unread or not idle:  # a file was abandoned, or the process died in between
            self._stop()
            self._start()
        self._complaints.seek(0)
        self._complaints.truncate()
        self._send((wanted, path, decoding), path)
        self._unread = True

    def _blocks(self, path):
        while isinstance(content := self._receive(path), np.ndarray):
            yield content
        if content is not None:
            self.condition = content

    def _start(self):
        # Not by `multiprocessing`, whose children begin by importing the main module again.
        self._pipe, theirs = multiprocessing.Pipe()
        # Decoders comment on every damaged frame; the last words of one that crashed are kept.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "OPENBLAS_NUM_THREADS": "1",  # there is a decoder per core
            },
            pass_fds=[theirs.fileno()],
            stderr=self._complaints,
        )
        theirs.close()

    def _stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
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
            if not self._pipe.poll(STALL_SECONDS):
                self._stop()
                raise InputError(
                    f"{decode.shown(path)}: the decoder made no progress for {STALL_SECONDS:.0f} s"
                )
            kind, content = self._pipe.recv()
        except (EOFError, OSError):
            raise self._crash(path) from None
        self._unread = kind not in ("end", "refused")
        if kind == "refused":
            raise content
        return content

    def _crash(self, path):
        code = self._process.wait()
        self._complaints.seek(0)
        last = self._complaints.read().decode(errors="replace").strip().rpartition("\n")[2]
        self._stop()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return InputError(f"{decode.shown(path)}: the decoder crashed ({how}) {last}".rstrip())


def _serve(pipe):
    """Answers each request with the file's info, its blocks if they are wanted, and None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # it is gone
        while True:
            _answer(pipe, *pipe.recv())


def _answer(pipe, wanted, path, decoding):
    try:
        if wanted == "audio_hash":
            pipe.send(("hash", _hash_or_none(path)))
        else:
            pipe.send(("info", decode.info(path)))
        generator = _GENERATORS.get(wanted)
        blocks = generator(path, **decoding) if generator else iter([])
        pipe.send(("end", _send(pipe, blocks)))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except InputError as error:
        pipe.send(("refused", error))
    except Exception as error:  # a defect in a decoder, on this file
        reason = f"{type(error).__name__}: {error}"
        refusal = InputError(f"{decode.shown(path)}: the decoder failed ({reason})")
        pipe.send(("refused", refusal))


def _send(pipe, blocks):
    """Sends each, and returns what the generator returns."""
    while True:
        try:
            pipe.send(("block", next(blocks)))
        except StopIteration as end:
            return end.value


def _hash_or_none(path):
    with contextlib.suppress(InputError):
        return decode.audio_hash(path)


if __name__ == "__main__":  # the child
    _serve(multiprocessing.connection.Connection(int(sys.argv[1])))
