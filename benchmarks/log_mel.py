"""Log-mel spectrograms of three minutes at 16 kHz, at equal output.

python -m benchmarks.log_mel [--rounds 7]

Beside librosa, as the published program has it, and the front end of mule-torch.
"""

import pathlib
import tempfile

import librosa
import numpy as np
from absl import app, flags

from benchmarks import contest, environments, golden
from mar.audio.logmel import LogMel

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 7, "Turns of each.")
RATE, SECONDS = 16000, 180


def by_librosa(samples: np.ndarray) -> np.ndarray:
    """What our front end computes, in librosa's words."""
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=RATE,
        n_fft=2048,
        win_length=400,
        hop_length=160,
        pad_mode="reflect",
        n_mels=96,
        fmax=8000,
        htk=True,
        norm=2.0,
    )
    return np.log10(10000 * mel.T + 1)


def main(_):
    noise = np.random.default_rng(0).standard_normal(RATE * SECONDS).astype(np.float32)
    samples = 0.3 * (np.cumsum(noise) % 2 - 1)  # neither silence nor white
    front_end = LogMel()

    def ours():
        return np.concatenate(list(front_end.stream_blocks([samples])))

    expected = by_librosa(samples)
    np.testing.assert_allclose(ours(), expected, atol=2e-4)
    with tempfile.TemporaryDirectory() as place, golden.model(None) as model:
        folder = pathlib.Path(place)
        weights = environments.mule_torch_weights(model, folder)
        np.save(folder / "samples.npy", samples)
        arguments = ("log_mel", weights, folder / "samples.npy", folder / "log_mel.npy")
        with contest.program(environments.mule_torch(*arguments)) as mule_torch:
            its = np.load(folder / "log_mel.npy").squeeze().T
            np.testing.assert_allclose(its[: len(expected)], expected, atol=2e-3)
            contest.run(
                "log-mel",
                "Log-mel spectrogram of three minutes of samples",
                {"mar": ours, "librosa": lambda: by_librosa(samples), "mule-torch": mule_torch},
                aims={"librosa": 1.5, "mule-torch": 1.5},
                rounds=FLAGS.rounds,
                work=SECONDS,
                unit="seconds of audio",
            )


if __name__ == "__main__":
    app.run(main)
