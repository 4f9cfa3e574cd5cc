"""MusiCNN (Pons and Serra, 2019), a baseline of the paper, with the weights of its authors.

The weights lie in the wheel `musicnn` 0.1.0 (ISC licence) as TensorFlow checkpoints, trained on
MagnaTagATune (`MTT_musicnn`) and on the Million Song Dataset (`MSD_musicnn`). The larger
`MSD_musicnn_big` is not in it. The wheel itself cannot be installed beside a current TensorFlow and
need not be: only arrays are read from it.
"""

import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mar.audio.decode import shown
from mar.audio.logmel import LogMel
from mar.errors import InputError
from mar.models.bundle import Bundle
from mar.util.atomic import make_folder, whole
from mar.util.download import cache_folder

CHECKPOINTS = ("MTT_musicnn", "MSD_musicnn")
VERSION = "0.1.0"
FRAMES, MELS = 187, 96  # 3 s
TOO_SHORT = "expected at least 3 s of audio for MusiCNN, found less"
EMBEDDING = 200  # dimensions of the last hidden layer
TAGS = {
    "MTT_musicnn": (
        *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock"),
        *("fast", "piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian"),
        *("opera", "male", "singing", "vocals", "no vocals", "harpsichord", "loud", "quiet"),
        *("flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man"),
        *("classic", "choir", "voice", "new age", "dance", "male voice", "female vocal"),
        *("beats", "harp", "cello", "no voice", "weird", "country", "metal", "female voice"),
        "choral",
    ),
    "MSD_musicnn": (
        *("rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance"),
        *("00s", "alternative rock", "jazz", "beautiful", "metal", "chillout"),
        *("male vocalists", "classic rock", "soul", "indie rock", "Mellow", "electronica"),
        *("80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues"),
        *("hard rock", "ambient", "acoustic", "experimental", "female vocalist", "guitar"),
        *("Hip-Hop", "70s", "party", "country", "easy listening", "sexy", "catchy", "funk"),
        *("electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad"),
        *("House", "happy"),
    ),
}


class MusiCNN:
    """The network with the weights of one checkpoint.

    Args:
        checkpoint: "MTT_musicnn" or "MSD_musicnn".
        wheel: path of the wheel; None downloads it once, without its dependencies.

    Attributes:
        checkpoint: which of the two; to be named beside every number.
        tags: names of the 50 tags.
        model: Keras model `(n, 187, 96)` → tags `(n, 50)`, probabilities, and embedding
            `(n, 200)`, the last hidden layer.
        front_end: the `LogMel` of its input.
    """

    def __init__(
        self, checkpoint: str = "MSD_musicnn", wheel: str | os.PathLike[str] | None = None
    ) -> None:
        if checkpoint not in CHECKPOINTS:
            raise InputError(
                f"{checkpoint}: expected one of MusiCNN's checkpoints {', '.join(CHECKPOINTS)}"
            )
        self.checkpoint, self.tags = checkpoint, TAGS[checkpoint]
        self.front_end = LogMel(
            n_fft=512, win_length=512, hop_length=256, n_mels=MELS, htk=False, norm="slaney"
        )
        self.model = build()
        arrays = read_checkpoint(wheel or fetch_wheel(), checkpoint)
        for layer in self.model.layers:
            for variable in layer.weights:
                variable.assign(arrays[f"{layer.name}/{variable.name}"])

    def patches(self, frame_blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Cuts log-mel frames into what the network takes; the rest of less than 3 s is left out.

        Args:
            frame_blocks: arrays `(k, 96)`.

        Yields:
            float32 `(n, 187, 96)`, n of at least 1; nothing, where there are less than 3 s in all.
        """
        held = np.zeros((0, MELS), np.float32)
        for block in frame_blocks:
            held = np.concatenate([held, block])
            count = len(held) // FRAMES
            if count:
                yield held[: count * FRAMES].reshape(count, FRAMES, MELS)
                held = held[count * FRAMES :]

    def __call__(self, path: str | bytes | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
        """Tags `(n, 50)` and embeddings `(n, 200)` of an audio file, one row per 3 s.

        Raises:
            InputError: it cannot be decoded, or is shorter than 3 s.
        """
        pieces = [self.model(patches) for patches in self.patches(self.front_end.stream(path))]
        if not pieces:
            raise InputError(f"{shown(path)}: {TOO_SHORT}")
        tags, embeddings = zip(*pieces, strict=True)
        return np.concatenate([*map(np.asarray, tags)]), np.concatenate(
            [*map(np.asarray, embeddings)]
        )


def build() -> keras.Model:
    """The network without weights; its layers are named as in the checkpoints."""
    spectrogram = keras.Input((FRAMES, MELS), name="spectrogram")
    named = {kind: _numbered(kind) for kind in ("conv2d", "batch_normalization", "dense")}

    def normalized(x: Any) -> Any:
        name = next(named["batch_normalization"])
        return layers.BatchNormalization(epsilon=1e-3, name=name)(x)

    def convolved(x: Any, filters: int, kernel: tuple[int, int], padding: str = "valid") -> Any:
        convolution = layers.Conv2D(
            filters,
            kernel,
            padding=padding,
            activation="relu",
            data_format="channels_last",
            name=next(named["conv2d"]),
        )
        return normalized(convolution(x))

    def padded(x: Any) -> Any:
        return layers.ZeroPadding2D(((3, 3), (0, 0)), data_format="channels_last")(x)

    def over_time(x: Any) -> Any:
        """`(n, frames, features)` → `(n, frames, 64)`."""
        maps = convolved(padded(ops.expand_dims(x, -1)), 64, (7, x.shape[2]))
        return ops.squeeze(maps, axis=2)

    x = normalized(ops.expand_dims(spectrogram, -1))
    # Front end: tall filters for timbre, long ones for tempo, each reduced over frequency.
    timbral = [convolved(padded(x), 204, (7, bands)) for bands in (38, 67)]
    temporal = [convolved(x, 51, (frames, 1), "same") for frames in (128, 64, 32)]
    front = ops.concatenate([ops.max(maps, axis=2) for maps in timbral + temporal], axis=2)
    # Middle: three convolutions over time, the second and third residual.
    first = over_time(front)
    second = over_time(first) + first
    third = over_time(second) + second
    x = ops.concatenate([front, first, second, third], axis=2)
    # Back end: pooling over time and two dense layers.
    x = layers.Flatten()(ops.stack([ops.max(x, axis=1), ops.mean(x, axis=1)], axis=2))
    x = layers.Dense(EMBEDDING, "relu", name=next(named["dense"]))(normalized(x))
    embedding = normalized(x)
    tags = layers.Dense(50, "sigmoid", name=next(named["dense"]))(embedding)
    return keras.Model(spectrogram, [tags, embedding], name="musicnn")


def _numbered(kind: str) -> Iterator[str]:
    """The names that TensorFlow gives layers of a kind, in order."""
    yield kind
    for number in itertools.count(1):
        yield f"{kind}_{number}"


def read_checkpoint(wheel: str | os.PathLike[str], checkpoint: str) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint in the wheel, `{name: array}`.

    Raises:
        InputError: the file is not the wheel, or holds no such checkpoint.
    """
    parts = {"model.index": ".index", "model.data-00000-of-00001": ".data-00000-of-00001"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(wheel) as archive:
                for name, part in parts.items():
                    content = archive.read(f"musicnn/{checkpoint}/{part}")
                    pathlib.Path(folder, name).write_bytes(content)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{wheel}: expected the wheel musicnn-{VERSION} with {checkpoint}: {error}"
            ) from None
        bundle = Bundle(pathlib.Path(folder, "model"))
        return {name: bundle.array(name) for name in bundle.names if "Adam" not in name}


def fetch_wheel() -> pathlib.Path:
    """The path of the wheel, which pip downloads once, without its dependencies.

    Raises:
        InputError: it cannot be downloaded.
    """
    name = f"musicnn-{VERSION}-py3-none-any.whl"
    folder = cache_folder() / "musicnn"
    if not (folder / name).exists():
        make_folder(folder)
        with whole(folder / name) as unfinished:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
            command += ["--dest", str(unfinished.parent), f"musicnn=={VERSION}"]
            where = unfinished.parent  # where nothing can be taken for one of Python's modules
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=where)
            if done.returncode:
                raise InputError(
                    f"musicnn=={VERSION}: pip could not download it: {done.stderr.strip()[-300:]}. "
                    f"Put the wheel at {folder / name} by hand"
                )
    return folder / name
