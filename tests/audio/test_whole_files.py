"""Files of which a header tells less, more or nothing: they are read to their end, or refused.

Compared with what was written, and with the program ffmpeg where it is installed.
"""

import re
import shutil
import struct
import subprocess

import av
import numpy as np
import pytest
import soundfile

from helpers.signals import music, write, write_with_ffmpeg
from mar.audio import decode
from mar.audio.isolated import IsolatedDecoder
from mar.errors import InputError

FRAME = 2048  # samples: the longest of a lossy codec here


def read(path, **decoding):
    """(samples, `Condition`) of a file."""
    parts, blocks = [], decode.blocks(path, **decoding)
    while True:
        try:
            parts.append(next(blocks))
        except StopIteration as end:
            return np.concatenate(parts), end.value


def length(path):
    """Samples of a file; ffmpeg gives as many, within a frame."""
    samples, _ = read(path)
    if shutil.which("ffmpeg"):
        command = ["ffmpeg", "-v", "quiet", "-i", path, "-map", "0:a:0", "-ac", "1"]
        reference = subprocess.run([*command, "-f", "f32le", "-"], capture_output=True).stdout
        assert abs(len(reference) // 4 - len(samples)) <= FRAME
    return len(samples)


def of_format(folder, name, seconds, rate=44100, channels=2, seed=0):
    path = folder / f"{seconds}.{rate}.{channels}.{name}"
    return write(path, name, music(seconds, rate, channels, seed), rate)


def first_packet(path):
    with av.open(str(path)) as container:
        return next(container.demux(audio=0)).pos


def concatenated(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


# ------------------------------------------------------------------- lengths that are not to trust


def without_xing(path):
    path.write_bytes(path.read_bytes()[first_packet(path) :])
    return path


@pytest.mark.parametrize("loud_first", [True, False])
def test_an_mp3_without_a_count_of_frames(tmp_path, loud_first):
    """Its size over the first frame's bit rate is far from its length."""
    signal = music(7.0)
    signal[: 3 * 44100] *= loud_first
    signal[3 * 44100 :] *= not loud_first
    path = write(tmp_path / "a.mp3", "mp3", signal, 44100)
    assert 0 <= length(without_xing(path)) - len(signal) <= 2 * FRAME
    assert decode.info(path).duration_seconds is None


@pytest.mark.parametrize("size", [40_000, 300_000])
def test_a_cover_is_no_audio(tmp_path, size):
    path = without_xing(of_format(tmp_path, "mp3", 4.0))
    body = b"\0image/jpeg\0\3\0" + bytes(size)
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    sevens = bytes((len(frame) >> shift) & 127 for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\3\0\0" + sevens + frame + path.read_bytes())
    assert 0 <= length(path) - 4 * 44100 <= 2 * FRAME


@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize(
    ("rates", "seconds"),
    [
        ((44100, 44100), (2.0, 6.0)),
        ((44100, 48000), (6.0, 2.0)),
        ((48000, 44100), (2.0, 6.0)),
    ],
)
def test_concatenated_mp3s(tmp_path, rates, seconds, stripped):
    parts = [of_format(tmp_path, "mp3", s, r) for s, r in zip(seconds, rates, strict=True)]
    path = concatenated(tmp_path / "a.mp3", *map(without_xing, parts) if stripped else parts)
    samples, condition = read(path)
    assert len(samples) == pytest.approx(8 * rates[0], abs=3 * FRAME)
    assert len(condition.notes) == (rates[0] != rates[1])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("total", [0, 1, 4096, 100_000])
def test_a_flac_that_announces_too_few_samples(tmp_path, subtype, total):
    path, signal = tmp_path / "a.flac", music(3.0)
    soundfile.write(path, signal, 44100, subtype)
    expected, _ = soundfile.read(path, dtype="float32")
    content = bytearray(path.read_bytes())
    at = content.index(b"fLaC") + 18  # 20 bits of rate, 3 + 5 of channels and bits, 36 of total
    field = int.from_bytes(content[at : at + 8], "big") >> 36 << 36 | total
    content[at : at + 8] = field.to_bytes(8, "big")
    path.write_bytes(content)
    np.testing.assert_array_equal(read(path)[0], decode.mix(expected))


@pytest.mark.parametrize(
    "links",
    [
        [("ogg", 3.0, 44100, 2), ("ogg", 2.0, 44100, 2)],
        [("ogg", 1.0, 44100, 1), ("ogg", 4.0, 44100, 2), ("ogg", 1.0, 44100, 2)],
        [("opus", 2.0, 48000, 2), ("opus", 3.0, 48000, 1)],
        [("opus", 2.0, 48000, 2), ("ogg", 2.5, 48000, 2)],
    ],
)
def test_a_chain_is_its_links(tmp_path, links):
    parts = [of_format(tmp_path, *link, seed=n) for n, link in enumerate(links)]
    samples, condition = read(concatenated(tmp_path / "a.ogg", *parts))
    np.testing.assert_array_equal(samples, np.concatenate([read(part)[0] for part in parts]))
    assert len(samples) == sum(seconds * rate for _, seconds, rate, _ in links)
    assert len(condition.notes) == len({channels for *_, channels in links}) - 1


def test_a_chain_of_two_rates_keeps_the_first(tmp_path):
    parts = [of_format(tmp_path, "ogg", 2.0, rate) for rate in (22050, 44100)]
    samples, condition = read(concatenated(tmp_path / "a.ogg", *parts))
    assert len(samples) == 4 * 22050
    assert condition.notes == ("changes to 44100 Hz, 2 channels at 2.00 s",)


def test_mp3_in_wav(tmp_path):
    write_with_ffmpeg(tmp_path / "a.wav", music(5.0), 44100, "libmp3lame", "wav")
    assert 0 <= length(tmp_path / "a.wav") - 5 * 44100 <= 2 * FRAME


@pytest.mark.parametrize(
    ("name", "chunk", "order", "size"),
    [
        ("pcm16.wav", b"data", "<", 0),
        ("pcm24.wav", b"data", "<", 0),
        ("pcm16.wav", b"data", "<", 0x7FFFF000),  # SoX
        ("float.wav", b"data", "<", 0x80000000),  # arecord
        ("pcm16.wav", b"data", "<", 0xFFFFFFFF),  # FFmpeg
        ("aiff", b"SSND", ">", 0x7F000008),  # SoX
    ],
)
def test_what_was_written_to_a_pipe(tmp_path, name, chunk, order, size):
    path = of_format(tmp_path, name, 3.0)
    expected, content = read(path)[0], bytearray(path.read_bytes())
    at = content.index(chunk) + 4
    content[at : at + 4] = struct.pack(f"{order}I", size)
    path.write_bytes(content)
    np.testing.assert_array_equal(read(path)[0], expected)


def test_html_in_the_middle_of_an_mp3(tmp_path):
    path = without_xing(of_format(tmp_path, "mp3", 8.0))
    content, before = path.read_bytes(), length(path)
    middle = len(content) // 2
    html = b"<html><body>502 Bad Gateway</body></html>\n" * 50
    path.write_bytes(content[:middle] + html + content[middle:])
    assert before - 2 * 1152 <= length(path) <= before
    assert 0 < read(path)[1].damaged_seconds < 0.2


# ------------------------------------------------------------------------------ streams that change


@pytest.mark.parametrize("codec", [("aac", "adts"), ("ac3", "ac3")])
@pytest.mark.parametrize("rates", [(44100, 48000), (48000, 44100), (48000, 32000)])
def test_a_tone_keeps_its_pitch_where_the_rate_changes(tmp_path, codec, rates):
    parts = []
    for rate in rates:
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4 * rate) / rate)
        parts.append(tmp_path / str(rate))
        signal = np.stack([tone, tone], axis=1).astype(np.float32)
        write_with_ffmpeg(parts[-1], signal, rate, *codec)
    samples, condition = read(concatenated(tmp_path / "a", *parts))
    assert len(samples) == pytest.approx(8 * rates[0], abs=4 * FRAME)
    for second in (1, 5):
        piece = samples[second * rates[0] :][: 2 * rates[0]] * np.hanning(2 * rates[0])
        assert np.argmax(np.abs(np.fft.rfft(piece))) / 2 == 440
    assert len(condition.notes) == 1
    assert re.fullmatch(rf"changes to {rates[1]} Hz, 2 channels at 4\.\d\d s", condition.notes[0])


@pytest.mark.parametrize("codec", [("aac", "adts"), ("ac3", "ac3")])
@pytest.mark.parametrize("channels", [(6, 2), (2, 1), (1, 2), (2, 6, 2)])
def test_channels_that_change_are_mixed_as_they_come(tmp_path, codec, channels):
    parts = []
    for number, count in enumerate(channels):
        parts.append(tmp_path / str(number))
        write_with_ffmpeg(parts[-1], music(2.0, 48000, count), 48000, *codec)
    samples, condition = read(concatenated(tmp_path / "a", *parts))
    assert abs(len(samples) - sum(len(read(part)[0]) for part in parts)) <= 2 * FRAME
    assert len(condition.notes) == len(set(channels)) - 1


@pytest.mark.parametrize("codec", [("aac", "ipod"), ("wavpack", "wv")])
def test_eight_channels(tmp_path, codec):
    write_with_ffmpeg(tmp_path / "a", music(2.0, 44100, 8), 44100, *codec)
    assert decode.info(tmp_path / "a").channels == 8
    samples, _ = read(tmp_path / "a")
    assert len(samples) == pytest.approx(2 * 44100, abs=2 * FRAME)
    if codec[0] == "wavpack":
        np.testing.assert_allclose(
            samples, music(2.0, 44100, 8).mean(axis=1), atol=2**-8
        )  # it writes 8 bits


# --------------------------------------------------------------------------------------- truncation


def dsf(path):
    """One bit a sample, in blocks of 4096 bytes a channel."""
    data = bytes(range(256)) * (16 * 2 * 40)
    layout = struct.pack("<QIIIIIIQII", 52, 1, 0, 2, 2, 2822400, 1, 4096 * 40 * 8, 4096, 0)
    data = b"data" + struct.pack("<Q", 12 + len(data)) + data
    body = b"fmt " + layout + data
    path.write_bytes(b"DSD " + struct.pack("<QQQ", 28, 28 + len(body), 0) + body)


def by_ffmpeg(codec, container):
    return lambda path: write_with_ffmpeg(path, music(3.0), 44100, codec, container)


def by_libsndfile(format, subtype="PCM_16", **more):
    return lambda path: soundfile.write(path, music(3.0), 44100, subtype, format=format, **more)


CONTAINERS = {
    **{name: by_libsndfile(name) for name in ("WAV", "RF64", "W64", "CAF", "AIFF", "AU", "FLAC")},
    "WAVEX": by_libsndfile("WAVEX", "FLOAT"),
    "CAF little": by_libsndfile("CAF", "PCM_24", endian="LITTLE"),
    "Vorbis": by_libsndfile("OGG", "VORBIS"),
    "MP3": by_libsndfile("MP3", "MPEG_LAYER_III"),
    "DSF": dsf,
    "M4A": by_ffmpeg("aac", "ipod"),
    "MOV": by_ffmpeg("pcm_s16le", "mov"),
    "Matroska": by_ffmpeg("ac3", "matroska"),
    "WMA": by_ffmpeg("wmav2", "asf"),
    "TTA": by_ffmpeg("tta", "tta"),
    "WavPack": by_ffmpeg("wavpack", "wv"),
    "Opus": lambda path: write(path, "opus", music(3.0, 48000), 48000),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_truncation_is_seen(tmp_path, name):
    path = tmp_path / "a"
    CONTAINERS[name](path)
    whole, condition = read(path)
    assert len(whole) >= (0.4 * 352800 if name == "DSF" else 3 * 44100 - FRAME)
    assert condition == decode.Condition()
    content = path.read_bytes()
    for share in (0.35, 0.6, 0.8):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"a: .*(truncated|not recognised)"):
            read(path)


# ------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("flac", 0), ("ogg", 0), ("aac", 0.001), ("m4a", 0.001), ("mp3", 0.1), ("html", 0.1)],
)
def test_damage_costs_its_own_time(tmp_path, name, tolerance):
    path = of_format(tmp_path, {"html": "mp3"}.get(name, name), 20.0)
    whole, content = read(path)[0], bytearray(path.read_bytes())
    middle = len(content) // 2
    if name == "html":
        content[middle : middle + 3000] = b"<html>" * 500
    elif name == "mp3":
        del content[middle : middle + 300]
    else:
        content[middle] ^= 0x55
        content[middle + 3] ^= 0x33
    path.write_bytes(content)
    samples, condition = read(path)
    lost = (len(whole) - len(samples)) / 44100
    assert 0 < lost < 0.6
    assert condition.damaged_seconds == pytest.approx(lost, abs=tolerance + 1e-6)
    with IsolatedDecoder() as decoder:
        for _ in decoder.open(path)[1]:
            pass
        assert decoder.condition == condition
        decoder.info(path)
        for _ in decoder.open(of_format(tmp_path, "flac", 1.0))[1]:
            pass
        assert decoder.condition == decode.Condition()


@pytest.mark.parametrize("name", ["flac", "ogg", "m4a", "mp3"])
def test_a_file_that_lost_much_fails(tmp_path, name):
    path = of_format(tmp_path, name, 10.0)
    content = bytearray(path.read_bytes())
    first, last = int(0.4 * len(content)), int(0.6 * len(content))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged or truncated"):
        read(path)


def test_a_sum_that_overflows_is_refused(tmp_path):
    samples = np.full((44100, 2), 2e38, np.float32)
    samples[:1000] = 0
    soundfile.write(tmp_path / "a.wav", samples, 44100, "FLOAT")
    with pytest.raises(InputError, match=r"NaN or infinite samples, the first at 0\.023 s"):
        read(tmp_path / "a.wav", downmix="sum")
