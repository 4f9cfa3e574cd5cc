"""What each augmentation and objective changes in the miniature, on its validation part.

    python -m examples.miniature.ablation paper noise [--scale quickstart] [--seed 0 --seed 1]

Each row of ablation.yaml changes the paper's contrastive recipe at the scale's size. It is trained
with every seed, then the tracks and notes of the parts for training and validation are embedded and
probed; the test part is not touched. Data and records are those of `make SCALE`.

The scores, the minutes that pre-training took and the machine are added to
examples/miniature/ablation/SCALE.csv, which is kept in the repository: what it has is not run
again, on whatever machine; delete the lines of a row that you change. An interrupted row resumes.
Minutes are comparable only between rows that ran with the same beside them, and are not printed.
All of the file is printed as a table: means over the seeds, and at the end how far apart the seeds
are.
"""

import csv
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import yaml
from absl import app, flags

from benchmarks import contest

FLAGS = flags.FLAGS
flags.DEFINE_enum("scale", "miniature", ["quickstart", "miniature"], "Recipe, and folder.")
flags.DEFINE_string("folder", None, "Of the scale, as make left it; by default the scale's name.")
flags.DEFINE_multi_integer("seed", [0, 1], "Of pre-training; repeatable.", lower_bound=0)
HERE = pathlib.Path(__file__).parent
CONFIGS, ROWS, KEPT = HERE / "configs", HERE / "ablation.yaml", HERE / "ablation"
TASKS = {  # and what each is measured by
    **{"key": "weighted", "instrument": "accuracy", "genre": "accuracy"},
    **{"meter": "balanced_accuracy", "tempo": "r2", "pitch": "accuracy"},
}
COLUMNS = ["row", "seed", *TASKS, "minutes", "machine"]
_HELD_OUT = 10  # of so many tracks one sets the probes' thresholds


def main(argv: list[str]) -> None:
    rows = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    names = argv[1:]
    unknown = [name for name in names if name not in rows]
    if unknown or not names:
        raise app.UsageError(f"expected some of {', '.join(rows)}, got {unknown or 'none'}")
    home = pathlib.Path(FLAGS.folder or FLAGS.scale)
    if not (home / "data").is_dir():
        raise app.UsageError(f"{home}: expected what `make {FLAGS.scale}` leaves; run that first")
    folder, kept = home / "ablation", KEPT / f"{FLAGS.scale}.csv"
    write_tasks(home / "data", folder)
    for seed in FLAGS.seed:
        for name in names:
            seeds = {run["seed"] for run in read(kept) if run["row"] == name}
            is_kept = str(seed) in seeds or (rows[name] is None and seeds)  # which has no seed
            if not is_kept:
                add(kept, run(name, rows[name], seed, home, folder))
    print(markdown(read(kept), list(rows)), end="")


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


def run(
    name: str, changes: dict | None, seed: int, home: pathlib.Path, folder: pathlib.Path
) -> dict[str, object]:
    """Trains, embeds and probes one row with one seed: its line of the kept file.

    What is there of the row already stays. Without changes the row is a model of that name.
    """
    trained, embedded = (folder / of / name / str(seed) for of in ("models", "embeddings"))
    minutes = 0.0
    if changes is not None:
        settings = [f"{path}={json.dumps(value)}" for path, value in changes.items()]
        settings += [f"Constants.RECORDS={home / 'records'}", f"Trainer.seed={seed}"]
        sets = [argument for setting in settings for argument in ("--set", setting)]
        recipe = CONFIGS / FLAGS.scale / "contrastive_paper.yaml"
        command("mar.train", "--config", recipe, "--output", trained, *sets)
        minutes = _minutes(trained)
    model = name if changes is None else trained
    command("mar.embed", "--model", model, "--output", embedded, home / "data" / "ablation.m3u")
    tasks = [argument for t in TASKS for argument in ("--task", folder / "tasks" / f"{t}.csv")]
    output = "--output", folder / "results", "--model", f"{name}-{seed}"
    command("mar.probe", *tasks, "--embeddings", embedded, *output, "--resamples", "0")
    scores = _scores(folder / "results", f"{name}-{seed}")
    return {"row": name, "seed": seed, **scores, "minutes": minutes, "machine": contest.machine()}


def command(module: str, *arguments: object) -> None:
    """Runs a command of this package; ends where it fails."""
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True)


def add(kept: pathlib.Path, line: dict[str, object]) -> None:
    """Adds a line to the kept file, at once, as several rows may run beside each other."""
    kept.parent.mkdir(exist_ok=True)
    new = not kept.exists()
    with kept.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        rounded = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in line.items()}
        writer.writerow(rounded)


def read(kept: pathlib.Path) -> list[dict[str, str]]:
    """The lines of the kept file."""
    if not kept.exists():
        return []
    with kept.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def markdown(runs: Sequence[dict[str, str]], names: Sequence[str]) -> str:
    """The table: means over the seeds, and below the standard deviation of a seed."""
    lines = [["row", "seeds", *TASKS], ["---", *["--:"] * (1 + len(TASKS))]]
    variances = []
    for name in names:
        values = np.array(
            [[float(run[task]) for task in TASKS] for run in runs if run["row"] == name]
        )
        if len(values):
            lines.append([name, str(len(values)), *(f"{mean:.3f}" for mean in values.mean(0))])
        if len(values) > 1:
            variances.append(values.var(0, ddof=1))
    if variances:
        pooled = (f"{deviation:.3f}" for deviation in np.sqrt(np.mean(variances, 0)))
        lines.append(["standard deviation of a seed", "", *pooled])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _scores(results: pathlib.Path, model: str) -> dict[str, float]:
    """The score of each task."""
    scores = {}
    for task, metric in TASKS.items():
        text = (results / task / model / "0" / "result.json").read_text(encoding="utf-8")
        scores[task] = json.loads(text)["test"][metric]["value"]
    return scores


def _minutes(model: pathlib.Path) -> float:
    """What pre-training took, from its median rate."""
    from mar.training.trainer import Trainer

    card = json.loads((model / "model_card.json").read_text(encoding="utf-8"))
    trainer = Trainer.load(model / "configuration.yaml")
    of_a_pair = len(trainer.objective.views) + trainer.objective.hard_negatives(trainer.dataset)
    snippets = card["steps"] * card["batch_size"] * of_a_pair
    return snippets / card["snippets_per_second"] / 60 if snippets else 0.0


if __name__ == "__main__":
    app.run(main)
