"""What is wrong with a collection of real files; in the command, with real processes."""

import contextlib
import csv
import json
import os
import shutil
import signal
import struct
import subprocess
import time
from multiprocessing.pool import ThreadPool

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import soundfile

import mar
from helpers.processes import run_python, start_python
from helpers.signals import FORMATS, music, write
from mar.audio import decode
from mar.embedding import checking, files


def check(folder, **options):
    """`{path: Checked}` of a folder."""
    found = list(checking.check(files.find([str(folder)]), **options))
    assert [checked.path for checked in found] == sorted(checked.path for checked in found)
    return {checked.path: checked for checked in found}


def kinds(checked):
    return [problem.kind for problem in checked.problems]


def made(path, name, seconds, seed=0):
    """Writes a file in a format of `FORMATS`."""
    rate = 48000 if name == "opus" else 44100
    return write(path, name, music(seconds, rate, 2, seed), rate)


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def spoil(path, first, last):
    """Overwrites a part of a file, from and to a share of its bytes."""
    content = bytearray(path.read_bytes())
    first, last = (int(share * len(content)) for share in (first, last))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a whole file in each format."""
    folder = tmp_path_factory.mktemp("sound")
    for number, name in enumerate(FORMATS):
        made(folder / f"{number}.{name}", name, 4.0, number)
    return folder


def test_whole_files_of_all_formats_have_no_problem(sound):
    found = check(sound)
    assert len(found) == len(FORMATS)
    for path, checked in found.items():
        assert kinds(checked) == [], checked
        row = checked.row()
        assert row["duration"] == pytest.approx(4.0, abs=0.15)
        assert (row["sample_rate"], row["channels"]) in [(44100, 2), (48000, 2)]
        assert row["reader"] == decode.info(sound / path).reader
        assert row["audio_hash"] == decode.audio_hash(sound / path)
        assert (row["notes"], row["damaged_seconds"], row["problems"]) == ("", 0.0, "")
        assert 0.5 < row["peak"] <= row["channel_peak"] < 1.2


def test_truncated_files(tmp_path):
    """But for MP4 without its table, and ADTS, which announces nothing."""
    names = [name for name in FORMATS if name not in ("aac", "m4a", "alac.m4a")]
    for name in names:
        cut(made(tmp_path / f"a.{name}", name, 6.0), 0.6)
    found = check(tmp_path)
    assert len(found) == len(names)
    for path, checked in found.items():
        assert kinds(checked) in (["truncated"], ["damaged"]), path  # FLAC, Ogg: cannot be told
        (problem,) = checked.problems
        assert str(tmp_path) not in problem.detail
        assert checked.row()["details"] == problem.detail
        assert checked.row()["duration"] is None
    for path in ("a.pcm16.wav", "a.float.wav", "a.aiff"):
        assert kinds(found[path]) == ["truncated"]


def test_damaged_files(tmp_path):
    names, samples = ("flac", "mp3", "m4a", "ogg"), music(25.0)
    for name in names:
        little = write(tmp_path / f"little.{name}", name, samples, 44100)
        spoil(shutil.copy(little, tmp_path / f"much.{name}"), 0.3, 0.7)
        spoil(little, 0.5, 0.504)
    found = check(tmp_path)
    for name in names:
        little, much = found[f"little.{name}"], found[f"much.{name}"]
        assert kinds(little) == ["damaged"], little
        assert 0 < little.row()["damaged_seconds"] < 1.25, little
        assert 23.5 < little.row()["duration"] < 25.1
        assert f"{little.row()['damaged_seconds']:.2f} s" in little.row()["details"]
        assert kinds(much) in (["damaged"], ["truncated"]), much
        assert much.row()["damaged_seconds"] is None


@pytest.fixture
def collection(tmp_path):
    """One file of each kind, and some that are sound."""
    folder = tmp_path / "music"
    (folder / "copies").mkdir(parents=True)
    for name in ("a.flac", "b.mp3", "copies/z.wav"):
        seed = len(name)
        soundfile.write(folder / name, music(4.0, 44100, 2, seed), 44100)
    for name, copy in (("a.flac", "copies/c.flac"), ("b.mp3", "copies/tagged.mp3")):
        (folder / copy).write_bytes((folder / name).read_bytes())
    with open(folder / "copies" / "tagged.mp3", "ab") as file:
        file.write(b"TAG" + b"another title".ljust(125, b"\0"))
    soundfile.write(folder / "short.ogg", music(1.0), 44100)
    soundfile.write(folder / "silent.flac", np.zeros((5 * 44100, 2)), 44100)
    soundfile.write(folder / "clipped.wav", np.clip(9 * music(4.0), -1, 1), 44100)
    with_nan = music(4.0)
    with_nan[1000, 1] = np.nan
    soundfile.write(folder / "nan.wav", with_nan, 44100, "FLOAT")
    for rate in (44100, 48000):
        write(tmp_path / f"{rate}.aac", "aac", music(2.0, rate), rate)
    parts = [(tmp_path / f"{rate}.aac").read_bytes() for rate in (44100, 48000)]
    (folder / "changes.aac").write_bytes(b"".join(parts))
    cut(write(folder / "cut.wav", "pcm16.wav", music(4.0), 44100), 0.5)
    (folder / "page.mp3").write_text("not a song\n" * 500)
    (folder / "empty.m4a").touch()
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff" + bytes(500))
    return folder


WRONG = {
    "changes.aac": "changes",
    "clipped.wav": "clipped",
    "copies/c.flac": "same audio",
    "copies/tagged.mp3": "same audio",
    "cut.wav": "truncated",
    "empty.m4a": "unreadable",
    "nan.wav": "not finite",
    "page.mp3": "unreadable",
    "short.ogg": "short",
    "silent.flac": "silent",
}


def test_a_collection(collection):
    table = mar.check_folder(collection, workers=2)
    assert list(table.path) == sorted(table.path)
    assert len(table) == len(WRONG) + 3
    found = table[table.problems != ""]
    assert dict(zip(found.path, found.problems, strict=True)) == WRONG
    details = dict(zip(found.path, found.details, strict=True))
    assert details["copies/c.flac"] == "as a.flac"
    assert details["copies/tagged.mp3"] == "as b.mp3"
    assert "48000 Hz" in details["changes.aac"]
    assert "0.023 s" in details["nan.wav"]
    assert table.equals(mar.check_folder(str(collection), workers=1))
    part = mar.check_folder([collection / "a.flac", collection / "copies" / "z.wav"])
    assert list(part.problems) == ["", ""]


def test_a_decoder_that_dies_costs_its_file_alone(tmp_path):
    """Killed while it is at work on an hour and a half, of which the disk has only a header."""
    for seed, name in enumerate(("a.wav", "z.wav")):
        soundfile.write(tmp_path / name, music(3.0, seed=seed), 44100)
    kind = struct.pack("<IHHIIHH", 16, 1, 2, 44100, 4 * 44100, 4, 16)
    header = b"RIFF" + struct.pack("<I", 10**9 - 8) + b"WAVEfmt " + kind + b"data"
    (tmp_path / "long.wav").write_bytes(header + struct.pack("<I", 10**9 - 44))
    os.truncate(tmp_path / "long.wav", 10**9)

    def kill():
        while True:
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    if any(file.path.endswith("long.wav") for file in child.open_files()):
                        child.kill()
                        return
            time.sleep(0.01)

    with ThreadPool(1) as pool:
        killed = pool.apply_async(kill)
        found = check(tmp_path, workers=1)
        killed.get()
    assert [kinds(checked) for checked in found.values()] == [[], ["unreadable"], []]
    assert "SIGKILL" in found["long.wav"].problems[0].detail


def command(*arguments):
    return run_python("-m", "mar.check", *arguments)


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_the_command_lists_and_writes_what_is_wrong(collection, tmp_path, ending):
    output = tmp_path / f"report.{ending}"
    process = command(collection, "--output", output, "--workers", "2")
    assert process.returncode == 2, process.stderr
    lines = process.stdout.splitlines()
    for path, kind in WRONG.items():
        assert sum(line.startswith(kind) and f" {path}: " in line for line in lines) == 1, path
    assert "13 files" in process.stdout
    assert "3 without fault, 1 skipped" in process.stdout
    for line in ("same audio  2", "unreadable  2", "truncated   1"):
        assert line in lines
    if ending == "csv":
        with open(output, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    elif ending == "parquet":
        rows = pq.read_table(output).to_pylist()
    else:
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    found = {row["path"]: row["problems"] for row in rows if row["problems"]}
    assert found == WRONG
    assert float(rows[0]["duration"]) == 4.0
    assert not list(tmp_path.glob(".*"))


def test_a_collection_without_fault(sound):
    process = command(sound)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[0].startswith(f"{len(FORMATS)} files, 0.0 h")
    assert "Traceback" not in process.stderr


def test_what_cannot_be_meant(tmp_path, sound):
    for arguments, words in (
        ([], "files, folders or lists"),
        ([tmp_path / "absent"], "absent: no such file or folder"),
        ([sound, "-o", tmp_path / "a.txt"], "a.txt: expected a name that ends in .csv"),
        ([sound, "-o", tmp_path / "absent" / "a.csv"], "in an existing folder"),
    ):
        process = command(*arguments)
        assert process.returncode == 1
        assert words in process.stderr
        assert "Traceback" not in process.stderr


def test_an_interrupted_check_leaves_nothing(tmp_path):
    """Neither a table that looks whole, nor processes."""
    folder = tmp_path / "music"
    folder.mkdir()
    for number in range(400):
        soundfile.write(folder / f"{number:03}.wav", 0.1 * np.ones(44100), 44100)
    arguments = ["-m", "mar.check", "--output", tmp_path / "report.csv", "--workers", "2", folder]
    process = start_python(*arguments, PYTHONUNBUFFERED="1")
    assert "000.wav" in process.stdout.readline()
    children = subprocess.run(
        ["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True
    ).stdout.split()
    assert len(children) == 2
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate()
    assert process.returncode == 130
    assert complaints.strip() == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["music"]
    while any(os.path.exists(f"/proc/{child}") for child in children):
        time.sleep(0.05)
