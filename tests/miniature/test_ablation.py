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
    for name, scores in {"paper": (0.5, 0.7), "noise": (0.6,)}.items():
        for seed, score in enumerate(scores):
            model = tmp_path / "models" / name / str(seed)
            model.mkdir(parents=True)
            card = {"steps": 60, "batch_size": 10, "snippets_per_second": 10.0}
            (model / "model_card.json").write_text(json.dumps(card))
            for task, metric in ablation.TASKS.items():
                place = tmp_path / "results" / task / f"{name}-{seed}" / "0"
                place.mkdir(parents=True)
                facts = {"test": {"loss": {"value": 9}, metric: {"value": score}}}
                (place / "result.json").write_text(json.dumps(facts))
    unfinished = tmp_path / "models" / "masks" / "0"
    unfinished.mkdir(parents=True)
    lines = ablation.markdown(ablation.read(tmp_path, ROWS)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["row", "seeds", *ablation.TASKS, "minutes"]
    assert cells[2] == ["paper", "2", *["0.600"] * 6, "2.000"]
    assert cells[3] == ["noise", "1", *["0.600"] * 6, "2.000"]
    assert cells[4] == ["standard deviation of a seed", "", *["0.141"] * 6, "0.000"]


@pytest.mark.parametrize("scale", ["quickstart", "miniature"])
@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_recipe(scale, row):
    sets = [f"{path}={json.dumps(value)}" for path, value in ROWS[row].items()]
    recipe = ablation.CONFIGS / scale / "contrastive.yaml"
    changed, paper = Trainer.load(recipe, sets), Trainer.load(recipe)
    assert (changed == paper) == (row == "paper")
    assert changed.total_steps == paper.total_steps
    assert changed.dataset.batch_size == paper.dataset.batch_size
    assert changed.dataset.records == paper.dataset.records


def test_an_unknown_row_is_refused(tmp_path):
    command = [sys.executable, "-m", "examples.miniature.ablation", "papper"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode != 0
    assert "papper" in process.stdout + process.stderr
