"""A catalogue, and its data set, on Google's Cloud Storage: an emulator on loopback."""

import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from pyarrow import fs

from helpers.processes import UNREAD, free_port, wait_for
from helpers.signals import music
from mar.embedding import files, mirror, upkeep
from mar.embedding.catalogue import Catalogue
from mar.embedding.store import Embeddings

MODEL = "logmel_mean"
NAMES = ["a.flac", "jazz/50% a+b? #1 'ü'.flac"]
# It serves a connection at a time, and is asked by several that stay open: each gets a thread.
EMULATOR = """
import http.server, runpy
http.server.HTTPServer = http.server.ThreadingHTTPServer
http.server.BaseHTTPRequestHandler.protocol_version = "HTTP/1.1"
runpy.run_module("gcp_storage_emulator", run_name="__main__")
"""


def is_listening(port):
    with socket.socket() as connection:
        return connection.connect_ex(("localhost", port)) == 0


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Of a folder in a bucket `music`, which is empty; the cache is empty, too."""
    monkeypatch.setenv("MAR_CACHE", str(tmp_path / "cache"))
    port = free_port()
    options = ["start", "--host=localhost", f"--port={port}", "--in-memory"]
    command = [sys.executable, "-c", EMULATOR, *options, "--default-bucket=music"]
    with subprocess.Popen(command, **UNREAD) as process:
        wait_for(lambda: is_listening(port), process)
        query = f"scheme=http&endpoint_override=localhost:{port}&retry_limit_seconds=10"
        yield lambda folder: f"gs://anonymous@music/{folder}?{query}"
        process.kill()


def update(folder, output):
    with mirror.writable(output) as copy:
        summary = Catalogue().run(MODEL, files.find([folder]), copy)
        upkeep.prune(copy)
        upkeep.compact(copy)
    return {what: count for what, count in summary.counts.items() if count}


def test_a_folder_there_is_embedded_and_embeddings_are_kept_there(address, tmp_path, monkeypatch):
    library = tmp_path / "library"
    for number, name in enumerate(NAMES):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(library / name, music(4.0, 16000, seed=number), 16000)
    fs.copy_files(str(library), address("songs"))
    output = address("sets/emb")
    assert update(address("songs"), output) == {"new": 2}
    assert update(address("songs"), output) == {"unchanged": 2}
    Catalogue().run(MODEL, files.find([str(library)]), tmp_path / "local")
    shutil.rmtree(tmp_path / "cache")  # as on another machine
    local, remote = Embeddings(tmp_path / "local"), Embeddings(output)
    assert remote.paths == local.paths == sorted(NAMES)
    np.testing.assert_array_equal(remote.means(NAMES), local.means(NAMES))
    assert remote.row("a.flac")["folder"] == "gs://music/songs"
    bucket, songs = fs.FileSystem.from_uri(address("songs"))
    bucket.delete_file(f"{songs}/a.flac")
    assert update(address("songs"), output) == {"gone": 1, "unchanged": 1}
    assert Embeddings(output).paths == NAMES[1:]
