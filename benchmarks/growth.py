"""How time and memory grow: with files, their length, tracks, labels, workers, and replicas.

    python -m benchmarks.growth [--divide 1]

Each size is a process of its own. The network has an eighth of its width where it is not the point.
The sizes and what they took are kept in benchmarks/results/growth.json.
"""

import csv
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

from absl import app, flags

from benchmarks import contest
from benchmarks.audio import song

FLAGS = flags.FLAGS
flags.DEFINE_integer("divide", 1, "Divisor of all sizes, to try this script.")
Point = tuple[float, contest.Cost]


def sizes(*whole: int) -> list[int]:
    return [max(1, size // FLAGS.divide) for size in whole]


def embedding(model: pathlib.Path, music: pathlib.Path, output: pathlib.Path) -> contest.Cost:
    command = [sys.executable, "-m", "mar.embed", "--model", model, "--output", output, music]
    return contest.process(command)


def files(folder: pathlib.Path, model: pathlib.Path) -> Iterator[Point]:
    """Files of five seconds."""
    for count in sizes(50, 200, 800):
        music = folder / f"{count} files"
        music.mkdir()
        song(music / "0.flac", 5 / 60)
        for number in range(1, count):
            (music / f"{number}.flac").symlink_to(f"{music}/0.flac")
        yield count, embedding(model, music, folder / f"of {count} files")


def minutes(folder: pathlib.Path, model: pathlib.Path) -> Iterator[Point]:
    """Length of one file."""
    for count in sizes(5, 20, 80):
        path = folder / f"{count}.flac"
        song(path, count)
        yield count, embedding(model, path, folder / f"of {count} minutes")


def open_manifest(folder: str) -> float:
    from mar.records.reader import RecordReader

    return contest.timed(lambda: RecordReader(folder))[1]


def tracks(folder: pathlib.Path, _: pathlib.Path) -> Iterator[Point]:
    """Tracks in a manifest that is opened."""
    from benchmarks import records

    for count in sizes(100_000, 400_000, 1_600_000):
        records.simulate(folder / f"{count} tracks", count, per_shard=36)
        yield count, contest.child(open_manifest, str(folder / f"{count} tracks"))


def probe_seconds(labels: int) -> float:
    from benchmarks import probe

    known = probe.examples(20_000, labels, one_hot=False)
    return probe.ours(probe.probe("MTT"), known).seconds


def labels(_: pathlib.Path, __: pathlib.Path) -> Iterator[Point]:
    """Labels of a probe, 500 steps."""
    for count in sizes(50, 200, 800):
        yield count, contest.child(probe_seconds, count)


def tracks_table(folder: pathlib.Path) -> pathlib.Path:
    """Forty files of half a minute, and the table of them."""
    rows = [("id", "path", "labels")]
    for number in range(max(4, 40 // FLAGS.divide)):
        path = song(folder / f"{number}.flac", 0.5, number)
        rows.append((str(number), path.name, "a"))
    with open(folder / "tracks.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "tracks.csv"


def writing(table: pathlib.Path, output: pathlib.Path, count: int) -> contest.Cost:
    command = [sys.executable, "-m", "tfrecord_tools.write", "--table", table, "--output", output]
    return contest.process([*command, "--workers", str(count)])


def workers(folder: pathlib.Path, _: pathlib.Path) -> Iterator[Point]:
    """Worker processes that write records of forty files of half a minute."""
    table = tracks_table(folder)
    for count in (1, 2, 4):
        yield count, writing(table, folder / f"by {count}", count)


def training_seconds(replicas: int, folder: str) -> float:
    """Of a step of 32 pairs, at the median rate that the trainer logs."""
    import tensorflow as tf

    from mar.training.trainer import Trainer

    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(cpu, devices)
    changes = ("strategy=mirrored", "steps=20", "log_every=10", "validation=null")
    trainer = Trainer.load(
        contest.ROOT / "configs" / "pretrain" / "small.yaml",
        [f"Constants.RECORDS={folder}/records", *(f"Trainer.{change}" for change in changes)],
    )
    run = pathlib.Path(folder) / f"by {replicas}"
    trainer.run(run)
    card = json.loads((run / "model_card.json").read_text(encoding="utf-8"))
    return 64 / card["snippets_per_second"]


def replicas(folder: pathlib.Path, _: pathlib.Path) -> Iterator[Point]:
    """Replicas on the same cores, among which the 32 pairs of a step are divided."""
    writing(tracks_table(folder), folder / "records", 2)
    for count in (1, 2, 4):
        yield count, contest.child(training_seconds, count, str(folder))


MEASURED: dict[str, Callable[[pathlib.Path, pathlib.Path], Iterator[Point]]] = {
    "files": files,
    "minutes of one file": minutes,
    "tracks in a manifest": tracks,
    "labels of a probe": labels,
    "workers": workers,
    "replicas": replicas,
}


def main(_):
    from mar.models import saving  # Keras, which would count among the memory of its children
    from mar.models.sfnfnet import SfNfNetF0

    growth: dict[str, list[dict[str, float]]] = {}
    for what, measured in MEASURED.items():
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            model = folder / "model.keras"
            saving.save(SfNfNetF0(width=0.125).build(300), model)
            growth[what] = []
            for size, cost in measured(folder, model):
                point = {"size": size, "seconds": cost.seconds, "megabytes": cost.megabytes or 0.0}
                growth[what].append(point)
                print(
                    f"{what}: {size:,}  {cost.seconds:.2f} s, {cost.megabytes:,.0f} MB", flush=True
                )
    kept = {"machine": contest.machine(), "growth": growth}
    text = json.dumps(kept, indent=1) + "\n"
    (contest.RESULTS / "growth.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
