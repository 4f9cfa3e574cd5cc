"""Two protocols on one data set are two tasks, and never one column."""

import collections
import csv
import gzip
import shutil

import numpy as np
import pytest

import mar
from helpers import probe_runs
from helpers.resources import optional, reference
from mar.probing.experiment import Probe
from mar.reporting import comparison, field, formats, paper
from mar.tasks import NAMED, PROTOCOLS, TASKS, Task, fetched_folder, fetching


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_says_whose_it_is_and_why_its_numbers_differ(name):
    task = PROTOCOLS[name]
    assert name not in TASKS
    assert task.protocol not in ("paper", "own")
    assert task.source
    assert task.differs.endswith(".")
    assert comparison.protocol_notes([name, "own"]) == [f"{name} ({task.protocol}): {task.differs}"]
    assert fetching.elsewhere(name)
    assert fetched_folder(name) == fetched_folder(task.files_of)


def test_the_papers_own_need_no_such_sentence():
    assert [task.name for task in TASKS.values() if task.differs] == ["MTT_filtered"]
    assert len({(t.read, t.protocol, t.name.split("_")[0]) for t in NAMED.values()}) == len(NAMED)


def test_what_is_dropped_of_mtt_is_counted_in_the_annotations():
    """997 of 5,329 clips for testing have none of the 50 tags; what is left are the others'."""
    with gzip.open(reference("datasets/mtt/annotations_final.csv.gz"), "rt") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    flags = np.array([row[1:-1] for row in rows], int)
    top = np.argsort(-flags.sum(axis=0), kind="stable")[:50]
    tagged = flags[:, top].any(axis=1)
    kept = collections.Counter(row[-1][0] for row, has in zip(rows, tagged, strict=True) if has)
    expected = PROTOCOLS["MTT_MTG"].counts
    assert expected == {"valid": kept["c"], "test": kept["d"] + kept["e"] + kept["f"]}
    assert TASKS["MTT"].counts["test"] - expected["test"] == 997


def test_ten_folds_of_gtzan_are_of_each_genre_alike(tmp_path):
    task = Task("GTZAN_10fold", tmp_path)
    assert task.targets.shape == (1000, 10)
    for fold in range(10):
        assert (task.targets[task.folds[0] == fold].sum(axis=0) == 10).all()
    assert task.items.paths[345][0] == "disco/disco.00045.wav"
    assert (Task("GTZAN_10fold").folds == task.folds).all()


def test_marbles_probe_is_one_for_all_kinds():
    task = Task("Emo_MARBLE", reference("datasets/emo/jukemir"))
    probe = Probe.for_task(task)
    assert (probe.mlp.layer_widths, probe.mlp.dropout, probe.mlp.batch_size) == ((512,), 0.2, 64)
    assert task.hash() == Task("Emo", reference("datasets/emo/jukemir")).hash()


def test_their_results_are_shown_apart(tmp_path):
    """Those of other protocols do not come into the paper's tables; the field's have all."""
    rng = np.random.default_rng(0)
    targets = probe_runs.tags(40, 3)
    for task, protocol in (("MTT", "paper"), ("MTT_MARBLE", "MARBLE's probe")):
        said = rng.random(targets.shape)
        floor = {"neighbours": 5, "test": {"map": 0.25}}
        probe_runs.write_run(
            *(tmp_path, task, "mine", "multilabel", targets, said), protocol=protocol, floor=floor
        )
    assert set(paper.measured(tmp_path)["task"]) == {"MTT"}
    results = mar.Results(tmp_path)
    summary = comparison.summarize(results)
    assert summary[summary["metric"] == "map"]["neighbours"].tolist() == [0.25, 0.25]
    scores = formats.markdown(comparison.scores_table(summary))
    assert "| 0.250 |" in scores
    assert PROTOCOLS["MTT_MARBLE"].differs in scores
    rows = field.field_table(results).rows
    groups = collections.defaultdict(set)
    for row in rows:
        groups[row[0].text, row[1].text].add(row[3].text)
    assert {"mine", "Musicset-ULarge"} <= groups["MTT", "paper"]
    assert groups["MTT_MARBLE", "MARBLE's probe"] == {"mine"}
    assert groups["MTT", "of the source"] == {"MERT-v2-30s"}
    assert groups["MTT_MTG", "MTG and MusicFM"] == {"OMAR-RQ", "MusicFM"}
    measured = {row[0].text: row[5].value for row in rows if row[3].text == "mine"}
    assert all(row[6].text == "measured" for row in rows if row[3].text == "mine")
    assert measured.keys() == {"MTT", "MTT_MARBLE"}
    formats.write(field.field_table(results), tmp_path)
    assert "OMAR-RQ repository README" in (tmp_path / "field.csv").read_text()


def test_every_figure_of_the_field_has_a_source_and_is_what_was_published():
    published = field.published()
    assert published["source"].str.len().min() > 5
    assert published["value"].astype(float).between(0, 1).all()
    assert set(published["task"]) <= set(NAMED)
    ours = published["protocol"] != field.OF_THE_SOURCE
    named = [NAMED[task].protocol for task in published["task"][ours]]
    assert published["protocol"][ours].tolist() == named
    if (path := optional("datasets/field_results.csv")) is not None:
        with open(path, newline="") as file:
            given = [(row["model"], row["value"], row["source"]) for row in csv.DictReader(file)]
        rows = published[["model", "value", "source"]].itertuples(index=False, name=None)
        assert sorted(rows) == sorted(given)


def test_a_collections_files_are_those_of_its_task(tmp_path, monkeypatch):
    monkeypatch.setenv("MAR_CACHE", str(tmp_path))
    folder = fetched_folder("Emo")
    folder.mkdir(parents=True)
    source = reference("datasets/emo/jukemir/emomusic.json.gz")
    shutil.copy(source, folder / "emomusic.json.gz")
    assert Task("emo-marble").name == "Emo_MARBLE"
