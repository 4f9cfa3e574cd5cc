"""Readers of arrays, pickles, compressed files, lists and JSON."""

import gzip
import io
import json
import pickle
import typing

import numpy as np
import pytest

from helpers.distributions import WRITERS, cp_list
from mar.errors import InputError
from mar.tasks import Task, json_stream, msd, readers


def test_lfs_pointers_are_told_from_arrays(tmp_path):
    WRITERS["AMM"](tmp_path)
    (tmp_path / "data" / "val_idx.npy").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 53688\n"
    )
    with pytest.raises(InputError, match=r"val_idx.npy: .*Git LFS pointer.*git lfs pull"):
        Task("AMM", tmp_path)


@pytest.mark.parametrize("flipped", [12, 30, 200])
def test_damaged_compressed_files_are_told(tmp_path, flipped):
    path = tmp_path / "x.json.gz"
    packed = bytearray(gzip.compress(json.dumps({str(n): n * n for n in range(999)}).encode()))
    packed[flipped] ^= 255
    path.write_bytes(packed)
    for read in (readers.read_bytes, lambda path: list(json_stream.entries(path))):
        with pytest.raises(InputError, match=r"x\.json\.gz: (cannot be read|not valid JSON)"):
            read(path)


def test_damaged_arrays_and_pickles_are_told(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones((10, 5)))
    path.write_bytes(path.read_bytes().replace(b", 5)", b", 5("))
    with pytest.raises(InputError, match="not a plain .npy array"):
        readers.read_array(path)
    path.write_bytes(pickle.dumps({"a": "b"}, 0).replace(b"s.", b"b."))  # builds a string
    with pytest.raises(InputError, match="not a pickle of plain data"):
        readers.read_mapping(path)


def test_a_pickle_that_would_do_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    for value in (Evil(), {"a": Evil()}):
        (tmp_path / "x.cP").write_bytes(pickle.dumps(value, 0))
        with pytest.raises(InputError, match="builtin.*print, which is not plain data"):
            readers.read_mapping(tmp_path / "x.cP")


class Python2Pickler(pickle._Pickler):
    """Writes strings and bytes as Python 2 wrote its only kind of strings."""

    dispatch: typing.ClassVar = dict(pickle._Pickler.dispatch)

    def save_text(self, value):
        data = value if isinstance(value, bytes) else value.encode()
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_text


def python2_pickle(value):
    file = io.BytesIO()
    Python2Pickler(file, 2).dump(value)
    return file.getvalue()


def test_damaged_pickles_never_crash(tmp_path):
    """NumPy's own unpickling does, on some of these."""
    path = tmp_path / "x.cP"
    whole = python2_pickle({f"TR{n}": np.arange(3).reshape(1, 3) == n for n in range(3)})
    generator, refused = np.random.default_rng(0), 0
    for _ in range(3000):
        data = bytearray(whole)
        data[generator.integers(len(data))] = generator.integers(256)
        path.write_bytes(data)
        try:
            readers.read_mapping(path)
        except InputError:
            refused += 1
    assert refused > 500
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="Git LFS pointer"):
        readers.read_mapping(path)


@pytest.mark.parametrize("dump", [python2_pickle, lambda value: pickle.dumps(value, 0)])
def test_mappings_of_strings_and_arrays_are_read(tmp_path, dump):
    vectors = {f"TR{n}": np.arange(3).reshape(1, 3) % 2 == n for n in range(2)}
    vectors["TR2"] = np.arange(250, 253).reshape(1, 3)  # bytes above 127
    (tmp_path / "x.cP").write_bytes(dump(vectors))
    found = readers.read_mapping(tmp_path / "x.cP")
    assert {id: vector.ravel().tolist() for id, vector in found.items()} == {
        **{"TR0": [True, False, True], "TR1": [False, True, False], "TR2": [250, 251, 252]}
    }
    (tmp_path / "x.pkl").write_bytes(dump({"TR1": "5504670"}))
    assert readers.read_mapping(tmp_path / "x.pkl") == {"TR1": "5504670"}


def test_msds_from_jongpillees_files_alone(tmp_path, monkeypatch):
    """Labels and 7digital paths from the pickled dictionaries."""
    monkeypatch.setattr(msd, "TRAIN_ITEMS", 2_000)  # of 201,680: see test_counts.py
    WRITERS["MSDS"](tmp_path)
    home = tmp_path / "MSD_split"
    ids = readers.read_list(home / "filtered_list_train.cP")
    ids += readers.read_list(home / "filtered_list_test.cP")
    before = Task("MSDS", tmp_path).items
    distinct = {row.tobytes(): row[None] > 0 for row in before.targets}
    vectors = {id: distinct[row.tobytes()] for id, row in zip(ids, before.targets, strict=True)}
    (home / "msd_id_to_tag_vector.cP").write_bytes(pickle.dumps(vectors, 0))
    (home / "MSD_id_to_7D_id.pkl").write_bytes(python2_pickle({id: id[2:] for id in ids}))
    numbers = {id[2:]: f"8/9/{id[2:]}.clip.mp3" for id in ids}
    (home / "7D_id_to_path.pkl").write_bytes(python2_pickle(numbers))
    for file in (tmp_path / "MSD_split_for_tagging").iterdir():
        file.unlink()
    loaded = Task("MSDS", tmp_path).items
    np.testing.assert_array_equal(loaded.targets, before.targets)
    assert loaded.paths[0][0] == f"8/9/{ids[0][2:]}.clip.mp3"
    vectors[ids[0]] = vectors[ids[0]][:, 1:]
    (home / "msd_id_to_tag_vector.cP").write_bytes(pickle.dumps(vectors, 0))
    with pytest.raises(InputError, match=rf"{ids[0]}: expected \d+ labels, found"):
        Task("MSDS", tmp_path)


def test_lists_are_read_whatever_is_in_the_names(tmp_path):
    names = ["a/b-0-29.npy", "it isn't, (really)", "lp1", "S'x'"[:-1]]
    (tmp_path / "x.cP").write_text(cp_list(names))
    assert readers.read_list(tmp_path / "x.cP") == names


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_a_large_object_is_streamed_in_any_pieces(tmp_path, chunk):
    text = '{ "a" : {"x": [1, 2, {"y": "}{"}]} ,\n"b":12345, "c": "ü\\"", "d": {} }\n'
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    found = list(json_stream.entries(tmp_path / "x.json", chunk))
    assert found == [("a", {"x": [1, 2, {"y": "}{"}]}), ("b", 12345), ("c", 'ü"'), ("d", {})]
