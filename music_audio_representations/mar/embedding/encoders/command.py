"""An encoder that is a program: it is given a WAV file and the name of an .npz file to write.

    command:python encode.py?sample_rate=16000      runs  python encode.py audio.wav embedding.npz

The WAV file is the audio at that rate, mono, 32-bit floats. The .npz file has `embedding`,
`(frames, dimensions)` or `(dimensions,)`, and may have `timestamps`, the frames' centres in
seconds; without them, frames share the time evenly. Each frame is kept as a window is; with
`&pooling=mean_deviation` one vector for each file is.
"""

import pathlib
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import soundfile

from mar.audio.front_end import FrontEnd
from mar.embedding.batches import Tag
from mar.embedding.encoders.address import Address, one_of, required
from mar.embedding.encoders.windows import POOLINGS, check_frames, even_times, pooled
from mar.embedding.representations import Group
from mar.errors import InputError

_ARRAYS = ("embedding", "timestamps")  # as mar writes them, see mar.embedding.npz
_LINES = 3  # of what a program that fails has said last


class Command:
    """See `mar.embedding.representations.Representation`; programs run side by side.

    Args:
        address: of the kind "command".

    Raises:
        InputError: it is not there, or does not do so.
        ConfigError: its sample rate is not given.
    """

    def __init__(self, address: Address) -> None:
        address.check()
        self._address, self._name = address, f"command:{address.place}"
        self._pooling = one_of(address, "pooling", POOLINGS)
        rate = int(required(address, "sample_rate", 16000))
        self.front_end = FrontEnd(sample_rate=rate)
        self.shortest = rate  # a second
        noise = 0.1 * np.random.default_rng(0).standard_normal(rate)
        (_, values), *_ = self.pieces([noise.astype(np.float32)])
        self._frames = len(values) if self._pooling == "mean" else None
        self.dimensions = values.shape[1]
        self.piece_shape = (self.dimensions,)

    @property
    def provenance(self) -> dict[str, Any]:
        """The program, a hash of the files that its command line names, and the pooling."""
        return {
            "model": self._name,
            "precision": "float32",
            "pooling": self._pooling,
            "frame_rate": self._frames,
            "interface": "command",
            "files": self._address.fingerprint,
        }

    def pieces(self, mono_blocks: Iterable[np.ndarray]) -> Iterator[Group]:
        """The centres of the frames, and the frames `(k, dimensions)`, which are embeddings."""
        samples = np.concatenate(list(mono_blocks))
        seconds = len(samples) / self.front_end.sample_rate
        with tempfile.TemporaryDirectory() as folder:
            audio, output = pathlib.Path(folder, "audio.wav"), pathlib.Path(folder, "embedding.npz")
            soundfile.write(audio, samples, self.front_end.sample_rate, "FLOAT")
            self._run(audio, output)
            times, frames = read(output, seconds)
        check_frames(self._name, times, frames[None], 1)
        if self._pooling != "mean":
            times, frames = np.array([seconds / 2]), pooled(frames, self._pooling)[None]
        yield times.astype(np.float32), frames.astype(np.float32)

    def stream(self, groups: Iterable[tuple[Tag, np.ndarray]]) -> Iterator[tuple[Tag, np.ndarray]]:
        """The frames, which are embeddings."""
        yield from groups

    def _run(self, audio, output):
        words = [*shlex.split(self._address.place), str(audio), str(output)]
        finished = subprocess.run(words, capture_output=True, text=True, errors="replace")
        if finished.returncode:
            said = " / ".join(finished.stderr.strip().splitlines()[-_LINES:])
            raise InputError(f"{self._name} ended with {finished.returncode}: {said}")


def read(path: pathlib.Path, seconds: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Times `(frames,)` and frames `(frames, dimensions)` of an .npz file.

    Args:
        path: of the file.
        seconds: of its audio; None where that is not known, and so are times that it lacks: NaN.

    Raises:
        InputError: there is none, or it has no `embedding`.
    """
    try:
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in _ARRAYS if name in archive}
    except Exception as error:  # of three modules, for each way in which a file can be damaged
        raise InputError(f"{path.name}: expected an .npz file, got {error}") from None
    if "embedding" not in arrays:
        raise InputError(f"{path.name}: expected the array embedding in it, which it lacks")
    frames = np.atleast_2d(arrays["embedding"])
    if "timestamps" in arrays:
        return np.atleast_1d(arrays["timestamps"]), frames
    unknown = np.full(len(frames), np.nan)
    return unknown if seconds is None else even_times(len(frames), seconds), frames
