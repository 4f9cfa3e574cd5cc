"""From an empty folder to the paper's tables, killed on the way."""

import json
import re
import shutil
import signal

import pytest
import yaml

import mar
from helpers.browser import assert_fits_a_phone, assert_silent
from helpers.processes import run_python
from helpers.reproduction import Runs, prepare
from helpers.resources import DATA
from helpers.shared import made_once
from mar.errors import ConfigError
from mar.reporting import paper
from mar.reproducing import collections, probes, state, workers
from mar.tasks import TASKS, fetched_folder, fetching
from mar.util import shipped

ALL = collections.TASKS
SOME = ["GTZAN", "NSynth_P", "NSynth_I", "MSD50", "AMM"]


def make_finished(home):
    """Some collections after a run that was killed once, and another."""
    written = prepare(home, SOME)
    (home / "audio" / "GTZAN").rename(home / "audio" / "of GTZAN")  # its archive's own folder
    (home / "audio" / "GTZAN").mkdir()
    (home / "audio" / "of GTZAN").rename(home / "audio" / "GTZAN" / "unpacked")
    runs = Runs(home, SOME)
    killed = run_python(*runs.script(5, ".parquet"), cwd=home)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = sorted(runs.embedded())
    assert len(before) == 20
    assert "embedding" in runs.page()
    ended = run_python(*runs.script(), cwd=home)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (home / "noted.json").write_text(json.dumps({"written": written, "before": before}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """These; who changes something takes a copy."""
    home = made_once(tmp_path_factory, "reproduced", make_finished)
    runs, noted = Runs(home, SOME), json.loads((home / "noted.json").read_text())
    runs.written, runs.before = noted["written"], {tuple(pair) for pair in noted["before"]}
    return runs


def test_a_killed_run_goes_on_and_decodes_nothing_twice(finished):
    assert finished.decoded().isdisjoint(finished.before)
    assert finished.decoded() | finished.before == finished.embedded()
    by_windows = {seconds: 0 for seconds, _ in finished.embedded()}
    for seconds, _ in finished.embedded():
        by_windows[seconds] += 1
    shared = len(finished.written["MillionSong"])  # of both tasks
    notes = len(finished.written["NSynth"])  # with the windows of either task
    assert by_windows == {3.0: len(finished.written["GTZAN"]) + shared, 1.0: notes, 4.0: notes}
    assert set(finished.scores()) == set(SOME)


def test_what_is_done_is_not_done_again(finished, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(finished.home, home)
    runs = Runs(home, SOME)
    results = [*(home / "out" / "results").rglob("result.json")]
    assert len(results) == len(SOME)
    before = [path.stat().st_mtime_ns for path in results]
    again = run_python(*runs.script(), cwd=home)
    assert again.returncode == 0, again.stderr
    assert runs.decoded() == set()
    assert [path.stat().st_mtime_ns for path in results] == before


def test_the_page_has_the_tables_and_fits_a_phone(finished, chromium):
    page = finished.home / "out" / "index.html"
    chromium.get(page.as_uri())
    text = chromium.find_element("tag name", "body").text
    assert "5 measured. Nothing runs any more." in text
    score = finished.scores()["GTZAN"]["accuracy"]["value"]
    rows = [row.text for row in chromium.find_elements("css selector", "#tasks tbody tr")]
    (row,) = [row for row in rows if row.startswith("GTZAN")]
    assert row.startswith(f"GTZAN measured accuracy {score:.3f}")
    audio = [row.text for row in chromium.find_elements("css selector", "#audio tbody tr")]
    assert "GTZAN 48 48 48 0" in audio  # of one second, where thirty are expected
    assert "expected 29 to 31 s" in text
    for number in (1, 2, 3, 4):
        assert chromium.find_element("id", f"table{number}").is_displayed()
    assert 'http-equiv="refresh"' not in page.read_text(), "nothing runs any more"
    assert_silent(chromium, page)
    assert_fits_a_phone(chromium)


def test_shards_embed_their_share_and_the_last_run_probes(finished, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(finished.home, home, ignore=shutil.ignore_patterns("out"))
    shares = []
    for shard in ("0/2", "1/2"):
        runs = Runs(home, ["GTZAN"], f"--shard={shard}")
        process = run_python(*runs.script(), cwd=home)
        assert process.returncode == 0, process.stderr
        assert "GTZAN     waiting: for the other shards" in process.stdout
        shares.append(runs.decoded())
    assert shares[0].isdisjoint(shares[1])
    assert len(shares[0] | shares[1]) == len(finished.written["GTZAN"])
    runs = Runs(home, ["GTZAN"], probes="in this process")
    assert run_python(*runs.script(), cwd=home).returncode == 0
    assert runs.decoded() == set()
    assert runs.scores().keys() == {"GTZAN"}


def test_what_is_missing_is_told_and_prevents_nothing_else(finished, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(finished.home, home)
    places = yaml.safe_load((home / "collections.yaml").read_text())
    (lost,) = (home / "audio" / "GTZAN").rglob("blues.00000.wav")
    lost.unlink()
    for path in (home / "metadata" / "AMM").rglob("mood_target.npy"):
        path.unlink()
    places["NSynth"]["audio"] = None
    (home / "collections.yaml").write_text(yaml.safe_dump(places))
    process = run_python(*Runs(home, SOME, "--json").script(), cwd=home)
    assert process.returncode == 2, process.stderr
    told = json.loads(process.stdout)["tasks"]
    assert {name: told[name]["state"] for name in told} == {
        **{"GTZAN": "missing", "AMM": "missing", "MSD50": "measured"},
        **{"NSynth_P": "left out", "NSynth_I": "left out"},
    }
    assert "1 of 48 items have no embedding, such as blues/blues.00000.wav" in told["GTZAN"]["why"]
    assert "--allow_missing" in told["GTZAN"]["why"]
    assert "mood_target.npy" in told["AMM"]["why"]
    assert "mood_target.npy" in (home / "out" / "index.html").read_text()


def test_a_file_that_was_mended_is_readable_on_the_page_of_the_same_run(tmp_path):
    prepare(tmp_path, ["GTZAN"])
    runs = Runs(tmp_path, ["GTZAN"], probes="in this process")
    broken = next((tmp_path / "audio" / "GTZAN").rglob("*.00001.wav"))
    whole = broken.read_bytes()
    broken.write_bytes(b"no audio" * 99)
    assert run_python(*runs.script(), cwd=tmp_path).returncode == 2
    assert broken.name in runs.page()
    assert counts_of_audio(runs.page()) == ["48", "48", "47", "0"]
    broken.write_bytes(whole)
    mended = run_python(*runs.script(), cwd=tmp_path)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert counts_of_audio(runs.page()) == ["48", "48", "48", "0"]
    assert "not recognised" not in runs.page()


def counts_of_audio(page):
    """Of the one collection: how many are expected, there, readable, of the right length."""
    table = page[page.index('id="audio"') :].partition("</table>")[0]
    return re.findall(r">(\d+)<", table)


def test_a_worker_searches_and_notes_what_was_asked(finished, tmp_path):
    job = workers.Job(
        "GTZAN",
        finished.home / "metadata" / "GTZAN",
        finished.home / "out" / "embeddings" / "small.keras" / "GTZAN",
        finished.home / "small" / "GTZAN.yaml",
        *(2, tmp_path / "results", "some", "f" * 64),
    )
    workers.probe(job)
    (run,) = mar.Results(tmp_path / "results").runs
    assert (run.facts["trials"], run.facts["asked"]) == (2, "f" * 64)
    assert run.facts["test"]["accuracy"]["value"] >= 0


@pytest.mark.parametrize(
    ("kind", "trials", "name", "file"),
    [
        ("table2", 0, "table2", shipped.configuration("probe/GTZAN")),
        ("search", 7, "search", shipped.configuration("probe/GTZAN")),
        ("published", 0, "published", fetched_folder("probes") / "GTZAN/Musicset_ULarge.yml"),
        (str(DATA), 0, "data", DATA / "GTZAN.yaml"),
    ],
)
def test_probes_by_their_kinds(kind, trials, name, file):
    choice = probes.chosen(kind, 7)
    assert (choice.name, choice.trials) == (name, trials)
    assert choice.path(TASKS["GTZAN"], "Musicset-ULarge") == file
    if kind == "published":
        names = {name for name, _, _ in fetching.official_files(fetching.PROBES)}
        assert {f"{task}/Musicset_ULarge.yml" for task in ALL} <= names


def test_the_time_that_is_left_is_scaled_by_what_was_measured():
    before = state.probing_seconds(["MTT", "GTZAN"], {}, 0, 1)
    assert before == 60 * (7 + 4)  # as `configs/probe` say of two cores
    assert state.probing_seconds(["MTT"], {"GTZAN": 8 * 60.0}, 0, 1) == 2 * 7 * 60
    assert state.probing_seconds(["MTT", "GTZAN"], {}, 9, 2) == 10 * before / 2
    for task in ALL:
        told = shipped.configuration(f"probe/{task}").read_text()
        minutes = re.search(r"about ([\d.]+) (min|h)", told)
        expected = float(minutes[1]) * {"min": 1, "h": 60}[minutes[2]]
        assert state.probing_seconds([task], {}, 0, 1) == pytest.approx(60 * expected)


# ------------------------------------------------------------------------------- the file of places


def test_the_template_is_read_and_names_every_task(tmp_path):
    collections.write_template(tmp_path / "c.yaml")
    places = collections.read(tmp_path / "c.yaml")
    assert all(place == collections.Place() for place in places.values())
    assert set(ALL) == {entry.task for entry in paper.published(1)}
    text = (tmp_path / "c.yaml").read_text()
    assert all(f"    {task}:\n" in text for task in ALL)
    assert text.count("Licence") >= len(collections.COLLECTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GTZN: {}", "GTZN.*did you mean 'GTZAN'"),
        ("GTZAN: {audio: nowhere}", "GTZAN: audio: .*nowhere: expected a folder, found none"),
        ("GTZAN: {audio: [1]}", "GTZAN: audio: expected a folder, got"),
        ("GTZAN: {metadata: {MTT: .}}", "GTZAN: metadata: expected tasks .GTZAN., got 'MTT'"),
        ("GTZAN: 3", "GTZAN: expected entries .audio, metadata., got 3"),
    ],
)
def test_places_that_cannot_be_meant_are_refused(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        collections.read(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--probes=nowhere"], "--probes: expected table2, published, search, or a folder"),
        (["--name=a/b"], "--name: expected a name, which becomes a folder's, got 'a/b'"),
        (["--tasks=MTT_filtered"], "--tasks: expected tasks of the paper's tables"),
        (["--probes=published", "--model=random"], "expected the published model .mule, or its"),
        (["--audio=empty.yaml"], "expected the folder of some collection, as `audio`"),
        (["--model=audio?made_by=x", "--shard=0/2"], "expected no --shard or --ray_address with"),
    ],
)
def test_wrong_use_is_told_before_any_work(tmp_path, options, message):
    (tmp_path / "audio").mkdir()
    (tmp_path / "c.yaml").write_text("GTZAN: {audio: audio}")
    collections.write_template(tmp_path / "empty.yaml")
    process = run_python("-m", "mar.reproduce", "--audio=c.yaml", *options, cwd=tmp_path)
    assert process.returncode == 1
    assert re.search(f"error: .*{message}", process.stderr)
    assert not (tmp_path / "reproduction").exists()


def test_the_first_call_writes_the_file_of_places(tmp_path):
    process = run_python("-m", "mar.reproduce", "--audio=c.yaml", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "c.yaml").read_text() == collections.template()
