"""With real processes, that are really killed and really stopped."""

import contextlib
import multiprocessing
import os
import signal
import struct
import threading
import time
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
import soundfile

from helpers.processes import (
    is_running,
    run_python,
    start_python,
    stop_the_warm_decoder,
    wait_for,
)
from helpers.signals import FORMATS, music
from mar.audio import decode, isolated
from mar.audio.isolated import IsolatedDecoder
from mar.errors import InputError
from mar.util.processes import processors


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    path = tmp_path_factory.mktemp("song") / "song.flac"
    soundfile.write(path, music(25.0), 44100)
    return path


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


@pytest.mark.parametrize("name", ["pcm16.wav", "flac", "ogg", "mp3", "m4a", "aac", "wma", "mkv"])
def test_the_length_is_estimated_where_a_header_does_not_tell_it(decoder, tmp_path, name):
    FORMATS[name][0](str(tmp_path / f"a.{name}"), music(5.0, 44100, 2), 44100)
    assert decoder.estimated_seconds(tmp_path / f"a.{name}") == pytest.approx(5.0, abs=0.2)


def test_refusals_are_passed_on_and_cost_no_process(decoder, song, tmp_path):
    whole(decoder, song)
    process = decoder._process
    (tmp_path / "text.mp3").write_text("not a song\n" * 999)
    for path, message in [("text.mp3", "not recognised"), ("absent.mp3", "no such file")]:
        with pytest.raises(InputError, match=f"{path}: {message}"):
            decoder.open(tmp_path / path)
    whole(decoder, song)
    assert decoder._process is process


def test_what_libraries_write_is_of_the_file_and_not_on_the_terminal(decoder, tmp_path, capfd):
    """libmpg123 complains of an ID3 frame that is larger than its tag, and of much junk."""
    FORMATS["mp3"][0](str(tmp_path / "good.mp3"), music(2.0), 44100)
    content = (tmp_path / "good.mp3").read_bytes()
    tag = b"ID3\3\0\0\0\0\10\0TIT2\0\17\377\377".ljust(1034, b"\0")
    (tmp_path / "tag.mp3").write_bytes(tag + content)
    (tmp_path / "junk.mp3").write_bytes(bytes(70_000) + content)
    remarks = {}
    for name in ("tag.mp3", "good.mp3", "junk.mp3", "good.mp3"):
        whole(decoder, tmp_path / name)
        remarks[name] = decoder.condition.remarks
        assert len(decoder.condition.told) == bool(remarks[name])
    assert remarks["good.mp3"] == ()
    assert "ID3v2 frame" in remarks["tag.mp3"][0]
    assert "65536 bytes of junk" in remarks["junk.mp3"][0]
    assert capfd.readouterr() == ("", "")


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


@pytest.mark.parametrize("kind", ["wav", "pvf"])
def test_a_file_that_takes_long_to_read_is_no_stall(decoder, song, tmp_path, monkeypatch, kind):
    """A gigabyte of silence, which the disk lacks; FFmpeg's libraries do not know PVF."""
    soundfile.write(tmp_path / "long", np.zeros((44100, 2)), 44100, "PCM_16", format=kind)
    with open(tmp_path / "long", "r+b") as file:
        file.truncate(2**30)
        if kind == "wav":  # whose header has the sizes
            for place, size in ((4, 2**30 - 8), (40, 2**30 - 44)):
                file.seek(place)
                file.write(struct.pack("<I", size))
    decoder.info(song)  # the process has begun
    monkeypatch.setattr(isolated, "STALL_SECONDS", 1.0)
    began = time.monotonic()
    found = decoder.audio_hash(tmp_path / "long")
    assert time.monotonic() - began > 1.0, "it takes no longer than a stall"
    assert found == decode.audio_hash(tmp_path / "long")


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
time.sleep(6000)
"""
    parent = start_python("-c", script, song)
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_running(child))
    assert not is_running(child)


def test_no_main_guard_is_needed(song, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from mar.audio.isolated import IsolatedDecoder\n"
        "with IsolatedDecoder() as decoder:\n"
        "    print(decoder.open(sys.argv[1])[0].channels)\n"
    )
    assert run_python(script, song).stdout == "2\n"


def test_nothing_in_the_working_folder_is_imported(song, tmp_path):
    """Not even where it is called as a module that the decoder, or Python, imports."""
    for name in ("soxr", "av", "soundfile", "random", "signal"):
        (tmp_path / f"{name}.py").write_text("open('EXECUTED', 'w'); raise ImportError")
    script = tmp_path / "scripts" / "script.py"
    script.parent.mkdir()
    script.write_text(
        "import sys\n"
        "from mar.audio.isolated import IsolatedDecoder\n"
        "with IsolatedDecoder() as decoder:\n"
        "    print(decoder.audio_hash(sys.argv[1]))\n"
    )
    process = run_python(script, song, fresh=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == decode.audio_hash(song)
    assert not (tmp_path / "EXECUTED").exists()


# --------------------------------------------------------------------------------- lent decoders


def pid_of_lent():
    with isolated.decoder() as decoder:
        return decoder._process.pid


def length(path, **decoding):
    return sum(map(len, isolated.blocks(path, **decoding)))


def sparse_wav(path):
    """Of a rate at which ten seconds are the whole file, 4 GB of silence, which the disk lacks."""
    size = 2**32 - 100
    kind = struct.pack("<IHHIIHH", 16, 1, 1, 2 * 10**9, 4 * 10**9, 2, 16)
    header = b"RIFF" + struct.pack("<I", size - 8) + b"WAVEfmt " + kind + b"data"
    path.write_bytes(header + struct.pack("<I", size - 60_000_044))
    os.truncate(path, size)
    return path


def test_a_lent_decoder_stays_warm_whatever_became_of_the_file(song, tmp_path):
    (tmp_path / "text.mp3").write_text("not a song\n" * 999)
    assert length(song, sample_rate=16000) == 25 * 16000
    warm = pid_of_lent()
    with pytest.raises(InputError, match="text.mp3: not recognised"):
        length(tmp_path / "text.mp3")
    assert length(song, sample_rate=8000) == 25 * 8000
    assert pid_of_lent() == warm
    assert next(iter(isolated.blocks(song))).any()  # abandoned
    assert length(song, sample_rate=16000) == 25 * 16000


def test_relative_paths_are_of_the_folder_of_the_moment(song, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "song.flac", music(1.0), 44100)
    for folder, seconds in [(song.parent, 25), (tmp_path, 1), (song.parent, 25)]:
        monkeypatch.chdir(folder)
        assert length("song.flac") == seconds * 44100


def test_threads_have_one_each(song):
    with isolated.decoder() as one:
        _, blocks = one.open(song)
        next(blocks)
        assert length(song) == 25 * 44100
        assert len(list(blocks)) == 2
    with ThreadPool(3) as pool:
        assert pool.map(length, [song] * 6) == [25 * 44100] * 6


def test_as_many_stay_warm_as_there_are_cores(song):
    with contextlib.ExitStack() as stack:
        lent = [stack.enter_context(isolated.decoder()) for _ in range(processors() + 2)]
        for decoder in lent:
            decoder.info(song)
        pids = [decoder._process.pid for decoder in lent]
    assert sum(map(is_running, pids)) == processors()
    assert length(song) == 25 * 44100


def test_a_file_that_takes_all_memory_costs_itself(song, tmp_path):
    path = sparse_wav(tmp_path / "absurd.wav")
    with pytest.raises(
        InputError, match=r"absurd.wav: decoding takes more than 4 GiB of memory; .*ffmpeg"
    ):
        length(path, sample_rate=16000)
    warm = pid_of_lent()
    assert length(song, sample_rate=16000) == 25 * 16000
    assert pid_of_lent() == warm


def test_a_file_that_hangs_costs_itself(song, monkeypatch):
    stop_the_warm_decoder(song)
    monkeypatch.setattr(isolated, "STALL_SECONDS", 0.5)
    with pytest.raises(InputError, match=r"song.flac: .*no progress for 0 s; .*ffmpeg"):
        length(song)
    monkeypatch.undo()
    assert length(song) == 25 * 44100


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_has_its_own(song, method):
    with isolated.decoder() as busy:
        _, blocks = busy.open(song)
        next(blocks)
        assert length(song) == 25 * 44100
        with multiprocessing.get_context(method).Pool(1) as pool:
            theirs, result = pool.apply(pid_of_child_and_length, [song])
        assert result == 25 * 44100
        assert theirs not in (busy._process.pid, pid_of_lent())
        assert len(list(blocks)) == 2
    assert length(song) == 25 * 44100


def pid_of_child_and_length(path):
    return (length(path), pid_of_lent())[::-1]


def test_an_interrupt_leaves_nothing_behind(song):
    """Ctrl-C in the middle of a file that hangs, as in a notebook; then the next; then the end."""
    script = """
import os, signal, sys, threading
from helpers.processes import is_running, stop_the_warm_decoder
from mar.audio import isolated
signal.signal(signal.SIGINT, signal.default_int_handler)
stop_the_warm_decoder(sys.argv[1])
(stuck,) = (decoder._process.pid for decoder in isolated._idle)
threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
try:
    list(isolated.blocks(sys.argv[1]))
except KeyboardInterrupt:
    print(is_running(stuck))
print(sum(map(len, isolated.blocks(sys.argv[1]))))
with isolated.decoder() as decoder:
    print(decoder._process.pid)
"""
    process = run_python("-c", script, song)
    assert process.stderr == ""
    stuck, count, pid = process.stdout.split()
    assert (stuck, count) == ("False", str(25 * 44100))
    assert not is_running(int(pid))
