"""Which file an item means."""

import pytest

from helpers.distributions import WRITERS
from mar.errors import InputError
from mar.tasks import Task
from mar.tasks.locating import locate


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        (["a/0.wav"], ["a/0.flac", "a/0.mp3"]),
        ([("b/0.wav", "a/0.wav")], ["a/0.mp3", "a/0.flac"]),
        (["\u1e69.wav"], ["s\u0323\u0307.wav", "s\u0307\u0323.wav"]),
    ],
)
def test_two_files_that_fit_are_named(wanted, paths):
    named = "' and '".join(sorted(paths))
    for order in (paths, paths[::-1]):
        with pytest.raises(InputError, match=f"expected one file, but '{named}' fit"):
            locate(wanted, order)


@pytest.mark.parametrize(
    "name", ["NSynth_I", "MSD50", "AMM", "MuMu", "GS_Key", "Emo", "MTT_filtered"]
)
def test_where_lists_have_no_suffix_neither_of_two_files_is_guessed(name, tmp_path):
    paths = WRITERS[name](tmp_path)
    loaded, other = Task(name, tmp_path), f"{paths[0][:-4]}.ogg"
    assert loaded.locate([other]).count(other) == 1
    with pytest.raises(
        InputError, match=f"^{name}: .*{paths[0][:-4]}.* and .*{paths[0][:-4]}.* fit"
    ):
        loaded.locate([*paths, other])


@pytest.mark.parametrize("name", ["MTT", "GTZAN", "Jam-50"])
def test_where_lists_have_suffixes_they_count(name, tmp_path):
    paths = WRITERS[name](tmp_path)
    located = Task(name, tmp_path).locate([f"{paths[0][:-4]}.ogg", *paths])
    assert sorted(filter(None, located)) == sorted(paths)


def test_two_files_of_one_stem_are_two_items(tmp_path):
    names = [f"{label}/{n}.wav" for label in ("pop", "rock") for n in range(10)]
    names += [f"rock/{n}.flac" for n in range(5)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    loaded = Task(tmp_path)
    assert loaded.locate(names) == loaded.audio(tmp_path) == sorted(names)
    assert loaded.locate(names[:-1]).count(None) == 1
