"""An encoder of a few lines of NumPy: the level of octaves, 20 times a second.

As a function, and as a program:

    mar embed --model examples.encoders.spectrum:encode --output emb/ MUSIC
    mar embed --model 'command:python spectrum.py?sample_rate=16000' --output emb/ MUSIC
"""

import sys

import numpy as np
import soundfile

_RATE, _FRAME, _EDGES = 16000, 800, 2 ** np.arange(9)  # 50 ms, in which a line is 20 Hz


def encode(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(times, frames)` of a waveform `(samples,)`: decibels of eight octaves from 20 Hz on."""
    frames = waveform[: len(waveform) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power = np.abs(np.fft.rfft(frames * np.hanning(_FRAME))) ** 2
    octaves = np.add.reduceat(power, _EDGES, axis=1)[:, :-1]
    times = (np.arange(len(frames)) + 0.5) * _FRAME / _RATE
    return times, 10 * np.log10(octaves + 1e-10)


encode.sample_rate = _RATE  # type: ignore[attr-defined]


def main(audio: str, output: str) -> None:
    """Encodes one WAV file into an .npz file."""
    samples, _ = soundfile.read(audio, dtype="float32")
    times, frames = encode(samples)
    np.savez(output, embedding=frames, timestamps=times)


if __name__ == "__main__":
    main(*sys.argv[1:])
