"""Labelling that is ended in the middle, by real kills, and on a real Ray."""

import contextlib
import os
import random
import resource
import signal
import time

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from test_head import head

from helpers.processes import run_python, start_python
from helpers.resources import needs
from helpers.small_embeddings import write_store
from mar.embedding import pieces
from mar.embedding.store import Embeddings
from mar.errors import InputError
from mar.probing import tagging
from mar.probing.head_file import FILE
from mar.probing.labelling import Labelling
from mar.util.lock import FolderLock

PARTS, TRACKS = 8, 5  # a piece each, in these tests
# Kills itself at the chosen moment; each piece with its segments takes a name twice.
COMMAND = """
import signal, sys
from helpers import kills
from mar import tag
from mar.embedding import pieces
from mar.util import cli

moment, when, by = int(sys.argv.pop(1)), sys.argv.pop(1), signal.Signals[sys.argv.pop(1)]
pieces.PIECE_BYTES = 1
names = kills.at_replace(moment, when, by)
try:
    cli.run(tag.main)
finally:
    print(len(names))
"""


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1)


@pytest.fixture
def catalogue(tmp_path):
    """A data set of 40 tracks in 8 files, and a head."""
    for number in range(PARTS):
        add_part(tmp_path / "emb", number)
    head().save(tmp_path / FILE)
    return tmp_path


def add_part(folder, number):
    rng = np.random.default_rng(number)
    timelines = {f"{number}/{n}.flac": rng.normal(size=(3 + n, 6)) for n in range(TRACKS)}
    write_store(folder, timelines, name=str(number), store="timeline")


def label(catalogue, output, **settings):
    job = Labelling({"moods": head()}, **settings)
    return job.run(Embeddings(catalogue / "emb"), output)


def arguments(catalogue, output, *more):
    return ["--head", catalogue / FILE, "--output", output, *more, catalogue / "emb"]


def tables(output):
    """The bytes of the tables that were written, and whether nothing else was left."""
    names = (output.name, f"{output.stem}.segments{output.suffix}")
    assert {path.name for path in output.parent.iterdir()} <= {*names, "emb", FILE}
    written = (output.with_name(name) for name in names)
    return {path.name: path.read_bytes() for path in written if path.exists()}


ANY = None  # of the moments; drawn within the test
ENDED = 128 + signal.SIGTERM, 128 + signal.SIGINT


@pytest.mark.parametrize(
    ("suffix", "moment", "when", "by"),
    [
        (".parquet", 1, "after", "SIGKILL"),
        (".csv", ANY, "before", "SIGKILL"),
        (".jsonl", 2 * PARTS + 1, "after", "SIGKILL"),  # between the two tables
        (".csv", ANY, "after", "SIGTERM"),
        (".jsonl", 3, "before", "SIGINT"),
    ],
)
def test_an_ended_labelling_goes_on(suffix, moment, when, by, catalogue):
    moment = moment or random.randrange(2, 2 * PARTS)
    whole, output = catalogue / "whole" / f"t{suffix}", catalogue / f"t{suffix}"
    whole.parent.mkdir()
    label(catalogue, whole, timeline=True)
    expected = tables(whole)
    command = arguments(catalogue, output, "--timeline")
    ended = run_python("-c", COMMAND, moment, when, by, *command)
    assert ended.returncode in (-signal.SIGKILL, *ENDED), ended.stderr
    present = {path.name for path in catalogue.iterdir()} & expected.keys()
    assert present == ({f"t{suffix}"} if moment > 2 * PARTS else set())
    kept = catalogue / f".t{suffix}.labelling"
    finished = len(list(kept.glob("*.tags.parquet")))
    assert finished >= (moment - (when == "before")) // 2 - 1  # of two at a time
    again = run_python("-c", COMMAND, 0, "never", "SIGKILL", *command)
    assert again.returncode == 0, again.stderr
    assert int(again.stdout.split()[-1]) == 2 * (PARTS - finished) + 2, "done again"
    if finished:
        assert f"{finished} of {PARTS} pieces were labelled before" in again.stderr
    whole.unlink()
    whole.with_name(f"t.segments{suffix}").unlink()
    whole.parent.rmdir()
    assert tables(output) == expected


def test_other_settings_heads_and_embeddings_begin_afresh(catalogue):
    output = catalogue / "t.csv"
    command = arguments(catalogue, output, "--top", 1)
    kept = catalogue / ".t.csv.labelling"

    def end_in_the_middle():
        ended = run_python("-c", COMMAND, PARTS, "before", "SIGKILL", *command)
        assert ended.returncode == -signal.SIGKILL
        return {path.name for path in kept.glob("*.parquet")}

    assert len(end_in_the_middle()) > 1
    assert label(catalogue, output, top=2) == 2 * PARTS * TRACKS
    tables(output)
    before = end_in_the_middle()
    add_part(catalogue / "emb", PARTS)
    os.utime(catalogue / "emb" / "part-0.parquet")
    assert label(catalogue, output, top=1) == (PARTS + 1) * TRACKS
    assert before != end_in_the_middle()
    job = Labelling({"moods": head(labels=["a", "b", "c", "d"])}, top=1)
    job.run(Embeddings(catalogue / "emb"), output)
    assert set(pd.read_csv(output)["label"]) <= set("abcd")
    tables(output)


def test_tables_are_those_of_all_tracks_in_turn(catalogue):
    """Whatever the pieces are, and whoever labels them."""
    embeddings = Embeddings(catalogue / "emb")

    def paths(*chosen):
        cut = pieces.cut(embeddings, *chosen)
        return [[path for names, _ in piece.open().vectors() for path in names] for piece in cut]

    assert paths() == [[f"{number}/{n}.flac" for n in range(TRACKS)] for number in range(PARTS)]
    assert paths(["3/1.flac", "5/2.flac", "5/0.flac"]) == [["3/1.flac"], ["5/0.flac", "5/2.flac"]]
    assert paths([]) == []
    rows = label(catalogue, catalogue / "t.parquet")
    expected = sum(len(table) for table in tagging.tags({"moods": head()}, embeddings))
    assert rows == expected == PARTS * TRACKS * 4


def test_row_groups_of_one_file_are_pieces(catalogue):
    """As a catalogue is whose parts were compacted."""
    path = catalogue / "emb" / "part-4.parquet"
    pq.write_table(pq.read_table(path), path, row_group_size=2)
    embeddings = Embeddings(catalogue / "emb")
    cut = pieces.cut(embeddings)
    assert len(cut) == PARTS - 1 + 3
    found = [path for piece in cut for names, _ in piece.open().vectors() for path in names]
    assert sorted(found) == embeddings.paths
    assert len({piece.identity for piece in cut}) == len(cut)


def test_one_run_at_a_time_writes_an_output(catalogue):
    kept = catalogue / ".t.csv.labelling"
    kept.mkdir()
    with FolderLock(kept), pytest.raises(InputError, match="writes into it since"):
        label(catalogue, catalogue / "t.csv")
    assert label(catalogue, catalogue / "t.csv", top=1) == PARTS * TRACKS
    assert not kept.exists()


def test_embeddings_that_change_meanwhile_are_not_taken_for_whole(catalogue):
    embeddings = Embeddings(catalogue / "emb")
    os.utime(catalogue / "emb" / "part-3.parquet")
    with pytest.raises(InputError, match="part-3.parquet: gone; a run changes its folder"):
        Labelling({"moods": head()}).run(embeddings, catalogue / "t.csv")
    assert not (catalogue / "t.csv").exists()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_on_a_full_disk_nothing_looks_whole(suffix, catalogue):
    output = catalogue / f"t{suffix}"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"tags\.parquet: cannot be written: .*too large"):
            label(catalogue, output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert tables(output) == {}
    label(catalogue, output)
    assert len(tables(output)) == 1


# --------------------------------------------------------------------------------------------- ray


def workers(process):
    """Ray's of this process, that label; their command is called after the function."""
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error, IndexError):
            if child.cmdline()[0].startswith("ray::") and "label" in child.cmdline()[0]:
                yield child


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["workers", "all"])
def test_ray_labels_the_same_where_processes_die(killed, catalogue, monkeypatch):
    needs("ray", extra="cluster")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")  # the machine may have much to do
    for number in range(PARTS, 60):
        add_part(catalogue / "emb", number)
    output = catalogue / "t.csv"
    label(catalogue, output, timeline=True)
    expected = tables(output)
    for name in expected:
        (catalogue / name).unlink()
    command = arguments(catalogue, output, "--timeline", "--ray_address=local")
    process = start_python("-c", COMMAND, 0, "never", "SIGKILL", *command, fresh=True)
    kept = catalogue / ".t.csv.labelling"
    while process.poll() is None and not list(kept.glob("*.tags.parquet")):
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]
    if killed == "all":
        process.kill()
    else:
        while not (found := list(workers(process))):
            assert process.poll() is None, process.communicate()[1]
        for worker in found:
            worker.kill()
    _, errors = process.communicate()
    if killed == "all":
        assert process.returncode == -signal.SIGKILL
        assert list(kept.glob("*.tags.parquet"))
        assert not output.exists()
        label(catalogue, output, timeline=True)
    else:
        assert process.returncode == 0, errors
    assert tables(output) == expected
