"""Text fields in the tags of audio files, as each format keeps them.

A field is one of `STANDARD`, or has a name of its own:

    field        ID3               Vorbis comment   M4A
    MAR_MOODS    TXXX:MAR_MOODS    MAR_MOODS        ----:com.apple.iTunes:MAR_MOODS
    genre        TCON              GENRE            ©gen

This module alone imports mutagen, which is GPL-2.0-or-later and therefore an extra.
"""

import contextlib
import io
import os
import shutil
import struct
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mar.errors import ConfigError, InputError

try:
    from mutagen import MutagenError, aiff, flac, id3, mp4, oggopus, oggvorbis, wave
except ImportError:
    raise ConfigError(
        "tags of files need mutagen, which is GPL-2.0-or-later: pip install "
        "'music-audio-representations[tags]'"
    ) from None

Path = str | os.PathLike[str]
Values = tuple[str, ...]

STANDARD = {
    "genre": {"id3": "TCON", "vorbis": "GENRE", "mp4": "©gen"},
    "key": {"id3": "TKEY", "vorbis": "INITIALKEY", "mp4": "----:com.apple.iTunes:initialkey"},
    "tempo": {"id3": "TBPM", "vorbis": "BPM", "mp4": "tmpo"},
}
_PREFIX = {"id3": "TXXX:", "vorbis": "", "mp4": "----:com.apple.iTunes:"}
_PADDING = 1024  # bytes after an ID3 tag in an MP3
# Other frames stay as they are: none is translated into those of ID3v2.4, none comes from an ID3v1.
_AS_IT_IS = {"translate": False, "load_v1": False}


class Tags:
    """The tags of one file.

    Args:
        path: of the file.
    """

    family: str

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = self.opened(path)
        if self.file.tags is None:
            self.file.add_tags()

    def opened(self, path: Path) -> Any:
        """What mutagen makes of a file."""
        raise NotImplementedError

    def key(self, name: str) -> str:
        """What a field is called in the file."""
        return STANDARD.get(name, {}).get(self.family) or _PREFIX[self.family] + name

    def names(self) -> list[str]:
        """The fields that are not standard ones; of Vorbis comments, any."""
        prefix = _PREFIX[self.family]
        keys = self.file.tags.keys()
        return sorted(key.removeprefix(prefix) for key in keys if key.startswith(prefix))

    def values(self, name: str) -> Values:
        """The values of a field; none where it is not there."""
        raise NotImplementedError

    def others(self, names: Collection[str]) -> Any:
        """All but these fields, to be compared."""
        raise NotImplementedError

    def write(self, target: Path, wanted: Mapping[str, Values]) -> None:
        """Writes a copy of the file with other values of these fields; none removes one."""
        raise NotImplementedError


class _Id3(Tags):
    family = "id3"

    def values(self, name: str) -> Values:
        frame = self.file.tags.get(self.key(name))
        return () if frame is None else tuple(map(str, frame.text))

    def others(self, names: Collection[str]) -> Any:
        written = {self.key(name) for name in names}
        frames = {
            # ID3v2.3 has no UTF-8, which some write nevertheless: the encoding may change.
            key: {part: repr(value) for part, value in vars(frame).items() if part != "encoding"}
            for key, frame in self.file.tags.items()
            if key not in written
        }
        return self.file.tags.version, frames, self.file.tags.unknown_frames

    def put(self, wanted: Mapping[str, Values]) -> bool:
        """Gives fields their values; returns whether anything is left in the tag."""
        tags = self.file.tags
        for name, values in wanted.items():
            tags.pop(self.key(name), None)
            if values:
                content = {"encoding": id3.Encoding.UTF8, "text": list(values)}
                is_standard = name in STANDARD
                frame = getattr(id3, self.key(name)) if is_standard else id3.TXXX
                tags.add(frame(**content) if is_standard else frame(desc=name, **content))
        return bool(tags or tags.unknown_frames)

    def version(self) -> dict[str, Any]:
        """How the tag is saved: as it was, and with NUL between values, not a slash."""
        return {"v2_version": self.file.tags.version[1], "v23_sep": None}


class Mp3(_Id3):
    """An ID3 tag before the audio; what follows it, ID3v1 and APE tags too, is copied."""

    def opened(self, path: Path) -> Any:
        return _Front(path)

    def write(self, target: Path, wanted: Mapping[str, Values]) -> None:
        front = io.BytesIO()
        if self.put(wanted):
            self.file.tags.save(front, v1=0, padding=lambda info: _PADDING, **self.version())
        with open(self.path, "rb") as source, open(target, "wb") as copy:
            source.seek(sum(_sizes(self.path)[:1]))
            copy.write(front.getbuffer())
            shutil.copyfileobj(source, copy)


class _Front:
    """An ID3 tag as the types of mutagen hold one."""

    def __init__(self, path):
        self.tags = id3.ID3(path, **_AS_IT_IS) if _sizes(path) else id3.ID3()


class Chunks(_Id3):
    """AIFF and WAV: a chunk that holds an ID3 tag."""

    def opened(self, path: Path) -> Any:
        with open(path, "rb") as file:
            kind = aiff.AIFF if file.read(4) == b"FORM" else wave.WAVE
        return kind(path, **_AS_IT_IS)

    def write(self, target: Path, wanted: Mapping[str, Values]) -> None:
        shutil.copyfile(self.path, target)
        if self.put(wanted):
            self.file.tags.save(target, **self.version())
        else:
            self.file.tags.delete(target)


class Comments(Tags):
    """FLAC (an ID3 tag before it stays as it is), Ogg Vorbis and Opus."""

    family = "vorbis"

    def opened(self, path: Path) -> Any:
        types = {"fLaC": flac.FLAC, "Opus": oggopus.OggOpus, "\x01vor": oggvorbis.OggVorbis}
        return types[_magic(path)](path)

    def names(self) -> list[str]:
        return sorted({name.upper() for name, _ in self.file.tags})

    def values(self, name: str) -> Values:
        return tuple(value for key, value in self.file.tags if key.upper() == self.key(name))

    def others(self, names: Collection[str]) -> Any:
        written = {self.key(name) for name in names}
        pairs = [pair for pair in self.file.tags if pair[0].upper() not in written]
        blocks = getattr(self.file, "metadata_blocks", [])  # of a FLAC: covers, cue sheets, …
        changing = (flac.VCFLACDict, flac.Padding)
        return pairs, [block.write() for block in blocks if not isinstance(block, changing)]

    def write(self, target: Path, wanted: Mapping[str, Values]) -> None:
        shutil.copyfile(self.path, target)
        written = {self.key(name): values for name, values in wanted.items()}
        tags = self.file.tags
        tags[:] = [pair for pair in tags if pair[0].upper() not in written]
        tags.extend((key, value) for key, values in written.items() for value in values)
        self.file.save(target)


class Mp4(Tags):
    """M4A: the atoms that iTunes writes."""

    family = "mp4"

    def opened(self, path: Path) -> Any:
        return mp4.MP4(path)

    def values(self, name: str) -> Values:
        values = self.file.tags.get(self.key(name), [])
        return tuple(str(v, "utf-8") if isinstance(v, bytes) else str(v) for v in values)

    def others(self, names: Collection[str]) -> Any:
        written = {self.key(name) for name in names}
        return {key: values for key, values in self.file.tags.items() if key not in written}

    def write(self, target: Path, wanted: Mapping[str, Values]) -> None:
        shutil.copyfile(self.path, target)
        tags = self.file.tags
        for name, values in wanted.items():
            key = self.key(name)
            tags.pop(key, None)
            if values and key.startswith("----"):
                utf8 = mp4.AtomDataType.UTF8
                tags[key] = [mp4.MP4FreeForm(value.encode(), utf8) for value in values]
            elif values:
                tags[key] = list(map(int, values)) if key == "tmpo" else list(values)
        self.file.save(target)


_FORMATS: dict[str, type[Tags]] = {
    "MPEG": Mp3,
    **{"AIFF": Chunks, "AIFC": Chunks, "WAVE": Chunks},
    **{"fLaC": Comments, "\x01vor": Comments, "Opus": Comments},
    "ftyp": Mp4,
}


def opened(path: Path) -> Tags:
    """The tags of a file, whose content tells its format.

    Raises:
        InputError: it cannot be read, or has no tags that can be written.
    """
    with errors_named(path, "read"):
        if (kind := _FORMATS.get(_magic(path))) is None:
            raise InputError(
                f"{path}: expected MP3, FLAC, Ogg Vorbis, Opus, M4A, AIFF or WAV, got another "
                f"format"
            )
        tags = kind(path)
        if tags.family == "id3" and tags.file.tags.version < (2, 3):
            version = ".".join(map(str, tags.file.tags.version))
            raise InputError(
                f"{path}: has an ID3v{version} tag, expected ID3v2.3 or 2.4; convert it with "
                f"another program"
            )
        return tags


@contextlib.contextmanager
def errors_named(path: Path, done: str) -> Iterator[None]:
    """What is wrong with tags becomes an InputError that names the file, and what is done."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be {done}: {error.strerror or error}") from None
    except (MutagenError, ValueError, LookupError, struct.error) as error:
        raise InputError(f"{path}: its tags cannot be {done}: {error}") from None


def _magic(path):
    """What tells the format: four characters."""
    before = sum(_sizes(path))
    with open(path, "rb") as file:
        file.seek(before)
        start = file.read(4096)
    if before:
        start = start.lstrip(b"\0")  # padding that a tag does not count
    if start.startswith(b"OggS"):
        return start[28:32].decode("latin-1")
    if start[4:8] == b"ftyp":
        return "ftyp"
    if start[:4] in (b"FORM", b"RIFF"):
        return start[8:12].decode("latin-1")
    # Of MPEG audio the first eleven bits are set; its layer is not 0, as that of AAC is.
    if start[:1] == b"\xff" and start[1] >= 0xE0 and start[1] & 0b110:
        return "MPEG"
    return start[:4].decode("latin-1")


def _sizes(path):
    """Bytes of each ID3v2 tag before the audio."""
    sizes: list[int] = []
    with open(path, "rb") as file:
        while (header := file.read(10)).startswith(b"ID3") and len(header) == 10:
            size = 0
            for byte in header[6:]:  # seven bits each
                size = size << 7 | byte & 0x7F
            sizes.append(10 + size + (10 if header[5] & 0x10 else 0))  # with its footer
            file.seek(sum(sizes))
    return sizes
