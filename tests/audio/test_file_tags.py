import base64
import contextlib
import hashlib
import os
import pathlib
import re
import resource
import shutil
import tempfile

import av
import mutagen
import pytest
from mutagen import flac, id3, mp4
from tinytag import TinyTag

from helpers.signals import music, write
from mar.audio import file_tags, tag_formats
from mar.errors import InputError

OTHERS = {"title": "Tïtle 🎼", "artist": "A/B; C", "date": "2001-02-03", "genre": "Rock"}
LABELS = ("calm, slow", 'the "loud" one', "🎸", "Café", "Cafe\u0301", "a/b; c=d")
WANTED = {"MAR_MOODS": LABELS, "MAR_TEMPO": ("123 BPM",)}
KINDS = {  # the format of helpers.signals, and how its other tags are written
    "mp3-2.3": ("mp3", {"id3v2_version": "3", "write_id3v1": "1"}),
    "mp3-2.4": ("mp3", {"id3v2_version": "4", "write_id3v1": "1"}),
    "mp3-bare": ("mp3", {"id3v2_version": "0", "write_xing": "0"}),
    "flac": ("flac", {}),
    "ogg": ("ogg", {}),
    "opus": ("opus", {}),
    "m4a": ("m4a", {}),
    "alac": ("alac.m4a", {}),
    "aiff": ("aiff", {"write_id3v2": "1"}),
    "aiff-2.3": ("aiff", {"write_id3v2": "1", "id3v2_version": "3"}),
    "wav": ("pcm16.wav", {}),
}
LARGE = ("mp3-2.3", "flac", "m4a")  # get a large cover; Ogg needs ten seconds for one


def _make(folder, kind):
    """A song with tags that another library wrote."""
    name, options = KINDS[kind]
    rate = 48000 if name == "opus" else 44100
    plain = write(folder / f"plain.{name}", name, music(1.0, rate), rate)
    path = folder / f"{kind}.{name}"
    with av.open(str(plain)) as source, av.open(str(path), "w", options=options) as target:
        target.metadata.update(OTHERS)
        stream = target.add_stream_from_template(source.streams.audio[0])
        if name in ("ogg", "opus"):
            stream.metadata.update(OTHERS)
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    plain.unlink()
    return path


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    return {kind: _make(folder, kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def path(request, songs, tmp_path):
    return pathlib.Path(shutil.copy(songs[request.param], tmp_path))


def add_cover(path, size):
    """A cover of so many bytes; of a FLAC, whose blocks are at most 16 MiB, less."""
    picture = flac.Picture()
    picture.type, picture.mime = 3, "image/png"
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file, flac.FLAC):
        picture.data = os.urandom(min(size, 2**24 - 100))
        file.add_picture(picture)
        file.save()
    elif isinstance(file, mp4.MP4):
        picture.data = os.urandom(size)
        file.tags["covr"] = [mp4.MP4Cover(picture.data, mp4.MP4Cover.FORMAT_PNG)]
        file.save()
    elif isinstance(file.tags, id3.ID3):
        picture.data = os.urandom(size)
        file.tags.add(id3.APIC(encoding=0, mime="image/png", type=3, data=picture.data))
        file.tags.save(path, v2_version=3 if "2.3" in path.name else 4)
    else:
        picture.data = os.urandom(size)
        file.tags["metadata_block_picture"] = base64.b64encode(picture.write()).decode()
        file.save()
    return picture.data


def packets(path):
    """The audio as it is stored, and when each packet is heard."""
    with av.open(str(path)) as file:
        return [(packet.pts, bytes(packet)) for packet in file.demux(audio=0)]


def seen(path):
    """The tags as another library sees them: ours, and all others with their numbers."""
    tags = TinyTag.get(path, image=True)
    fields = {**tags.as_dict(), "bitrate": None, "filesize": None, "filename": None}
    ours = {key for key in fields if key.startswith("mar_")}
    own = {key: [v for text in fields[key] for v in text.split("\0")] for key in ours}
    images = tags.images.front_cover
    rest = {key: str(value) for key, value in fields.items() if key not in ours}
    return (
        {key.upper(): tuple(v.lstrip("\ufeff") for v in values) for key, values in own.items()},
        {**rest, "cover": images and hashlib.sha256(images.data).hexdigest()},
    )


def frames(path):
    """The raw frames of an ID3 tag, wherever it lies, by the tag's version."""
    raw = path.read_bytes()
    header = re.search(rb"ID3[\3\4]\0", raw)
    if path.suffix not in (".mp3", ".aiff", ".wav") or header is None:
        return None
    at = header.start()
    version, position, found = raw[at + 3], at + 10, set()
    end = position + sum(byte << 7 * (3 - n) for n, byte in enumerate(raw[at + 6 : at + 10]))
    while position < end and raw[position]:
        bits = 8 if version == 3 else 7
        size = sum(b << bits * (3 - n) for n, b in enumerate(raw[position + 4 : position + 8]))
        found.add(raw[position : position + 10 + size])
        position += 10 + size
    return version, found


@pytest.mark.parametrize("with_cover", [False, True])
def test_fields_are_written_and_all_else_stays(path, with_cover):
    size = 3_000_000 if path.stem in LARGE else 100_000  # with 2**21 ID3's sizes take four bytes
    size = 20_000_000 if path.stem == "flac" else size  # more than a block of FLAC may have
    cover = add_cover(path, size) if with_cover else None
    if frames(path) is not None and "bare" not in path.name and path.suffix != ".wav":
        assert frames(path)[0] == (3 if "2.3" in path.name else 4)
    os.chmod(path, 0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    status, audio, (_, others), before = path.stat(), packets(path), seen(path), path.read_bytes()
    had = frames(path)

    assert file_tags.changes(path, WANTED) == {key: ((), WANTED[key]) for key in WANTED}
    assert path.read_bytes() == before
    assert file_tags.write(path, WANTED) == {key: ((), WANTED[key]) for key in WANTED}
    assert packets(path) == audio
    assert seen(path) == (WANTED, others)
    if cover:
        assert others["cover"] == hashlib.sha256(cover).hexdigest()
    if had is not None:
        assert frames(path)[0] == had[0]
        assert had[1] <= frames(path)[1]
        assert len(frames(path)[1]) == len(had[1]) + 2
    assert before[-128:-125] != b"TAG" or path.read_bytes()[-128:] == before[-128:]
    now = path.stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (status.st_mode, status.st_uid, status.st_gid)
    assert now.st_mtime_ns > status.st_mtime_ns

    assert file_tags.write(path, WANTED) == {}
    assert path.stat() == os.stat(path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (now.st_ino, now.st_mtime_ns)
    assert os.listdir(path.parent) == [path.name]

    fewer = {"MAR_MOODS": LABELS[:1], "MAR_TEMPO": (), "MAR_ABSENT": ()}
    assert file_tags.write(path, fewer).keys() == {"MAR_MOODS", "MAR_TEMPO"}
    assert seen(path) == ({"MAR_MOODS": LABELS[:1]}, others)
    assert file_tags.write(path, None) == {"MAR_MOODS": (LABELS[:1], ())}
    assert seen(path) == ({}, others)
    assert packets(path) == audio
    if had is not None:
        assert frames(path) == had
    if "bare" in path.name and not cover:
        assert path.read_bytes() == before


def test_standard_fields_replace_what_was_there(path):
    audio, (_, others) = packets(path), seen(path)
    file_tags.write(path, {**WANTED, "genre": ("Jazz", "Funk"), "key": ("C#m",), "tempo": ("97",)})
    tags = TinyTag.get(path)
    in_info = ["Rock"] if path.suffix == ".wav" else []  # the RIFF's own tags stay as they are
    assert [tags.genre, *tags.other.get("genre", [])] == [*in_info, "Jazz", "Funk"]
    assert (tags.other["initial_key"], tags.other["bpm"]) == (["C#m"], ["97"])
    assert seen(path)[0] == WANTED
    assert packets(path) == audio
    now = seen(path)[1]
    assert {key for key in others if others[key] != now[key]} <= {"genre"}
    file_tags.write(path, None)
    assert TinyTag.get(path).genre == (in_info or ["Jazz"])[0]  # nothing tells whose it is


def test_an_id3_tag_on_a_flac_stays(songs, tmp_path):
    path = pathlib.Path(shutil.copy(songs["flac"], tmp_path))
    front, back = tmp_path / "front.mp3", b"TAG" + bytes(range(125))
    front.touch()
    tag = id3.ID3()
    tag.add(id3.TIT2(encoding=3, text=["of ID3"]))
    tag.save(front)
    path.write_bytes(front.read_bytes() + path.read_bytes() + back)
    for name in ("song.flac", "song.mp3"):  # the content tells the format
        path = path.rename(tmp_path / name)
        file_tags.write(path, {"MAR_MOODS": (name,)})
        assert path.read_bytes().startswith(front.read_bytes())
        assert path.read_bytes().endswith(back)
        assert flac.FLAC(path)["MAR_MOODS"] == [name]
        assert flac.FLAC(path)["title"] == [OTHERS["title"]]


def test_comments_keep_their_order_and_case(songs, tmp_path):
    path = pathlib.Path(shutil.copy(songs["flac"], tmp_path))
    file = flac.FLAC(path)
    pairs = [("Genre", "Rock"), ("ARTIST", "B"), ("artist", "A"), ("Mar_Moods", "old")]
    file.tags[:] = pairs
    file.save()
    file_tags.write(path, {"MAR_MOODS": ("new",)})
    assert list(flac.FLAC(path).tags) == [*pairs[:3], ("MAR_MOODS", "new")]


def test_a_link_stays_one_and_who_reads_the_file_reads_on(songs, tmp_path):
    path = pathlib.Path(shutil.copy(songs["mp3-2.3"], tmp_path))
    before = path.read_bytes()
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link.mp3"
    link.symlink_to(path)
    with open(link, "rb") as reading:
        start = reading.read(100)
        file_tags.write(link, WANTED)
        assert start + reading.read() == before
    assert link.is_symlink()
    assert seen(path)[0] == WANTED


# ------------------------------------------------------------------------------ what cannot be done


def _of_version_2(path):
    tag = b"ID3\2\0\0\0\0\0\x10" + b"TT2\0\0\x0a\0of ID3v2."
    path.write_bytes(tag + path.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_of_version_2, r"has an ID3v2\.2\.0 tag, expected ID3v2\.3 or 2\.4"),
        (lambda path: path.write_bytes(b"RIFF\0\0\0\0WAVE"), "tags cannot be"),
        (lambda path: path.write_bytes(b"fLaC" + bytes(5)), "tags cannot be"),
        (lambda path: path.write_bytes(b"no audio at all"), "expected MP3, .* got another format"),
        (lambda path: path.write_bytes(b""), "got another format"),
        (lambda path: path.chmod(0o444), "read-only"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    ],
)
def test_what_cannot_be_written_is_named_and_stays(songs, tmp_path, spoil, message):
    path = pathlib.Path(shutil.copy(songs["mp3-bare"], tmp_path / "song.mp3"))
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InputError, match=rf"song\.mp3: .*{message}"):
        file_tags.write(path, WANTED)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert set(os.listdir(tmp_path)) <= {"song.mp3"}


@contextlib.contextmanager
def unprivileged():
    """Who may not do what root may."""
    was = os.geteuid()
    os.seteuid(65534 if was == 0 else was)
    try:
        yield
    finally:
        os.seteuid(was)


def test_folders_and_files_of_others_are_left(songs):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(shutil.copy(songs["ogg"], folder))
        before = path.read_bytes()
        for mode, of_file, message in ((0o555, 0o666, "Permission"), (0o755, 0o400, "denied|only")):
            os.chmod(folder, mode)
            os.chmod(path, of_file)
            with unprivileged(), pytest.raises(InputError, match=rf"{path.name}: .*({message})"):
                file_tags.write(path, WANTED)
            os.chmod(folder, 0o755)
            assert path.read_bytes() == before
            assert os.listdir(folder) == [path.name]


def test_on_a_full_disk_a_file_stays(path):
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (1000, len(before) + 50):  # the copy fails, or what is put into it
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            with pytest.raises(InputError, match=rf"{path.name}: .*too large"):
                file_tags.write(path, {"MAR_MOODS": ("x" * 40_000,)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]


def _loses_a_tag(path, target):
    file = mutagen.File(target)
    del file.tags[next(key for key in file.tags if file.tags[key] == OTHERS["title"])]
    file.save(v2_version=3, v23_sep=None)


def _damages_audio(path, target):
    raw = bytearray(target.read_bytes())
    raw[-1000] ^= 1
    target.write_bytes(raw)


def _writes_another_value(path, target):
    file = mutagen.File(target)
    file.tags["TXXX:MAR_MOODS"].text = ["sad"]
    file.save(v2_version=3, v23_sep=None)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (_loses_a_tag, "other tags would not stay"),
        (_damages_audio, "audio would not stay"),
        (_writes_another_value, r"MAR_MOODS reads back as \('sad',\)"),
        (lambda path, target: os.utime(path), "changed while"),
    ],
)
def test_what_was_written_is_compared_first(songs, tmp_path, monkeypatch, fault, message):
    path = pathlib.Path(shutil.copy(songs["mp3-2.3"], tmp_path))
    before, write = path.read_bytes(), tag_formats.Mp3.write

    def faulty(self, target, wanted):
        write(self, target, wanted)
        fault(path, target)

    monkeypatch.setattr(tag_formats.Mp3, "write", faulty)
    with pytest.raises(InputError, match=message):
        file_tags.write(path, WANTED)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
