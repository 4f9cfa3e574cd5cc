"""What short pre-training learns from real recordings that it has not seen.

    apt-get download wesnoth-1.16-music warzone2100-music
    for package in *.deb; do dpkg -x $package music; done
    python benchmarks/real_music.py --music music --output real_music [--steps 400]

Writes TFRecords of the files below a folder and trains the quickstart's network both ways, with
the commands that a user gives; records that are there already are not written again. A third of the
tracks is kept for validation. A label is what files say themselves: the folder that they are in,
and the artist of their tags, where at least four have it. Prints the accuracy of finding the other
snippet of the same unseen track, and the macro average precision of the labels, before and after.
"""

import collections
import csv
import json
import pathlib
import subprocess
import sys

import av
import numpy as np
from absl import app, flags

from mar.data.pipelines import SnippetDataset

FLAGS = flags.FLAGS
flags.DEFINE_string("music", None, "Folder of audio files.", required=True)
flags.DEFINE_string("output", None, "Folder of the records and runs.", required=True)
flags.DEFINE_integer("steps", 400, "Steps of each run.")
ROOT = pathlib.Path(__file__).parents[1]
SUFFIXES = (".ogg", ".opus", ".mp3", ".flac", ".wav", ".m4a")
FEWEST = 4  # tracks of a label
CONFIGS = "examples/miniature/configs/quickstart"
WARMUP = 50  # steps, as the configurations have it
MEASURES = {"contrastive": "accuracy", "supervised": "average_precision"}


def described(music):
    """`{path: labels}` of the files that can be read."""
    found = {}
    for path in sorted(path for path in music.rglob("*") if path.suffix.lower() in SUFFIXES):
        with av.open(str(path)) as file:
            tags = {**file.metadata, **file.streams.audio[0].metadata}
        names = {name.lower(): value for name, value in tags.items()}
        labels = [f"folder {path.parent.name}"]
        if "artist" in names:
            labels.append(f"artist {names['artist']}")
        found[path.relative_to(music).as_posix()] = labels
    counts = collections.Counter(label for labels in found.values() for label in labels)
    return {
        path: [label for label in labels if counts[label] >= FEWEST]
        for path, labels in found.items()
    }


def parts(tracks):
    """`{part: paths}`: every third track of those with equal labels is for validation."""
    split, seen = {"train": [], "valid": []}, collections.Counter()
    order = sorted(tracks)
    np.random.default_rng(0).shuffle(order)
    for path in order:
        key = tuple(tracks[path])
        split["valid" if seen[key] % 3 == 2 else "train"].append(path)
        seen[key] += 1
    return split


def command(*arguments):
    subprocess.run([sys.executable, "-m", *map(str, arguments)], cwd=ROOT, check=True)


def write_records(music, output):
    tracks = described(music)
    vocabulary = output / "labels.txt"
    vocabulary.write_text("\n".join(sorted({x for labels in tracks.values() for x in labels})))
    for part, paths in parts(tracks).items():
        table = output / f"{part}.csv"
        with open(table, "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "path", "labels"])
            rows.writerows([path, path, "|".join(tracks[path])] for path in paths)
        places = ("--table", table, "--audio", music, "--output", output / "records" / part)
        command("tfrecord_tools.write", *places, "--vocabulary", vocabulary)


def score(kind, output, steps, tracks):
    """The last validation score of a run."""
    folder = output / f"{kind}_{steps}"
    dataset = {"contrastive": "PairDataset", "supervised": "SnippetDataset"}[kind]
    cosine = "Trainer.optimizer.ScoochAdam.schedule.WarmupSchedule.schedule.ScoochCosineDecay"
    settings = {
        "Constants.RECORDS": output / "records",
        "Trainer.steps": steps,
        f"Trainer.dataset.{dataset}.batch_size": 32,
        f"{cosine}.decay_steps": max(FLAGS.steps - WARMUP, 1),
    }
    if kind == "contrastive":  # one pair of each track, all in one batch
        settings[f"Trainer.validation.{dataset}.batch_size"] = tracks
    else:
        settings[f"Trainer.validation.{dataset}.windows_per_track"] = 8
    command(
        *("mar.train", "--config", f"{CONFIGS}/{kind}.yaml", "--output", folder),
        *(f"--set={name}={value}" for name, value in settings.items()),
    )
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line[MEASURES[kind]] for line in lines if line["part"] == "validation"][-1]


def main(_):
    music, output = (pathlib.Path(path).resolve() for path in (FLAGS.music, FLAGS.output))
    output.mkdir(parents=True, exist_ok=True)
    write_records(music, output)
    train, valid = (SnippetDataset(records=str(output / "records" / p)) for p in ("train", "valid"))
    rates = valid.manifest.multi_hot(valid.tracks).mean(axis=0)
    chance = {
        "contrastive": 1 / (2 * len(valid.tracks) - 1),
        "supervised": rates[(rates > 0) & (rates < 1)].mean(),
    }
    scores = {
        kind: [score(kind, output, steps, len(valid.tracks)) for steps in (0, FLAGS.steps)]
        for kind in MEASURES
    }
    print(
        f"{len(train.tracks)} tracks for training, {len(valid.tracks)} for validation, "
        f"{len(rates)} labels"
    )
    for kind, (before, after) in scores.items():
        print(
            f"{kind}: {MEASURES[kind]} {before:.3f} before, {after:.3f} after {FLAGS.steps} steps; "
            f"{chance[kind]:.3f} by chance"
        )


if __name__ == "__main__":
    app.run(main)
