"""What `mar embed` tells a script: which failures are new, and what a run would do."""

import json

import pytest
import soundfile

from helpers.processes import run_python
from helpers.signals import FORMATS, music
from helpers.terminals import run_without_slow_packages
from mar.embedding import dry_run, files
from mar.embedding.catalogue import Catalogue


@pytest.fixture
def folder(tmp_path):
    """Two tracks, and two that are none."""
    (tmp_path / "music").mkdir()
    for number in range(2):
        soundfile.write(tmp_path / "music" / f"{number}.wav", music(9.0, 16000, 1, number), 16000)
    for name in ("bad.mp3", "worse.mp3"):
        (tmp_path / "music" / name).write_text("no audio")
    return tmp_path


def embed(folder, *flags):
    flags = ["--model", "logmel_mean", "--output", "embeddings", *flags, "music"]
    return run_python("-m", "mar.embed", *flags, cwd=folder)


def test_failures_that_are_new_are_told_from_others(folder):
    first = embed(folder, "--json", "--fail_on=new")
    assert first.returncode == 2
    summary = json.loads(first.stdout)
    assert (summary["output"], summary["embedded"], summary["failed"]) == ("embeddings", 2, 2)
    assert summary["audio_seconds"] == pytest.approx(18.0)
    assert {f["path"]: f["new"] for f in summary["failures"]} == {
        "bad.mp3": True,
        "worse.mp3": True,
    }
    assert len(first.stderr.splitlines()) == 2

    again = embed(folder, "--json", "--fail_on=new")
    assert (again.returncode, again.stderr) == (0, "")
    assert [failure["new"] for failure in json.loads(again.stdout)["failures"]] == [False, False]

    (folder / "music" / "worse.mp3").write_text("no audio either")
    for flags, code in (([], 2), (["--fail_on=none"], 0)):
        changed = embed(folder, *flags)
        assert changed.returncode == code
        as_before = {"worse.mp3": not flags, "bad.mp3": False}
        for name, is_new in as_before.items():
            assert (f"failed: {name!r}" in changed.stderr) == is_new
            assert (f"failed as before: {name!r}" in changed.stdout) != is_new
    gone = embed(folder, "--skip_errors")
    assert gone.returncode == 1
    assert "--fail_on none" in gone.stderr


@pytest.mark.parametrize(("store", "windows"), [("mean", 1), ("timeline", 4)])
def test_a_dry_run_tells_what_a_run_does_then(folder, store, windows):
    """Windows every 2 s, the first at 2 s: four in 9 s."""
    FORMATS["ogg"][0](str(folder / "music" / "unknown length.ogg"), music(9.0), 44100)
    (folder / "music" / "cover.png").write_bytes(b"PNG")
    items, job = files.find([str(folder / "music")]), Catalogue(store=store)
    planned = dry_run.estimate(job, "mule", items, folder / "embeddings")
    assert (planned.files, planned.unreadable, planned.skipped, planned.unchanged) == (5, 2, 1, 0)
    assert planned.seconds == pytest.approx(27.0, abs=0.1)
    assert planned.bytes == 3 * windows * 1728 * 4
    assert not (folder / "embeddings").exists()
    job.run("logmel_mean", items, folder / "embeddings")
    planned = dry_run.estimate(job, "logmel_mean", items, folder / "embeddings")
    assert (planned.files, planned.unreadable, planned.unchanged, planned.bytes) == (2, 2, 4, 0)


def test_a_dry_run_needs_no_tensorflow(folder):
    line = ["embed", "--dry_run", "--json", "--output", "out", "music"]
    ((code, output, error),) = run_without_slow_packages([line], folder)
    assert (code, error) == (0, "")
    assert json.loads(output)["files"] == 4
    assert not (folder / "out").exists()
