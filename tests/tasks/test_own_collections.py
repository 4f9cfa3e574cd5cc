"""Collections of one's own: folders, tables and tags as labels."""

import os

import av
import numpy as np
import pytest

from helpers.distributions import ITEMS
from helpers.own_collections import sides, write_table
from mar.errors import ConfigError, InputError
from mar.tasks import Task
from mar.tasks.locating import locate


def test_a_table_of_ones_own_means_the_paths_that_it_has(tmp_path):
    (tmp_path / "a.csv").write_text(
        "path,label\n" + "".join(f"{n}.wav,{n % 2}\n" for n in range(40))
    )
    assert Task(tmp_path / "a.csv").locate([f"b/{n}.wav" for n in range(40)]) == [None] * 40


def test_a_folder_of_class_folders(tmp_path):
    for label, count in (("dub", 40), ("ska", 20)):
        for number in range(count):
            file = tmp_path / "my music" / label / "deeper" / f"{number}.flac"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    (tmp_path / "my music" / "dub" / "cover.jpg").touch()
    for hidden in (".cache/x.mp3", "dub/._x.mp3"):
        (tmp_path / "my music" / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / "my music" / hidden).touch()
    loaded = Task(tmp_path / "my music")
    assert (loaded.name, loaded.kind, loaded.labels) == ("my music", "multiclass", ["dub", "ska"])
    assert {split: len(loaded.rows(split)) for split in ITEMS} == {
        **{"train": 36, "valid": 12, "test": 12}
    }
    for split in ITEMS:
        assert loaded.targets[loaded.rows(split)].mean(axis=0) == pytest.approx([2 / 3, 1 / 3])
    assert Task(tmp_path / "my music").splits == loaded.splits


def test_class_folders_may_be_links(tmp_path):
    for label in "ab":
        for number in range(10):
            file = tmp_path / "elsewhere" / label / f"{number}.flac"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    music = tmp_path / "music"
    music.mkdir()
    for label in "ab":
        (music / label).symlink_to(tmp_path / "elsewhere" / label)
    (tmp_path / "elsewhere" / "a" / "circle").symlink_to(tmp_path / "elsewhere" / "a")
    loaded = Task(music)
    assert (loaded.labels, len(loaded.items.ids)) == (["a", "b"], 20)


def test_names_that_are_not_utf8_are_refused(tmp_path):
    for number in range(12):
        path = os.path.join(os.fsencode(tmp_path), b"ab"[number % 2 :][:1], b"%d\xff.wav" % number)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").close()
    with pytest.raises(InputError, match=r"expected names in UTF-8, found .*\\udcff"):
        Task(tmp_path)


def test_a_folder_may_be_called_as_a_task_is(tmp_path):
    for name in (f"MTT/{label}/{n}.wav" for label in "ab" for n in range(10)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert Task(tmp_path / "MTT").labels == ["a", "b"]


def test_a_table_may_begin_with_a_byte_order_mark(tmp_path):
    rows = ["path,label", *(f"{n}.mp3,{n % 2}" for n in range(20))]
    path = write_table(tmp_path / "songs.csv", rows)
    plain = Task(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert Task(path).items.paths == plain.items.paths
    assert Task(path).splits == plain.splits


def test_artists_may_have_quotation_marks(tmp_path):
    artists = [f"Artist {n}" for n in range(20)]
    artists[3], artists[9] = '"Heroes', '12" Club Mix'
    rows = [f"./{n}.wav\t{'ab'[n % 2]}\t{artist}" for n, artist in enumerate(artists)]
    loaded = Task(write_table(tmp_path / "songs.tsv", ["path\tlabel\tartist", *rows, *rows[5:7]]))
    assert loaded.items.artists == artists
    assert loaded.items.paths == [f"{n}.wav" for n in range(20)]


@pytest.mark.parametrize(
    ("wanted", "paths", "located"),
    [
        (["a/0.wav"], ["a/0.flac", "a/0.wav"], ["a/0.wav"]),
        (["a/0.wav"], ["a/0.FLAC", "a/0.json"], ["a/0.FLAC"]),
        (["a/0.wav", "a/0.flac"], ["a/0.wav", "a/0.flac"], ["a/0.wav", "a/0.flac"]),
        (["a/0.wav", "a/0.flac"], ["a/0.wav"], ["a/0.wav", None]),
        (["a/0.wav", "a/0.flac"], ["a/0.mp3"], [None, None]),
        ([("b/0.wav", "0.wav")], ["0.wav", "b/0.mp3"], ["b/0.mp3"]),
        ([("b/0.wav", "0.wav")], ["0.mp3", "0.flac", "b/0.wav"], ["b/0.wav"]),
        (["Beyonc\xe9.wav"], ["Beyonce\u0301.wav"], ["Beyonce\u0301.wav"]),
        (["Beyonce\u0301.wav"], ["Beyonc\xe9.mp3"], ["Beyonc\xe9.mp3"]),
        (["\xe9.wav"], ["e\u0301.wav", "\xe9.flac", "\xe9.wav"], ["\xe9.wav"]),
    ],
)
def test_a_file_is_its_path_with_its_suffix(wanted, paths, located):
    for order in (paths, paths[::-1]):
        assert locate(wanted, order) == located


def test_tables_of_tags_and_of_numbers(tmp_path):
    rows = [f"{n}.mp3\t{'a|b' if n % 2 else 'b'}{'|c' if n % 3 else ''}" for n in range(30)]
    loaded = Task(write_table(tmp_path / "tags.tsv", ["path\tlabels", *rows]))
    assert (loaded.kind, loaded.labels) == ("multilabel", ["a", "b", "c"])
    assert loaded.targets[1].tolist() == [1, 1, 1]
    rows = [f"{n}.mp3,{90 + n / 2},{('train', 'val', 'test')[n % 3]}" for n in range(30)]
    loaded = Task(write_table(tmp_path / "tempo.csv", ["path,target,split", *rows]))
    assert loaded.kind == "regression"
    assert loaded.targets[2] == [91.0]
    assert loaded.splits[:3] == ["train", "valid", "test"]


MARKS = ["0,7,1,1", "0,8,1,0", "1,9,0,0", "1,10,0,0"]


def read_own(tmp_path, header, cells, **options):
    """`{path: names of its labels}` and the task of a table with these cells beside its paths."""
    rows = [f"{n // 2}.mp3,{cells[n % len(cells)]}" for n in range(80)]
    loaded = Task(write_table(tmp_path / "songs.csv", [header, *rows]), **options)
    tags = [
        [label for label, given in zip(loaded.labels, row, strict=True) if given]
        for row in loaded.targets
    ]
    return dict(zip(loaded.items.paths, tags, strict=True)), loaded


@pytest.mark.parametrize(
    ("header", "cells", "options", "expected"),
    [
        ("path,label", ["b;a", "b;a", "c", " c ;"], {"label_separator": ";"}, ["ab", "c"]),
        ("path,labels", ["b/a", "a/b", "c", "c"], {"label_separator": "/"}, ["ab", "c"]),
        ("path,label", ["b", "a", "c", "c"], {}, ["ab", "c"]),
        ("path,genre,x", ["b,1", "a,2", "c,3", "c,4"], {"label_column": "genre"}, ["ab", "c"]),
        ("path,t1,t2", ["b,", "a,", ",c", ",c"], {"label_column": ["t1", "t2"]}, ["ab", "c"]),
        ("path,t1,t2", ["b,a", "b,a", "c,c", "c,c"], {"label_column": ["t1", "t2"]}, ["ab", "c"]),
        ("path,a,b,c", ["1,1,0", "1,0,0", "0,0,1.0", "0,0,1"], {}, ["ab", "c"]),
        ("path,c,n,b,a", MARKS, {"label_column": ["a", "b", "c"]}, ["ab", "c"]),
    ],
)
def test_files_have_any_number_of_labels_in_the_forms_of_tables(
    tmp_path, caplog, header, cells, options, expected
):
    tags, loaded = read_own(tmp_path, header, cells, **options)
    assert loaded.kind == "multilabel"
    assert tags == {f"{n}.mp3": [*expected[n % 2]] for n in range(40)}
    told = "20 of 40 files have several labels (row 2 and row 3: 0.mp3)" in caplog.text
    assert told == (header in ("path,label", "path,genre,x") and "label_separator" not in options)


@pytest.mark.parametrize(
    ("header", "cells", "options", "name"),
    [
        ("path,label", ["a", "a", "b", "b"], {}, "songs"),
        ("path,mood,genre", ["x,a", "y,a", "z,b", "z,b"], {"label_column": "genre"}, "songs.genre"),
        ("path,a,b", ["1,0", "1,0", "0,1", "0,1"], {}, "songs"),
    ],
)
def test_files_have_a_class_in_the_forms_of_tables(tmp_path, header, cells, options, name):
    tags, loaded = read_own(tmp_path, header, cells, **options)
    assert (loaded.kind, loaded.name, loaded.labels) == ("multiclass", name, ["a", "b"])
    assert tags == {f"{n}.mp3": [*"ab"[n % 2]] for n in range(40)}


def test_a_class_is_any_text_whatever_its_normal_form(tmp_path):
    cells = ['"calm, slow"', '"the ""loud"" one"', "🎸", "Caf\xe9", "Cafe\u0301"]
    tags, loaded = read_own(tmp_path, "path,label", np.repeat(cells, 2))
    assert loaded.labels == ["Caf\xe9", "calm, slow", 'the "loud" one', "🎸"]
    assert tags["3.mp3"] == tags["4.mp3"] == ["Caf\xe9"]


def test_a_class_may_have_the_usual_separator_in_its_name(tmp_path):
    _, loaded = read_own(tmp_path, "path,label", ["a|b"] * 2 + ["c"] * 2, label_separator="")
    assert (loaded.kind, loaded.labels) == ("multiclass", ["a|b", "c"])


@pytest.mark.parametrize(
    ("header", "options", "title", "unit"),
    [
        ("path,target [BPM]", {}, "target", "BPM"),
        ("path,tempo [1/min]", {"label_column": "tempo [1/min]"}, "tempo", "1/min"),
        ("path,target", {}, "target", ""),
    ],
)
def test_values_may_have_a_unit(tmp_path, header, options, title, unit):
    _, loaded = read_own(tmp_path, header, ["80", "80.0", "95", "95"], **options)
    assert (loaded.kind, loaded.labels, loaded.info.unit) == ("regression", [title], unit)
    assert loaded.targets[:3].ravel().tolist() == [80, 95, 80]
    with pytest.raises(ConfigError, match="label_separator.*one number a file"):
        read_own(tmp_path, header, ["80", "80.0"], **options, label_separator=";")


def test_options_of_ones_own_are_refused_where_they_say_nothing(tmp_path):
    with pytest.raises(ConfigError, match="MTT: .*label_column and label_separator with"):
        Task("MTT", label_column="genre", label_separator="")
    with pytest.raises(ConfigError, match="with a table, got a folder"):
        Task(tmp_path, label_column="genre")
    path = write_table(tmp_path / "songs.csv", ["path,label,mood", "x.mp3,a,b"])
    with pytest.raises(InputError, match=r"\(label, mood\), got genre"):
        Task(path, label_column="genre")


@pytest.mark.parametrize("label", ["artist", "album"])
def test_artists_and_albums_may_be_the_labels(tmp_path, label):
    """Then each of them is in all parts, unless others are to be kept together."""
    for n in range(30):
        tags = {"artist": f"artist {n % 3}", "album": f"album {n % 3}"}
        write_tagged(tmp_path / f"{n}.flac", "flac", tags)
    loaded = Task(f"tags:{label}:{tmp_path}")
    assert loaded.labels == [f"{label} {n}" for n in range(3)]
    for part in ("train", "valid", "test"):
        assert loaded.targets[loaded.rows(part)].any(axis=0).all()
    with pytest.raises(InputError, match=f"{label}s"):
        Task(f"tags:{label}:{tmp_path}", separated_by=label)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("flac", "flac"), ("ogg", "libopus"), ("mp3", "libmp3lame"), ("m4a", "aac"), ("wav", None)],
)
def test_the_files_own_tags_are_labels(tmp_path, caplog, suffix, codec):
    for n, genre in enumerate(["Dub", "Ska", "Dub;Ska", "", *["Dub", "Ska"] * 8]):
        path = tmp_path / "music" / f"album {n % 6}" / f"{n}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tagged(path, codec or "pcm_s16le", {"genre": genre, "artist": f"Ann {n % 9}"})
    (tmp_path / "music" / f"broken.{suffix}").write_bytes(b"nothing")
    loaded = Task(f"tags:Genre:{tmp_path / 'music'}")
    assert (loaded.kind, loaded.labels) == ("multilabel", ["Dub", "Ska"])
    tagged = dict(zip(loaded.items.paths, loaded.targets.tolist(), strict=True))
    assert tagged[f"album 2/2.{suffix}"] == [1, 1]
    assert tagged[f"album 1/1.{suffix}"] == [0, 1]
    assert len(tagged) == 19
    assert f"left out 2 of 21 files, without the tag Genre or unreadable: album 3/3.{suffix}" in (
        caplog.text
    )
    by_artist = sides([f"Ann {int(p[8:].split('.')[0]) % 9}" for p in tagged], loaded.splits)
    assert all(len(splits) == 1 for splits in by_artist.values())
    whole = Task(f"tags:genre:{tmp_path / 'music'}", label_separator="")
    assert (whole.kind, whole.labels) == ("multiclass", ["Dub", "Dub;Ska", "Ska"])
    with pytest.raises(InputError, match="with the tag mood, found none of 21"):
        Task(f"tags:mood:{tmp_path / 'music'}")
    with pytest.raises(InputError, match="expected tags:TAG:FOLDER"):
        Task(f"tags:{tmp_path}")


def write_tagged(path, codec, tags):
    """A tenth of a second of silence with these tags."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=48000, layout="mono")
        for place in (file.metadata, stream.metadata):
            place.update({name: value for name, value in tags.items() if value})
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        frame.rate = 48000
        resampler = av.AudioResampler(stream.format, "mono", 48000)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            file.mux(stream.encode(piece))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["path,label,split", "../x.mp3,a,train"], "paths below the audio root, found '../x.mp3'"),
        (
            ["path,label,split", "/etc/passwd,a,train"],
            "paths below the audio root, found '/etc/passwd'",
        ),
        (["path,label,split", "C:/x.mp3,a,train"], "paths below the audio root, found 'C:/x.mp3'"),
        (["path,label,split", "..\\x.mp3,a,train"], r"paths below the audio root"),
        (["path,label,split", "x.mp3,a,train", "x.mp3,b,test"], "row 2 and row 3: .*one split of "),
        (["path,target", "x.mp3,1", "x.mp3,2"], "row 2 and row 3: .* target of 'x.mp3', found 1.0"),
        (["path,key", "x.mp3,Db minor", "x.mp3,F"], "row 3: expected keys"),
        (["path,label", "x.mp3,air|voice"], r"row 2: .*'air\|voice'.*--label_separator \"\|\""),
        (["path,genre", "x.mp3,a"], "--label_column genre"),
        (["path,artist,main genre", "x.mp3,Ann,a"], "--label_column 'main genre'"),
        (["path,genre,air", "x.mp3,a,0"], "found genre, air; .*--label_column genre"),
        (["path,air,voice", "x.mp3,0,1", "y.mp3,1,"], "row 3: expected 0 or 1 as voice"),
        (["path,label,key", "x.mp3,0,1"], "found label, key; choose with --label_column label"),
        (
            ["path,label,split,artist", "x.mp3,a,train,Ann", "y.mp3,b,test,Ann"],
            "expected each artist in one split, found 'Ann' in train and in test; where that is me",
        ),
        (["path,label,split", "x.mp3,a,training"], "expected the splits train, valid, test"),
        (["path,label,split", "x.mp3,a,train", "y.mp3,b,train"], "the split 'valid' has no item"),
        (["path,tag", "x.mp3,a"], "one of the columns label, labels, key, target"),
        (["path,label", "x.mp3,a,b"], "refused 1 of 1 rows .*: row 2: expected 2 cells, found 3"),
        (["path,target", "x.mp3,1", "y.mp3,fast"], "row 3: expected a number, found 'fast'"),
        (["path,target", "x.mp3,1", "y.mp3,nan"], "expected a number, found 'nan'"),
        (["path,target", "x.mp3,"], "row 2: the target is empty"),
        (["path,label", "x.mp3,a", "y.mp3,"], "row 3: the label is empty"),
        (["path,labels,artist", "x.mp3,,Ann", "y.mp3,a, "], "row 3: the artist is empty"),
        (["path,label,split", "x.mp3,a,test", ",b,"], "row 3: the path and the split is empty"),
        (["path,key", "x.mp3,C major", "y.mp3,H dur"], "row 3: expected keys .* found 'H dur'"),
        (["path|label", "x.mp3|a"], r"expected the columns path, found path\|label in the first"),
        (["path,label"], "expected rows below the header"),
        (["path,label", *(f"{n}.mp3,{n % 3}" for n in range(6))], "at least 3 .* found 2 and 6"),
        (["path,label", "x.mp3,a"], "at least 3 files of a class, .* found 1 and 1"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(tmp_path, rows, message):
    path = write_table(tmp_path / "songs.csv", rows)
    with pytest.raises(InputError, match=message):
        Task(path)


def test_labels_that_are_constant_are_told(tmp_path, caplog):
    rows = [
        f"{n}.mp3,{'a|b' if n % 2 else 'b'},{('train', 'valid', 'test')[n % 3]}" for n in range(30)
    ]
    Task(write_table(tmp_path / "tags.csv", ["path,labels,split", *rows]))
    assert "constant in train (1 labels): b" in caplog.text
    rows = [f"{n}.mp3,1,{('train', 'valid', 'test')[n % 3]}" for n in range(30)]
    with pytest.raises(InputError, match=r"target is constant in the split 'train' \(10 items\)"):
        Task(write_table(tmp_path / "tempo.csv", ["path,target,split", *rows]))
    rows = [row.replace(",1,", ",only,") for row in rows]
    with pytest.raises(InputError, match="every label is constant in the split 'train'"):
        Task(write_table(tmp_path / "one.csv", ["path,label,split", *rows]))
