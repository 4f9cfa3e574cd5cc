"""How nearly the embedder gives what the published program gives, and what its resampler is worth.

    python benchmarks/agreement.py MODEL FILE… [--seconds 30]

Compares the first seconds of real music, through `mar.Embedder` and through the published program's
steps, written anew in tests/helpers/published_pipeline.py: the worst slice's cosine similarity,
plain and after the mean embedding was subtracted from both, and the largest log-mel difference.
"""

import pathlib
import sys
import tempfile

import numpy as np
import soundfile
from absl import app, flags

import mar
from mar.audio.logmel import PUBLISHED
from mar.embedding.network import Network

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
from helpers import published_pipeline

FLAGS = flags.FLAGS
flags.DEFINE_float("seconds", 30.0, "How much of each file.")


def main(argv):
    if len(argv) < 3:
        raise app.UsageError("expected a model and audio files")
    model = mar.load_model(argv[1])
    network = Network(model, 300)
    front_ends = {
        "kaiser_best": PUBLISHED,
        "soxr_hq": PUBLISHED.replace(resampler="soxr_hq"),
    }
    with tempfile.TemporaryDirectory() as folder:
        for path in argv[2:]:
            rate = soundfile.info(path).samplerate
            samples, _ = soundfile.read(path, frames=int(FLAGS.seconds * rate))
            soundfile.write(f"{folder}/excerpt.wav", samples, rate)
            frames = published_pipeline.log_mel(
                published_pipeline.waveform(f"{folder}/excerpt.wav")
            )
            slices, starts = published_pipeline.slices(frames)
            published = np.array(model(slices))
            for name, front_end in front_ends.items():
                ours = front_end.read(f"{folder}/excerpt.wav")
                embedded = network(np.stack([ours[start : start + 300] for start in starts]))
                plain, centred = published_pipeline.agreement(embedded, published)
                largest = np.abs(ours - frames).max()
                print(f"{name}: {plain:.6f}, centred {centred:.6f}, log-mel {largest:.4f}: {path}")


if __name__ == "__main__":
    app.run(main)
