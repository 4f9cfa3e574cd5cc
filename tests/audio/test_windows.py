import numpy as np
import pytest

import mar
from mar.audio.windows import FrameWindows
from mar.errors import ConfigError


def cut(windows, frames, block):
    """All starts and snippets of `frames`, streamed in blocks."""
    blocks = (frames[at : at + block] for at in range(0, len(frames), block))
    starts, snippets = zip(*windows.cut(blocks), strict=True)
    assert all(len(group) for group in starts)
    return np.concatenate(starts), np.concatenate(snippets)


@pytest.mark.parametrize("frames", [300, 301, 399, 400, 401, 600, 1401, 18001])
def test_the_published_windows(frames):
    """Centres every 200 frames from the 200th on; moved inwards, never padded."""
    expected = [min(max(c - 150, 0), frames - 300) for c in range(200, frames, 200)]
    assert FrameWindows().starts(frames).numpy().tolist() == expected


WINDOWS = [
    FrameWindows(),
    FrameWindows(length=300, hop=5, first=5, before=150),
    FrameWindows(length=100, hop=100, first=50, before=50),
    FrameWindows(length=7, hop=50, first=0, before=3),
    FrameWindows(length=400, hop=400, first=200, before=200),
    FrameWindows(length=20, hop=3, first=3, before=20),
    FrameWindows(length=20, hop=3, first=90, before=0),
]


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("more", [0, 1, 17, 160, 1000])
@pytest.mark.parametrize("block", [1, 37, 1000])
def test_streamed_snippets_are_those_of_the_whole(windows, more, block):
    frames = np.arange(windows.length + more)[:, None] * np.ones(2)
    starts, snippets = cut(windows, frames, block)
    np.testing.assert_array_equal(starts, windows.starts(len(frames)))
    expected = frames[starts[:, None] + np.arange(windows.length)]
    np.testing.assert_array_equal(snippets, expected)


def test_memory_does_not_grow_with_the_stream():
    held = []

    def blocks():
        for _ in range(200):
            yield np.zeros((100, 1))

    for starts, snippets in FrameWindows().cut(blocks()):
        held.append(snippets.base.shape[0] if snippets.base is not None else len(snippets))
        assert len(starts) <= 3
    assert max(held) <= 1000


def test_settings_in_seconds():
    assert mar.Windows().in_frames(0.01) == FrameWindows()
    pitch = mar.Windows(window_seconds=1.0, hop_seconds=1.0, first_centre_seconds=0.5)
    assert pitch.in_frames(0.01).starts(401).numpy().tolist() == [0, 100, 200, 300]
    instrument = mar.Windows(window_seconds=4.0, hop_seconds=4.0, first_centre_seconds=2.0)
    assert instrument.in_frames(0.01).starts(401).numpy().tolist() == [0]
    with pytest.raises(ConfigError, match=r"Windows.hop_seconds: expected more than 0, got 0"):
        mar.Windows(hop_seconds=0.0)


def test_windows_much_longer_than_their_hop_take_little_memory():
    """As where an hour is a window, every two seconds: the index alone would take 400 GB."""
    groups = list(FrameWindows(60_000, 320, 320, 30_000).cut([np.zeros((60_100, 8), np.float32)]))
    assert max(snippets.size for _, snippets in groups) <= max(2**23, 60_000 * 8)
    starts = np.concatenate([starts for starts, _ in groups])
    expected = FrameWindows(60_000, 320, 320, 30_000).starts(60_100)
    np.testing.assert_array_equal(starts, expected)
