"""One file of three minutes, from a command's start to its end, beside other programs.

    python -m benchmarks.one_file --model MODEL.keras [--rounds 3]

MODEL is a published `.keras` file. sxmp-mule (1.1.2) is the published program; mule-torch (0.2)
leaves reading and resampling to its users: soundfile and soxr here. Both have environments of their
own (benchmarks/environments.py), and the same weights.
"""

import pathlib
import sys
import tempfile

from absl import app, flags

from benchmarks import contest, environments, row_mule_torch
from benchmarks.audio import song

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A published .keras file.", required=True)
flags.DEFINE_integer("rounds", 3, "Turns of each.")
CONFIG = environments.ROOT / "tests/data/published/configs/mule_embedding_timeline.yml"
BY_MULE_TORCH = """
import sys, numpy as np, soundfile, soxr, torch
from mule_torch import MuleModel
model = MuleModel.from_pretrained(model_dir=sys.argv[1]).eval()
samples, rate = soundfile.read(sys.argv[2], dtype="float32", always_2d=True)
samples = soxr.resample(samples.mean(axis=1), rate, 16000)
with torch.no_grad():
    np.save(sys.argv[3], np.asarray(model.embed_timeline(torch.tensor(samples)[None])))
"""


def main(_):
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        path = song(folder / "song.mp3", 3)
        config = folder / "mule.yml"
        described = CONFIG.read_text(encoding="utf-8")
        config.write_text(
            described.replace("./supporting_data/model/model.keras", str(FLAGS.model))
        )
        published = pathlib.Path(environments.of_sxmp_mule()).parent / "mule"
        torch = environments.of_mule_torch()
        row_mule_torch.convert(FLAGS.model, str(folder / "torch"), "--python", torch)
        analyze = ["analyze", "--config", config, "-i", path, "-o"]
        contest.run(
            "one-file",
            "One file of three minutes, from start to end",
            {
                "mar": lambda: contest.process(
                    [sys.executable, "-m", "mar", *analyze, folder / "ours.npy"]
                ),
                "sxmp-mule": lambda: contest.process([published, *analyze, folder / "theirs.npy"]),
                "mule-torch": lambda: contest.process(
                    [torch, "-c", BY_MULE_TORCH, folder / "torch", path, folder / "torch.npy"]
                ),
            },
            aims={"sxmp-mule": 5.0, "mule-torch": 1.2},
            rounds=FLAGS.rounds,
        )


if __name__ == "__main__":
    app.run(main)
