"""On a real Ray, started on this machine."""

import os
import signal
import subprocess
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import mar
from helpers.networks import plain_network
from helpers.processes import run_python, start_python
from helpers.resources import needs
from helpers.signals import music, write

needs("ray", extra="cluster")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    mar.save(plain_network(), path)
    return str(path)


def test_the_same_rows_as_on_one_machine(model, tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    for number in range(6):
        soundfile.write(library / f"{number}.flac", music(4.0, seed=number), 44100)
    parts = [write(tmp_path / f"{n}", "aac", music(2.0, n), n) for n in (44100, 48000, 32000)]
    (library / "changing.aac").write_bytes(b"".join(part.read_bytes() for part in parts))
    (library / "bad.mp3").write_text("not a song\n" * 999)
    flags = ("--model", model, library)
    outputs = {"alone": (), "cluster": ("--ray_address=local",)}
    found = {}
    for name, more in outputs.items():
        process = run_python("-m", "mar.embed", "--output", tmp_path / name, *flags, *more)
        assert process.returncode == 2, process.stderr
        assert "7 embedded, 0 already there, 0 skipped (not audio), 1 failed" in process.stdout
        assert "1 of them are damaged in part" in process.stdout
        assert "failed: 'bad.mp3': not recognised" in process.stderr
        found[name] = {row["path"]: row for row in pq.read_table(tmp_path / name).to_pylist()}
    assert found["cluster"].keys() == found["alone"].keys()
    for path, row in found["alone"].items():
        other = found["cluster"][path]
        if row["status"] == "ok":
            np.testing.assert_allclose(other.pop("mean"), row.pop("mean"), rtol=1e-4, atol=1e-5)
        assert other == row


@pytest.mark.slow
def test_an_actor_that_dies_is_replaced_and_no_row_is_doubled(model, tmp_path):
    """It is killed for real while it works."""
    library, output = tmp_path / "library", tmp_path / "out"
    library.mkdir()
    for number in range(80):
        soundfile.write(library / f"{number:02}.wav", music(6.0, 8000, 1, number), 8000)
    command = ["-m", "mar.embed", "--model", model, "--output", output, "--ray_address=local"]
    process = start_python(*command, library)
    while process.poll() is None and not list(output.glob("*.parquet")):
        time.sleep(0.05)
    actors = subprocess.run(["pgrep", "-f", "^ray::.*_Actor"], capture_output=True, text=True)
    assert actors.stdout.split()
    for actor in actors.stdout.split():
        os.kill(int(actor), signal.SIGKILL)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "80 embedded" in stdout
    assert sorted(pq.read_table(output)["path"].to_pylist()) == sorted(os.listdir(library))
    assert len(list(output.glob("*.parquet"))) == 1  # as large as without a cluster
    (library / "bad.mp3").write_text("not a song\n" * 999)
    again = run_python(*command, library)
    assert "0 embedded, 80 already there, 0 skipped (not audio), 1 failed" in again.stdout
    assert pq.read_table(output).num_rows == 81


def test_a_cluster_that_does_not_start_is_one_sentence(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", music(4.0, 8000, 1), 8000)
    command = [
        "-m",
        "mar.embed",
        "--model",
        model,
        "--output",
        tmp_path / "out",
        tmp_path / "a.wav",
    ]
    long = tmp_path / ("too long for a socket " * 6)  # which Ray itself ends with an OSError
    process = run_python(*command, "--ray_address=local", RAY_TMPDIR=str(long))
    assert process.returncode == 1
    assert "error: --ray_address local: Ray does not start here" in process.stderr
    assert "Traceback" not in process.stderr


LOST = """
import os, sys
from mar.errors import InputError
from mar.util import cluster
ray = cluster.connected("local")
cluster._LOOK_SECONDS = 1.0

def killed():
    os.kill(os.getpid(), 9)

def refused():
    raise InputError("a.wav: not audio")

def done():
    pass

for function, cpus in ((killed, 1), (refused, 1), (done, 1), (done, 10_000)):
    task = ray.remote(function).options(num_cpus=cpus, max_retries=1).remote()
    ray.cluster_resources = dict if cpus > 1 else ray.cluster_resources  # as of no machine
    try:
        print("done:", *cluster.finished(ray, {task: "a tag"}))
    except InputError as error:
        print(f"error: {error}")
"""


def test_what_a_cluster_loses_is_one_sentence():
    process = run_python("-c", LOST)
    assert process.returncode == 0, process.stderr
    lines = [line for line in process.stdout.splitlines() if line.startswith(("done", "error"))]
    assert "lost a process or a machine" in lines[0]
    assert "run the same command again" in lines[0]
    assert lines[1:3] == ["error: a.wav: not audio", "done: a tag"]
    assert "no machine of it is left" in lines[3]
