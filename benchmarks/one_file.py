"""One file of three minutes, from a command's start to its end, beside other programs.

    python -m benchmarks.one_file [--model MODEL.keras] [--minutes 3] [--rounds 1]

MODEL is a published `.keras` file; without it the weights are those of the tests. The others are
sxmp-mule (the published program) and mule-torch, in environments of their own
(benchmarks/environments.py), with the same weights. Ours is beside itself with the exported model.
"""

import pathlib
import sys
import tempfile

from absl import app, flags

import mar
from benchmarks import contest, environments, golden
from benchmarks.audio import song
from mar.onnx import exporting

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A published .keras file.")
flags.DEFINE_float("minutes", 3.0, "Length of the file.")
flags.DEFINE_integer("rounds", 1, "Turns of each.")


def main(_):
    with tempfile.TemporaryDirectory() as place, golden.model(FLAGS.model) as model:
        folder = pathlib.Path(place)
        path = song(folder / "song.mp3", FLAGS.minutes)
        published = pathlib.Path(environments.of_sxmp_mule()).parent / "mule"
        weights = environments.mule_torch_weights(model, folder)
        theirs = environments.mule_torch("files", weights, path)
        exported = folder / "model.onnx"
        exporting.write_onnx(exporting.Plan(mar.load_model(model)), exported)

        def analyze(model):
            config = golden.pipeline(model, folder)
            return ["analyze", "--config", config, "-i", path, "-o", folder / "output.npy"]

        ours = [sys.executable, "-m", "mar"]
        contest.run(
            "one-file",
            f"One file of {FLAGS.minutes:g} minutes, from start to end of a command",
            {
                "mar": lambda: contest.process([*ours, *analyze(model)]),
                "mar, ONNX Runtime": lambda: contest.process([*ours, *analyze(exported)]),
                "sxmp-mule": lambda: contest.process([published, *analyze(model)]),
                "mule-torch": lambda: contest.process(theirs, PYTHONPATH=str(contest.ROOT)),
            },
            aims={"sxmp-mule": 5.0, "mule-torch": 1.2},
            rounds=FLAGS.rounds,
            warm_up=False,
        )


if __name__ == "__main__":
    app.run(main)
