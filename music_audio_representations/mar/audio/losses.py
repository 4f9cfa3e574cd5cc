"""What a stream loses on the way, in seconds, from what its packets and frames tell."""

from typing import Any

import av

# Streams without a container, whose bytes tell how much is lost: what lies between two frames is
# part of a packet, or of none. Before the first frame and behind the last there may be tags.
_RAW = {"aac", "ac3", "eac3", "mp3", "dts", "loas", "truehd", "mlp"}
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")
_TAG_BYTES = 192  # behind which the end of a file is no tag's
# Formats whose frames have the time where they belong, and the longest gaps in seconds that whole
# files have: by rounding, and as recorders leave them.
_TELL_TIME = {
    "flac": 0.001,
    "ogg": 0.02,
    "mov,mp4,m4a,3gp,3g2,mj2": 0.1,
    "asf": 0.1,
    "matroska,webm": 0.5,
    "flv": 0.1,
}
_LONGEST_REST = 0.5  # seconds by which whole files may be shorter than announced


class Losses:
    """Counts what one stream of one container loses.

    Args:
        container: PyAV's.
        file: the container's, with its `size`, and `at(offset, count)` that reads bytes of it.

    Attributes:
        seconds: that are known to be lost so far.
        reason: the decoder's last words about it.

    What fails in a raw stream of 16,000 bytes a second, between two frames:

        packet of 418 bytes                    0.026 s: a frame
        packet of 3,344 bytes                  0.209 s: eight, which were one run of garbage
        packet of 40,000 bytes with "ID3"      0.026 s: its duration; behind the last frame none
    """

    def __init__(self, container: Any, file: Any) -> None:
        self.seconds, self.reason = 0.0, ""
        self._container, self._file = container, file
        self._is_raw = container.format.name in _RAW
        self._longest_gap = _TELL_TIME.get(container.format.name)
        self._expected: float | None = None  # where the next frame belongs
        self._begin: int | None = None  # of the first packet
        self._seen = self._bytes = 0  # of all packets, of those that were decoded
        self._decoded = 0.0  # seconds
        self._failed: list[tuple[int, float, bool]] = []  # size, seconds, whether a tag is in it

    def fail(self, packet: Any, error: Exception) -> None:
        """Takes note of a packet that cannot be decoded."""
        self.reason = words(error)
        self._count(packet)
        seconds = float(packet.duration * packet.time_base) if packet.duration else 0.0
        has_tag = self._is_raw and any(tag in bytes(packet) for tag in _TAGS)
        self._failed.append((packet.size, seconds, has_tag))

    def decode(self, packet: Any, frames: list) -> None:
        """Takes note of the frames of a packet."""
        self._count(packet)
        for frame in frames:
            self._settle(frame)
            seconds = frame.samples / frame.sample_rate
            self._decoded += seconds
            if self._expected is not None:
                self._expected += seconds
        if frames:
            self._bytes += packet.size

    def end(self) -> None:
        """Settles what failed behind the last frame, and what never came."""
        if not any(has_tag for *_, has_tag in self._failed):
            self.seconds += self._of_failed()
        if not self._decoded:
            return
        byte_rate, unseen = self._bytes / self._decoded, self._file.size - self._seen
        duration = self._container.duration
        if self._is_raw:
            self.seconds += 0.0 if self._has_tags() else (unseen - (self._begin or 0)) / byte_rate
        elif duration and len(self._container.streams) == 1:
            # Time that is announced, and bytes that nothing explains: either alone proves nothing.
            missing = duration / av.time_base - self._decoded - self.seconds
            if missing > _LONGEST_REST and unseen > missing * byte_rate / 2:
                self.seconds += missing

    def _count(self, packet):
        self._begin = packet.pos if self._begin is None else self._begin
        self._seen += packet.size

    def _has_tags(self):
        size = self._file.size
        ends = self._file.at(0, 10), self._file.at(max(0, size - _TAG_BYTES), _TAG_BYTES)
        return any(tag in end for tag in _TAGS for end in ends)

    def _settle(self, frame):
        """Counts what was lost before a frame."""
        if self._longest_gap is None:
            self.seconds += self._of_failed()
        elif frame.pts is None:  # of FLAC, not every frame after a damaged one has a time
            return
        else:
            begin = float(frame.pts * frame.time_base)
            gap = 0.0 if self._expected is None else max(0.0, begin - self._expected)
            self.seconds += gap if gap > self._longest_gap else min(gap, self._of_failed())
            self._expected = begin
        self._failed.clear()

    def _of_failed(self):
        """Seconds of what failed since the last frame: of a raw stream by its bytes.

        A tag between two frames, of files that were put together, may have a cover in it.
        """
        if self._is_raw and self._bytes and not any(has_tag for *_, has_tag in self._failed):
            return sum(size for size, *_ in self._failed) * self._decoded / self._bytes
        return sum(seconds for _, seconds, _ in self._failed)


def words(error: Exception) -> str:
    """An error of FFmpeg's, in a few words."""
    return getattr(error, "strerror", None) or str(error)
