"""Holes that a decoder passes without a word are counted, or the file is refused."""

import struct

import numpy as np
import pytest

from helpers.signals import music, write, write_with_ffmpeg
from mar.audio import decode
from mar.errors import InputError

RATE = 48000
RAW = {"aac": ("aac", "adts"), "ac3": ("ac3", "ac3"), "mp3": ("mp3", "mp3"), "mp2": ("mp2", "mp2")}
HTML = b"<html><body>502 Bad Gateway</body></html>\n" * 72  # 3,024 bytes


def read(path):
    """(seconds, `Condition`) of a file."""
    samples, blocks = 0, decode.blocks(path)
    while True:
        try:
            samples += len(next(blocks))
        except StopIteration as end:
            return samples / RATE, end.value


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The bytes of files of 20 s, written once each."""
    folder, written = tmp_path_factory.mktemp("contents"), {}

    def content(codec, container):
        if (codec, container) not in written:
            path = folder / f"{codec}.{container}"
            write_with_ffmpeg(path, music(20.0, RATE), RATE, codec, container)
            assert read(path)[1] == decode.Condition()
            written[codec, container] = path.read_bytes()
        return written[codec, container]

    return content


def without_count(content):
    """An MP3 without the frame that counts the others."""
    at = max(content.find(b"Xing"), content.find(b"Info"))
    return content if at < 0 else content[content.index(b"\xff\xfb", at) :]


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize(
    ("garbage", "places"),
    [(bytes(3024), [0.5]), (np.random.default_rng(0).bytes(3024), [0.3]), (HTML, [0.2, 0.7])],
    ids=["zeros", "noise", "html"],
)
def test_what_garbage_overwrote_is_counted(contents, tmp_path, name, garbage, places):
    content = without_count(contents(*RAW[name]))
    (tmp_path / "a").write_bytes(content)
    seconds, _ = read(tmp_path / "a")
    damaged = bytearray(content)
    for place in places:
        begin = int(place * len(content))
        damaged[begin : begin + len(garbage)] = garbage
    (tmp_path / "a").write_bytes(damaged)
    heard, condition = read(tmp_path / "a")
    assert seconds - heard > 0.04 * len(places)
    assert condition.damaged_seconds == pytest.approx(seconds - heard, abs=0.06 * len(places))


@pytest.mark.parametrize("name", RAW)
def test_what_was_put_between_is_garbage_by_its_bytes(contents, tmp_path, name):
    """Whether it stands for audio or between it cannot be known: it counts as if it did."""
    content = without_count(contents(*RAW[name]))
    middle = len(content) // 2
    (tmp_path / "a").write_bytes(content[:middle] + HTML + content[middle:])
    heard, condition = read(tmp_path / "a")
    assert heard > 19.8
    most = len(HTML) * 20 / len(content)
    assert 0 < condition.damaged_seconds < most + 0.1


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("tag", ["id3v2", "apev2", "id3v1"])
def test_tags_are_no_damage(contents, tmp_path, name, tag):
    """With a cover of 200 kB: as long as half the audio."""
    content, cover = without_count(contents(*RAW[name])), bytes(range(255)) * 800
    if tag == "id3v2":
        body = b"\0image/jpeg\0\3\0" + cover
        frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
        sevens = bytes((len(frame) >> shift) & 127 for shift in (21, 14, 7, 0))
        tagged = b"ID3\3\0\0" + sevens + frame + content
    elif tag == "apev2":
        item = struct.pack("<II", len(cover), 2) + b"Cover Art (Front)\0" + cover
        ends = [struct.pack("<IIII8x", 2000, len(item) + 32, 1, flag << 29) for flag in (5, 4)]
        tagged = content + b"APETAGEX" + ends[0] + item + b"APETAGEX" + ends[1]
    else:
        tagged = content + b"TAG" + bytes(125)
    (tmp_path / "a").write_bytes(tagged)
    heard, condition = read(tmp_path / "a")
    assert heard == pytest.approx(20.0, abs=0.1)
    assert condition.damaged_seconds < 0.05


def test_a_cover_between_two_files_is_no_damage(contents, tmp_path):
    content = write(tmp_path / "b.mp3", "mp3", music(10.0, RATE), RATE).read_bytes()
    body = b"\0image/png\0\3\0" + bytes(100_000)
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    sevens = bytes((len(frame) >> shift) & 127 for shift in (21, 14, 7, 0))
    path = tmp_path / "a.mp3"
    path.write_bytes(without_count(content) + b"ID3\3\0\0" + sevens + frame + content)
    heard, condition = read(path)
    assert heard == pytest.approx(20.0, abs=0.3)
    assert condition.damaged_seconds < 0.1


SLOW = pytest.mark.slow
CONTAINERS = [
    ("ac3", "matroska"),
    ("aac", "matroska"),
    ("pcm_s16le", "matroska"),
    ("libopus", "webm"),
    ("wmav2", "asf"),
    ("aac", "flv"),
    ("mp3", "avi"),
    ("libopus", "ogg"),
    ("aac", "ipod"),
]


@pytest.mark.parametrize(("first", "last"), [(0.4, 0.6), pytest.param(0.7, 1.0, marks=SLOW)])
@pytest.mark.parametrize(("codec", "container"), CONTAINERS)
def test_a_container_that_lost_much_is_refused(contents, tmp_path, codec, container, first, last):
    content = bytearray(contents(codec, container))
    begin, end = int(first * len(content)), int(last * len(content))
    for garbage in (bytes(end - begin), np.random.default_rng(1).bytes(end - begin)):
        content[begin:end] = garbage
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(InputError, match=r"a: .*(damaged|truncated|not recognised)"):
            read(tmp_path / "a")


@pytest.mark.parametrize("change", ["zeros", "cut out", "put in"])
def test_a_fragmented_mp4_is_known_from_box_to_box(tmp_path, change):
    import av

    path = tmp_path / "a.mp4"
    with av.open(
        str(path),
        "w",
        options={"movflags": "empty_moov+default_base_moof", "frag_duration": "1000000"},
    ) as file:
        stream = file.add_stream("aac", rate=RATE)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(music(20.0, RATE)).reshape(1, -1), format="flt", layout="stereo"
        )
        frame.sample_rate = RATE
        pieces = av.AudioResampler(stream.format, "stereo", RATE, frame_size=1024).resample(frame)
        for piece in [*pieces, None]:
            for packet in stream.encode(piece):
                file.mux(packet)
    content = path.read_bytes()
    assert content.count(b"moof") > 10
    heard, condition = read(path)
    assert heard == pytest.approx(20.0, abs=0.1)
    assert condition == decode.Condition()
    middle = content.index(b"moof", len(content) // 2) - 4
    path.write_bytes(
        {
            "zeros": content[:middle] + bytes(3000) + content[middle + 3000 :],
            "cut out": content[: middle - 1500] + content[middle + 1500 :],
            "put in": content[:middle] + HTML + content[middle:],
        }[change]
    )
    with pytest.raises(InputError, match=r"a\.mp4: damaged: its boxes end at byte \d+"):
        read(path)
