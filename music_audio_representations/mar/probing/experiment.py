"""One run: a task, embeddings and a probe's configuration in, test scores out."""

import datetime
import functools
import hashlib
import json
import logging
import os
import pathlib
import time

import numpy as np

import mar
from mar.errors import InputError
from mar.probing import metrics, published, results
from mar.probing.probe import Examples, predict, report, train
from mar.probing.search import search
from mar.tasks.base import SPLITS, WINDOWS
from mar.util.atomic import make_folder

_MEMORY_SHARE = 0.6  # of what is available, that training examples may take
_COPIES = 2.2  # of the features: read, and on the device

logger = logging.getLogger("mar")


def run(
    task,
    embeddings,
    mlp,
    output,
    model,
    trials=0,
    seed=0,
    allow_missing=False,
    resamples=1000,
    progress=None,
):
    """Trains a probe, chosen by a search if asked for, and tests it once.

    Args:
        task: a `LoadedTask`.
        embeddings: open `Embeddings` of its audio.
        mlp: the `MLP`.
        output: the folder of all results; `<output>/<task>/<model>` and the task's tables are
            written there.
        model: name of what made the embeddings, the row in the tables.
        trials: of a search on the validation set; 0 trains the configuration as it is.
        seed: of the search, of training and of the bootstrap.
        allow_missing: whether to go on without the items that have no embedding.
        resamples: for the confidence intervals.
        progress: see `mar.probing.probe.train`.

    Returns:
        What `result.json` holds.

    Raises:
        InputError: embeddings are missing, or were made with other windows than the task's.
        ConfigError: the probe cannot be trained so.
    """
    check_windows(task, embeddings)
    paths, missing = find_audio(task, embeddings, allow_missing)
    folder = _begin(task, pathlib.Path(output), model, seed)
    known = {
        split: examples(task, embeddings, paths, split, mlp.windows, folder)
        for split in ("train", "valid")
    }
    trained = 0
    if trials:
        file, name = folder / "search.sqlite3", study_name(mlp, embeddings, paths, seed)
        objective = functools.partial(_validation_score, task, known, seed)
        mlp, _, trained = search(mlp, task.constraint, objective, file, name, trials, seed)
    started = time.perf_counter()
    probe = train(mlp, known["train"], batch_size(mlp, task), seed, progress)
    seconds = time.perf_counter() - started
    valid = report(mlp, probe, known["valid"]) | {
        name: value.value for name, value in score(task, mlp, probe, known["valid"]).items()
    }
    tested = examples(task, embeddings, paths, "test", mlp.windows, folder)
    predictions = predict(mlp, probe, tested)
    scores = metrics.evaluate(task.kind, tested.targets, predictions, task.labels, resamples, seed)
    facts = {
        "model": model,
        **_of_task(task, paths, tested.targets),
        **_of_training(mlp, task, embeddings),
        "missing": missing,
        "training_rows": len(known["train"].features),
        "seed": seed,
        "trials": trained,
        "probe_seconds": round(seconds, 3),
        "resamples": resamples,
        "valid": {name: results.known(value) for name, value in valid.items()},
        "test": results.aggregates(scores),
    }
    ids = np.array([task.data.ids[row] for row in present(task, paths, "test")])
    (folder / "result.json").unlink(missing_ok=True)  # of another probe than what follows
    mlp.write(folder / "config.yaml")
    probe.save(folder / "unfinished.keras")
    (folder / "unfinished.keras").replace(folder / "probe.keras")
    per_label = results.by_label(scores, task.labels, tested.targets)
    tested = results.Predictions(ids, tested.targets, predictions)
    results.write_run(folder, facts, per_label, tested)
    runs = [results.read_run(path.parent) for path in folder.parents[1].glob("*/*/result.json")]
    published.write_tables(runs, folder.parents[1])
    return facts


def _begin(task, output, model, seed):
    """The folder of the run, in which it can be written and does not meet another collection."""
    if model in ("", ".", "..") or "/" in model:
        raise InputError(f"model: expected a name, which becomes a folder's, got {model!r}")
    results.refuse_earlier_layout(output)
    folder = output / task.name / model / str(seed)
    make_folder(folder)
    for path in folder.parents[1].glob("*/*/result.json"):
        if results.read_run(path.parent).facts["items_sha256"] != items_hash(task):
            raise InputError(
                f"{folder.parents[1]}: holds results of another collection of the name "
                f"{task.name}, or of this one with other items or labels; give another --output, "
                f"or remove it"
            )
    return folder


def items_hash(task):
    """SHA-256 of a task's items, their parts and their labels."""
    items = task.data
    parts = json.dumps([items.ids, items.paths, items.splits, items.labels])
    targets = np.ascontiguousarray(items.targets)
    return hashlib.sha256(parts.encode() + targets.tobytes()).hexdigest()


def _of_task(task, paths, tested):
    """What a result says of its task."""
    undefined = metrics.undefined_labels(tested) if task.kind == "multilabel" else []
    return {
        "task": task.name,
        "protocol": "paper" if task.counts else "own",
        "kind": task.kind,
        "labels": task.labels,
        "undefined_labels": [task.labels[label] for label in undefined],
        "constant_guess": metrics.constant_guess(task.kind, tested, task.labels),
        "items": {split: len(present(task, paths, split)) for split in SPLITS},
        "items_sha256": items_hash(task),
    }


def _of_training(mlp, task, embeddings):
    """What a result says of how the probe was made."""
    return {
        "embeddings": embeddings.provenance,
        "pooling": "mean" if mlp.windows == "mean" else "windows",
        "config": mlp.resolved(),
        "config_sha256": mlp.hash(),
        "batch_size": batch_size(mlp, task),
        "steps": mlp.steps,
        "cpus": os.cpu_count(),
        "mar_version": mar.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def check_windows(task, embeddings):
    """Refuses NSynth's notes embedded with other windows than its own; warns elsewhere.

    Baselines that have no windows are taken as they are.
    """
    found = {key: embeddings.provenance.get(key) for key in WINDOWS}
    if found["window_seconds"] is None or _filled(found) == _filled(task.windows):
        return
    problem = (
        f"{embeddings.folder}: {task.name} expects windows of {_shown(task.windows)}, found "
        f"{_shown(found)}; embed with --task {task.name}"
    )
    if task.windows != WINDOWS:
        raise InputError(problem)
    logger.warning("%s", problem)


def _filled(windows):
    """Parameters of `mar.audio.windows.Windows` as numbers."""
    first = windows["first_centre_seconds"]
    return {**windows, "first_centre_seconds": windows["hop_seconds"] if first is None else first}


def _shown(windows):
    filled = _filled(windows)
    return (
        f"{filled['window_seconds']:g} s every {filled['hop_seconds']:g} s, the first around "
        f"{filled['first_centre_seconds']:g} s"
    )


def find_audio(task, embeddings, allow_missing=False):
    """Which embedded path is each item's, None where none is, and the number of missing items.

    Raises:
        InputError: some are missing and that is not allowed; or a whole split is.
    """
    paths = task.locate(embeddings.paths)
    failed = task.locate(embeddings.failures)
    absent = [row for row, path in enumerate(paths) if path is None]
    grave = [row for row in absent if task.data.ids[row] not in task.unreadable]
    for row in set(absent) - set(grave):
        logger.warning("%s: left out, known to be unreadable", task.data.ids[row])
    if grave:
        shown = ", ".join(
            f"{task.data.ids[row]}"
            + (f" ({embeddings.failures[failed[row]]})" if failed[row] else "")
            for row in grave[:5]
        )
        problem = (
            f"{embeddings.folder}: embeddings are missing for {len(grave)} of {len(paths)} items "
            f"of {task.name}, e.g. {shown}"
        )
        if not allow_missing:
            raise InputError(f"{problem}. Embed them, or go on without with --allow_missing")
        logger.warning("%s", problem)
    for split in SPLITS:
        if not len(present(task, paths, split)):
            raise InputError(
                f"{embeddings.folder}: no item of {task.name}'s {split} split is in it"
            )
    return paths, len(absent)


def present(task, paths, split):
    """Rows of a split whose audio was embedded."""
    return [row for row in task.rows(split) if paths[row] is not None]


def examples(task, embeddings, paths, split, windows, folder):
    """The `Examples` of one split; on the disk of `folder`, unseen there, where memory is short."""
    rows = present(task, paths, split)
    found = [paths[row] for row in rows]
    targets = task.data.targets[rows]
    count = len(found) if windows == "mean" else int(embeddings.window_counts(found).sum())
    size = 4 * count * embeddings.dimensions
    fits = _COPIES * size < _MEMORY_SHARE * available_bytes()
    if windows == "mean":
        return Examples(embeddings.means(found), targets, resident=fits)
    features, items = embeddings.windows(found, None if fits else folder)
    return Examples(features, targets, items, resident=fits)


def batch_size(mlp, task):
    """Of the configuration, or of Table 2."""
    return mlp.batch_size or task.batch


def score(task, mlp, probe, known):
    """The task's metrics of a probe, without confidence intervals."""
    predictions = predict(mlp, probe, known)
    return metrics.evaluate(task.kind, known.targets, predictions, task.labels, resamples=0)


def study_name(mlp, embeddings, paths, seed):
    """Of a search: all that its trials depend on."""
    parts = [mlp.hash(), json.dumps([embeddings.provenance, paths, seed], sort_keys=True)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def available_bytes():
    """Memory that can be used without swapping."""
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        name, value = line.split(":")
        if name == "MemAvailable":
            return 1024 * int(value.split()[0])
    return 0


def _validation_score(task, known, seed, candidate):
    """What a search maximises: the task's first metric on the validation set."""
    probe = train(candidate, known["train"], batch_size(candidate, task), seed)
    return score(task, candidate, probe, known["valid"])[task.metrics[0]].value
