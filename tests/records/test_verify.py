"""`verify` names file, record and byte of whatever is wrong; here it is made wrong on purpose."""

import os
import shutil

import numpy as np
import pytest

from helpers import small_records
from mar.records import framing, schema
from mar.records import manifest as manifests
from mar.records.verify import verify
from mar.util.checksums import crc32c

FRAMES = [310, 420, 333, 345, 512, 301]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "set"
    small_records.data_set(folder, FRAMES, shard_bytes=150_000)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """Three shards of two tracks each."""
    return shutil.copytree(whole, tmp_path / "set")


def problems(folder):
    return [str(problem) for found in verify(manifests.read(folder)) for problem in found]


def shard(folder, number=1):
    return sorted(folder.glob("*.tfrecord"))[number]


def place(folder, track):
    """Where a track's record begins and where its spectrogram lies."""
    manifest = manifests.read(folder)
    offset = int(manifest.offsets[track])
    front = schema.front(
        manifest.id(track),
        manifest.labels(track).tolist(),
        FRAMES[track],
        "float16",
        FRAMES[track] * 192,
    )
    return offset - len(front) - framing.HEADER_BYTES, offset


def flip(path, byte):
    with open(path, "r+b") as file:
        file.seek(byte)
        value = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([value ^ 4]))


def test_a_whole_data_set_has_no_problems(folder):
    assert problems(folder) == []


def test_a_flipped_bit_in_a_spectrogram(folder):
    record, offset = place(folder, 3)
    flip(shard(folder), offset + 1000)
    assert problems(folder) == [
        f"{shard(folder)}: record 1 at byte {record}: the CRC of its data differs"
    ]


def test_a_flipped_bit_in_a_length_hides_no_other_problem(folder):
    flip(shard(folder), 3)
    flip(shard(folder), place(folder, 3)[1] + 1000)
    first, second = problems(folder)
    assert first.startswith(f"{shard(folder)}: record 0 at byte 0: the CRC of its length differs")
    assert f"byte {place(folder, 3)[1]}: track 'track 3': the spectrogram's checksum" in second


def test_a_truncated_shard(folder):
    record, _ = place(folder, 3)
    size = shard(folder).stat().st_size
    os.truncate(shard(folder), size - 1000)
    of_file, of_record, of_track = problems(folder)
    assert of_file == f"{shard(folder)}: has {size - 1000} bytes, the manifest says {size}"
    assert f"{shard(folder)}: record 1 at byte {record}: truncated" in of_record
    there = FRAMES[3] * 192 - 1000 + framing.FOOTER_BYTES
    assert f"track 'track 3': {there} of {FRAMES[3] * 192} bytes are there" in of_track


def test_a_missing_shard(folder):
    shard(folder).unlink()
    (problem,) = problems(folder)
    assert problem == f"{shard_name(folder)}: cannot be read: No such file or directory"


def shard_name(folder):
    return folder / "shard-00001-of-00003.tfrecord"


def rewrite(folder, track, **changes):
    """Replaces a shard's records by others whose CRCs are right; one track's is changed."""
    manifest = manifests.read(folder)
    pieces = []
    for number in np.flatnonzero(manifest.shard_index == manifest.shard_index[track]):
        values = small_records.spectrogram(number, FRAMES[number])
        facts = {
            "id": manifest.id(number),
            "labels": small_records.labels(number),
            "dtype": "float16",
        }
        if number == track:
            facts.update({key: value for key, value in changes.items() if key != "values"})
            values = changes.get("values", values)
        data = values.tobytes()
        front = schema.front(frames=FRAMES[number], size=len(data), **facts)
        pieces += framing.frame(front, data)
    shard(folder).write_bytes(b"".join(pieces))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"id": "track X"}, ["id: 'track X', the manifest says 'track 3'"]),
        ({"labels": [1, 2]}, ["labels: ['label 1', 'label 2'], the manifest says"]),
        ({"dtype": "bfloat7"}, ["dtype: 'bfloat7', the manifest says 'float16'"]),
        (
            {"values": small_records.spectrogram(99, FRAMES[3])},
            ["track 'track 3': the spectrogram's checksum differs"],
        ),
        (
            {"values": small_records.spectrogram(3, FRAMES[3])[:-1]},
            [
                "bytes of the spectrogram: 66048, the manifest says 66240",
            ],
        ),
    ],
)
def test_a_record_that_differs_from_the_manifest(folder, changes, expected):
    rewrite(folder, 3, **changes)
    found = problems(folder)
    record, _ = place(folder, 3)
    for text in expected:
        assert any(
            line.startswith(f"{shard(folder)}: record 1 at byte {record}: ") and text in line
            for line in found
        ), (text, found)
    assert bool(found) == bool(expected)


def test_nan_and_infinity(tmp_path):
    values = small_records.spectrogram(3, FRAMES[3])
    values[40, 7], values[50, 0] = np.nan, np.inf
    small_records.data_set(tmp_path / "set", FRAMES, shard_bytes=150_000)
    rewrite(tmp_path / "set", 3, values=values)
    small_records.rewrite_manifest(
        tmp_path / "set",
        checksum=lambda old: [*old[:3], crc32c(values.tobytes()), *old[4:]],
    )
    (problem,) = problems(tmp_path / "set")
    assert "record 1 at byte" in problem
    assert "track 'track 3': NaN or infinity in 2 frames, the first is 40" in problem


@pytest.mark.parametrize(
    ("column", "change", "expected"),
    [
        ("frames", lambda old: [*old[:3], old[3] - 1, *old[4:]], "bytes of the spectrogram"),
        ("offset", lambda old: [*old[:3], old[3] + 192, *old[4:]], "place of the spectrogram"),
        ("labels", lambda old: [*old[:3], [], *old[4:]], "labels: "),
        ("id", lambda old: [*old[:3], "Z", *old[4:]], "id: 'track 3', the manifest says 'Z'"),
        ("checksum", lambda old: [*old[:3], 1, *old[4:]], "checksum differs"),
    ],
)
def test_a_manifest_that_differs_from_the_records(folder, column, change, expected):
    small_records.rewrite_manifest(folder, **{column: change})
    assert any("record 1 at byte" in line and expected in line for line in problems(folder))


def test_ids_that_occur_twice_and_labels_outside_the_vocabulary(folder):
    """In records and manifest alike, so that neither contradicts the other."""
    rewrite(folder, 3, id="track 2", labels=[1, 99])
    small_records.rewrite_manifest(
        folder,
        id=lambda old: [*old[:3], "track 2", *old[4:]],
        labels=lambda old: [*old[:3], [1, 99], *old[4:]],
    )
    records = [place(folder, track)[0] for track in (2, 3)]
    repeated, label, again = problems(folder)
    for line, record in ((repeated, 0), (label, 1), (again, 1)):
        assert line.startswith(f"{shard(folder)}: record {record} at byte {records[record]}: ")
    assert repeated.endswith("the id 'track 2' occurs more than once")
    assert again.endswith("the id 'track 2' occurs more than once")
    assert label.endswith("the label 99, not in the vocabulary of 7")


def test_records_without_a_row_and_rows_without_a_record(folder):
    with open(shard(folder), "ab") as file:
        file.writelines(framing.frame(b""))
    size = shard(folder).stat().st_size
    of_file, extra = problems(folder)
    assert of_file.endswith(f"has {size} bytes, the manifest says {size - 16}")
    assert extra == f"{shard(folder)}: record 2 at byte {size - 16}: not in the manifest"
    small_records.rewrite_manifest(folder, offset=lambda old: [*old[:3], 10**9, *old[4:]])
    assert any("track 'track 3': 0 of 66240 bytes are there" in line for line in problems(folder))
