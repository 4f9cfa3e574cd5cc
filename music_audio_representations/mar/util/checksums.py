"""CRC-32C (Castagnoli), as TensorFlow's files and ours hold it."""

import struct

import google_crc32c


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C of bytes."""
    return google_crc32c.value(bytes(data) if isinstance(data, memoryview) else data)


def masked(crc: int) -> bytes:
    """The four bytes by which a file holds the CRC of what surrounds them.

    They are not the CRC itself: that of data which end with their own CRC would be the same for
    all data.
    """
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
