"""requirements-onnx.txt is enough, and small."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

import mar
from helpers.exported import small_file
from helpers.resources import ROOT
from helpers.signals import music

MEGABYTES = 480


@pytest.mark.slow
def test_what_is_listed_embeds_and_searches(tmp_path):
    environment = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"

    def run(*arguments):
        return subprocess.run(
            [python, "-m", *map(str, arguments)],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    install = [python, "-m", "pip", "install", "--quiet", "--no-compile"]
    listed = subprocess.run([*install, "-r", ROOT / "requirements-onnx.txt"], check=False)
    if listed.returncode:
        pytest.skip("pip could not install requirements-onnx.txt")
    subprocess.run([*install, "--no-deps", ROOT], check=True)
    size = subprocess.check_output(["du", "-sm", environment], text=True)
    assert int(size.split()[0]) <= MEGABYTES

    library = tmp_path / "library"
    library.mkdir()
    for number in range(3):
        soundfile.write(library / f"{number}.ogg", music(5.0, 44100, 2, number), 44100)
    run("mar", "embed", "--model", small_file()[1], "--output", tmp_path / "out", library)
    found, embedder = mar.Embeddings(tmp_path / "out"), mar.Embedder(small_file()[0])
    for name in ("0.ogg", "1.ogg", "2.ogg"):
        expected = embedder(library / name).mean
        assert np.abs(found.mean(name) - expected).max() <= 1e-5 * np.abs(expected).max()
    lines = run("mar", "similar", "--embeddings", tmp_path / "out", library / "1.ogg").splitlines()
    assert {line.split()[-1] for line in lines} == {"0.ogg", "2.ogg"}
