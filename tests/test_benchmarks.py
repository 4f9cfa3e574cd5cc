"""What benchmarks share: turns, what is kept of them, and the page that is made of it."""

import dataclasses
import itertools
import pathlib
import sys

import pytest

from benchmarks import contest, page


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(contest, "RESULTS", tmp_path)
    return tmp_path


def test_contestants_take_turns_and_the_first_round_does_not_count(results, capsys):
    turns, seconds = [], itertools.count(1)

    def contestant(name, factor):
        def turn():
            turns.append(name)
            return contest.Cost(factor * next(seconds), megabytes=10.0 * factor)

        return turn

    row = contest.run(
        "a-row",
        "A thing",
        {"mar": contestant("mar", 1), "other": contestant("other", 2)},
        rounds=2,
        aims={"other": 1.5},
    )
    assert turns == ["mar", "other"] * 3
    assert row.seconds == {"mar": [3, 5], "other": [8, 12]}
    assert row.megabytes == {"mar": 10, "other": 20}
    assert row.ratios("other") == [8 / 3, 12 / 5]
    kept = contest.Row.load_from(results / "a-row.json")
    assert dataclasses.replace(kept, load=row.load) == row
    assert tuple(kept.load) == row.load
    assert "other" in capsys.readouterr().out


def test_a_turn_without_a_cost_is_timed(results):
    row = contest.run("a-row", "A thing", {"mar": lambda: "whatever it returns"}, rounds=3)
    assert len(row.seconds["mar"]) == 3
    assert all(seconds > 0 for seconds in row.seconds["mar"])


def allocate(megabytes):
    return float(len(bytearray(b"x") * (megabytes << 20)) >> 20)


def test_processes_tell_their_memory_and_failures():
    small, large = (
        contest.process([sys.executable, "-c", f"x = b'1' * ({megabytes} << 20)"])
        for megabytes in (1, 200)
    )
    assert large.megabytes - small.megabytes > 150
    with pytest.raises(SystemExit, match="ended with 3"):
        contest.process([sys.executable, "-c", "raise SystemExit(3)"])
    cost = contest.child(allocate, 300)
    assert cost.seconds == 300
    assert cost.megabytes > 300


def test_the_committed_page_is_that_of_the_committed_results(tmp_path, monkeypatch):
    committed = page.FOLDER
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    page.main()
    text = (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert text == (committed / "speed.md").read_text(encoding="utf-8")
    assert {path.name for path in pathlib.Path(tmp_path).glob("*.svg")} <= {
        path.name for path in committed.glob("*.svg")
    }
