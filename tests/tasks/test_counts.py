"""The official files themselves: every count that rests on complete files, and other readings of
the same data that lie beside them. Skipped where `../shared` is absent."""

import ast
import csv
import gzip
import json
import logging
import shutil

import numpy as np
import pytest

from helpers.distributions import cp_list
from helpers.resources import reference, unpacked_giantsteps
from mar.probing.metrics import undefined_labels
from mar.tasks import TASKS, Task, json_stream, msd, readers
from mar.tasks.keys import parse_key
from mar.tasks.magnatagatune import CORRUPT


@pytest.fixture(scope="module")
def counts():
    return json.loads(reference("datasets/counts.json").read_text())


@pytest.fixture
def no_warning(caplog):
    """Counts are checked at run time too: nothing may be logged."""
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.text == ""


def of(loaded, split):
    return loaded.targets[loaded.rows(split)]


def check(loaded, expected):
    """Items, labels and positives of every split."""
    assert len(loaded.labels) == expected.get("labels", len(loaded.labels))
    for split, known in expected["splits"].items():
        targets = of(loaded, split)
        assert len(targets) == known["items"]
        if "positives" in known:
            assert int(targets.sum()) == known["positives"]
        if "artists" in known:
            assert (
                len({loaded.items.artists[row] for row in loaded.rows(split)}) == known["artists"]
            )
        if "per_class" in known:
            found = dict(zip(loaded.labels, targets.sum(axis=0).tolist(), strict=True))
            assert found == known["per_class"]
        if "classes" in known:
            assert (targets.sum(axis=0) > 0).sum() == known["classes"]
    if "total" in expected:
        assert len(loaded.items.ids) == expected["total"]


@pytest.mark.parametrize("name", sorted(TASKS.keys() - {"MTT_filtered"}))
def test_tasks_expect_the_known_counts(name, counts):
    """Documented ones too, where the files are not to be had here."""
    known, expected = counts[name.split("_")[0] if "NSynth" in name else name], TASKS[name]
    labels = {"NSynth_P": "labels_pitch", "NSynth_I": "labels_instrument"}.get(name, "labels")
    assert expected.labels == known.get(labels, 2)  # Emo's two targets
    if "splits" in known:
        assert expected.counts == {part: value["items"] for part, value in known["splits"].items()}
    elif "total" in known:
        assert expected.counts == {"total": known["total"]}


def test_amms_splits_are_as_long_as_its_pointers_say():
    for split, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        path = reference(f"datasets/amm/lfs_pointers/{name}_idx.npy.pointer")
        size = int(path.read_text().split("size ")[1])
        assert (size - 128) // 8 == TASKS["AMM"].counts[split]


@pytest.mark.usefixtures("no_warning")
def test_mtt(counts):
    known, folder = counts["MTT"], reference("datasets/mtt")
    loaded = Task("MTT", folder)
    check(loaded, known)
    for split, expected in known["splits"].items():
        assert (of(loaded, split).sum(axis=1) == 0).sum() == expected["no_top50_tag"]
    assert set(known["corrupt_clip_ids"]) == CORRUPT
    path = readers.find(folder, "annotations_final.csv")
    header, rows = readers.read_rows(path, ["clip_id"], "\t")
    assert len(header) - 2 == known["tags_total"]
    assert sum(1 for _ in rows) == known["annotation_rows"]
    clips = readers.read_table(readers.find(folder, "clip_info_final.csv"), ["clip_id"], "\t")
    assert len(clips) == known["clip_info_rows"]


def test_mtt_agrees_with_other_readings_of_it():
    folder = reference("datasets/mtt")
    loaded = Task("MTT", folder)
    camel = [line.lower() for line in readers.read_lines(folder / "MTAT_split" / "top50_tags.txt")]
    assert [label.replace(" ", "") for label in loaded.labels] == camel
    with gzip.open(folder / "converted" / "mtt_25860_split.tsv.gz", "rt", newline="") as file:
        rows = {row["clip_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    data = loaded.items
    for id, path, split, flags in zip(data.ids, data.paths, data.splits, data.targets, strict=True):
        row = rows.pop(id)
        assert (row["mp3_path"], row["split"]) == (path, split)
        tags = {loaded.labels[label] for label in np.flatnonzero(flags)}
        assert tags == set(filter(None, row["tags_top50"].split("|")))
    assert not rows


@pytest.mark.usefixtures("no_warning")
def test_mtt_filtered(counts):
    folder = reference("datasets/mtt")
    loaded = Task("MTT_filtered", folder)
    found = {split: len(loaded.rows(split)) for split in ("train", "valid", "test")}
    assert found == counts["MTT"]["jongpillee_list"]
    everything = Task("MTT", folder).items
    tags = dict(zip(everything.paths, everything.targets, strict=True))
    for path, flags in zip(loaded.items.paths, loaded.targets, strict=True):
        np.testing.assert_array_equal(tags[path], flags)


@pytest.mark.usefixtures("no_warning")
def test_gtzan(counts):
    folder = reference("datasets/gtzan")
    loaded = Task("GTZAN", folder)
    check(loaded, counts["GTZAN"])
    entries = readers.read_json(folder / "jukemir" / "gtzan_ff.json.gz").values()
    theirs = {entry["extra"]["id"]: entry["split"] for entry in entries}
    names = [id.split("/")[1].removesuffix(".wav") for id in loaded.items.ids]
    assert dict(zip(names, loaded.splits, strict=True)) == theirs


@pytest.mark.usefixtures("no_warning")
@pytest.mark.parametrize("name", ["Jam-50", "Jam-All", "Jam-MT"])
def test_jamendo(name, counts):
    folder = reference("datasets/jamendo")
    loaded = Task(name, folder)
    check(loaded, counts[name])
    for split in ("train", "valid", "test"):
        assert not len(undefined_labels(of(loaded, split)))
    listed = {"Jam-50": "top50", "Jam-MT": "moodtheme_split"}.get(name)
    if listed:
        assert loaded.labels == sorted(readers.read_lines(folder / f"data/tags/{listed}.txt"))


@pytest.mark.usefixtures("no_warning")
@pytest.mark.parametrize("source", ["converted", "jukemir"])
def test_emo(source, counts):
    """The official tables, and the same values in jukemir's file."""
    folder = reference("datasets/emo")
    loaded = Task("Emo", folder / source)
    check(loaded, counts["Emo"])
    theirs = readers.read_json(folder / "jukemir" / "emomusic.json.gz")
    for id, split, target in zip(loaded.items.ids, loaded.splits, loaded.targets, strict=True):
        entry = theirs.pop(f"{int(id):04d}")
        assert entry["split"] == split
        np.testing.assert_allclose(target, entry["y"], atol=1e-5)  # arousal, valence
    assert not theirs


@pytest.fixture(scope="module")
def giantsteps(tmp_path_factory):
    """Both repositories, as they are cloned."""
    return unpacked_giantsteps(tmp_path_factory.mktemp("giantsteps"))


@pytest.mark.usefixtures("no_warning")
def test_gs_key(giantsteps, counts):
    known, loaded = counts["GS_Key"], Task("GS_Key", giantsteps)
    check(loaded, known)
    with open(reference("datasets/giantsteps/converted/gs_key_split.tsv"), newline="") as file:
        rows = {r["track_id"]: r for r in csv.DictReader(file, delimiter="\t")}
    found = {
        id: (split, loaded.labels[target.argmax()])
        for id, split, target in zip(loaded.items.ids, loaded.splits, loaded.targets, strict=True)
    }
    assert found == {id: (row["split"], row["key"]) for id, row in rows.items()}
    published = {
        "test": len(list((giantsteps / "giantsteps-key-dataset/annotations/key").iterdir())),
        "mtg": len(list((giantsteps / "giantsteps-mtg-key-dataset/annotations/key").iterdir())),
    }
    assert published == known["published_items"]
    assert sum(published.values()) == known["total_published"]


def test_gs_key_from_jukemirs_file(giantsteps, tmp_path):
    """What `mar fetch` brings for the test part."""
    shutil.copytree(
        giantsteps / "giantsteps-mtg-key-dataset", tmp_path / "giantsteps-mtg-key-dataset"
    )
    source = reference("datasets/giantsteps/jukemir/giantsteps_clips.json.gz")
    shutil.copy(source, tmp_path / source.name)
    both = Task("GS_Key", tmp_path), Task("GS_Key", giantsteps)
    assert both[0].items.ids == both[1].items.ids
    np.testing.assert_array_equal(both[0].targets, both[1].targets)


def test_both_spellings_of_a_key_say_the_same(giantsteps):
    compared = 0
    for name in ("giantsteps-key-dataset", "giantsteps-mtg-key-dataset"):
        annotations = giantsteps / name / "annotations"
        for path in (annotations / "key").glob("*.key"):
            other = annotations / "giantsteps" / path.name
            if other.exists():
                one, two = readers.read_text(path), readers.read_text(other)
                assert parse_key(one) == parse_key(two), path
                compared += parse_key(one) is not None
    assert compared > 1800


@pytest.fixture(scope="module")
def msds(tmp_path_factory):
    """All that is real of MSDS; ids of the training part from its superset, labels of it made up.

    `filtered_list_train.cP` and its labels are not to be had here.
    """
    folder, source = tmp_path_factory.mktemp("msd"), reference("datasets/msd")
    shutil.copytree(source / "MSD_split", folder / "MSD_split")
    shutil.copytree(source / "MSD_split_for_tagging", folder / "MSD_split_for_tagging")
    parent = readers.read_lines(folder / "MSD_split_for_tagging" / "train_x_msd_id.txt.gz")
    valid = readers.read_lines(source / "converted" / "msds_valid_ids.txt.gz")
    (folder / "MSD_split" / "filtered_list_train.cP").write_text(cp_list(parent + valid))
    made_up = np.random.default_rng(0).random((len(parent), 50)) < 0.03
    np.save(folder / "MSD_split_for_tagging" / "train_y.npy", made_up)
    return folder


@pytest.mark.usefixtures("no_warning")
def test_msds(msds, counts):
    known = counts["MSDS"]
    loaded = Task("MSDS", msds)
    check(loaded, known)
    for split in ("valid", "test"):
        assert (of(loaded, split).sum(axis=1) == 0).sum() == known["splits"][split]["no_tag"]
    for split, expected in known["parent_split_keunwoochoi"].items():
        path = readers.find(msds, f"MSD_split_for_tagging/{split}_x_msd_id.txt")
        assert len(readers.read_lines(path)) == expected
    assert sum(len(paths) == 4 for paths in loaded.items.paths) >= 11774 + 28435  # 7digital paths


def test_msds_labels_are_those_of_musicnns_files(msds):
    source = reference("datasets/msd")
    ours = msd.read_labels(msds, 50)
    for name in ("musicnn/val_gt_msd.tsv.gz", "converted/test_gt_msd.rebuilt.tsv.gz"):
        theirs = msd.read_ground_truth(source / name, 50)
        assert len(theirs) in (11774, 28435)
        for id, flags in theirs.items():
            np.testing.assert_array_equal(ours[id], flags)
    labels = readers.read_lines(source / "MSD_split" / "50tagList.txt")
    named = readers.read_text(source / "musicnn" / "output_labels_msd.txt").partition("=")[2]
    assert labels == ast.literal_eval(named.strip())


def test_vocabularies_are_those_of_the_published_results():
    from mar.probing import published

    tables = {
        path.parent.name: published.read_table(path)
        for path in reference("datasets/paper_results").glob("*/map.csv")
    }
    for name, folder in (("MTT", "mtt"), ("Jam-50", "jamendo")):
        loaded = Task(name, reference(f"datasets/{folder}"))
        assert sorted(tables[name].labels) == sorted(loaded.labels)
    moods = readers.read_lines(reference("datasets/amm/moods.txt"))
    assert tables["AMM"].labels == moods
    assert len(moods) == 188
    genres = readers.read_lines(reference("datasets/mumu/genre_labels_MuMu.tsv"))
    assert len(genres) == 250
    assert set(genres) - set(tables["MuMu"].labels) == {"Dance Hall", "Ballets & Dances"}


def test_the_real_excerpts_are_read():
    """Quoting and non-ASCII names of AMM's metadata, NSynth's first notes, MuMu's toy layout."""
    amm = reference("datasets/amm")
    rows = readers.read_table(
        amm / "vibr_subset" / "metadata_1.csv.gz", ["track_id", "artist_name"]
    )
    assert len(rows) == 20370
    assert all(row["track_id"].startswith("TR") for row in rows)
    notes = dict(
        json_stream.entries(reference("datasets/nsynth/nsynth-test/examples.first23.json"), 700)
    )
    assert len(notes) == 23
    assert all(note == entry["note_str"] for note, entry in notes.items())
    toy = task_of_toy()
    assert toy.labels == ["Cumbia", "Merengue", "Reggaeton"]
    assert toy.splits == ["train"] * 3 + ["valid"] * 3 + ["test"] * 3


def task_of_toy():
    from mar.tasks import mumu

    return mumu.read(reference("datasets/mumu/tartarus_layout_example"))
