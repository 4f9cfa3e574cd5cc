"""The TFRecord container: length, its CRC, data, its CRC, record after record.

Written by hand so that the place of every byte in the file is known, and so that a process that
only reads or writes records needs no TensorFlow.
"""

import struct
from collections.abc import Iterator

import google_crc32c

from mar.errors import InputError
from mar.records.storage import File, Location
from mar.util.checksums import crc32c, masked

HEADER_BYTES = 12
FOOTER_BYTES = 4
_PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # gzip, zlib


def frame(*pieces: bytes) -> tuple[bytes, ...]:
    """The bytes of one record, in pieces: length and its CRC, the data as given, the data's CRC.

    Args:
        *pieces: bytes which together are the record's data.
    """
    header = struct.pack("<Q", sum(map(len, pieces)))
    checksum = 0
    for piece in pieces:
        checksum = google_crc32c.extend(checksum, piece)
    return header, masked(crc32c(header)), *pieces, masked(checksum)


class DamagedRecord(InputError):
    """A record whose frame is broken.

    Attributes:
        reason: what is wrong with it.
        resume: byte at which the next record begins, or None where that cannot be known.
    """

    def __init__(
        self, path: Location, record: int, offset: int, reason: str, resume: int | None = None
    ) -> None:
        super().__init__(f"{path}: record {record} at byte {offset}: {reason}")
        self.reason, self.resume = reason, resume


def read_record(file: File, path: Location, record: int, offset: int) -> tuple[bytes, int]:
    """The data of the record that begins at `offset`, and the offset of the next record.

    Args:
        file: as `storage.open_file` returns it.
        path: of the file, for error messages.
        record: its number in the file, for error messages.
        offset: of the record in the file, bytes.

    Raises:
        DamagedRecord: it is truncated, or a CRC differs.
    """
    header = file.read(offset, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        raise DamagedRecord(
            path, record, offset, f"truncated: {len(header)} of {HEADER_BYTES} bytes of its header"
        )
    if masked(crc32c(header[:8])) != header[8:]:
        reason = "the CRC of its length differs"
        if offset == 0:
            packed = header.startswith(_PACKED)
            reason = "compressed; decompress it" if packed else f"{reason}; is it a TFRecord?"
        raise DamagedRecord(path, record, offset, reason)
    (length,) = struct.unpack("<Q", header[:8])
    end = offset + HEADER_BYTES + length + FOOTER_BYTES
    if end > file.size:
        raise DamagedRecord(
            path, record, offset, f"truncated: needs {end} bytes of a file of {file.size}"
        )
    body = file.read(offset + HEADER_BYTES, length + FOOTER_BYTES)
    data, footer = body[:length], body[length:]
    if masked(crc32c(data)) != footer:
        raise DamagedRecord(path, record, offset, "the CRC of its data differs", end)
    return data, end


def records(file: File, path: Location) -> Iterator[tuple[int, int, bytes]]:
    """Yields `(record number, offset of the record, data)` of each record in a file.

    Raises:
        DamagedRecord: see `read_record`.
    """
    offset = record = 0
    while offset < file.size:
        data, end = read_record(file, path, record, offset)
        yield record, offset, data
        offset, record = end, record + 1
