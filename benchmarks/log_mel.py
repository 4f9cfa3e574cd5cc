"""Log-mel spectrograms of three minutes at 16 kHz, at equal output.

python -m benchmarks.log_mel [--rounds 7]
"""

import librosa
import numpy as np
from absl import app, flags

from benchmarks import contest
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

    np.testing.assert_allclose(ours(), by_librosa(samples), atol=2e-4)
    contest.run(
        "log-mel",
        "Log-mel spectrogram of three minutes of samples",
        {"mar": ours, "librosa": lambda: by_librosa(samples)},
        aims={"librosa": 1.5},
        rounds=FLAGS.rounds,
        work=SECONDS,
        unit="seconds of audio",
    )


if __name__ == "__main__":
    app.run(main)
