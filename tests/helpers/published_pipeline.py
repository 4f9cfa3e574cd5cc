"""What the published program computes, written anew with the libraries that it used.

16-bit samples at 44.1 kHz of all channels, over 2^16, summed; resampy's kaiser_best to 16 kHz;
librosa's mel spectrogram; slices that are standardised one by one.
"""

import av
import librosa
import numpy as np
import resampy

FILE_RATE, RATE = 44100, 16000


def waveform(path):
    """`(samples,)` at 16 kHz."""
    channels = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        to_pcm = av.AudioResampler(format="s16p", rate=FILE_RATE)
        for frame in [*container.decode(stream), None]:
            channels += [piece.to_ndarray() for piece in to_pcm.resample(frame)]
    mono = (np.concatenate(channels, axis=1) / 2.0**16).sum(axis=0).astype(np.float32)
    return resampy.resample(mono, FILE_RATE, RATE, filter="kaiser_best")


def log_mel(samples):
    """`(frames, 96)`."""
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=RATE,
        n_fft=2048,
        hop_length=160,
        win_length=400,
        window="hann",
        center=True,
        pad_mode="reflect",
        power=2.0,
        n_mels=96,
        fmin=0.0,
        fmax=8000.0,
        htk=True,
        norm=2.0,
    )
    return np.log10(10000.0 * mel + 1.0).T.astype(np.float32)


def slices(frames, length=300, hop=200):
    """`(n, 96, 300, 1)`, standardised, and the frames at which they begin."""
    starts = []
    for centre in range(hop, len(frames), hop):
        starts.append(min(max(centre - length // 2, 0), len(frames) - length))
    out = []
    for start in starts:
        x = frames[start : start + length].T
        out.append((x - x.mean()) / max(x.std(), 0.01))
    return np.stack(out)[..., None], starts


def timeline(model, path):
    """`(n, dimensions)`."""
    return np.array(model(slices(log_mel(waveform(path)))[0]))


def agreement(ours, theirs):
    """The worst slice's cosine similarity, plain, and after the mean embedding was subtracted."""

    def worst(a, b):
        return ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()

    mean = theirs.mean(axis=0)
    return worst(ours, theirs), worst(ours - mean, theirs - mean)
