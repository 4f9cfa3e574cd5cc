"""Disks that fail a command, of each kind one; `make soak-surroundings` has all commands."""

import subprocess

import pytest

from soak import commands, surroundings

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("probe", "index", "embed")]


@pytest.fixture(autouse=True)
def _may_mount(tmp_path):
    try:
        with surroundings.mounted(tmp_path / "tried"):
            pass
    except subprocess.CalledProcessError:
        pytest.skip("may not mount a disk here")


@pytest.mark.parametrize("kind", ["tag", *SLOW])
def test_what_fails_is_told_and_the_next_run_is_as_undisturbed(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(surroundings, "PARTS", (0.5,))
    monkeypatch.setattr(surroundings, "MOMENTS", (0.0,))
    monkeypatch.setattr(commands.Tags, "tracks", 12_000)
    seen = list(surroundings.survey(kind, tmp_path / "work"))
    names = {name for name, _ in seen}  # one that is fast has ended before its output is removed
    assert names >= {*surroundings.SURROUNDINGS} - {"removed"}
    assert [wrong for _, wrong in seen if wrong] == []


def test_what_is_wrong_is_noticed(tmp_path):
    """A command that writes what it can and says nothing."""

    class Silent(commands.Command):
        def arguments(self, inputs, output):
            script = "import sys, pathlib; p = pathlib.Path(sys.argv[1])\n"
            script += "try: p.write_bytes(b'x' * 40_000)\nexcept OSError: pass"
            return ("-c", script, output)

        def state(self, output):
            return output.stat().st_size if output.exists() else None

    silent = Silent()
    silent.expected = 40_000
    with surroundings.mounted(tmp_path / "disk") as disk:
        for name, count in (("read_only", 1), ("full", 3)):
            told = list(surroundings.SURROUNDINGS[name](silent, tmp_path, disk))
            assert len(told) == count
            assert all("says that it succeeded" in wrong for wrong in told)
