"""Environments of Python packages, for benchmarks that compare with other programs.

They lie in build/environments/, and are made where they are not there or of other packages. pip
takes PyTorch's build for processors where it is told to, for example by a PIP_CONSTRAINT.
"""

import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = {"PYTHONPATH": str(ROOT / "music_audio_representations")}  # mar, as it is now
_FOLDER = ROOT / "build" / "environments"


def interpreter(name: str, *packages: str) -> str:
    """Path of a Python that has these packages and what they need.

    Args:
        name: of the environment.
        packages: as pip takes them.
    """
    folder = _FOLDER / name
    python, stamp = folder / "bin" / "python", folder / "packages.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text("\n".join(packages))
    return str(python)


def of_keras(backend: str) -> str:
    """Path of a Python that has what mar needs, with one of Keras' backends."""
    needed = [
        line
        for line in importlib.metadata.requires("music-audio-representations")
        if "extra ==" not in line and re.match(r"[\w-]+", line)[0] not in ("tensorflow", backend)
    ]
    return interpreter(f"keras-{backend}", *needed, backend)


def of_onnx() -> str:
    """Path of a Python that has what mar needs to run exported models."""
    lines = (ROOT / "requirements-onnx.txt").read_text(encoding="utf-8").splitlines()
    return interpreter("onnx", *(line for line in lines if not line.startswith("#")))


def of_sxmp_mule() -> str:
    """Path of a Python (3.11 or earlier) that has the published program."""
    return interpreter("sxmp-mule", "sxmp-mule==1.1.2", "tensorflow==2.13.1")


def of_mule_torch() -> str:
    """Path of a Python that has mule-torch, and what reads and resamples for it."""
    return interpreter("mule-torch", "mule-torch==0.2.0", "soundfile", "soxr")


def sxmp_mule(*arguments: object) -> list[str]:
    """The command that runs benchmarks/theirs_sxmp_mule.py."""
    return [of_sxmp_mule(), "-m", "benchmarks.theirs_sxmp_mule", *map(str, arguments)]


def mule_torch(*arguments: object) -> list[str]:
    """The command that runs benchmarks/theirs_mule_torch.py."""
    return [of_mule_torch(), "-m", "benchmarks.theirs_mule_torch", *map(str, arguments)]


def mule_torch_weights(model: os.PathLike[str], folder: pathlib.Path) -> pathlib.Path:
    """Those of a model in the format of mule-torch, in a folder."""
    from benchmarks import row_mule_torch

    path = folder / "torch"
    row_mule_torch.convert(os.fspath(model), str(path), "--python", of_mule_torch())
    return path


def megabytes(python: str) -> int:
    """Of all packages in an environment."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = subprocess.check_output([python, "-c", code], text=True).strip()
    return int(subprocess.check_output(["du", "-sm", folder], text=True).split()[0])
