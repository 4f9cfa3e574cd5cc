"""What one asks a data set for, on embeddings whose answers are known."""

import csv
import io
import json
import os

import numpy as np
import pytest

from helpers.processes import run_python
from helpers.small_embeddings import write_store
from mar.embedding import files, listing
from mar.embedding.neighbours import Neighbour
from mar.embedding.store import Embeddings
from mar.errors import ConfigError, InputError

ALBUMS, TRACKS, DIMENSIONS = 6, 8, 16


@pytest.fixture(scope="module")
def vectors():
    generator = np.random.default_rng(0)
    albums = generator.standard_normal((ALBUMS, 1, DIMENSIONS))
    tracks = albums + 0.4 * generator.standard_normal((ALBUMS, TRACKS, DIMENSIONS))
    return {
        f"album {album}/{track}.mp3": tracks[album, track]
        for album in range(ALBUMS)
        for track in range(TRACKS)
    }


@pytest.fixture(scope="module")
def folder(vectors, tmp_path_factory):
    """In three parts, of three windows each, which lie around the mean."""
    folder, paths = tmp_path_factory.mktemp("embeddings"), list(vectors)
    windows = np.array([[-1.0], [0.0], [1.0]]) * np.eye(DIMENSIONS)[0]
    for number in range(3):
        some = {path: vectors[path] + windows for path in paths[number::3]}
        write_store(folder, some, name=str(number), store="timeline")
    return folder


@pytest.fixture(scope="module")
def embeddings(folder):
    return Embeddings(folder)


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def ranked(vectors, target, left_out=()):
    others = [path for path in vectors if path not in left_out]
    return sorted(others, key=lambda path: -cosine(vectors[path], target))


def paths(tracks):
    return [track.path for track in tracks]


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_all_in_order_with_their_similarities(embeddings, vectors):
    tracks = embeddings.nearest("album 2/3.mp3", k=1000)
    query = vectors["album 2/3.mp3"]
    assert paths(tracks) == ranked(vectors, query, ["album 2/3.mp3"])
    expected = [cosine(vectors[track.path], query) for track in tracks]
    np.testing.assert_allclose([track.similarity for track in tracks], expected, atol=1e-5)


def test_liked_and_disliked(embeddings, vectors):
    likes, unlike = ["album 0/0.mp3", "album 1/1.mp3"], ["album 0/5.mp3"]
    target = np.mean([unit(vectors[path]) for path in likes], axis=0)
    liked = embeddings.nearest(likes, k=5)
    assert paths(liked) == ranked(vectors, target, likes)[:5]
    target = target - 0.5 * unit(vectors[unlike[0]])
    both = embeddings.nearest(likes, k=5, unlike=unlike)
    assert paths(both) == ranked(vectors, target, likes + unlike)[:5]
    assert paths(both) != paths(liked)
    vector = embeddings.nearest(vectors[likes[0]].astype(np.float32), unlike=unlike, k=1000)
    assert likes[0] in paths(vector)
    assert unlike[0] not in paths(vector)


def test_a_moment(embeddings, vectors):
    first = embeddings.nearest("album 2/3.mp3", k=4, at=0.4)
    target = vectors["album 2/3.mp3"] - np.eye(DIMENSIONS)[0]
    assert paths(first) == ranked(vectors, target, ["album 2/3.mp3"])[:4]
    with pytest.raises(InputError, match=r"album 2/3.mp3.* 31 s.* 30.0 s"):
        embeddings.nearest("album 2/3.mp3", at=31.0)
    with pytest.raises(InputError, match="one track"):
        embeddings.nearest(["album 2/3.mp3", "album 2/4.mp3"], at=1.0)


def test_a_moment_of_means_alone(tmp_path):
    folder = write_store(tmp_path, {"a.mp3": np.ones((2, 4)), "b.mp3": np.eye(4)})
    with pytest.raises(InputError, match=r"a moment of a.mp3.*--store timeline"):
        Embeddings(folder).nearest("a.mp3", at=1.0)


def test_one_of_a_folder_at_most(embeddings, vectors):
    tracks = paths(embeddings.nearest("album 2/3.mp3", k=4, diverse=True))
    folders = [path.split("/")[0] for path in tracks]
    assert len(set(folders)) == 4
    order = ranked(vectors, vectors["album 2/3.mp3"], ["album 2/3.mp3"])
    firsts = {path.split("/")[0]: path for path in reversed(order)}
    assert tracks == sorted(firsts.values(), key=order.index)[:4]
    assert len(embeddings.nearest("album 2/3.mp3", k=100, diverse=True)) == ALBUMS


def test_what_lies_in_no_folder_is_alone(tmp_path):
    values = np.random.default_rng(0).standard_normal((5, 1, 4))
    folder = write_store(tmp_path, {f"{n}.mp3": value for n, value in enumerate(values)})
    assert len(Embeddings(folder).nearest("0.mp3", diverse=True)) == 4


def test_some_are_searched(embeddings, vectors, tmp_path):
    query = vectors["album 2/3.mp3"]
    some = embeddings.select(folder="album 4")
    assert some == {path for path in vectors if path.startswith("album 4/")}
    tracks = embeddings.nearest("album 2/3.mp3", k=3, among=some)
    assert paths(tracks) == [p for p in ranked(vectors, query) if p in some][:3]
    assert embeddings.select(min_seconds=30, max_seconds=30) == set(vectors)
    table = "path,label,decision\n"
    table += "".join(f"album 1/{n}.mp3,calm,{'true' if n < 5 else 'false'}\n" for n in range(8))
    table += "".join(f"album {n}/1.mp3,live,true\n" for n in range(3))
    (tmp_path / "tags.csv").write_text(table)
    calm = {f"album 1/{n}.mp3" for n in range(5)}
    assert embeddings.select(labels=["calm"], tags=tmp_path / "tags.csv") == calm
    both = embeddings.select(labels=["calm", "live"], tags=tmp_path / "tags.csv")
    assert both == {"album 1/1.mp3"}


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_tables_of_labels_as_mar_tag_writes_them(embeddings, tmp_path, suffix):
    import pyarrow as pa

    from mar.util import table_files

    columns = {
        "path": ["album 0/0.mp3", "album 0/1.mp3", "elsewhere.mp3"],
        "head": ["moods"] * 3,
        "label": ["calm"] * 3,
        "decision": [True, False, True],
    }
    table = pa.table(columns)
    with table_files.writer(tmp_path / f"tags{suffix}", table.schema) as write:
        write(table)
    calm = embeddings.select(labels=["calm"], tags=tmp_path / f"tags{suffix}")
    assert calm == {"album 0/0.mp3"}


@pytest.mark.parametrize(
    ("conditions", "error", "words"),
    [
        (dict(folder="album 9"), InputError, "'album 9'.*did you mean 'album"),
        (dict(min_seconds=60), InputError, "60–inf s"),
        (dict(labels=["calm"]), ConfigError, "tags.*table"),
        (dict(labels=["clam"], tags="tags.csv"), InputError, "'clam'; did you mean 'calm'"),
        (dict(labels=["calm"], tags="other.jsonl"), InputError, "other.jsonl.*path and label"),
        (dict(labels=["calm"], tags="bad.jsonl"), InputError, "bad.jsonl.*JSON"),
        (dict(labels=["calm"], tags="bad.parquet"), InputError, "bad.parquet.*Parquet"),
    ],
)
def test_conditions_that_no_track_meets(
    embeddings, tmp_path, monkeypatch, conditions, error, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tags.csv").write_text("path,label\nalbum 0/0.mp3,calm\n")
    (tmp_path / "other.jsonl").write_text('{"file": "a"}\n')
    (tmp_path / "bad.jsonl").write_text("{\n")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(error, match=words):
        embeddings.select(**conditions)


def test_a_way(embeddings, vectors):
    """Each step is the nearest, of what is left, to its point of the arc."""
    start, end = "album 0/0.mp3", "album 5/5.mp3"
    way = paths(embeddings.between(start, end, k=5))
    assert (way[0], way[-1], len(way), len(set(way))) == (start, end, 7, 7)
    one, other = unit(vectors[start]), unit(vectors[end])
    across = unit(other - (one @ other) * one)
    passed = [start, end]
    for number, path in enumerate(way[1:-1], 1):
        angle = np.arccos(one @ other) * number / 6
        point = np.cos(angle) * one + np.sin(angle) * across
        assert path == ranked(vectors, point, passed)[0]
        passed.append(path)
    assert len(embeddings.between(start, end, k=1000)) == len(vectors)
    assert (
        paths(embeddings.between(start, start, k=2))[1:3]
        == ranked(vectors, vectors[start], [start])[:2]
    )


def test_zeros_and_duplicates_by_the_thousand(tmp_path):
    """Zeros are like nothing; what is equally similar is in the order of its paths."""
    same = {f"same/{n:04d}.mp3": np.array([[1.0, 2.0, 0.0]]) for n in range(1500)}
    zeros = {f"zero/{n:04d}.mp3": np.zeros((1, 3)) for n in range(1500)}
    folder = write_store(tmp_path, {"z.mp3": np.array([[1.0, 0.0, 0.0]]), **zeros, **same})
    embeddings = Embeddings(folder)
    assert paths(embeddings.nearest("z.mp3", 20)) == sorted(same)[:20]
    assert paths(embeddings.nearest("same/0003.mp3", 4)) == [
        f"same/{n:04d}.mp3" for n in (0, 1, 2, 4)
    ]
    assert {track.similarity for track in embeddings.nearest("z.mp3", 9000)[1500:]} == {0.0}
    with pytest.raises(InputError, match=r"zero/0001.mp3.*zero"):
        embeddings.nearest("zero/0001.mp3")
    with pytest.raises(InputError, match="zeros"):
        embeddings.nearest(np.zeros(3, np.float32))


def similar(folder, *arguments):
    return run_python("-m", "mar.similar", "--embeddings", folder, *arguments)


def test_formats(folder, embeddings):
    tracks = embeddings.nearest("album 2/3.mp3", k=3)
    arguments = ("album 2/3.mp3", "-k", 3, "--format")
    as_json = json.loads(similar(folder, *arguments, "json").stdout)
    assert [Neighbour(**track) for track in as_json] == tracks
    rows = list(csv.DictReader(io.StringIO(similar(folder, *arguments, "csv").stdout)))
    assert [row["path"] for row in rows] == paths(tracks)
    playlist = similar(folder, *arguments, "m3u", "--audio", "/music").stdout.splitlines()
    assert playlist == ["#EXTM3U", *(f"/music/{path}" for path in paths(tracks))]


@pytest.mark.parametrize("name", ["a\nb.mp3", "#1, <script>.mp3", '"é" \\xff,.mp3', "x" * 255])
def test_hostile_names(name):
    """Every format gives the name back; a playlist cannot hold two lines."""

    def written(format):
        file = io.TextIOWrapper(io.BytesIO(), "utf-8")
        listing.write(file, [Neighbour(0.5, name)], format)
        file.flush()
        return file.buffer.getvalue().decode("utf-8", "surrogateescape")

    assert json.loads(written("json"))[0]["path"] == name
    assert next(csv.DictReader(io.StringIO(written("csv"))))["path"] == name
    assert written("text").count("\n") == 1
    (line,) = written("m3u").splitlines()[1:] or [None]
    place = os.fsdecode(files.as_bytes(name))  # of which the name is text
    assert line == (None if "\n" in name else f"./{place}" if name[0] == "#" else place)


def test_the_command(folder, embeddings):
    asked = similar(
        folder, "--like", "album 0/0.mp3", "--like", "album 1/1.mp3", "--unlike", "album 0/5.mp3",
        "--diverse", "--duration", "0:20-", "--format", "json",
    )  # fmt: skip
    expected = embeddings.nearest(
        ["album 0/0.mp3", "album 1/1.mp3"], unlike=["album 0/5.mp3"], diverse=True
    )
    assert [Neighbour(**track) for track in json.loads(asked.stdout)] == expected
    way = similar(folder, "--from", "album 0/0.mp3", "--to", "album 5/5.mp3", "-k", 2)
    assert [line.split("  ")[1] for line in way.stdout.splitlines()] == paths(
        embeddings.between("album 0/0.mp3", "album 5/5.mp3", 2)
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--like", "--from"]),
        (["a", "b"], ["one track"]),
        (["--from", "a"], ["--to"]),
        (["--from", "a", "--to", "b", "--like", "c"], ["no other track"]),
        (["a", "--at", "1:x"], ["1:23", "'1:x'"]),
        (["a", "--duration", "60"], ["60-300", "'60'"]),
        (["a", "--label", "calm"], ["--tags"]),
        (["album 0/0.mp3", "--unlike", "absent.mp3"], ["absent.mp3", "the nearest is"]),
    ],
)
def test_what_cannot_be_meant(folder, arguments, words):
    """Is refused before the model of the data set, which does not exist, is loaded."""
    process = similar(folder, *arguments)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr.startswith("error: ")
    assert all(word in process.stderr for word in words), process.stderr
