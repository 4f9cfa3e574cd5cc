"""What is wrong with a file's audio, told by decoding all of it.

What is refused is decided where it is decoded; here are the limits of what is accepted, but ought
to be listened to.
"""

from collections.abc import Generator, Iterable
from typing import NamedTuple

import numpy as np

from mar.audio import decode, readers
from mar.errors import InputError

SILENT_DECIBELS = -60.0  # of full scale: the noise of 16-bit samples stays below
FULL_SCALE, CLIPPED_RUN, CLIPPED_SHARE = 0.999, 3, 1e-3  # samples in a row; share of all samples
LARGEST_OFFSET = 0.02
LOUDEST = 10.0  # lossy codecs overshoot, but not that far; integers were written as floats
SHORTEST_SECONDS = 3.0  # of a window

_REFUSALS = {  # the first that fits
    readers.Truncated: "truncated",
    readers.Damaged: "damaged",
    readers.NotFinite: "not finite",
    InputError: "unreadable",
}
SILENT = 10 ** (SILENT_DECIBELS / 20)


class Problem(NamedTuple):
    """One thing that is wrong: its kind, and what there is to say of it."""

    kind: str
    detail: str


class Measures(NamedTuple):
    """What the samples of a file are like; full scale is 1.

    Attributes:
        seconds: of audio.
        peak: largest magnitude of the mean of the channels.
        channel_peak: largest magnitude of a channel.
        clipped: share of all channels' samples that are at full scale, `CLIPPED_RUN` or more in a
            row.
        offset: magnitude of the mean of all samples.
    """

    seconds: float
    peak: float
    channel_peak: float
    clipped: float
    offset: float


def measured(path: decode.Path) -> Generator[np.ndarray, None, decode.Condition]:
    """Measures the blocks of a file; raises and returns as `mar.audio.decode.blocks` does.

    Yields:
        float64 `(6,)` of each block, see `combined`.
    """
    rows: list[np.ndarray] = []

    def observe(block: np.ndarray, rate: int) -> None:
        mono = decode.mix(block)
        peak, channel_peak = (float(np.abs(x).max(initial=0.0)) for x in (mono, block))
        total = block.sum(dtype=np.float64)
        rows.append(
            np.array([len(block) / rate, block.size, _clipped(block), total, peak, channel_peak])
        )

    blocks = decode.blocks(path, observe=observe)
    while True:
        try:
            next(blocks)
        except StopIteration as end:
            yield from rows
            return end.value
        yield from rows
        rows.clear()


def combined(rows: Iterable[np.ndarray]) -> Measures:
    """The `Measures` of a file.

    Args:
        rows: of its blocks: seconds, samples, clipped samples, sum of the samples, peak and channel
            peak.
    """
    table = np.array(list(rows))
    seconds, samples, clipped, total = table[:, :4].sum(axis=0)
    peak, channel_peak = table[:, 4:].max(axis=0)
    shares = clipped / samples, abs(total) / samples
    return Measures(*map(float, (seconds, peak, channel_peak, *shares)))


def problems(measures: Measures, condition: decode.Condition) -> list[Problem]:
    """What is wrong with a file that could be decoded."""
    found = []
    if condition.damaged_seconds:
        seconds = f"{condition.damaged_seconds:.2f} s"
        found.append(Problem("damaged", f"{seconds} could not be decoded and are left out"))
    found += [Problem("changes", note) for note in condition.notes]
    if measures.channel_peak < SILENT:
        found.append(Problem("silent", f"no sample is above {SILENT_DECIBELS:.0f} dB"))
    elif measures.peak < SILENT:
        found.append(Problem("silent", "the channels cancel each other out in their mean"))
    if measures.channel_peak > LOUDEST:
        peak = f"{measures.channel_peak:.4g}"
        found.append(Problem("loud", f"the largest sample is {peak}, where full scale is 1"))
    elif measures.clipped > CLIPPED_SHARE:
        share = f"{measures.clipped:.1%} of the samples"
        found.append(Problem("clipped", f"{share} are at full scale, in runs"))
    if LARGEST_OFFSET < measures.offset <= LOUDEST:
        found.append(Problem("offset", f"the mean of the samples is {measures.offset:.3f}, not 0"))
    if measures.seconds < SHORTEST_SECONDS:
        seconds = f"{measures.seconds:.2f} s are less than a window"
        found.append(Problem("short", f"{seconds} of {SHORTEST_SECONDS:.0f} s"))
    return found


def refusal(error: InputError, path: decode.Path) -> Problem:
    """What is wrong with a file that could not be decoded."""
    kind = next(kind for refused, kind in _REFUSALS.items() if isinstance(error, refused))
    return Problem(kind, str(error).removeprefix(f"{decode.shown(path)}: "))


def _clipped(block: np.ndarray) -> int:
    """How many samples are at full scale in runs; single ones are only loud.

    Of a channel 1 1 0 1 1 1 1 the last four.
    """
    at = np.abs(block) >= FULL_SCALE
    places = len(block) - CLIPPED_RUN + 1
    if places < 1 or not np.any(at):
        return 0
    begins = np.lib.stride_tricks.sliding_window_view(at, CLIPPED_RUN, axis=0).all(axis=-1)
    in_run = np.zeros_like(at)
    for shift in range(CLIPPED_RUN):
        in_run[shift : shift + places] |= begins
    return int(in_run.sum())
