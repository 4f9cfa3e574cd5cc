"""Embeds a file with what is installed, in an empty folder: `make dist` runs it, with the wheel.

The model is a tiny one with random weights.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import soundfile

import mar

CLONE = pathlib.Path(__file__).resolve().parents[1]
RATE = 22050


def main() -> None:
    installed = pathlib.Path(mar.__file__).resolve()
    if not installed.is_relative_to(pathlib.Path(sys.prefix).resolve()):
        raise SystemExit(f"expected mar of the environment {sys.prefix}, got {installed}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mar.save(mar.SfNfNetF0(width=0.05, depths=(1, 1, 1, 1)).build(300), folder / "tiny.keras")
        noise = np.random.default_rng(0).normal(0, 0.1, 5 * RATE)
        soundfile.write(folder / "noise.flac", noise, RATE)
        command = pathlib.Path(sys.executable).with_name("mar")
        embed = ["embed", "--model", "tiny.keras", "--output", "embeddings", "noise.flac"]
        subprocess.run([command, *embed], cwd=folder, check=True)
        subprocess.run([command, "configs", "show", "small"], cwd=folder, check=True)
        embedding = mar.Embeddings(folder / "embeddings").mean("noise.flac")
    if not np.isfinite(embedding).all() or not embedding.any():
        raise SystemExit(f"expected an embedding, got {embedding}")
    print(f"{installed.parent}: version {mar.__version__} embeds a file")


if __name__ == "__main__":
    main()
