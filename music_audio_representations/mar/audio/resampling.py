"""Resampling of streams: the result does not depend on how they are cut into blocks.

Resamplers have librosa's names (`res_type`):

    soxr_hq      libsoxr, flat up to 91 % of the lower Nyquist frequency
    kaiser_best  a Kaiser-windowed sinc as in resampy 0.4, 6 dB down at 92 %; the published weights
                 were made with it, and their embeddings change with another
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import soxr

from mar.errors import ConfigError

Resampler = Literal["soxr_hq", "kaiser_best"]

# resampy 0.4's "kaiser_best": zero crossings on each side, shape of the window, cutoff.
_ZEROS, _BETA, _ROLLOFF = 50, 12.9846, 0.9173473712608761
_CHUNK_SECONDS = 1.0
_LARGEST = 10_000_000  # weights of one period of the two rates


def resample(
    mono_blocks: Iterable[np.ndarray],
    rate_in: int,
    rate_out: int,
    resampler: Resampler = "soxr_hq",
    via: int | None = None,
) -> Iterator[np.ndarray]:
    """Resamples a stream of mono float32 blocks.

    Args:
        mono_blocks: arrays `(samples,)` of any sizes.
        rate_in, rate_out: Hz.
        resampler: "soxr_hq" or "kaiser_best".
        via: Hz, a rate that "soxr_hq" brings the stream to first; or None.

    Yields:
        float32 arrays `(samples,)`.

    Raises:
        ConfigError: "kaiser_best" cannot resample between these rates.
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


def _kaiser_best(
    mono_blocks: Iterable[np.ndarray], rate_in: int, rate_out: int
) -> Iterator[np.ndarray]:
    """Every `down` samples in give `up` samples out, by one matrix product.

    From 44,100 to 16,000 Hz, a period is down = 441 samples in and up = 160 out, and each sample
    out is a sum over reach = 138 samples in before and after it, so that a period needs
    138 + 441 + 138 = 717. A chunk is 100 periods of one second in all: windows `(100, 717)`, one
    every 441 samples, times taps `(717, 160)` are 16,000 samples out. 99 · 441 + 717 = 44,376
    samples are held for that, of which the last 276 are needed again.
    """
    divisor = math.gcd(rate_in, rate_out)
    up, down = rate_out // divisor, rate_in // divisor
    if up * down > _LARGEST:
        raise ConfigError(
            f"kaiser_best: expected rates in the ratio of small numbers, got {rate_in} to "
            f"{rate_out} Hz; set LogMel.via_rate, such as 44100"
        )
    taps = _taps(up, down)
    reach = (len(taps) - down) // 2
    # All products have one shape, so that not even their rounding depends on the blocks.
    periods = max(1, round(_CHUNK_SECONDS * rate_in / down))
    needed = (periods - 1) * down + len(taps)
    # Silence precedes the stream and follows it.
    held, taken, given = np.zeros(reach, np.float32), 0, 0
    for block in itertools.chain(mono_blocks, [None]):
        ended = block is None
        taken += 0 if block is None else len(block)
        held = np.concatenate([held, np.zeros(needed, np.float32) if block is None else block])
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


def _taps(up: int, down: int) -> np.ndarray:
    """Weight of each sample in for each of `up` samples out, float32 `(reach + down + reach, up)`.

    From 3 to 2 samples (up = 2, down = 3) the outputs lie at 0 and 1.5 samples in; the kernel is
    stretched by 1 / scale = 1.5 to remove what 2 samples cannot hold, and reaches over 50 · 1.5 =
    75 samples on each side. So the taps are `(153, 2)`; row 75 is the sample in at 0, at distance
    0 from the first output and 1.5 · scale = 1 zero crossing from the second.
    """
    scale = min(1.0, up / down)
    reach = math.ceil(_ZEROS / scale)
    centres = np.arange(up) * down / up
    x = np.abs(np.arange(-reach, down + reach)[:, None] - centres) * scale
    window = np.i0(_BETA * np.sqrt(np.maximum(1 - (x / _ZEROS) ** 2, 0))) / np.i0(_BETA)
    kernel = _ROLLOFF * np.sinc(_ROLLOFF * x) * window * (x <= _ZEROS)
    return (scale * kernel).astype(np.float32)
