"""Resampling of streams: the result does not depend on how they are cut into blocks.

Resamplers have librosa's names (`res_type`):

    soxr_hq      libsoxr, flat up to 91 % of the lower Nyquist frequency
    kaiser_best  a Kaiser-windowed sinc as resampy 0.4 has it, 6 dB down at 92 %; the published
                 weights were made with it, and know the difference
"""

import itertools
import math
from typing import Literal

import numpy as np
import soxr

from mar.errors import ConfigError

Resampler = Literal["soxr_hq", "kaiser_best"]

# resampy 0.4's "kaiser_best": zero crossings on each side, shape of the window, cutoff.
_ZEROS, _BETA, _ROLLOFF = 50, 12.9846, 0.9173473712608761
_CHUNK_SECONDS = 1.0
_LARGEST = 10_000_000  # weights of one period of the two rates


def resample(mono_blocks, rate_in, rate_out, resampler="soxr_hq", via=None):
    """Resamples a stream of mono float32 blocks.

    Args:
        mono_blocks: arrays `(samples,)` of any sizes.
        rate_in, rate_out: Hz.
        resampler: "soxr_hq" or "kaiser_best".
        via: Hz, a rate that the stream is brought to before, by "soxr_hq"; or None.

    Yields:
        float32 arrays `(samples,)`.
    """
    if via is not None:
        yield from resample(resample(mono_blocks, rate_in, via), via, rate_out, resampler)
    elif rate_in == rate_out:
        yield from mono_blocks
    elif resampler == "soxr_hq":
        stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")
        for block in mono_blocks:
            yield stream.resample_chunk(block, last=False)
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
    else:
        yield from _kaiser_best(mono_blocks, rate_in, rate_out)


def _kaiser_best(mono_blocks, rate_in, rate_out):
    """Every `down` samples in give `up` samples out, by one matrix product."""
    divisor = math.gcd(rate_in, rate_out)
    up, down = rate_out // divisor, rate_in // divisor
    if up * down > _LARGEST:
        raise ConfigError(
            f"kaiser_best: expected rates in the ratio of small numbers, got {rate_in} to "
            f"{rate_out} Hz; set LogMel.via_rate, such as 44100"
        )
    taps = _taps(up, down)
    reach = (len(taps) - down) // 2
    # Products of one shape: their rounding does not depend on the blocks either.
    periods = max(1, round(_CHUNK_SECONDS * rate_in / down))
    needed = (periods - 1) * down + len(taps)
    held, taken, given = np.zeros(reach, np.float32), 0, 0
    for block in itertools.chain(mono_blocks, [None]):
        ended = block is None
        taken += 0 if ended else len(block)
        held = np.concatenate([held, np.zeros(needed, np.float32) if ended else block])
        while len(held) >= needed and given < (total := taken * up // down):
            windows = np.lib.stride_tricks.sliding_window_view(held[:needed], len(taps))[::down]
            chunk = (np.ascontiguousarray(windows) @ taps).ravel()
            if ended:
                chunk = chunk[: total - given]
            given += len(chunk)
            yield chunk
            held = held[periods * down :]
            if ended:
                held = np.concatenate([held, np.zeros(periods * down, np.float32)])


def _taps(up, down):
    """`(reach + down + reach, up)`: the weight of each sample in for each of `up` samples out."""
    scale = min(1.0, up / down)
    reach = math.ceil(_ZEROS / scale)
    centres = np.arange(up) * down / up
    x = np.abs(np.arange(-reach, down + reach)[:, None] - centres) * scale
    window = np.i0(_BETA * np.sqrt(np.maximum(1 - (x / _ZEROS) ** 2, 0))) / np.i0(_BETA)
    kernel = _ROLLOFF * np.sinc(_ROLLOFF * x) * window * (x <= _ZEROS)
    return (scale * kernel).astype(np.float32)
