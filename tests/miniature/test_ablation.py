"""The ablation: the test part is left alone, the table has what was found, rows are recipes."""

import csv
import json
import subprocess
import sys

import pytest
import yaml

from examples.miniature import ablation
from helpers.resources import ROOT
from mar.training.trainer import Trainer

ROWS = yaml.safe_load(ablation.ROWS.read_text())


def tasks(folder, items=60):
    (folder / "tasks").mkdir(parents=True)
    for task in ablation.TASKS:
        with (folder / "tasks" / f"{task}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", task, "split"])
            for number in range(items):
                split = ("train", "train", "train", "valid", "test")[number % 5]
                rows.writerow([f"tracks/{number}.flac", "one", split])


def test_the_test_part_is_not_touched(tmp_path):
    tasks(tmp_path / "data")
    ablation.write_tasks(tmp_path / "data", tmp_path / "ablation")
    expected = {f"tracks/{number}.flac" for number in range(60) if number % 5 != 4}
    assert set((tmp_path / "data" / "ablation.m3u").read_text().split()) == expected
    with (tmp_path / "ablation" / "tasks" / "key.csv").open(newline="") as file:
        items = list(csv.DictReader(file))
    assert {item["path"] for item in items} == expected
    tested = {int(item["path"][7:-5]) % 5 for item in items if item["split"] == "test"}
    assert tested == {3}
    assert sum(item["split"] == "valid" for item in items) == pytest.approx(4, abs=2)


def test_the_table_has_means_and_how_far_seeds_are_apart(tmp_path):
    kept = tmp_path / "ablation" / "quickstart.csv"
    for name, seed, score in ("noise", 0, 0.6), ("paper", 0, 0.5), ("paper", 1, 0.7):
        scores = dict.fromkeys(ablation.TASKS, score)
        line = {"row": name, "seed": seed, **scores, "minutes": 2.0, "machine": "2 cores, one"}
        ablation.add(kept, line)
    lines = ablation.markdown(ablation.read(kept), list(ROWS)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["row", "seeds", *ablation.TASKS]
    assert cells[2] == ["paper", "2", *["0.600"] * 6]
    assert cells[3] == ["noise", "1", *["0.600"] * 6]
    assert cells[4] == ["standard deviation of a seed", "", *["0.141"] * 6]


@pytest.mark.parametrize("scale", ["quickstart", "miniature"])
def test_the_page_has_the_table_of_what_is_kept(scale):
    page = (ROOT / "docs" / "design" / "ablation.md").read_text(encoding="utf-8")
    kept = ablation.read(ablation.KEPT / f"{scale}.csv")
    assert {run["row"] for run in kept} <= set(ROWS)
    assert ablation.markdown(kept, list(ROWS)) in page


@pytest.mark.parametrize("scale", ["quickstart", "miniature"])
@pytest.mark.parametrize("row", [name for name, changes in ROWS.items() if changes is not None])
def test_every_row_is_a_recipe_of_as_many_snippets(scale, row):
    if "Constants.PAIRS" in ROWS[row] and scale == "miniature":
        pytest.skip("of the quickstart alone")
    sets = [f"{path}={json.dumps(value)}" for path, value in ROWS[row].items()]
    recipe = ablation.CONFIGS / scale / "contrastive_paper.yaml"
    changed, paper = Trainer.load(recipe, sets), Trainer.load(recipe)
    assert (changed == paper) == (row == "paper")
    snippets = [each.total_steps * each.dataset.batch_size for each in (changed, paper)]
    assert snippets[0] == (0 if row == "untrained" else snippets[1])
    assert changed.dataset.records == paper.dataset.records


@pytest.mark.parametrize(
    ("scale", "row"), [("quickstart", "together_lowest_rate"), ("miniature", "far_pairs")]
)
def test_a_recipe_is_the_row_that_was_chosen(scale, row):
    sets = [f"{path}={json.dumps(value)}" for path, value in ROWS[row].items()]
    chosen = Trainer.load(ablation.CONFIGS / scale / "contrastive_paper.yaml", sets)
    assert Trainer.load(ablation.CONFIGS / scale / "contrastive.yaml") == chosen


def test_an_unknown_row_is_refused(tmp_path):
    command = [sys.executable, "-m", "examples.miniature.ablation", "papper"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode != 0
    assert "papper" in process.stdout + process.stderr
