"""A small folder as `make quickstart` leaves it, of known numbers, for the tests that share it."""

import csv
import json

import numpy as np
import soundfile

from helpers.probe_runs import write_run
from helpers.signals import music
from helpers.small_embeddings import write_store
from mar.tasks.base import one_hot

TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
LABELS = {
    "key": [f"{tonic} {mode}" for tonic in TONICS for mode in ("major", "minor")],
    "instrument": ["brass", "guitar", "organ", "piano", "reed"],
    "genre": ["chorale", "jig", "reel", "waltz"],
    "meter": ["duple", "compound duple"],
}
NOISE = {  # of the embeddings and of the probes' predictions
    "supervised": {"key": 0.7, "instrument": 0.3, "genre": 0.3, "meter": 0.5, "tempo": 0.2},
    "contrastive": {"key": 0.35, "instrument": 0.6, "genre": 0.6, "meter": 0.6, "tempo": 0.18},
    "random": {"key": 1.2, "instrument": 0.9, "genre": 0.9, "meter": 0.9, "tempo": 0.3},
    "logmel_mean": {"key": 0.3, "instrument": 0.4, "genre": 0.8, "meter": 0.8, "tempo": 0.22},
}


def write_miniature(folder, tracks=60, seconds=6.0):
    """Writes data, embeddings, results and logs; a third of the tracks is the test part.

    Returns:
        The rows of `tracks.csv`, dictionaries.
    """
    rows = [_track(number) for number in range(tracks)]
    (folder / "data" / "tasks").mkdir(parents=True)
    (folder / "data" / "tracks").mkdir()
    _write_csv(folder / "data" / "tracks.csv", rows)
    for number, row in enumerate(rows):
        if row["split"] == "test":
            samples = music(seconds, 16000, 1, number)
            soundfile.write(folder / "data" / row["path"], samples, 16000)
    for model, noise in NOISE.items():
        generator = np.random.default_rng(sum(map(ord, model)))
        targets = {name: one_hot([row[name] for row in rows], LABELS[name]) for name in LABELS}
        targets["tempo"] = np.log([[float(row["tempo_bpm"])] for row in rows])
        noisy = {
            name: values + noise[name] * generator.standard_normal(values.shape)
            for name, values in targets.items()
        }
        vectors = np.concatenate(list(noisy.values()), axis=1)
        timelines = {row["path"]: v[None] for row, v in zip(rows, vectors, strict=True)}
        timelines["notes/0000.flac"] = np.zeros((1, vectors.shape[1]))
        write_store(folder / "embeddings" / model, timelines, model=model)
        test = [number for number, row in enumerate(rows) if row["split"] == "test"]
        for name in targets:
            run = rows, test, targets[name]
            _write_run(folder / "results", name, model, *run, noisy[name])
            for seed in (1, 2):
                other = noisy[name] + 0.1 * generator.standard_normal(noisy[name].shape)
                _write_run(folder / "results", name, model, *run, other, seed)
    for model in ("supervised", "contrastive"):
        _write_logs(folder / "models" / model)
    return rows


def _track(number):
    """A track; labels cycle at different paces, so that none tells another."""
    return {
        "id": f"{number:04d}",
        "path": f"tracks/{number:04d}.flac",
        "title": f"Tune No. {number} <in C & D>",
        "split": ("train", "valid", "test")[number % 3],
        "group": number,
        **{name: LABELS[name][number // 3 * pace % len(LABELS[name])]
           for name, pace in (("key", 5), ("instrument", 2), ("genre", 1))},
        "meter": LABELS["meter"][number // 3 % 5 == 0],
        "tempo_bpm": f"{60 + number * 37 % 90}",
    }  # fmt: skip


def _write_run(folder, task, model, rows, test, targets, predictions, seed=0):
    write_run(
        *(folder, task, model),
        {"tempo": "regression", "key": "key"}.get(task, "multiclass"),
        targets[test],
        predictions[test],
        LABELS.get(task, ["target"]),
        np.array([rows[number]["path"] for number in test]),
        seed,
    )


def _write_logs(folder):
    folder.mkdir(parents=True)
    with open(folder / "metrics.jsonl", "w", encoding="utf-8") as file:
        for step in range(10, 510, 10):
            loss = 3 * np.exp(-step / 200) + 0.5
            numbers = {"loss": loss, "learning_rate": 1e-3, "snippets_per_second": 40.0}
            file.write(json.dumps({"step": step, "part": "train", **numbers}) + "\n")
            if step % 100 == 0:
                record = {"step": step, "part": "validation", "loss": loss + 0.2}
                file.write(json.dumps(record) + "\n")


def _write_csv(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
