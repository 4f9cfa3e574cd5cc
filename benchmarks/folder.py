"""A folder of files in many formats, from start to end, beside other programs.

    python -m benchmarks.folder [--model MODEL.keras] [--files 100] [--seconds 10]

Each embeds all files in one process, which loads the model once. MODEL is a published `.keras`
file; without it the weights are those of the tests. A single turn of each: they take minutes.
"""

import functools
import pathlib
import sys
import tempfile

from absl import app, flags

from benchmarks import contest, environments, golden
from benchmarks.audio import song

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A published .keras file.")
flags.DEFINE_integer("files", 100, "How many.")
flags.DEFINE_float("seconds", 10.0, "Length of each.")
FORMATS = ("wav", "mp3")  # sxmp-mule opens no others


def main(_):
    with tempfile.TemporaryDirectory() as place, golden.model(FLAGS.model) as model:
        folder = pathlib.Path(place)
        music = folder / "music"
        music.mkdir()
        paths = [
            song(music / f"{number}.{FORMATS[number % len(FORMATS)]}", FLAGS.seconds / 60, number)
            for number in range(FLAGS.files)
        ]
        weights = environments.mule_torch_weights(model, folder)
        commands = {
            "sxmp-mule": environments.sxmp_mule("files", golden.pipeline(model, folder), *paths),
            "mule-torch": environments.mule_torch("files", weights, *paths),
        }
        others = {
            name: functools.partial(contest.process, command, PYTHONPATH=str(contest.ROOT))
            for name, command in commands.items()
        }
        embed = ["embed", "--model", model, "--store=timeline", "--output", folder / "set", music]
        contest.run(
            "folder",
            f"A folder of {FLAGS.files} files of {FLAGS.seconds:g} s in {len(FORMATS)} formats",
            {
                "mar": lambda: contest.process([sys.executable, "-m", "mar", *embed]),
                **others,
            },
            aims={"sxmp-mule": 3.0, "mule-torch": 1.5},
            rounds=1,
            warm_up=False,
            work=FLAGS.files * FLAGS.seconds,
            unit="seconds of audio",
        )


if __name__ == "__main__":
    app.run(main)
