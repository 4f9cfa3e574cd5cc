"""What tracks are coloured by, from tables and heads; and labels as they are trained."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from helpers.small_embeddings import write_store
from mar import Embeddings, InputError
from mar.embedding.stored_map import stored_map
from mar.exploring import columns, training
from mar.exploring.columns import Values
from mar.exploring.explorer import Explorer, Sources

PATHS = [f"rock/{number}.mp3" for number in range(4)] + ["jazz/live/1.mp3", "x.mp3"]
LONG = pd.DataFrame(
    {
        "path": [PATHS[0], PATHS[0], PATHS[1], PATHS[1], PATHS[4]],
        "head": "moods",
        "label": ["calm", "loud", "calm", "loud", "calm"],
        "probability": [0.9, 0.6, 0.2, 0.8, 0.1],
        "decision": [True, True, False, True, False],
    }
)
WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


def said(column):
    """The categories, or numbers, of the tracks; None where there is none."""
    values = column.values()
    numbers = [None if np.isnan(number) else float(number) for number in values.numbers]
    if values.categories is None:
        return numbers
    return [None if number is None else values.categories[int(number)] for number in numbers]


def by_name(found):
    return {(column.group, column.name): column for column in found}


@pytest.mark.parametrize("kind", WRITERS)
def test_labels_as_mar_tag_writes_them(tmp_path, kind):
    WRITERS[kind](LONG, tmp_path / f"tags.{kind}")
    found = by_name(columns.of_table(tmp_path / f"tags.{kind}", PATHS))
    assert set(found) == {("moods", "label"), ("moods", "calm"), ("moods", "loud")}
    assert said(found["moods", "label"]) == ["calm", "loud", None, None, None, None]
    assert said(found["moods", "calm"]) == pytest.approx(
        [np.float32(0.9), np.float32(0.2), None, None, np.float32(0.1), None]
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_a_table_of_a_row_a_track(tmp_path, kind):
    frame = pd.DataFrame({"path": [PATHS[5], PATHS[1]], "year": [1999, 2001], "by": ["Ana", None]})
    WRITERS[kind](frame, tmp_path / f"mine.{kind}")
    found = by_name(columns.of_table(tmp_path / f"mine.{kind}", PATHS))
    group = f"mine.{kind}"
    assert said(found[group, "year"]) == [None, 2001, None, None, None, 1999]
    assert said(found[group, "by"]) == [None, None, None, None, None, "Ana"]


@pytest.mark.parametrize("name", ["None", "NA", "null", "n/a", "NaN", "7"])
def test_labels_are_texts_whatever_they_are_called(tmp_path, name):
    tags = pd.DataFrame({"path": PATHS[:2], "label": [name, "calm"], "probability": [0.75, 0.5]})
    tags.to_csv(tmp_path / "tags.csv", index=False)
    found = by_name(columns.of_table(tmp_path / "tags.csv", PATHS))
    assert set(found) == {("tags.csv", each) for each in ("label", name, "calm")}
    assert said(found["tags.csv", "label"]) == [name, "calm", *[None] * 4]
    assert said(found["tags.csv", name]) == [0.75, *[None] * 5]


def test_what_is_missing_among_numbers_is_no_label(tmp_path):
    """As R and NumPy write it; beside it, a mood that is called so."""
    rows = ["path,year,mood,empty", f"{PATHS[0]},1999,NA,", f"{PATHS[1]},NA,,"]
    (tmp_path / "mine.csv").write_text("\n".join([*rows, f"{PATHS[2]},nan,calm,"]))
    found = by_name(columns.of_table(tmp_path / "mine.csv", PATHS))
    assert said(found["mine.csv", "year"]) == [1999, *[None] * 5]
    assert said(found["mine.csv", "mood"]) == ["NA", None, "calm", *[None] * 3]
    assert said(found["mine.csv", "empty"]) == [None] * 6


@pytest.mark.parametrize("kind", WRITERS)
def test_labels_of_windows_are_refused(tmp_path, kind):
    """As --timeline writes them: the first window of a track would stand for all of it."""
    WRITERS[kind](LONG.assign(start=0.0, end=2.5), tmp_path / f"tags.{kind}")
    with pytest.raises(InputError, match=r"got those of windows.*mar tag without --timeline"):
        columns.of_table(tmp_path / f"tags.{kind}", PATHS)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xls", "path\n", "expected a table that ends in .parquet, .csv, .jsonl"),
        ("a.csv", "name,label\nx,y\n", "a column path that names tracks"),
        ("a.csv", "path,label\nother.mp3,y\n", "such as 'rock/0.mp3'"),
        ("a.csv", "", "cannot be read as a table"),
        ("a.parquet", "no parquet", "cannot be read as a table"),
        ("a.jsonl", "{", "cannot be read as a table"),
    ],
)
def test_other_tables_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        columns.of_table(tmp_path / name, PATHS)


def test_categories_are_named_by_their_frequency():
    values = Values.of(pd.Series(["b", "a", "b", None, True]))
    assert values.categories == ["b", "a", "True"]
    np.testing.assert_array_equal(values.numbers, [0, 1, 0, np.nan, 2])


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        (["a/b/1", "a/c/2", "a/3"], ["b", "c", "."]),
        (["1", "2"], [".", "."]),
        (["a/1", "b/2", "a/c/3"], ["a", "b", "a"]),
        (["a/b/1", "a/b/2"], [".", "."]),
    ],
)
def test_folders_are_what_differs(tmp_path, paths, folders):
    write_store(tmp_path, {path: np.ones((1, 4)) for path in paths})
    (folder, *_) = columns.of_tracks(Embeddings(tmp_path), paths)
    assert said(folder) == folders


def test_labels_are_searched_as_names_are(tmp_path):
    write_store(tmp_path / "emb", {path: np.ones((1, 4)) for path in PATHS})
    LONG.to_csv(tmp_path / "tags.csv", index=False)
    pd.DataFrame({"path": PATHS, "by": ["Ana", *["Ben"] * 5], "year": 1999}).to_csv(
        tmp_path / "mine.csv", index=False
    )
    tables = [tmp_path / "tags.csv", tmp_path / "mine.csv"]
    explorer = Explorer(Embeddings(tmp_path / "emb"), Sources(tables=tables))

    def names(text):
        return {explorer.paths[row] for row in explorer.search(text)}

    assert names("CALM") == {PATHS[0]}
    assert names("lou") == {PATHS[1], *(p for p in PATHS if "lou" in p)}
    assert names("ana") == {PATHS[0]}
    assert names("jazz") == {PATHS[4]}
    assert names("1999") == set()


# --------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """A data set of two kinds, which are told apart by the number of a track."""
    folder = tmp_path_factory.mktemp("blobs")
    generator = np.random.default_rng(0)
    kinds = np.arange(200) % 2
    centres = generator.standard_normal((2, 24))
    vectors = centres[kinds] + 0.8 * generator.standard_normal((200, 24))
    write_store(folder, {f"{n:03}.wav": vector[None] for n, vector in enumerate(vectors)})
    return Embeddings(folder), kinds


def test_three_examples_tell_two_kinds_apart(blobs):
    embeddings, kinds = blobs
    trained = training.train(stored_map(embeddings).coordinates, [0, 2, 4], [])
    assert roc_auc_score(kinds == 0, trained.probabilities) > 0.95
    assert trained.score is None  # of so few it is not told
    assert len(trained.uncertain) == 20
    away = np.abs(trained.probabilities[trained.uncertain] - 0.5)
    assert (np.diff(away) >= 0).all()


def test_a_correction_counts(blobs):
    embeddings, _ = blobs
    coordinates = stored_map(embeddings).coordinates
    before = training.train(coordinates, [0, 2, 4, 6, 8, 10], [])
    wrong = int(np.argmax(before.probabilities))
    others = {0, 2, 4, 6, 8, 10} - {wrong}
    after = training.train(coordinates, others, [wrong, 1])
    fell = before.probabilities - after.probabilities
    assert fell[wrong] > 0.2
    assert fell[wrong] > np.percentile(fell, 95)
    assert after.score is not None


def test_equal_examples_train_equal_labels(blobs):
    coordinates = stored_map(blobs[0]).coordinates
    one = training.train(coordinates, [4, 0, 2], [7, 1])
    other = training.train(coordinates, [0, 2, 4], [1, 7])
    np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-5)


def test_tracks_that_are_all_alike_can_be_taught(tmp_path):
    write_store(tmp_path, {f"{n}.wav": np.ones((1, 8)) for n in range(50)})
    trained = training.train(stored_map(Embeddings(tmp_path)).coordinates, [0, 1], [2])
    assert np.isfinite(trained.probabilities).all()


def test_a_head_has_what_a_page_says_of_itself(blobs, tmp_path):
    embeddings, _ = blobs
    made = stored_map(embeddings)
    labels = {
        name: training.train(made.coordinates, [first, first + 2], [first + 1])
        for first, name in enumerate(("even", "odd"))
    }
    head = training.head(embeddings, made.components, "kinds", labels)
    head.save(tmp_path / "kinds.safetensors")
    found = by_name(
        columns.of_heads(embeddings, embeddings.paths, [tmp_path / "kinds.safetensors"])
    )
    assert set(found) == {("kinds", "label"), ("kinds", "even"), ("kinds", "odd")}
    for name, label in labels.items():
        np.testing.assert_allclose(
            found["kinds", name].values().numbers, label.probabilities, atol=1e-4
        )
    json.dumps(head.about)
