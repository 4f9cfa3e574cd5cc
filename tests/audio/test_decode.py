import contextlib
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import soxr
from PIL import Image

from helpers.signals import FORMATS, music, write
from mar.audio import decode, readers
from mar.errors import InputError

# Both decoders guess; what chance makes them see in noise differs.
REFUSED = "not recognised|no audio stream|truncated"


def whole(path, *args, **kwargs):
    return np.concatenate(list(decode.blocks(path, *args, **kwargs)))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same_music(tmp_path, name):
    rate = 48000 if name == "opus" else 44100
    original = music(4.0, rate)
    path = write(tmp_path / f"song.{name}", name, original, rate)
    decoded, expected = whole(path), original.mean(axis=1)
    assert decoded.dtype == np.float32
    assert abs(len(decoded) - len(expected)) <= 2 * 2048  # encoders prime and pad
    spectrum = np.fft.rfft(decoded, 2**18) * np.conj(np.fft.rfft(expected, 2**18))
    lagged = np.fft.irfft(spectrum) / (np.linalg.norm(decoded) * np.linalg.norm(expected))
    assert lagged.max() >= FORMATS[name][1]
    found = decode.info(path)
    assert (found.sample_rate, found.channels) == (rate, 2)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 8])
def test_rates_and_channels(tmp_path, rate, channels):
    original = music(1.0, rate, channels)
    soundfile.write(tmp_path / "a.wav", original, rate, "FLOAT")
    mono = whole(tmp_path / "a.wav", 16000)
    assert len(mono) == pytest.approx(16000, abs=1)
    np.testing.assert_allclose(mono, soxr.resample(original.mean(axis=1), rate, 16000), atol=2e-6)
    np.testing.assert_allclose(
        whole(tmp_path / "a.wav", 16000, downmix="sum"), channels * mono, atol=2e-5
    )


def test_block_size_does_not_matter(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.flac", music(3.0), 44100)
    at_once = whole(tmp_path / "a.flac", 16000)
    monkeypatch.setattr(decode, "BLOCK_SECONDS", 0.0137)
    np.testing.assert_array_equal(whole(tmp_path / "a.flac", 16000), at_once)


def test_long_files_are_read_in_blocks(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000 * 65, np.int16), 16000)
    lengths = [len(block) for block in decode.blocks(tmp_path / "a.wav", 16000)]
    assert max(lengths) <= 16000 * decode.BLOCK_SECONDS
    assert sum(lengths) == 16000 * 65


@pytest.mark.parametrize("name", ["wav", "aiff", "flac", "mp3", "m4a", "mkv.m4a"])
def test_truncated_files_are_refused(tmp_path, name):
    kind = {"wav": "pcm16.wav", "mkv.m4a": "alac.m4a"}.get(name, name)
    path = write(tmp_path / f"a.{name}", kind, music(5.0), 44100)
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])
    with pytest.raises(InputError, match=r"truncated|not recognised"):
        whole(path)


def test_a_stream_of_unknown_length_is_whole(tmp_path):
    path = write(tmp_path / "a.wav", "pcm16.wav", music(1.0), 44100)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = content[4:8] = b"\xff\xff\xff\xff"  # as a pipe leaves it
    path.write_bytes(content)
    assert len(whole(path)) == 44100


def bad_files(folder):
    """name → (what makes the file, what the message says)."""

    def nan(path):
        samples = music(2.0)
        samples[30000, 1] = np.nan
        soundfile.write(path, samples, 44100, "FLOAT")

    rng = np.random.default_rng(0)
    return {
        "empty.mp3": (lambda p: p.write_bytes(b""), "the file is empty"),
        "random.mp3": (lambda p: p.write_bytes(rng.bytes(200_000)), REFUSED),
        "random.bin": (lambda p: p.write_bytes(rng.bytes(200_000)), REFUSED),
        "text.mp3": (lambda p: p.write_text("not a song\n" * 999), "not recognised"),
        "page.mp3": (lambda p: p.write_text("<html>404</html>" * 2000), "not recognised"),
        "playlist.m3u8.mp3": (lambda p: p.write_text("#EXTM3U\nsong.wav\n"), "not recognised"),
        "concat.mp3": (
            lambda p: p.write_text("ffconcat version 1.0\nfile song.wav\n"),
            "not recognised",
        ),
        "image.mp3": (lambda p: Image.new("RGB", (64, 64)).save(p, "png"), "no audio stream"),
        "directory.wav": (lambda p: p.mkdir(), "got a directory"),
        "link.wav": (lambda p: p.symlink_to(folder / "nowhere.wav"), "a broken link"),
        "missing.wav": (lambda p: None, "no such file"),
        "pipe.wav": (os.mkfifo, "not a regular file"),
        "no_audio.wav": (lambda p: soundfile.write(p, np.zeros((0, 2)), 44100), "0 samples"),
        "nan.wav": (nan, "NaN or infinite samples, the first at 0.68"),
        "headerless.raw": (lambda p: p.write_bytes(b"\0" * 9999), REFUSED),
    }


@pytest.mark.parametrize("name", bad_files(None))
def test_bad_files_say_what_is_wrong(tmp_path, name):
    soundfile.write(tmp_path / "song.wav", music(1.0), 44100)
    path = tmp_path / name
    make, message = bad_files(tmp_path)[name]
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        whole(path)
    assert name in str(caught.value)


def test_what_is_shorter_than_one_sample_is_refused(tmp_path):
    """Rather than no sample at all, of which no one can make anything."""
    soundfile.write(tmp_path / "a.wav", np.zeros(1), 44100)
    assert len(whole(tmp_path / "a.wav")) == 1
    with pytest.raises(InputError, match=r"a\.wav: too short for one sample at 16000 Hz"):
        whole(tmp_path / "a.wav", 16000)


@pytest.mark.parametrize("name", [b"two words'\".wav", b"new\nline.wav", b"latin1 \xe9.flac"])
def test_any_name_will_do(tmp_path, name):
    soundfile.write(tmp_path / "a", music(1.0), 44100, format="WAV")
    path = os.fsencode(tmp_path) + b"/" + name
    os.rename(tmp_path / "a", path)
    assert len(whole(path)) == len(whole(os.fsdecode(path))) == 44100
    m4a = write(tmp_path / "b.m4a", "m4a", music(1.0), 44100)
    os.rename(m4a, path)
    assert len(whole(path)) >= 44100
    assert decode.shown(path).isprintable()


def test_no_permission(tmp_path):
    """In a process of an ordinary user: root may read anything."""
    path = tmp_path / "secret.wav"
    soundfile.write(path, music(0.5), 44100)
    path.chmod(0)
    for folder in [tmp_path, *tmp_path.parents[:3]]:
        if folder.stat().st_uid == os.getuid() and folder != type(path)("/tmp"):
            folder.chmod(0o755)
    program = (
        "import os, sys\n"
        "from mar.audio import decode\n"
        "from mar.errors import InputError\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: decode.info(sys.argv[1])\n"
        "except InputError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert "secret.wav: cannot be opened: Permission denied" in ran.stdout, ran.stderr


def test_damage_in_the_middle_does_not_hang(tmp_path):
    for name in ("mp3", "flac", "ogg", "m4a"):
        path = write(tmp_path / f"a.{name}", name, music(4.0), 44100)
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 4000] = b"\x55" * 4000
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            assert len(whole(path)) > 0.5 * 44100


# ------------------------------------------------------------------------------ hash of the audio


def song(path, name, seconds=3.0, seed=0):
    rate = 48000 if name == "opus" else 44100
    return write(path, name, music(seconds, rate, seed=seed), rate)


def copied(path, copy, *options):
    """The packets of a file in another one, by ffmpeg."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs the program ffmpeg")
    command = ["ffmpeg", "-v", "error", "-y", "-i", path, *options, "-c", "copy", copy]
    subprocess.run(command, check=True)
    return copy


@pytest.mark.parametrize("name", sorted({*FORMATS} - {"aac", "w64"}))  # they have no tags
def test_tags_do_not_change_the_hash_of_the_audio(tmp_path, name):
    path = song(tmp_path / f"song.{name}", name)
    tagged = copied(path, tmp_path / f"tagged.{name}", "-metadata", f"title={'x' * 999}")
    assert path.read_bytes() != tagged.read_bytes()
    other = song(tmp_path / f"other.{name}", name, seed=1)
    assert decode.audio_hash(path) == decode.audio_hash(tagged) != decode.audio_hash(other)


def test_a_cover_does_not_change_the_hash_of_the_audio(tmp_path):
    path = song(tmp_path / "song.mp3", "mp3")
    Image.new("RGB", (64, 64)).save(tmp_path / "cover.png")
    both = ("-i", str(tmp_path / "cover.png"), "-map", "0:a", "-map", "1:v")
    covered = copied(path, tmp_path / "covered.mp3", *both)
    assert covered.stat().st_size > path.stat().st_size
    assert decode.audio_hash(path) == decode.audio_hash(covered)


def test_samples_at_another_rate_are_another_audio(tmp_path):
    for rate in (22050, 44100):
        soundfile.write(tmp_path / f"{rate}.wav", music(1.0), rate)
    assert decode.audio_hash(tmp_path / "22050.wav") != decode.audio_hash(tmp_path / "44100.wav")


def test_what_only_libsndfile_reads_has_the_hash_of_its_samples(tmp_path):
    samples = music(1.0)
    for name in ("a", "b"):
        with soundfile.SoundFile(
            tmp_path / f"{name}.mat", "w", 44100, 2, "PCM_16", format="MAT5"
        ) as file:
            file.write(samples)
    with pytest.raises(ValueError, match="Invalid data"), open(tmp_path / "a.mat", "rb") as file:
        readers.demuxed(file)
    assert decode.audio_hash(tmp_path / "a.mat") == decode.audio_hash(tmp_path / "b.mat")
    with pytest.raises(InputError, match="no such file"):
        decode.audio_hash(tmp_path / "c.mat")


@pytest.mark.parametrize(("name", "reader"), [("pcm16.wav", "soundfile"), ("m4a", "PyAV")])
def test_the_reader_is_told(tmp_path, name, reader):
    assert decode.info(song(tmp_path / f"a.{name}", name)).reader == reader
