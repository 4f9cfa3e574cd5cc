"""Tables of audio files: formats, and what is refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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


def test_artists_albums_or_folders_are_what_is_kept_on_one_side(tmp_path):
    rows = [("1", "x/1.wav", "A", "k"), ("2", "y/2.wav", "", "k"), ("3", "y/3.wav", "B", "l")]
    both = csv(tmp_path / "a.csv", rows, header=("id", "path", "artist", "album"))
    pq.write_table(
        pa.table(
            dict(zip(("id", "path", "artist", "album"), zip(*rows, strict=True), strict=True))
        ),
        tmp_path / "a.parquet",
    )
    expected = {None: ["A", None, "B"], "album": ["k", "k", "l"], "folder": ["x", "y", "y"]}
    for path in (both, tmp_path / "a.parquet"):
        for by, groups in expected.items():
            assert table.read_tracks(path, separated_by=by).rows["group"].to_pylist() == groups
    albums = [(id, path, album) for id, path, _, album in rows]
    one = csv(tmp_path / "b.csv", albums, header=("id", "path", "album"))
    assert table.read_tracks(one).rows["group"].to_pylist() == expected["album"]
    with pytest.raises(InputError, match=r"b\.csv: expected a column artist to separate by"):
        table.read_tracks(one, separated_by="artist")


def test_several_tables_are_one(tmp_path):
    one, two = csv(tmp_path / "a.csv"), csv(tmp_path / "b.csv", [("x", "x.mp3", "jazz")])
    tracks = table.read_tracks([one, two])
    assert tracks.vocabulary == ["calm", "jazz", "rock"]
    assert tracks.rows["labels"].to_pylist() == [[0, 2], [], [0, 2], [1]]
    with pytest.raises(InputError, match=r"a\.csv, .*b\.csv.*: the id '.+' occurs 2 times"):
        table.read_tracks([one, two, two])


def test_tracks_of_some_labels(tmp_path):
    tracks = table.read_tracks(csv(tmp_path / "a.csv", [*ROWS, ("x", "x.mp3", "rock")])).of_labels(
        [1]
    )
    assert tracks.vocabulary == ["rock"]
    assert tracks.rows["id"].to_pylist() == ["a", "03", "x"]
    assert tracks.rows["labels"].to_pylist() == [[0], [0], [0]]
