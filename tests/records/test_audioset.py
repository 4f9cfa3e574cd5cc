"""AudioSet as people have it: segments, clips, classes."""

import gzip
import json
import shutil

import pytest

from helpers.resources import AUDIOSET, optional, reference
from mar.errors import ConfigError, InputError
from mar.records import audioset as audioset_files
from mar.records import table

ID = "--PJHxphWEs"


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


def read(folder, clip_name=None, name="segments.csv"):
    vocabulary = table.read_vocabulary(folder / "names.csv")
    return table.read_tracks(folder / name, vocabulary, audio=folder / "clips", clip_name=clip_name)


@pytest.mark.parametrize("clip_name", [None, "{id}_{start}", "{ytid}_{start:.0f}"])
def test_segments_are_read(audioset, clip_name):
    tracks = read(audioset, clip_name)
    assert tracks.vocabulary == ["Speech", 'Gush, "loud"']
    missing = "aBcDeFgH_1-" if clip_name is None else "aBcDeFgH_1-_0"
    assert tracks.rows.to_pylist() == [
        {"id": "--PJHxphWEs", "path": "aa/--PJHxphWEs_30.flac", "labels": [0, 1]},
        {"id": "aBcDeFgH_1-", "path": missing, "labels": [1]},  # missing: named so
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (", 30.000, 40.000, ", ",30.000,40.000,"),
        ('dd00088"\naB', 'dd00088",\naB'),
        ("30.000, 40.000", "30, 40"),
        ('"', ""),
        ("\n", "\r\n"),
        ("\n", "\r"),
        ("# YTID", "YTID"),
        ("# YTID, start_seconds, end_seconds, positive_labels\n", ""),
        ("#", "\ufeff#"),
    ],
)
@pytest.mark.parametrize("comments", [True, False])
def test_copies_that_mean_the_same_are_read_alike(audioset, old, new, comments):
    expected = read(audioset).rows
    content = (audioset / "segments.csv").read_text()
    content = content.replace(old, new, 1 if old == "#" else -1)
    if not comments:
        content = content[content.index("--PJ") :]
    (audioset / "copy.csv").write_bytes(content.encode())
    assert read(audioset, name="copy.csv").rows.equals(expected)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--PJHxphWEs", "PJHxphWEs"),
        ("--PJHxphWEs", "#NAME?"),
        (", 30.000", ", 30.000\udcff"),
        (", 30.000", ""),
        ("40.000", "20.000"),
        ('"/t/dd00088"', '""'),
    ],
)
def test_copies_that_a_program_has_spoilt_are_refused(audioset, old, new):
    path = audioset / "segments.csv"
    content = path.read_text()
    assert old in content
    path.write_bytes(content.replace(old, new, 1).encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"segments\.csv: line \d: expected AudioSet's"):
        read(audioset)


@pytest.mark.parametrize("prefix", ["", "Y"])
@pytest.mark.parametrize(
    "times",
    ["", "_30", "_30_40", "_30.000_40.000", "_30.0_40.0", "_30000_40000", "_30000", "_30.000"],
)
def test_clips_are_called_as_people_call_them(audioset, prefix, times):
    clip = audioset / "clips" / "aa" / f"{prefix}{ID}{times}.m4a"
    (audioset / "clips" / "aa" / "--PJHxphWEs_30.flac").rename(clip)
    assert read(audioset).rows["path"].to_pylist()[0] == f"aa/{clip.name}"


def test_names_of_other_kinds_can_be_given(audioset):
    for number, name in enumerate(["{id}-{start_ms}-{end_ms}", "{id} ({end:.2f})", "a{id}"]):
        clip = {0: f"{ID}-30000-40000", 1: f"{ID} (40.00)", 2: f"a{ID}"}[number]
        (audioset / "clips" / f"{clip}.wav").touch()
        assert read(audioset, name).rows["path"].to_pylist()[0] == f"{clip}.wav"


def test_what_cannot_be_meant_is_told(audioset):
    with pytest.raises(InputError, match=r"class_labels_indices\.csv"):
        table.read_tracks(audioset / "segments.csv", audio=audioset / "clips")
    vocabulary = table.read_vocabulary(audioset / "names.csv")
    with pytest.raises(InputError, match="need the folder of the clips"):
        table.read_tracks(audioset / "segments.csv", vocabulary)
    (audioset / "clips" / "Y--PJHxphWEs.wav").touch()
    with pytest.raises(InputError, match=r"two files for one clip: .*PJHx.* and .*PJHx"):
        read(audioset)
    assert read(audioset, "Y{id}").rows["path"].to_pylist()[0] == "Y--PJHxphWEs.wav"
    (audioset / "clips" / "Y--PJHxphWEs.flac").touch()
    with pytest.raises(InputError, match="two files for one clip"):
        read(audioset, "Y{id}")
    shutil.rmtree(audioset / "clips")
    with pytest.raises(InputError, match="holds no clips"):
        read(audioset)


@pytest.mark.parametrize("name", ["{video}", "{}", "{ytid", "{start:d}"])
def test_a_clips_name_of_other_fields_is_refused(audioset, name):
    with pytest.raises(ConfigError, match="expected text with fields such as {id}"):
        read(audioset, name)


def test_a_count_that_differs_is_a_warning(audioset, caplog):
    path = audioset / "segments.csv"
    path.write_text(path.read_text().replace("num_segs=2", "num_segs=3"))
    read(audioset)
    assert "announces 3 segments, it has 2" in caplog.text


def test_the_real_files_of_audioset(audioset):
    """Balanced and unbalanced, as downloaded, are one; so is the evaluation set by itself."""
    folder = reference("datasets/audioset")
    vocabulary = table.read_vocabulary(folder / "class_labels_indices.csv")
    assert len(vocabulary.names) == 527
    assert vocabulary.names[1] == "Male speech, man speaking"
    for name, count, labels in (("balanced_train", 22160, 52882), ("eval", 20371, 51804)):
        path = audioset / f"{name}.csv"
        path.write_bytes(gzip.decompress((folder / f"{name}_segments.csv.gz").read_bytes()))
        more = [folder / "unbalanced_train_segments.head.csv"] if name == "balanced_train" else []
        tracks = table.read_tracks([path, *more], vocabulary, audio=audioset / "clips")
        assert len(tracks.rows) == count + 966 * len(more)
        cells = tracks.rows["labels"].to_pylist()
        assert sum(map(len, cells[:count])) == labels


# ------------------------------------------------------------------------------------- classes


# The excerpt, and the files themselves where they are had.
FOLDERS = [AUDIOSET, *filter(None, [optional("datasets/audioset")])]


@pytest.mark.parametrize("folder", FOLDERS, ids=["excerpt", "all"][: len(FOLDERS)])
def test_all_below_a_class_of_the_ontology(folder):
    music = audioset_files.descendants(folder / "ontology.json", ["Music"])
    keys = table.read_vocabulary(folder / "class_labels_indices.csv").keys
    nodes = {node["id"]: node for node in json.loads((folder / "ontology.json").read_text())}
    for id in music:
        assert set(nodes[id]["child_ids"]) <= music
    names = {nodes[id]["name"] for id in music & set(keys)}
    assert {"Music", "Guitar", "Electric guitar", "Jazz", "Angry music"} <= names
    assert not {"Speech", "Dog", "Rail transport"} & names
    assert audioset_files.descendants(folder / "ontology.json", ["/m/04rlf"]) == music
    both = audioset_files.descendants(folder / "ontology.json", ["Guitar", "Dog"])
    assert {nodes[id]["name"] for id in both} > {"Guitar", "Dog", "Bark"}
    with pytest.raises(InputError, match=r"ontology\.json: .* got 'Musik'"):
        audioset_files.descendants(folder / "ontology.json", ["Musik"])
    with pytest.raises(InputError, match="expected AudioSet's ontology"):
        audioset_files.descendants(folder / "class_labels_indices.csv", ["Music"])


def test_labels_that_are_wrong_too_often(tmp_path):
    path = tmp_path / "qa_true_counts.csv"
    path.write_text("label_id,num_rated,num_true\n/m/a,10,10\n/m/b,10,5\n/m/c,10,4\n/m/d,0,0\n")
    keys = ["/m/a", "/m/b", "/m/c", "/m/d", "/m/unrated"]
    assert audioset_files.well_labelled(path, 0.5, keys) == set(keys) - {"/m/c"}
    assert audioset_files.well_labelled(path, 1.0, keys) == {"/m/a", "/m/d", "/m/unrated"}
    path.write_text("label_id,num_rated,num_true\n/m/a,ten,10\n")
    with pytest.raises(InputError, match=r"qa_true_counts\.csv: .*ten"):
        audioset_files.well_labelled(path, 0.5, keys)
