"""From a command's start to its end, where it has next to nothing to do.

    python -m benchmarks.start [--rounds 3]

Beside a Python that does nothing, and one that imports TensorFlow: what is not theirs is ours.
"""

import functools
import itertools
import pathlib
import sys
import tempfile

import numpy as np
import soundfile
from absl import app, flags

import mar
from benchmarks import contest
from mar.models import saving

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 3, "Turns of each.")
MODEL = "logmel_mean"


def main(_):
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        music, stored = folder / "music", folder / "embeddings"
        music.mkdir()
        for number in range(3):
            noise = 0.1 * np.random.default_rng(number).standard_normal(48000)
            soundfile.write(music / f"{number}.wav", noise, 16000)
        mar.Embedder(MODEL).embed_folder(music, stored)
        network = folder / "network.keras"
        saving.save(mar.SfNfNetF0(width=0.125).build(300), network)
        numbers = itertools.count()
        commands = {
            "mar embed, one file of 3 s": lambda: [
                *("embed", "--model", network, "--output", folder / f"set {next(numbers)}"),
                music / "0.wav",
            ],
            "mar embed, nothing to do": lambda: [
                "embed",
                "--store=timeline",
                "--model",
                MODEL,
                "--output",
                stored,
                music,
            ],
            "mar similar, a stored track": lambda: ["similar", "--embeddings", stored, "0.wav"],
            "mar, its commands": lambda: [],
            "mar embed --help": lambda: ["embed", "--help"],
        }

        def of_command(arguments):
            return lambda: contest.process([sys.executable, "-m", "mar", *arguments()])

        contestants = {name: of_command(arguments) for name, arguments in commands.items()}
        for script in ("import tensorflow", "import mar", "pass"):
            contestants[f"python, {script}"] = functools.partial(
                contest.process, [sys.executable, "-c", script]
            )
        contest.run("start", "From start to end of a command", contestants, rounds=FLAGS.rounds)


if __name__ == "__main__":
    app.run(main)
