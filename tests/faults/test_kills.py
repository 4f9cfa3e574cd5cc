"""Commands that are killed at random moments: one run of each; `make soak-kills` does many.

Kills at chosen moments, one of each kind, are among the tests of what is killed.
"""

import pytest

from soak import commands, kills, table


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*commands.COMMANDS])
def test_a_run_that_is_killed_ends_as_one_that_is_not(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "JSON", tmp_path / "none.json")
    lost = [lost for _, lost in kills.survey(kind, 2, tmp_path / "work")]
    assert not any(lost)


@pytest.mark.slow
def test_what_is_lost_is_noticed(tmp_path, monkeypatch):
    """A command that begins anew where it was killed, and then says something else."""

    class Forgetful(commands.Command):
        def arguments(self, inputs, output):
            script = "import sys, time, pathlib; p = pathlib.Path(sys.argv[1])\n"
            script += "old = p.read_text() if p.exists() else ''\n"
            script += "p.write_text(old + 'x'); time.sleep(1)"
            return ("-c", script, output)

        def state(self, output):
            return output.read_text()

    monkeypatch.setattr(table, "JSON", tmp_path / "none.json")
    monkeypatch.setattr(kills, "SIGNALS", ["SIGKILL"])
    monkeypatch.setitem(commands.COMMANDS, "forgetful", Forgetful())
    runs = list(kills.survey("forgetful", 3, tmp_path / "work"))
    told = [lost for _, lost in runs if lost]
    assert told
    assert all("expected 'x'" in lost for lost in told)
    assert runs[-1][0]["lost"] == len(told)
