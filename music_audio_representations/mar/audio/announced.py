"""What audio files announce exactly of their own length, so that truncated ones are known.

Most lengths in headers are estimates, which are of no use here. Exact are the bytes that a
container's outermost audio chunk has, and the number of frames in the Xing or Info tag of an MP3.
By the specifications: RIFF and EBU Tech 3306 (WAV, RF64), Sony Wave64, AIFF-C, Apple CAF, Sun AU,
DSF 1.01, DSDIFF 1.5, ASF 01.20 (WMA), RFC 3533 (Ogg), RFC 8794 and 9559 (Matroska), ISO 14496-12
(MP4), Gabriel Bouvigne's MP3 tag.
"""

import os
import re
import struct
from typing import BinaryIO

from mar.errors import InputError

# magic: (first chunk at, layout of a chunk's name and size, alignment of chunks, whether the size
# includes name and size, name of the audio's chunk)
_CHUNKS = {
    b"RIFF": (12, "<4sI", 2, False, b"data"),
    b"RF64": (12, "<4sI", 2, False, b"data"),
    b"BW64": (12, "<4sI", 2, False, b"data"),
    b"FORM": (12, ">4sI", 2, False, b"SSND"),
    b"caff": (8, ">4sq", 1, False, b"data"),
    b"riff": (40, "<16sQ", 8, True, b"data"),
    b"DSD ": (0, "<4sQ", 1, True, b"data"),
    b"FRM8": (16, ">4sQ", 2, False, b"DSD "),
    b"\x30\x26\xb2\x75": (0, "<16sQ", 1, True, b"\x36\x26\xb2\x75"),
}
_MOST_CHUNKS = 1000  # of a whole file; a damaged one may have millions of empty ones
# Sizes near these are left by programs that write to a pipe and cannot come back: of FFmpeg,
# of arecord, of SoX.
_OF_PIPES = (0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7F000000)
_OGG_PAGE = 27 + 255 + 255 * 255  # bytes at most
_BOXES = (
    *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"sidx", b"ssix", b"free", b"skip"),
    *(b"wide", b"uuid", b"meta", b"udta", b"prft", b"emsg", b"pdin"),
)
_XING = re.compile(rb"(?:Xing|Info)\0\0\0[\1\3\5\7\x09\x0b\x0d\x0f](.{4})", re.DOTALL)


def missing_bytes(file: BinaryIO) -> int:
    """How many bytes of audio the container announces beyond the file's end, 0 where none are.

    Raises:
        InputError: the container is damaged (without the file's name).
    """
    size = os.fstat(file.fileno()).st_size
    magic = _read(file, 0, 4)
    if magic in _CHUNKS:
        end = _end_of_chunk(file, *_CHUNKS[magic])
    elif magic == b"OggS":
        end = _end_of_last_page(file, size)
    elif magic == b"\x1a\x45\xdf\xa3":
        end = _end_of_segment(file)
    elif magic == b".snd":
        begin, length = struct.unpack(">II", _read(file, 4, 8))
        end = 0 if length == 0xFFFFFFFF else begin + length
    elif _read(file, 4, 4) in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        end = _end_of_boxes(file)
    else:
        end = 0
    return max(0, end - size)


def ogg_links(file: BinaryIO) -> list[int]:
    """Where the links of a chained Ogg file begin, in bytes; [] where it is no Ogg file.

    A link begins with the first pages of its streams, flagged as such; what is damaged is passed.
    """
    if _read(file, 0, 4) != b"OggS":
        return []
    links, offset, among_first = [], 0, False
    while len(page := _read(file, offset, 27 + 255)) >= 27:
        if not page.startswith(b"OggS\0"):
            found = _read(file, offset, _OGG_PAGE).find(b"OggS\0", 1)
            offset += found if found > 0 else _OGG_PAGE - 4
            continue
        is_first = bool(page[5] & 2)
        if is_first and not among_first:
            links.append(offset)
        among_first = is_first
        offset += 27 + page[26] + sum(page[27:][: page[26]])
    return links


def mp3_frames(file: BinaryIO, first_frame: int) -> int | None:
    """How many MP3 frames the Xing or Info tag counts; None where there is none.

    Args:
        first_frame: its offset in bytes; the frame before it would be the tag's.
    """
    start = max(0, first_frame - 1441)  # of the longest frame
    tag = _XING.search(_read(file, start, first_frame - start))
    return int.from_bytes(tag[1], "big") if tag else None


def _read(file, offset, count):
    """Leaves the file's position alone, which a decoder relies upon."""
    return os.pread(file.fileno(), count, offset)


def _end_of_chunk(file, offset, layout, alignment, inclusive, wanted):
    """Offset behind the audio's chunk; 0 where its size is not known, or it is not found.

    RIFF, WAVE at 0; "fmt ", size 16 at 12; "data", size 882000 at 36: 36 + 8 + 882000 = 882044.
    """
    header, size_64 = struct.Struct(layout), None
    for _ in range(_MOST_CHUNKS):
        if len(head := _read(file, offset, header.size)) < header.size:
            break
        name, size = header.unpack(head)
        size -= header.size if inclusive else 0
        offset += header.size
        if name == b"ds64":  # RF64: sizes that need 64 bits; the second one is of the audio
            size_64 = int.from_bytes(_read(file, offset + 8, 8), "little")
        if name.startswith(wanted):
            if size == 0xFFFFFFFF and size_64 is not None:
                size = size_64
            of_pipe = any(abs(size - unknown) < 2**16 for unknown in _OF_PIPES)
            return 0 if of_pipe or not 0 < size < 2**62 else offset + size
        if size < 0:
            break
        offset += size
        offset += -offset % alignment
    return 0


def _end_of_last_page(file, size):
    """Ogg: offset behind the page that begins last."""
    tail = max(0, size - _OGG_PAGE)
    content = _read(file, tail, _OGG_PAGE)
    begin = content.rfind(b"OggS\0")
    if begin < 0:
        return 0
    lengths = content[begin + 27 :][: content[begin + 26]] if begin + 26 < len(content) else b""
    return tail + begin + 27 + len(lengths) + sum(lengths)


def _end_of_boxes(file):
    """MP4: offset behind the last box of audio or its description; 0 where it is not known.

    Fragments (`moof`) are known from box to box alone, so that none may be damaged.
    """
    offset = end = 0
    is_fragmented = False
    while len(head := _read(file, offset, 16)) >= 8:
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        is_fragmented |= kind == b"moof"
        if is_fragmented and kind not in _BOXES:
            raise InputError(f"damaged: its boxes end at byte {offset}, and the file goes on")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if size < 8:  # 0: to the end of the file
            return 0
        offset += size
        if kind in (b"mdat", b"moof", b"moov"):
            end = offset
    return end


def _end_of_segment(file):
    """Matroska: offset behind its one Segment, which follows the EBML header; 0 where unknown."""
    length, begin = _variable_integer(_read(file, 4, 8))
    segment = 4 + begin + length
    if _read(file, segment, 4) != b"\x18\x53\x80\x67":
        return 0
    length, begin = _variable_integer(_read(file, segment + 4, 8))
    unknown = 2 ** (7 * begin) - 1
    return 0 if length == unknown else segment + 4 + begin + length


def _variable_integer(content):
    """(value, bytes that it takes): 0x42 0x86 has one zero before its mark, so two: 0x286."""
    if not content or not content[0]:
        return 0, 1
    count = 9 - content[0].bit_length()
    value = int.from_bytes(content[:count], "big")
    return value & (2 ** (7 * count) - 1), count
