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
    ours = bytearray(b"x") * (500 << 20)
    assert contest.child(allocate, 1).megabytes < 400
    assert len(ours) == 500 << 20


def test_a_program_takes_turns_and_what_it_prints_is_no_answer():
    turn = "print('noise'); time.sleep(0.02)"
    script = f"import time; from benchmarks import turns; turns.take(lambda: exec({turn!r}))"
    with contest.program([sys.executable, "-c", script]) as contestant:
        costs = [contestant() for _ in range(2)]
    assert all(0.02 <= cost.seconds < 5 for cost in costs)
    assert all(cost.megabytes > 1 for cost in costs)
    with (
        pytest.raises(SystemExit, match="ended with 3"),
        contest.program([sys.executable, "-c", "raise SystemExit(3)"]),
    ):
        pass


def row_of(aims, limit=None):
    seconds = {"mar": [1.0, 1.0], "slow": [4.0, 6.0], "machine": [0.5, 0.5]}
    return contest.Row("A thing", seconds, {}, aims, limit, 3600, "rows", "a machine", (0, 0))


def test_the_page_names_what_is_missed_and_why(monkeypatch):
    rows = {"a-row": row_of({"slow": 10, "machine": 0.8}, "machine"), "other": row_of({})}
    monkeypatch.setitem(page.REASONS, ("a-row", "machine"), "It waits for memory.")
    assert page.missed(rows) == [
        "* *A thing, slow*: 5, aim 10. The reason is not known.",
        "* *A thing, machine*: 0.5, aim 0.8. It waits for memory.",
    ]
    assert page.table(rows)[2:] == [
        "| A thing | 1 s | slow | 5 (4–6) | 10 |",
        "|  |  | the limit: machine | 50% of it | 80% |",
    ]
    assert len(page.without_aims(rows)) == 3


def test_what_large_catalogues_take_is_computed():
    points = [{"size": size, "seconds": size / 1e6, "megabytes": 100} for size in (1e6, 2e6)]
    lines = page.scales({"tag": row_of({"slow": 1})}, {"tracks in a manifest": points})
    assert "| Hours of this machine: a head's labels | 1 |" in lines  # 3600 tracks a second: 0.77
    assert "| Opening the records' manifest, seconds | 10 |" in lines
    assert "| Opening the records' manifest, MB | 100 |" in lines


def test_the_committed_page_is_that_of_the_committed_results(tmp_path, monkeypatch):
    committed = page.FOLDER
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    readme = page.README.read_text(encoding="utf-8")
    monkeypatch.setattr(page, "README", tmp_path / "README.md")
    page.README.write_text(readme, encoding="utf-8")
    page.main()
    assert page.README.read_text(encoding="utf-8") == readme
    text = (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert text == (committed / "speed.md").read_text(encoding="utf-8")
    assert {path.name for path in pathlib.Path(tmp_path).glob("*.svg")} <= {
        path.name for path in committed.glob("*.svg")
    }
