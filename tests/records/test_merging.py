"""Several data sets as one, whenever it is killed."""

import dataclasses
import os
import shutil
import signal

import numpy as np
import pytest
from test_growth import HERE, append, content, expected, job, problems

from helpers import small_records
from helpers.processes import run_python
from mar.errors import ConfigError, InputError
from mar.records import manifest as manifests
from mar.records import merging

MINE = {"a": (350, [0]), "b": (300, [1, 2]), "c": (320, [])}
YOURS = {"d": (310, [0, 1]), "b": (300, [0, 2]), "e": (333, [1])}
NAMES = ["label 2", "x", "label 1"]  # so that both have `b` with the same labels
BOTH = expected(YOURS, NAMES) | expected(MINE)


@pytest.fixture
def data_sets(tmp_path):
    small_records.write_here(job(MINE, groups=["x", "y", None]), tmp_path / "mine")
    yours = {id: (frames, sorted(labels)) for id, (frames, labels) in YOURS.items()}
    small_records.write_here(job(yours, NAMES), tmp_path / "yours")
    return [tmp_path / "mine", tmp_path / "yours"]


def merge(data_sets, folder, share=(0, 1)):
    written, repeated = merging.merged(data_sets, 150_000)
    return repeated, small_records.write_here(written, folder, share)


def plain(tracks):
    return {id: (frames, sorted(labels)) for id, (frames, labels) in tracks.items()}


def test_tracks_and_labels_of_all_and_what_both_have_once(data_sets, tmp_path):
    repeated, outcome = merge(data_sets, tmp_path / "both")
    assert (repeated, outcome.tracks, outcome.failed) == (1, 5, [])
    manifest = manifests.read(tmp_path / "both")
    assert manifest.header.vocabulary == [*small_records.VOCABULARY, "x"]
    assert plain(content(tmp_path / "both")) == plain(BOTH)
    assert [manifest.group(track) for track in range(5)] == ["x", "y", None, None, None]
    assert problems(tmp_path / "both") == []


def test_dropped_tracks_stay_behind_and_more_can_be_added(data_sets, tmp_path):
    append(data_sets[0], {"a": (350, [0]), "new": (390, [5])})
    merge(data_sets, tmp_path / "both")
    tracks = content(tmp_path / "both")
    assert tracks.keys() == {"a", "new", "d", "b", "e"}
    shards = sum(path.stat().st_size for path in (tmp_path / "both").glob("*.tfrecord"))
    assert shards < 192 * (sum(frames for frames, _ in tracks.values()) + 10)
    names = manifests.read(tmp_path / "both").header.vocabulary
    table = {id: (n, [names.index(label) for label in row]) for id, (n, row) in tracks.items()}
    table = {id: (frames, sorted(labels)) for id, (frames, labels) in table.items()}
    grown, _ = append(tmp_path / "both", {**table, "more": (377, [7])}, names)
    assert grown.tracks["id"].to_pylist() == ["more"]
    assert problems(tmp_path / "both") == []


def test_records_of_another_program_become_ours(data_sets, tmp_path):
    """Whose features have other names, and whose labels are text."""
    header = manifests.read(data_sets[1]).header
    foreign = {"spectrogram": "log_mel", "id": "id", "labels": None, "dtype": None, "frames": None}
    header = dataclasses.replace(header, features=foreign, made_from=None)
    rows = manifests.read_rows(data_sets[1])
    manifests.write(data_sets[1] / "foreign.parquet", header, rows)
    merge([data_sets[0], data_sets[1] / "foreign.parquet"], tmp_path / "both")
    assert plain(content(tmp_path / "both")) == plain(BOTH)
    assert problems(tmp_path / "both") == []


def test_what_cannot_be_joined_is_told(data_sets, tmp_path):
    other = {"a": (350, [1])}
    small_records.write_here(job(other), tmp_path / "other labels")
    with pytest.raises(InputError, match=r"the id 'a' .* in .*mine and of another in .*other labe"):
        merging.merged([*data_sets, tmp_path / "other labels"])
    small_records.write_here(job({"a": (351, [0])}), tmp_path / "other sound")
    with pytest.raises(InputError, match="the id 'a' is that of one track"):
        merging.merged([data_sets[0], tmp_path / "other sound"])
    front_end = {"LogMel": {**small_records.FRONT_END["LogMel"], "sample_rate": 22050}}
    made = dataclasses.replace(job({"z": (350, [0])}), front_end=front_end)
    small_records.write_here(made, tmp_path / "other rate")
    with pytest.raises(ConfigError, match="other rate, but sample_rate is 16000, not 22050"):
        merging.merged([*data_sets, tmp_path / "other rate"])


def test_damage_is_not_copied_as_if_it_were_sound(data_sets, tmp_path):
    shard = next(data_sets[0].glob("*00000-of*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[5000] ^= 4
    shard.write_bytes(data)
    _, outcome = merge(data_sets, tmp_path / "both")
    ((track, reason),) = outcome.failed
    assert track == "a"
    assert f"{data_sets[0]}" in reason
    assert "checksum" in reason
    assert outcome.tracks == 4


KILLED = """
import os, signal, sys
import test_merging

moment, folder, *data_sets = int(sys.argv[1]), *sys.argv[2:]
replace, calls = os.replace, []

def counted(source, target):
    calls.append(target)
    if len(calls) == moment:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = counted
test_merging.merge(data_sets, folder)
print(len(calls))
"""


def test_a_merge_that_is_killed_looks_like_none_and_resumes(data_sets, tmp_path):
    """Plan, three shards and their parts, manifest."""
    arguments = ("-c", KILLED, 0, tmp_path / "whole", *data_sets)
    whole = run_python(*arguments, cwd=HERE)
    assert whole.stdout == "8\n", whole.stderr
    final = small_records.contents(tmp_path / "whole")
    inputs = [small_records.contents(data_set) for data_set in data_sets]
    for moment in (1, 3, 5, 8):
        folder = tmp_path / f"killed {moment}"
        killed = run_python("-c", KILLED, moment, folder, *data_sets, cwd=HERE)
        assert killed.returncode == -signal.SIGKILL
        assert not os.path.exists(folder / manifests.NAME)
        with pytest.raises(InputError, match="No such file"):
            manifests.read(folder)
        merge(data_sets, folder)
        assert small_records.contents(folder) == final
        shutil.rmtree(folder)
    assert [small_records.contents(data_set) for data_set in data_sets] == inputs
    np.testing.assert_equal(problems(tmp_path / "whole"), [])
