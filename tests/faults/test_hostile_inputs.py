"""Damaged and hostile files of every kind: the same is read, or an error in a sentence comes.

`make soak-inputs` reads thousands, in processes that are watched.
"""

import pytest

from soak import inputs, kinds, table

FEW = 5
ALIKE = ("audio", "tags", "task", "search index")  # kinds whose names begin so
SLOW = ("model.keras", "model.onnx", "run.json")  # networks are built


def parameters():
    """Every kind; of those that are alike, the first one."""
    seen = set(SLOW)
    for name in kinds.KINDS:
        group = next((group for group in ALIKE if name.startswith(group)), name)
        marks = [pytest.mark.slow] if group in seen else []
        seen.add(group)
        yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("kind", [*parameters()])
def test_a_few_of_each_kind(kind, tmp_path):
    cases = inputs.read_cases(kind, "few", range(FEW), tmp_path)
    next(cases)
    bad = [told for outcome, told in cases if outcome not in inputs.GOOD]
    assert not bad


# Cases, by their numbers in `soak.inputs`, that ended in a traceback, crashed the process or were
# read as something else, before what reads them was mended.
MENDED = {
    "shard, indexed": [36],
    "manifest": [4, 8, 32, 35],
    "embeddings, mean": [6, 13, 20, 39],
    "embeddings, timeline": [27, 33],
    "embeddings, npz of timeline": [39],
    "search index, index.json": [0, 9, 38],
    "search index, rows": [12, 25],
    "search index, kept": [23, 26, 32, 34],
    "search index, codes": [3, 11, 13, 30, 34, 35, 37],
    "remembered model": [6, 33],
    "table of labels": [6],
    "model.keras": [1, 3],
    "model.keras of Keras 2": [1, 5, 25, 39],
    "run.json": [37],
    "head": [38],
    "model.onnx": [18],
    "result.json": [4, 18],
    "predictions.npz": [0, 3, 11, 16],
    "configuration": [0, 2, 8, 37, 57],
}


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] if k in SLOW else []) for k in MENDED]
)
def test_what_was_mended(kind, tmp_path):
    cases = inputs.read_cases(kind, 0, MENDED[kind], tmp_path)
    next(cases)
    bad = [told for outcome, told in cases if outcome not in inputs.GOOD]
    assert not bad


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*kinds.KINDS])
def test_more_in_a_process_that_is_watched(kind):
    answers = list(inputs.survey(kind, 25, seed="slow"))
    assert [answer for answer in answers if answer["outcome"] not in inputs.GOOD] == []
    assert len(answers) == 25


def test_what_is_watched_is_noticed(monkeypatch, tmp_path):
    """A reader that is wrong in each way that there is."""

    def outcome(read, checked=True):
        kind = kinds.Kind(lambda folder: kinds.written(folder, "a", b"12345678"), read, (), checked)
        monkeypatch.setitem(kinds.KINDS, "wrong", kind)
        scratch = tmp_path / str(len(list(tmp_path.iterdir())))
        scratch.mkdir()
        cases = inputs.read_cases("wrong", 0, range(1), scratch)
        next(cases)
        return next(cases)[0]

    def beside(path):
        (path.parent.parent / "stray").write_bytes(b"")

    assert outcome(lambda path: path.read_bytes()) == "silent"
    assert outcome(lambda path: path.read_bytes(), checked=False) == "other"
    assert outcome(lambda path: {b"12345678": 1}[path.read_bytes()]) == "defect"
    assert outcome(beside) == "outside"


def test_the_page_is_that_of_its_figures():
    assert table.PAGE.read_text(encoding="utf-8") == table.page(table.read())
