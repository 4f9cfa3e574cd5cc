"""Names in one Unicode form where the disk has the other."""

import os
import unicodedata

import pytest

from mar.errors import InputError
from mar.util.names import plain, spelled

NFC, NFD = "Beyonc\xe9/U\u0308ber \u1e69.wav", "Beyonce\u0301/\xdcber s\u0323\u0307.wav"


@pytest.mark.parametrize(("disk", "table"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_a_path_is_found_in_whichever_form_the_disk_has(tmp_path, disk, table):
    for path in (NFC, NFD):
        there, asked = unicodedata.normalize(disk, path), unicodedata.normalize(table, path)
        (tmp_path / there).parent.mkdir(exist_ok=True)
        (tmp_path / there).touch()
        assert spelled(tmp_path, asked) == there
        assert spelled("anywhere", str(tmp_path / asked)) == str(tmp_path / there)
        os.chdir(tmp_path)
        assert spelled("", asked) == there


def test_what_is_not_there_stays_as_it_is_and_what_comes_later_is_seen(tmp_path):
    assert spelled(tmp_path, NFC) == NFC
    assert spelled(tmp_path, "a.wav") == "a.wav"
    folder, name = unicodedata.normalize("NFD", NFC).split("/")
    (tmp_path / folder).mkdir()
    assert spelled(tmp_path, NFC) == f"{folder}/{NFC.split('/')[1]}"
    (tmp_path / folder / name).touch()
    os.utime(tmp_path / folder, ns=(1, 1))
    assert spelled(tmp_path, NFC) == f"{folder}/{name}"


def test_the_exact_name_comes_first_and_of_two_others_neither(tmp_path):
    forms = ["\u1e69", "s\u0323\u0307", "s\u0307\u0323"]  # one character, three spellings
    for form in forms[1:]:
        (tmp_path / f"{form}.wav").touch()
    assert spelled(tmp_path, f"{forms[1]}.wav") == f"{forms[1]}.wav"
    with pytest.raises(InputError, match=r"may be 's.u0307.u0323.wav' or 's.u0323.u0307.wav'"):
        spelled(tmp_path, f"{forms[0]}.wav")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("./a.wav", "a.wav"), ("a//b/./c.wav", "a/b/c.wav"), ("../a", "../a"), ("/a/b", "/a/b")],
)
def test_plain_paths(path, expected):
    assert plain(path) == expected
