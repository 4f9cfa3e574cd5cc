"""How time and memory grow: with files, their length, tracks in a manifest, labels, and replicas.

    python -m benchmarks.growth

Each size is a process of its own. The network has an eighth of its width where it is not the point.
The sizes and what they took are kept in benchmarks/results/growth.json.
"""

import json
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

from absl import app

from benchmarks import contest, records
from benchmarks.audio import song
from mar.models import saving
from mar.models.sfnfnet import SfNfNetF0

Point = tuple[float, contest.Cost]


def embedding(model: pathlib.Path, music: pathlib.Path, output: pathlib.Path) -> contest.Cost:
    command = [sys.executable, "-m", "mar.embed", "--model", model, "--output", output, music]
    return contest.process(command)


def files(folder: pathlib.Path, model: pathlib.Path) -> Iterator[Point]:
    """Files of five seconds."""
    for count in (100, 400, 1600):
        music = folder / f"{count} files"
        music.mkdir()
        song(music / "0.flac", 5 / 60)
        for number in range(1, count):
            (music / f"{number}.flac").symlink_to(f"{music}/0.flac")
        yield count, embedding(model, music, folder / f"of {count} files")


def minutes(folder: pathlib.Path, model: pathlib.Path) -> Iterator[Point]:
    """Length of one file."""
    for count in (10, 40, 160):
        path = folder / f"{count}.flac"
        song(path, count)
        yield count, embedding(model, path, folder / f"of {count} minutes")


def open_manifest(folder: str) -> float:
    from mar.records.reader import RecordReader

    return contest.timed(lambda: RecordReader(folder))[1]


def tracks(folder: pathlib.Path, _: pathlib.Path) -> Iterator[Point]:
    """Tracks in a manifest that is opened."""
    for count in (100_000, 400_000, 1_600_000):
        records.simulate(folder / f"{count} tracks", count, per_shard=36)
        yield count, contest.child(open_manifest, str(folder / f"{count} tracks"))


def probe_seconds(labels: int) -> float:
    from benchmarks import probe

    known = probe.examples(20_000, labels, one_hot=False)
    return probe.ours(probe.probe("MTT"), known).seconds


def labels(_: pathlib.Path, __: pathlib.Path) -> Iterator[Point]:
    """Labels of a probe, 500 steps."""
    for count in (50, 200, 800):
        yield count, contest.child(probe_seconds, count)


MEASURED: dict[str, Callable[[pathlib.Path, pathlib.Path], Iterator[Point]]] = {
    "files": files,
    "minutes of one file": minutes,
    "tracks in a manifest": tracks,
    "labels of a probe": labels,
}


def main(_):
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
