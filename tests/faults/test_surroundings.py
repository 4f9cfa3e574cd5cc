"""Disks that fail a command, of each kind one; `make soak-surroundings` has more of them."""

import os

import pytest

from soak import commands, surroundings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")


def kinds(quick):
    slow = pytest.mark.slow
    return [kind if kind == quick else pytest.param(kind, marks=slow) for kind in commands.COMMANDS]


@pytest.mark.parametrize("kind", kinds("tag"))
def test_what_fails_is_told_and_the_next_run_is_as_undisturbed(kind, tmp_path):
    seen = list(surroundings.survey(kind, tmp_path / "work"))
    assert {name for name, _ in seen} == {*surroundings.SURROUNDINGS}
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
