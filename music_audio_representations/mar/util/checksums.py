"""What tells data from other data: CRC-32C (Castagnoli), as TensorFlow's files hold it; SHA-256."""

import hashlib
import os
import struct

import google_crc32c

from mar.errors import InputError

_PIECE_BYTES = 2**22


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        InputError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while content := file.read(_PIECE_BYTES):
                digest.update(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C of bytes."""
    return google_crc32c.value(bytes(data) if isinstance(data, memoryview) else data)


def file_crc32c(path: str | os.PathLike[str]) -> int:
    """The CRC-32C of a file, in memory that does not grow with it."""
    checksum = 0
    with open(path, "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            checksum = google_crc32c.extend(checksum, piece)
    return checksum


def masked(crc: int) -> bytes:
    """The four bytes by which a file holds the CRC of what surrounds them.

    They are not the CRC itself: that of data which end with their own CRC would be the same for
    all data.
    """
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
