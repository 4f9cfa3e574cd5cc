"""What each augmentation and objective changes in the miniature, on its validation part.

    python -m examples.miniature.ablation paper noise [--scale quickstart] [--seed 0 --seed 1]

Each row of ablation.yaml changes the contrastive recipe of the scale. It is trained with
every seed, then the tracks and notes of the parts for training and validation are embedded and
probed; the test part is not touched. An interrupted run resumes. What is there is
put into SCALE/ablation/table.md: scores, the minutes that pre-training took, and at the end how far
apart the seeds are. Data and records are those of `make SCALE`.
"""

import csv
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterable

import numpy as np
import yaml
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_enum("scale", "miniature", ["quickstart", "miniature"], "Recipe, and folder.")
flags.DEFINE_string("folder", None, "Of the scale, as make left it; by default the scale's name.")
flags.DEFINE_multi_integer("seed", [0, 1], "Of pre-training; repeatable.", lower_bound=0)
flags.DEFINE_multi_string("set", [], "Change of every row, as mar train takes it; repeatable.")
CONFIGS, ROWS = (pathlib.Path(__file__).with_name(name) for name in ("configs", "ablation.yaml"))
TASKS = {  # and what each is measured by
    **{"key": "weighted", "instrument": "accuracy", "genre": "accuracy"},
    **{"meter": "balanced_accuracy", "tempo": "r2", "pitch": "accuracy"},
}
_HELD_OUT = 10  # of so many tracks one sets the probes' thresholds


def main(argv: list[str]) -> None:
    rows = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    names = argv[1:]
    unknown = [name for name in names if name not in rows]
    if unknown or not names:
        raise app.UsageError(f"expected some of {', '.join(rows)}, got {unknown or 'none'}")
    home = pathlib.Path(FLAGS.folder or FLAGS.scale)
    folder = home / "ablation"
    write_tasks(home / "data", folder)
    for seed in FLAGS.seed:
        for name in names:
            run(name, rows[name], seed, home, folder)
            table = markdown(read(folder, rows))
            (folder / "table.md").write_text(table, encoding="utf-8")
    print(table, end="")


def write_tasks(data: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes tasks whose test items are those for validation, and a list of all that they need.

    The tables of `data/tasks` lose their test items; every tenth training item is for the probe's
    thresholds.
    """
    paths = set()
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        with (data / "tasks" / f"{task}.csv").open(encoding="utf-8", newline="") as file:
            items = [item for item in csv.DictReader(file) if item["split"] != "test"]
        for number, item in enumerate(items):
            item["split"] = "test" if item["split"] == "valid" else item["split"]
            if item["split"] == "train" and number % _HELD_OUT == 0:
                item["split"] = "valid"
        with (folder / "tasks" / f"{task}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(items[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(items)
        paths |= {item["path"] for item in items}
    (data / "ablation.m3u").write_text("".join(f"{p}\n" for p in sorted(paths)), encoding="utf-8")


def run(name: str, changes: dict, seed: int, home: pathlib.Path, folder: pathlib.Path) -> None:
    """Trains, embeds and probes one row with one seed; what is there already stays."""
    model, embedded = folder / "models" / name / str(seed), folder / "embeddings" / name / str(seed)
    settings = [f"{path}={json.dumps(value)}" for path, value in changes.items()]
    settings += [f"Constants.RECORDS={home / 'records'}", f"Trainer.seed={seed}", *FLAGS.set]
    sets = [argument for setting in settings for argument in ("--set", setting)]
    recipe = CONFIGS / FLAGS.scale / "contrastive.yaml"
    command("mar.train", "--config", recipe, "--output", model, *sets)
    command("mar.embed", "--model", model, "--output", embedded, home / "data" / "ablation.m3u")
    tasks = [argument for t in TASKS for argument in ("--task", folder / "tasks" / f"{t}.csv")]
    output = "--output", folder / "results", "--model", f"{name}-{seed}"
    command("mar.probe", *tasks, "--embeddings", embedded, *output, "--resamples", "0")


def command(module: str, *arguments: object) -> None:
    """Runs a command of this package; ends where it fails."""
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True)


def read(folder: pathlib.Path, rows: Iterable[str]) -> dict[str, list[dict[str, float]]]:
    """Scores and `minutes` of each seed of the rows that have any, by the rows' names."""
    found: dict[str, list[dict[str, float]]] = {}
    for name in rows:
        for model in sorted((folder / "models" / name).glob("*")):
            scores = _scores(folder / "results", f"{name}-{model.name}")
            if len(scores) == len(TASKS):
                found.setdefault(name, []).append({**scores, "minutes": _minutes(model)})
    return found


def markdown(found: dict[str, list[dict[str, float]]]) -> str:
    """The table: means over the seeds, and below the standard deviation of a seed."""
    columns = [*TASKS, "minutes"]
    lines = [["row", "seeds", *columns], ["---", *["--:"] * (1 + len(columns))]]
    deviations: dict[str, list[float]] = {column: [] for column in columns}
    for name, seeds in found.items():
        values = {column: [scores[column] for scores in seeds] for column in columns}
        lines.append([name, str(len(seeds)), *(f"{np.mean(v):.3f}" for v in values.values())])
        if len(seeds) > 1:
            for column, v in values.items():
                deviations[column].append(float(np.var(v, ddof=1)))
    if any(deviations.values()):
        pooled = (f"{np.sqrt(np.mean(v)):.3f}" for v in deviations.values())
        lines.append(["standard deviation of a seed", "", *pooled])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _scores(results, model):
    """The score of each task that was probed."""
    scores = {}
    for task, metric in TASKS.items():
        path = results / task / model / "0" / "result.json"
        if path.exists():
            facts = json.loads(path.read_text(encoding="utf-8"))
            scores[task] = facts["test"][metric]["value"]
    return scores


def _minutes(model):
    """What pre-training took, from its median rate."""
    card = json.loads((model / "model_card.json").read_text(encoding="utf-8"))
    snippets = card["steps"] * card["batch_size"] * 2
    return snippets / card["snippets_per_second"] / 60


if __name__ == "__main__":
    app.run(main)
