"""Tables of audio files: formats, AudioSet's own files, and what is refused."""

import gzip
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.resources import reference
from mar.errors import ConfigError, InputError
from mar.records import table

ROWS = [("a", "x/a.mp3", "rock|calm"), ("-b", "b, c.mp3", ""), ("03", "d.mp3", "calm | rock|calm")]


def csv(path, rows=ROWS, separator=",", header=("id", "path", "labels")):
    quoted = [separator.join(f'"{cell}"' for cell in row) for row in [header, *rows]]
    path.write_text("\n".join(quoted) + "\n", encoding="utf-8")
    return path


def test_csv_tsv_and_parquet_are_read_alike(tmp_path):
    lists = [["rock", "calm"], [], ["calm", "rock"]]
    columns = {"extra": [1, 2, 3], **dict(zip(("id", "path"), zip(*[r[:2] for r in ROWS])))}  # noqa: B905
    pq.write_table(pa.table({**columns, "labels": lists}), tmp_path / "lists.parquet")
    texts = [row[2] or None for row in ROWS]
    pq.write_table(pa.table({**columns, "labels": texts}), tmp_path / "text.parquet")
    paths = [
        csv(tmp_path / "a.csv"),
        csv(tmp_path / "a.tsv", separator="\t"),
        tmp_path / "lists.parquet",
        tmp_path / "text.parquet",
    ]
    for path in paths:
        tracks = table.read_tracks(path)
        assert tracks.vocabulary == ["calm", "rock"]
        assert tracks.rows.to_pylist() == [
            {"id": "a", "path": "x/a.mp3", "labels": [0, 1]},
            {"id": "-b", "path": "b, c.mp3", "labels": []},
            {"id": "03", "path": "d.mp3", "labels": [0, 1]},
        ]


def test_quotation_marks_between_tabs_are_part_of_the_label(tmp_path):
    labels = ['"Weird Al" Yankovic', "calm", '"Til Tuesday', '12" Mix']
    rows = [f"{n}\t{n}.wav\t{label}" for n, label in enumerate(labels)]
    (tmp_path / "a.tsv").write_text("\n".join(["id\tpath\tlabels", *rows]))
    tracks = table.read_tracks(tmp_path / "a.tsv")
    assert tracks.vocabulary == sorted(labels)
    assert [tracks.vocabulary[row[0]] for row in tracks.rows["labels"].to_pylist()] == labels


def test_rows_that_are_there_twice_are_read_once_in_every_format(tmp_path):
    columns = dict(zip(("id", "path", "labels"), zip(*ROWS, *ROWS[1:], strict=True), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    for path in (csv(tmp_path / "a.csv", [*ROWS, *ROWS[1:]]), tmp_path / "a.parquet"):
        assert table.read_tracks(path).rows["id"].to_pylist() == ["a", "-b", "03"]


def test_vocabulary_and_table_may_be_of_different_editors(tmp_path):
    """One with a byte-order mark and CRLF, the other of an old Mac; accents of both forms."""
    (tmp_path / "names.txt").write_bytes("\ufeffZouk Cafe\u0301\r\nrock\r\n".encode())
    vocabulary = table.read_vocabulary(tmp_path / "names.txt")
    assert vocabulary.names == ["Zouk Caf\xe9", "rock"]
    text = "id;path;labels\r1;./x//a.wav;Zouk Caf\xe9\r2;b.wav;rock|Zouk Cafe\u0301\r"
    (tmp_path / "a.csv").write_bytes(text.encode("utf-16"))
    tracks = table.read_tracks(tmp_path / "a.csv", vocabulary)
    assert tracks.rows["labels"].to_pylist() == [[0], [0, 1]]
    assert tracks.rows["path"].to_pylist() == ["x/a.wav", "b.wav"]


def test_labels_are_optional_and_separators_free(tmp_path):
    path = csv(tmp_path / "a.csv", [row[:2] for row in ROWS], header=("id", "path"))
    assert table.read_tracks(path).vocabulary == []
    path = csv(tmp_path / "a.csv", [("a", "a", "x, y;z")])
    assert table.read_tracks(path, separator=";").vocabulary == ["x, y", "z"]


def test_a_vocabulary_gives_the_order(tmp_path):
    (tmp_path / "names.txt").write_text("rock\njazz\ncalm\n")
    vocabulary = table.read_vocabulary(tmp_path / "names.txt")
    tracks = table.read_tracks(csv(tmp_path / "a.csv"), vocabulary)
    assert tracks.vocabulary == ["rock", "jazz", "calm"]
    assert tracks.rows["labels"].to_pylist() == [[0, 2], [], [0, 2]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ROWS, ("a", "again", "")], "the id 'a' occurs 2 times"),
        ([("a", "a", "rock||calm")], "track 'a' has an empty label in 'rock||calm'"),
        ([("a", "a", "rock| ")], "track 'a' has an empty label"),
        (
            [("a", "a", "jazz")],
            "track 'a' has the label 'jazz', which is not in the vocabulary of 2",
        ),
        ([("a", "a", ""), ("", "b", "")], "row 3: the id is empty"),
        ([("a", "", "")], "row 2: the path is empty"),
        ([], "has no rows"),
    ],
)
def test_bad_rows_are_named(tmp_path, rows, message):
    vocabulary = table.Vocabulary(["rock", "calm"], ["rock", "calm"])
    with pytest.raises(InputError, match=message):
        table.read_tracks(csv(tmp_path / "a.csv", rows), vocabulary)


def test_bad_tables_are_named(tmp_path):
    path = csv(tmp_path / "a.csv", header=("track", "file", "labels"))
    with pytest.raises(
        InputError,
        match=r"a\.csv: expected the columns id, path, found track, file, .*; id and path missing",
    ):
        table.read_tracks(path)
    with pytest.raises(InputError, match=r"none\.csv: cannot be read: No such file"):
        table.read_tracks(tmp_path / "none.csv")
    (tmp_path / "a.txt").write_text("id,path\n")
    with pytest.raises(InputError, match=r"expected a \.csv, \.tsv or \.parquet"):
        table.read_tracks(tmp_path / "a.txt")
    (tmp_path / "names.txt").write_text("rock\n\ncalm\n")
    with pytest.raises(InputError, match="line 2 is an empty label"):
        table.read_vocabulary(tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("rock\nrock\n")
    with pytest.raises(InputError, match="the label 'rock' occurs 2 times"):
        table.read_vocabulary(tmp_path / "names.txt")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"labels": [[1, 2]]}, r"the track 'a': expected labels as text, got \[1, 2\]"),
        ({"labels": [0]}, "the track 'a': expected labels as text, got 0"),
        ({"id": [["a"]]}, "the column id: expected text, got Unsupported cast"),
    ],
)
def test_columns_of_other_types_are_refused(tmp_path, columns, message):
    table_of = pa.table({"id": ["a"], "path": ["a.mp3"], "labels": ["rock"], **columns})
    pq.write_table(table_of, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=rf"a\.parquet: {message}"):
        table.read_tracks(tmp_path / "a.parquet")


def test_two_columns_of_one_name_and_no_separator_are_refused(tmp_path):
    path = csv(tmp_path / "a.csv", header=("id", "path", "path"))
    with pytest.raises(InputError, match=r"a\.csv: expected each column once"):
        table.read_tracks(path)
    with pytest.raises(ConfigError, match="expected a character such as |, got none"):
        table.read_tracks(csv(tmp_path / "a.csv"), separator="")


# ---------------------------------------------------------------------------- AudioSet


@pytest.fixture
def audioset(tmp_path):
    """Two segments in AudioSet's own format, their vocabulary, and a folder with one clip."""
    (tmp_path / "segments.csv").write_text(
        "# Segments csv created Sun Mar  5 10:54:31 2017\n"
        "# num_ytids=2, num_segs=2, num_unique_labels=527, num_positive_labels=3\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
        'aBcDeFgH_1-, 0.000, 8.500, "/t/dd00088"\n'
    )
    (tmp_path / "names.csv").write_text(
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/t/dd00088,"Gush, ""loud"""\n'
    )
    (tmp_path / "clips" / "aa").mkdir(parents=True)
    (tmp_path / "clips" / "aa" / "--PJHxphWEs_30.flac").touch()
    (tmp_path / "clips" / "aa" / "--PJHxphWEs_30.json").touch()
    return tmp_path


def read(folder, clip_name="{ytid}_{start:.0f}"):
    vocabulary = table.read_vocabulary(folder / "names.csv")
    return table.read_tracks(
        folder / "segments.csv", vocabulary, audio=folder / "clips", clip_name=clip_name
    )


def test_audiosets_segments_are_read(audioset):
    tracks = read(audioset)
    assert tracks.vocabulary == ["Speech", 'Gush, "loud"']
    assert tracks.rows.to_pylist() == [
        {"id": "--PJHxphWEs", "path": "aa/--PJHxphWEs_30.flac", "labels": [0, 1]},
        {"id": "aBcDeFgH_1-", "path": "aBcDeFgH_1-_0", "labels": [1]},  # missing: named so
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (', 30.000, 40.000, "', ',30.000,40.000,"'),
        ('dd00088"\naB', 'dd00088",\naB'),
        ("30.000", "30"),
        ('"/t/dd00088"\n', "/t/dd00088\n"),
        ("\n--", "\r\n--"),
        ("# YTID", "YTID"),
        ("--PJHxphWEs", "PJHxphWEs"),
        (", 30.000", ", 30.000\udcff"),
    ],
)
def test_changed_copies_of_audiosets_files_are_refused(audioset, old, new):
    path = audioset / "segments.csv"
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"segments\.csv: .*expected AudioSet's"):
        read(audioset)


def test_audioset_needs_its_vocabulary_and_clips(audioset):
    with pytest.raises(InputError, match=r"class_labels_indices\.csv"):
        table.read_tracks(audioset / "segments.csv", audio=audioset / "clips")
    (audioset / "clips" / "--PJHxphWEs_30.wav").touch()
    with pytest.raises(InputError, match="two files for one clip"):
        read(audioset)
    shutil.rmtree(audioset / "clips")
    with pytest.raises(InputError, match="holds no clips"):
        read(audioset)


@pytest.mark.parametrize("name", ["{id}", "{}", "{ytid", "{start:d}"])
def test_a_clips_name_of_other_fields_is_refused(audioset, name):
    with pytest.raises(ConfigError, match="expected text with fields such as {ytid}"):
        read(audioset, name)


def test_the_real_files_of_audioset(audioset):
    folder = reference("datasets/audioset")
    vocabulary = table.read_vocabulary(folder / "class_labels_indices.csv")
    assert len(vocabulary.names) == 527
    assert vocabulary.names[1] == "Male speech, man speaking"
    for name, segments, labels in (("balanced_train", 22160, 52882), ("eval", 20371, 51804)):
        path = audioset / f"{name}.csv"
        path.write_bytes(gzip.decompress((folder / f"{name}_segments.csv.gz").read_bytes()))
        tracks = table.read_tracks(path, vocabulary, audio=audioset / "clips")
        assert len(tracks.rows) == segments
        assert sum(map(len, tracks.rows["labels"].to_pylist())) == labels


def test_a_count_that_differs_is_a_warning(audioset, caplog):
    path = audioset / "segments.csv"
    path.write_text(path.read_text().replace("num_segs=2", "num_segs=3"))
    read(audioset)
    assert "announces 3 segments, it has 2" in caplog.text
