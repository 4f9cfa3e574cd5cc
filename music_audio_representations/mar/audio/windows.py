"""Where the windows of a timeline lie."""

from keras import ops

WINDOW_FRAMES = 300  # 3 s (paper, section 2.3)
HOP_FRAMES = 200  # 0.5 Hz (paper, section 3)


def window_starts(frames, window=WINDOW_FRAMES, hop=HOP_FRAMES):
    """First frames of the windows of a timeline.

    Windows are centred at frames `hop`, 2 · `hop`, … and moved inwards where they would reach over
    an end, so that none is padded.

    Args:
        frames: number of frames, at least `window`; a number or a scalar tensor.

    Returns:
        int32 `(windows,)`.
    """
    centres = ops.arange(hop, frames, hop)
    return ops.cast(ops.clip(centres - window // 2, 0, frames - window), "int32")
