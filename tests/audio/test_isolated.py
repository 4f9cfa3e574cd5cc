"""With real processes, that are really killed and really stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile

from helpers.processes import run_python
from helpers.signals import music
from mar.audio import decode, isolated
from mar.audio.isolated import IsolatedDecoder
from mar.errors import InputError


@pytest.fixture
def song(tmp_path):
    soundfile.write(tmp_path / "song.flac", music(25.0), 44100)
    return tmp_path / "song.flac"


@pytest.fixture
def decoder():
    with IsolatedDecoder() as decoder:
        yield decoder


def whole(decoder, path):
    info, blocks = decoder.open(path, sample_rate=16000)
    return info, np.concatenate(list(blocks))


def test_the_same_as_without_it(decoder, song):
    info, samples = whole(decoder, song)
    assert info == decode.info(song)
    np.testing.assert_array_equal(samples, np.concatenate(list(decode.blocks(song, 16000))))


def test_info_alone(decoder, song):
    for _ in range(2):
        assert decoder.info(song) == decode.info(song)
    process = decoder._process
    assert len(whole(decoder, song)[1]) == 25 * 16000
    assert decoder._process is process


def test_refusals_are_passed_on_and_cost_no_process(decoder, song, tmp_path):
    whole(decoder, song)
    process = decoder._process
    (tmp_path / "text.mp3").write_text("not a song\n" * 999)
    for path, message in [("text.mp3", "not recognised"), ("absent.mp3", "no such file")]:
        with pytest.raises(InputError, match=f"{path}: {message}"):
            decoder.open(tmp_path / path)
    whole(decoder, song)
    assert decoder._process is process


@pytest.mark.parametrize("kill", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_costs_one_file(decoder, song, kill):
    _, blocks = decoder.open(song)
    next(blocks)
    decoder._process.send_signal(kill)
    with pytest.raises(InputError, match=rf"song.flac: the decoder crashed \(signal {kill.name}\)"):
        list(blocks)
    assert len(whole(decoder, song)[1]) == 25 * 16000


def test_a_crash_between_files_costs_none_of_the_next(decoder, song):
    whole(decoder, song)
    decoder._process.kill()
    decoder._process.wait()
    assert len(whole(decoder, song)[1]) == 25 * 16000


def test_another_thread_can_end_a_stall(decoder, song):
    _, blocks = decoder.open(song)
    next(blocks)
    os.kill(decoder._process.pid, signal.SIGSTOP)
    threading.Timer(0.5, decoder.interrupt).start()
    with pytest.raises(InputError, match=r"song.flac: the decoder crashed \(signal SIGKILL\)"):
        list(blocks)


def test_a_stall_is_ended(decoder, song, monkeypatch):
    monkeypatch.setattr(isolated, "STALL_SECONDS", 1.0)
    _, blocks = decoder.open(song)
    next(blocks)
    os.kill(decoder._process.pid, signal.SIGSTOP)
    with pytest.raises(InputError, match=r"song.flac: the decoder made no progress for 1 s"):
        list(blocks)
    monkeypatch.undo()
    assert len(whole(decoder, song)[1]) == 25 * 16000


@pytest.mark.parametrize("read", [0, 1])
def test_abandoned_blocks_do_not_reach_the_next_file(decoder, song, tmp_path, read):
    soundfile.write(tmp_path / "other.wav", music(1.0), 44100)
    _, blocks = decoder.open(song)
    for _ in range(read):
        next(blocks)
    blocks.close()
    assert len(whole(decoder, tmp_path / "other.wav")[1]) == 16000


def test_the_child_ends_with_its_parent(song):
    script = """
import sys, time
from mar.audio.isolated import IsolatedDecoder
decoder = IsolatedDecoder()
_, blocks = decoder.open(sys.argv[1])
next(blocks)
print(decoder._process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(song)], stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while is_running(child):
        assert time.monotonic() < deadline, "the decoder outlived its parent"
        time.sleep(0.05)


def is_running(pid):
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


def test_no_main_guard_is_needed(song, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from mar.audio.isolated import IsolatedDecoder\n"
        "with IsolatedDecoder() as decoder:\n"
        "    print(decoder.open(sys.argv[1])[0].channels)\n"
    )
    assert run_python(script, song).stdout == "2\n"
