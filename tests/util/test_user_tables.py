"""The reader of all tables: dialects, encodings, and rows that are refused."""

import csv
import io
import itertools
import logging

import pytest

from mar.errors import InputError
from mar.util import tables, text

CELLS = [
    ["path", "label", "note"],
    ["a.wav", "Sigur Rós", "x, y; z"],
    ["b/c.wav", 'the "Heroes"', "1"],
    ["d.wav", "NA", "2"],
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]


def encoded(content, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    return (mark + content).encode(encoding)


def written(delimiter, end):
    file = io.StringIO(newline="")
    if delimiter == "\t":
        return end.join(map("\t".join, CELLS))
    csv.writer(file, delimiter=delimiter, lineterminator=end).writerows(CELLS)
    return file.getvalue()


@pytest.mark.parametrize(
    ("delimiter", "end", "encoding"),
    list(itertools.product(",;\t", ["\n", "\r\n", "\r"], ENCODINGS)),
)
def test_a_table_is_the_same_whatever_program_wrote_it(tmp_path, delimiter, end, encoding):
    for name in ("a.csv", "a.tsv", "a"):  # the header tells, not the name
        (tmp_path / name).write_bytes(encoded(written(delimiter, end), encoding))
        table = tables.read(tmp_path / name, ["path", "label"], ["note", "absent"])
        assert [*map(list, zip(*table.columns.values(), strict=True))] == CELLS[1:]
        assert list(table.columns) == CELLS[0]
        assert table.numbers == [2, 3, 4]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_lines_are_split_at_their_ends_alone(tmp_path, end, encoding):
    lines = ["one", "", "two\u2028\x85\x0b three ", "Ü"]
    for content in (end.join(lines), end.join([*lines, ""])):
        (tmp_path / "a.txt").write_bytes(encoded(content, encoding))
        assert text.read_lines(tmp_path / "a.txt") == lines


def test_cells_are_stripped_composed_and_paths_plain(tmp_path):
    (tmp_path / "a.csv").write_text('path, label\n./x//a.wav , Cafe\u0301\nb.wav, "c, d"\n')
    table = tables.read(tmp_path / "a.csv", ["path", "label"])
    assert table["path"] == ["x/a.wav", "b.wav"]
    assert table["label"] == ["Caf\xe9", "c, d"]


def test_cells_may_hold_line_ends_and_rows_are_counted_as_spreadsheets_do(tmp_path):
    (tmp_path / "a.csv").write_text('path,label\na,"one\ntwo"\n\n,\nb,\n')
    with pytest.raises(InputError, match=r"refused 1 of 2 rows .*: row 5: the label is empty"):
        tables.read(tmp_path / "a.csv", ["path", "label"])
    assert tables.read(tmp_path / "a.csv", ["path", "label"], blank=["label"])["label"] == [
        *("one\ntwo", "")
    ]


def test_rows_that_are_alike_are_read_once_and_accounted_for(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "a.csv").write_text("path,label\na,x\nb,y\n./a, x\na,z\nb,y\n")
    table = tables.read(tmp_path / "a.csv", ["path", "label"])
    assert table["path"] == ["a", "b", "a"]
    assert table.numbers == [2, 3, 5]
    assert "a.csv: 5 rows read, 0 refused, 2 duplicates" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "path,label\na,x\nb\nc,x,y\n",
            r"refused 2 of 3 .*row 3: .* 2 cells, found 1; row 4: .* 3",
        ),
        ("path\tlabel\na\tx\t\n", "row 2: expected 2 cells, found 3"),
        ("path,label\n,x\na,y\n", "refused 1 of 2 rows .*row 2: the path is empty"),
        ("path,label\na, \n", "row 2: the label is empty"),
        ('path,label\na,"x\nb,y\nc,z\n', r"row 2 .*unexpected end of data"),
        ('path,label\na,b\nb,"x\nc,12" Mix\n', "row 3 .*expected after"),
        ('path,label\na,"x" y\n', r'row 2 .*"12"" Mix"'),
        ("path;labels\na;x\n", "columns path, label, found path, labels .*; label missing"),
        ("path,label,path\na,x,b\n", "each column once, got path twice"),
        ("path,label\n\n,\n", "no rows"),
        ("", "expected the columns path, label"),
        ("p\0a\0t\0h\0\n\0", "line 1: expected text in UTF-8.*zero byte"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_row(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=rf"a\.csv: .*{message}"):
        tables.read(tmp_path / "a.csv", ["path", "label"])


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"path,label\r\na,x\r\nBeyonc\xe9,y\r\n", 3),
        (b"path,label\rBeyonc\xe9,y", 2),
        ("path,label\na,x".encode("utf-16")[:-1], 2),
        (b"\xef\xbb\xbf\n\n\n\xff", 4),
    ],
)
def test_bytes_that_are_no_text_are_named_by_file_and_line(tmp_path, data, line):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.csv: line {line}: expected text in UTF-8"):
        tables.read(tmp_path / "a.csv", ["path", "label"])


def test_what_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.csv: cannot be read: No such file"):
        tables.read(tmp_path / "a.csv", ["path"])
