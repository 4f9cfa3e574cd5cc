import os

import pytest

from mar.embedding import files
from mar.errors import InputError


@pytest.fixture
def library(tmp_path):
    for name in ("b.mp3", "a/2.flac", "a/1.FLAC", "a/cover.jpg", ".hidden.mp3", ".git/x.wav"):
        path = tmp_path / "library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "library"


def keys(*inputs):
    return [item.key for item in files.find(list(map(str, inputs)))]


def test_keys_are_relative_to_the_folder_and_sorted(library):
    assert keys(library) == ["a/1.FLAC", "a/2.flac", "a/cover.jpg", "b.mp3"]
    assert keys(library / "a") == ["1.FLAC", "2.flac", "cover.jpg"]
    assert keys(f"{library}/a/") == ["1.FLAC", "2.flac", "cover.jpg"]
    assert keys(library / "b.mp3", library / "a" / "cover.jpg") == ["b.mp3", "cover.jpg"]
    os.chdir(library)
    assert keys(".") == keys(library)


def test_what_is_not_called_audio_is_not_expected_to_be(library):
    found = {item.key: item.expected for item in files.find([str(library)])}
    assert found == {"a/1.FLAC": True, "a/2.flac": True, "a/cover.jpg": False, "b.mp3": True}
    (given,) = files.find([str(library / "a" / "cover.jpg")])
    assert given.expected


def test_suffixes_of_audio(tmp_path):
    names = [
        f"x.{suffix}" for suffix in ("wav", "flac", "mp3", "ogg", "opus", "aiff", "m4a", "wma")
    ]
    for name in [*names, "x.MP3", "x.mp4", "x.mpga", "x.aif", "x.wave"]:
        (tmp_path / name).touch()
    assert all(item.expected for item in files.find([str(tmp_path)]))


def test_lists(library, tmp_path):
    (library / "list.txt").write_bytes(
        b"\xef\xbb\xbf# mine\r\nb.mp3\r\n\r\n./a/../a/1.FLAC\nno.mp3\n"
    )
    assert keys(library / "list.txt") == ["a/1.FLAC", "b.mp3", "no.mp3"]
    found = {item.key: item.path for item in files.find([str(library / "list.txt")])}
    assert os.path.exists(found["b.mp3"])
    (library / "a" / "out.txt").write_text("../b.mp3\n")
    assert keys(library / "a" / "out.txt") == [f"{library}/b.mp3"]
    (tmp_path / "broken.txt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"broken.txt: cannot be read: No such file"):
        keys(tmp_path / "broken.txt")
    (tmp_path / "absolute.m3u8").write_text(f"#EXTM3U\n{library}/b.mp3")
    assert keys(tmp_path / "absolute.m3u8") == [f"{library}/b.mp3"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_of_any_program(library, encoding, end):
    """iTunes writes UTF-16 and the line ends of old Macs, Notepad byte-order marks."""
    (library / "Beyonce\u0301").mkdir()
    (library / "Beyonce\u0301" / "\xdcber.mp3").touch()
    lines = ["#EXTM3U", "b.mp3", "Beyonc\xe9/U\u0308ber.mp3", "", "./b.mp3"]
    (library / "list.m3u").write_bytes(end.join(lines).encode(encoding))
    found = files.find([str(library / "list.m3u")])
    assert [item.key for item in found] == ["Beyonce\u0301/\xdcber.mp3", "b.mp3"]
    assert all(os.path.exists(item.path) for item in found)
    assert set(keys(library / "list.m3u")) < set(keys(library))  # embedded once for both


def test_a_list_is_accounted_for(library, caplog):
    caplog.set_level("INFO")
    (library / "list.txt").write_text("b.mp3\n./b.mp3\n\na/1.FLAC\nno.mp3\n")
    keys(library / "list.txt")
    assert "list.txt: 4 rows read, 0 refused, 1 duplicates" in caplog.text


def test_lists_that_name_nothing_are_refused(library):
    (library / "list.txt").write_text("# of mine\n\n")
    with pytest.raises(InputError, match=r"list\.txt: expected a path a line, found none"):
        keys(library / "list.txt")
    (library / "list.txt").write_text("".join(f"old/{n}.mp3\r" for n in range(7)))
    with pytest.raises(InputError, match=r"(?s)none of the 7 .*old/0\.mp3.*old/4\.mp3$"):
        keys(library / "list.txt")


def test_bytes_in_lists_are_names_or_a_mistake(library):
    open(os.fsencode(library) + b"/b\xe9.mp3", "w").close()
    (library / "list.txt").write_bytes(b"b.mp3\nb\xe9.mp3\n")
    assert keys(library / "list.txt") == ["b.mp3", "b\\xe9.mp3"]
    (library / "list.txt").write_bytes(b"b.mp3\nb\xe9.mp3\nc\xe8.mp3\n")
    with pytest.raises(InputError, match=r"list\.txt: line 3: expected .* found the byte 0xe8"):
        keys(library / "list.txt")


def test_links_are_followed_but_not_in_circles(library, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.mp3").touch()
    (library / "linked").symlink_to(tmp_path / "more")
    (library / "a" / "up").symlink_to(library)
    (library / "broken.mp3").symlink_to(library / "nowhere")
    assert keys(library) == [
        *("a/1.FLAC", "a/2.flac", "a/cover.jpg", "b.mp3", "broken.mp3", "linked/c.mp3")
    ]


def test_folders_that_pretend_to_be_audio(library):
    (library / "empty.wav").mkdir()
    (library / "album.flac").mkdir()
    (library / "album.flac" / "1.flac").touch()
    assert {"empty.wav", "album.flac/1.flac"} < set(keys(library))
    assert "album.flac" not in keys(library)


def test_names_of_any_bytes(tmp_path):
    folder = os.fsencode(tmp_path)
    for name in (b"new\nline.wav", b"latin1 \xe9.wav", "u\u0308.wav".encode()):
        open(folder + b"/" + name, "w").close()
    assert keys(tmp_path) == ["latin1 \\xe9.wav", "new\nline.wav", "u\u0308.wav"]
    assert all(os.path.exists(item.path) for item in files.find([str(tmp_path)]))


def test_what_cannot_be_told_apart_is_refused(library, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.mp3").touch()
    with pytest.raises(InputError, match=r"would both be called 'b.mp3'"):
        keys(library, tmp_path / "other")
    assert keys(library, library) == keys(library)
    with pytest.raises(InputError, match="absent: no such file or folder"):
        keys(library / "absent")
