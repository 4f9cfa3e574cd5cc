"""What is installed here, and whether it works: what `mar doctor` tells."""

import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import mar
from mar.util.download import cache_folder
from mar.util.processes import WITHOUT_WORKING_FOLDER

_CODECS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "mp3", "ogg": "vorbis", "opus": "opus"}
_CODECS |= {"m4a": "aac", "alac": "alac", "wma": "wmav2", "ape": "ape", "wavpack": "wavpack"}
_EXTRAS = {
    "cluster": ("ray", "several machines"),
    "tags": ("mutagen", "labels in the tags of files"),
    "onnx": ("onnxruntime", "models without TensorFlow"),
    "quickstart": ("music21", "the paper in miniature"),
    "io": ("tensorflow-io", "hdfs:// and Azure"),
}
_MULE_BYTES, _FREE_BYTES = 251_054_764, 1e9
_SECONDS = 120  # that a library may take to begin

# In a process of its own: a library may crash, or hang, as it is imported.
_TENSORFLOW = """
import json, tensorflow as tf, keras
cards = tf.config.list_physical_devices("GPU")
names = [tf.config.experimental.get_device_details(card).get("device_name", "?") for card in cards]
assert float(tf.reduce_sum(tf.ones((2, 2)))) == 4
print(json.dumps([tf.__version__, keras.__version__, keras.backend.backend(), names]))
"""


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        what: it is.
        found: what there is to say of it.
        remedy: what to do; empty where nothing is wrong.
    """

    what: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        mark, end = ("!!", f": {self.remedy}") if self.remedy else ("  ", "")
        return f"{mark} {self.what:<14} {self.found}{end}"


def examined() -> Iterator[Finding]:
    """Looks at one thing after another; the first answers come at once."""
    yield Finding("mar", f"{mar.__version__} in {pathlib.Path(mar.__file__).parent}")
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")
    yield Finding("processors", f"{len(os.sched_getaffinity(0))} cores, {_memory()}")
    yield from _backends()
    yield from _codecs()
    yield _cache()
    yield _weights()
    yield from _extras()


def _memory() -> str:
    import psutil

    memory = psutil.virtual_memory()
    return f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB of memory free"


def _backends() -> Iterator[Finding]:
    """TensorFlow and Keras, the other backends, and the cards that are seen."""
    told = _asked(_TENSORFLOW)
    if isinstance(told, str):
        yield Finding("TensorFlow", told, "pip install --force-reinstall tensorflow keras")
        return
    tensorflow, keras, backend, cards = told
    yield Finding("TensorFlow", tensorflow)
    if backend == "tensorflow":
        yield Finding("Keras", f"{keras} on {backend}")
    else:
        remedy = "embedding works, training needs KERAS_BACKEND=tensorflow"
        yield Finding("Keras", f"{keras} on {backend}", remedy)
    for package in ("jax", "torch"):
        if (version := _version(package)) is not None:
            yield Finding(package, version)
    yield _cards(cards)


def _cards(seen: list[str]) -> Finding:
    """Cards of this machine, and whether TensorFlow sees them."""
    there = _listed(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    if seen:
        return Finding("cards", f"{'; '.join(there or seen)}")
    if there:
        remedy = "pip install 'music-audio-representations[gpu]', and check CUDA_VISIBLE_DEVICES"
        return Finding("cards", f"TensorFlow does not see {'; '.join(there)}", remedy)
    return Finding("cards", "none: everything runs on the processors")


def _codecs() -> Iterator[Finding]:
    """The decoders' libraries, and a file that they decode, in a process of its own."""
    try:
        import av
        import numpy as np
        import soundfile

        from mar.audio import isolated
    except (ImportError, OSError) as error:
        yield Finding("codecs", str(error), "pip install --force-reinstall av soundfile")
        return
    ffmpeg = ".".join(map(str, av.library_versions["libavcodec"]))
    versions = f"libsndfile {soundfile.__libsndfile_version__}, libavcodec {ffmpeg}"
    missing = [name for name, codec in _CODECS.items() if codec not in av.codecs_available]
    if missing:
        remedy = "pip install --force-reinstall av"
        yield Finding("codecs", f"{versions}, without {', '.join(missing)}", remedy)
    else:
        yield Finding("codecs", f"{versions}: {', '.join(_CODECS)} and more")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "silence.flac")
        soundfile.write(path, np.zeros(16000), 16000)
        try:
            count = sum(map(len, isolated.blocks(path)))
        except Exception as error:
            yield Finding("decoder", str(error), "see whether processes may be started here")
        else:
            yield Finding("decoder", f"works: {count} samples of a file of 1 s")


def _cache() -> Finding:
    """The folder of what is downloaded."""
    folder = cache_folder()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Finding("cache", f"{folder} cannot be written", "MAR_CACHE names another folder")
    if free < _FREE_BYTES:
        return Finding("cache", f"{folder}: {free / 1e9:.1f} GB free", "make room on that disk")
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Finding("cache", f"{folder}: {held / 1e9:.2f} GB, {free / 1e9:.0f} GB free")


def _weights() -> Finding:
    """Whether the published weights were downloaded."""
    files = list(cache_folder().glob("mule/*/model.keras"))
    if not files:
        return Finding("mule", "its weights, 251 MB, are downloaded when they are first used")
    if any(file.stat().st_size != _MULE_BYTES for file in files):
        return Finding("mule", f"{files[0]} is damaged", "delete it; it is downloaded again")
    return Finding("mule", str(files[0]))


def _extras() -> Iterator[Finding]:
    """What can be installed beside."""
    for extra, (package, purpose) in _EXTRAS.items():
        version = _version(package)
        missing = f"not installed; {purpose} would need music-audio-representations[{extra}]"
        yield Finding(package, missing if version is None else f"{version}, for {purpose}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _asked(script: str) -> list | str:
    """What a script prints as JSON; or what is wrong, in a line."""
    try:
        ran = subprocess.run(
            [sys.executable, "-c", f"{WITHOUT_WORKING_FOLDER}\n{script}"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"does not begin within {_SECONDS} s"
    if ran.returncode == 0:
        return json.loads(ran.stdout.splitlines()[-1])
    last = (ran.stderr.strip() or "no words").splitlines()[-1]
    how = f"signal {-ran.returncode}" if ran.returncode < 0 else f"exit code {ran.returncode}"
    return f"cannot be imported ({how}): {last}"


def _listed(command: list[str]) -> list[str]:
    """The lines that a program prints; none where it is not there."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return ran.stdout.splitlines() if ran.returncode == 0 else []
