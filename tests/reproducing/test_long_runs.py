"""Whole reproductions: all fifteen tasks, killed ten times; official annotations; searches."""

import functools
import re
import shutil
import signal
from collections import Counter

import numpy as np
import pytest
import yaml

import mar
from helpers import reproduction
from helpers.processes import UNREAD, run_python, start_python, wait_for
from helpers.reproduction import Runs, prepare
from helpers.resources import needs, reference, unpacked_giantsteps
from mar.reproducing import collections
from mar.tasks import Task
from mar.tasks.locating import alternatives

ALL = collections.TASKS


@pytest.mark.slow
def test_all_fifteen_survive_ten_kills(tmp_path):
    """A file is decoded once, and once more for each kill at which it was in flight."""
    written = prepare(tmp_path, ALL)
    runs = Runs(tmp_path, ALL, "--allow_missing")  # of MSDS, whose 201,680 are listed
    short = Runs(tmp_path, ALL[: ALL.index("MSDS")])  # which takes seconds to read
    decodes, in_flight = Counter(), Counter()

    def note(there):
        """Of a run that has ended; returns what is on the disk now."""
        assert runs.decoded().isdisjoint(there)
        decodes.update(runs.decoded())
        in_flight.update(runs.decoded() - runs.embedded())
        return runs.embedded()

    embedded = set()
    moments = [*((short, n) for n in (3, 9, 17, 2)), *((runs, n) for n in (25, 30, 11))]
    for asked, moment in moments:
        killed = run_python(*asked.script(moment, ".parquet"), cwd=tmp_path)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        before, embedded = embedded, note(embedded)
        assert embedded > before
    for results in (1, 5, 10):
        with start_python(*runs.script(), cwd=tmp_path, **UNREAD) as process:
            wait_for(functools.partial(runs.has_scores, results), process)
            process.kill()
        embedded = note(embedded)
    ended = run_python(*runs.script(), cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    embedded = note(embedded)
    assert decodes == {file: 1 + in_flight[file] for file in embedded}
    files = {name: len(paths) for name, paths in written.items()}
    assert len(embedded) == sum(files.values()) + files["NSynth"]  # which has windows of two kinds
    assert set(runs.scores()) == set(ALL)
    whole = tmp_path / "undisturbed"
    whole.mkdir()
    for name in ("audio", "metadata", "small", "small.keras", "collections.yaml"):
        (whole / name).symlink_to(tmp_path / name)
    undisturbed = Runs(whole, ALL, "--allow_missing", "--jobs=2")
    assert run_python(*undisturbed.script(), cwd=whole).returncode == 0
    for folder in (whole / "out" / "embeddings" / "small.keras").iterdir():
        expected = mar.Embeddings(folder)
        means = mar.Embeddings(tmp_path / folder.relative_to(whole)).means(expected.paths)
        np.testing.assert_allclose(means, expected.means(expected.paths), rtol=1e-4, atol=1e-5)
    for task, scores in undisturbed.scores().items():
        # Of few items a rank makes hundredths, and embeddings differ by how they met in batches.
        kept = runs.scores()[task]
        assert kept.keys() == scores.keys()
        for metric, score in scores.items():
            assert kept[metric]["value"] == pytest.approx(score["value"], abs=0.05, nan_ok=True)
    page = runs.page()
    for task in ALL:
        assert re.search(rf"<tr><th scope=\"row\">{re.escape(task)}</th>.*measured", page)


OFFICIAL = {
    **{"MTT": "mtt", "GTZAN": "gtzan", "Emo": "emo/jukemir", "GS_Key": "giantsteps"},
    **{"Jam-50": "jamendo", "Jam-All": "jamendo", "Jam-MT": "jamendo"},
}


@pytest.mark.slow
def test_official_annotations_lead_to_the_page(tmp_path):
    """Their real files, with the audio of some items of every part."""
    places = {}
    for name, folder in OFFICIAL.items():
        metadata = reference(f"datasets/{folder}")
        if name == "GS_Key":  # whose keys are in an archive
            metadata = unpacked_giantsteps(tmp_path / "metadata")
        collection = collections.of_task(name)
        place = places.setdefault(
            collection.name, {"audio": f"audio/{collection.name}", "metadata": {}}
        )
        place["metadata"][name] = str(metadata)
        task = Task(name, metadata)
        for split in ("train", "valid", "test"):
            for row in task.rows(split)[::97][:12]:
                path = tmp_path / place["audio"] / alternatives(task.items.paths[row])[0]
                reproduction.write_audio(path, int(row), 1.0)
    (tmp_path / "collections.yaml").write_text(yaml.safe_dump(places))
    reproduction.write_probes(tmp_path / "small")
    reproduction.write_model(tmp_path / "small.keras")
    runs = Runs(tmp_path, list(OFFICIAL), "--allow_missing")
    ended = run_python(*runs.script(), cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not re.search(r"expected \d+ (items|labels)", ended.stderr), "counts are the known ones"
    assert set(runs.scores()) == set(OFFICIAL)
    page = runs.page()
    for number in ("25,860", "930", "744", "1,763", "55,525"):  # files that are expected
        assert f'<td data-value="{number.replace(",", "")}.0">{number}</td>' in page


@pytest.mark.slow
def test_searches_run_side_by_side_on_what_a_cluster_embedded(tmp_path):
    needs("ray", extra="cluster")
    tasks = ["Jam-50", "Jam-MT"]
    prepare(tmp_path, tasks)
    options = ("--probes=search", "--trials=2", "--jobs=2", "--ray_address=local")
    runs = Runs(tmp_path, tasks, *options)
    ended = run_python(*runs.script(), cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = [
        line for line in ended.stderr.splitlines() if line.endswith((": probing", ": measured"))
    ]
    assert sorted(told[:2]) == ["Jam-50: probing", "Jam-MT: probing"]
    found = mar.Results(tmp_path / "out" / "results" / "search").runs
    assert [(run.task, run.facts["trials"]) for run in found] == [(task, 2) for task in tasks]
    assert runs.decoded() == set(), "others embed"
    assert len(runs.embedded()) == 48


# The published model is another one, as its weights are not at hand.
PUBLISHED = """
import sys
from mar.__main__ import main
from mar.embedding import model_names
from mar.util.checksums import sha256

model_names._MULE = (sha256("small.keras"),)
sys.exit(main())
"""


@pytest.mark.slow
def test_the_published_probes_run_as_they_were_published(tmp_path):
    probes = reference("reference/release/configs/models/probes")
    prepare(tmp_path, ["Jam-MT"])
    shutil.copytree(probes, tmp_path / "cache" / "tasks" / "probes")
    runs = Runs(tmp_path, ["Jam-MT"], "--probes=published")
    cache = str(tmp_path / "cache")
    ended = run_python("-c", PUBLISHED, *runs.arguments, cwd=tmp_path, MAR_CACHE=cache)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (run,) = mar.Results(tmp_path / "out" / "results" / "published").runs
    published = yaml.safe_load((probes / "Jam-MT" / "Musicset_ULarge.yml").read_text())
    widths = published["MLP"]["layer_widths"]
    assert run.facts["config"]["MLP"]["layer_widths"] == widths
    assert "Musicset-ULarge" in runs.page()
