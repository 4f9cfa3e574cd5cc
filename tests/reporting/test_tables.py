import csv
import dataclasses
import html.parser
import io
import json
import logging
import re

import numpy as np
import pytest

import mar
from helpers import published, small_records
from helpers.networks import small_network
from helpers.probe_runs import classes, noisy, tags, write_run
from helpers.processes import run_python
from helpers.resources import ROOT, reference
from helpers.small_embeddings import PROVENANCE
from mar.embedding import model_names
from mar.errors import InputError
from mar.probing.differences import compare, score_again
from mar.probing.published import PublishedScores, write_table
from mar.probing.results import Results
from mar.reporting import comparison, formats, paper
from mar.reporting.formats import Cell, Table


def printed(first):
    """A table of the paper: its lines from the one that begins so, without tags; and its bold."""
    text = (published.FOLDER / "paper_tables.txt").read_text(encoding="utf-8")
    lines = text.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    cells = [line.split("\t") for line in lines[start : lines.index("", start)]]
    bold = [[cell.startswith("<b>") for cell in row] for row in cells]
    return [[re.sub(r"<[^>]*>|[$\\]|\s", "", cell) for cell in row] for row in cells], bold


def plain(name):
    """A name without what two spellings of it may differ in."""
    name = name.replace("R² valence", "V r2").replace("R² arousal", "A r2")
    return re.sub("[^a-z0-9]", "", name.lower())


# ------------------------------------------------------------------------------- the paper's tables


@pytest.mark.parametrize(
    ("number", "first", "exception"),
    [
        (3, "Model\tMTT", set()),
        # 0.908 is in bold there, 0.013 below the best.
        (4, "Model\tMSDS", {("Musicset-ULarge", "MSD50 ROC")}),
    ],
)
def test_tables_3_and_4_are_the_papers(number, first, exception):
    (groups, names, *rows), (_, _, *bold) = printed(first)
    table = {3: paper.table3, 4: paper.table4}[number]()
    for column in range(2, len(groups)):
        groups[column] = groups[column] or groups[column - 1]
    headers = [group + name for group, name in zip(groups, names, strict=True)]
    assert [plain(header) for header in headers] == [plain(name) for name in table.columns]
    shown = [[re.sub(r"\s", "", cell.text + cell.mark) for cell in row] for row in table.rows]
    assert shown == rows
    differing = {
        (cells[0].text, column)
        for cells, thick in zip(table.rows, bold, strict=True)
        for cell, other, column in zip(cells[1:], thick[1:], table.columns[1:], strict=True)
        if cell.bold != other
    }
    assert differing == exception


def test_table_1_has_the_papers_numbers_and_the_tasks_agree_with_them():
    (_, *rows), _ = printed("Dataset\tTask")
    table = paper.table1()
    kept = [0, 1, 7, 8, 9, 10]
    found = [[cells[column].text for column in kept] for cells in table.rows]
    assert [[plain(cell) for cell in row] for row in found] == [
        [plain(cell) for cell in row] for row in rows
    ]
    for cells in table.rows:
        name, items, labels = cells[0].text, cells[2].value, cells[6].value
        parts = [cell.value for cell in cells[3:6]]
        assert parts == [None] * 3 or items == sum(parts)
        assert name == "Emo" or labels == float(cells[8].text)
        if items and name != "GS_Key":  # whose number there is that of the published tracks
            published = float(cells[7].text.rstrip("k")) * (1000 if "k" in cells[7].text else 1)
            assert abs(items - published) <= 500


def test_table_2_is_the_papers():
    (_, *rows), _ = printed("Dataset\tLayers")
    table = paper.table2()
    assert table == paper.table2(ROOT / "configs" / "probe")
    shown = [[re.sub(r"\s", "", cell.text.replace("×", "times")) for cell in r] for r in table.rows]
    assert [row[1:] for row in shown] == [row[1:] for row in rows]
    assert [plain(row[0]) for row in shown] == [plain(row[0]) for row in rows]


def test_every_entry_of_the_published_numbers_is_complete():
    entries = [entry for number in (1, 3, 4) for entry in paper.published(number)]
    assert len(entries) == len({(e.table, e.source, e.task, e.metric) for e in entries}) == 259
    for entry in entries:
        pre_trained = "Musicset-" in entry.source or "Audioset-" in entry.source
        assert bool(entry.reference) == (entry.table > 1 and not pre_trained)


@pytest.mark.parametrize(
    ("made", "source"),
    [
        ({"model_source": "mule"}, "Musicset-ULarge"),
        (
            {"model_source": "/home/me/other.keras", "model_file": model_names.MULE_SHA256},
            "Musicset-ULarge",
        ),
        (
            {"model_source": "/home/me/old", "model_file": model_names.MULE_SAVED_MODEL_SHA256},
            "Musicset-ULarge",
        ),
        ({"model_source": "/home/me/mule", "model_file": "0" * 64}, None),
        ({"model_source": "random"}, None),
    ],
)
def test_the_published_model_is_known_by_its_file(made, source):
    assert model_names.published_as(made) == source


def test_results_in_the_published_form_stand_below_the_papers(tmp_path):
    """Tables by label of three models, which score as the paper's MTT; of Jam-All, two labels."""
    scores = {"Musicset Supervised": 0.4, "Musicset ULarge": 0.404, "Audioset USmall": 0.35}
    for task, labels in (("MTT", [f"tag {n}" for n in range(50)]), ("Jam-All", ["a", "b"])):
        (tmp_path / task).mkdir()
        for metric in ("map", "roc-auc"):
            values = np.array([[score] * len(labels) for score in scores.values()])
            table = PublishedScores(metric, list(scores), labels, values, values.mean(axis=1))
            write_table(table, tmp_path / task / f"{metric}.csv")
    rows = {cells[0].text: cells for cells in paper.table3(tmp_path).rows}
    names = list(rows)
    for source, ours in (
        ("Musicset-Sup", "Musicset Supervised (measured)"),
        ("Musicset-ULarge", "Musicset ULarge (measured)"),
        ("Audioset-USmall", "Audioset USmall (measured)"),
    ):
        assert names.index(ours) == names.index(source) + 1
        assert rows[ours][1].value == pytest.approx(scores[ours.removesuffix(" (measured)")])
        expected = rows[ours][1].value - float(rows[source][1].text)
        assert rows[ours][1].difference == pytest.approx(expected)
    assert "Jam-All: 2 of its 183 labels." in paper.table3(tmp_path).notes


def test_the_published_files_stand_below_what_the_paper_made_of_them():
    folder = reference("datasets/paper_results")
    for table in (paper.table3(folder), paper.table4(folder)):
        rows = {cells[0].text: (number, cells) for number, cells in enumerate(table.rows)}
        for source, ours in (
            ("Musicset-Sup", "Musicset Supervised (measured)"),
            ("Musicset-ULarge", "Musicset ULarge (measured)"),
            ("Audioset-USmall", "Audioset USmall (measured)"),
        ):
            (number, published), (below, measured) = rows[source], rows[ours]
            assert below == number + 1
            for name, theirs, cell in zip(table.columns, published, measured, strict=True):
                if name != "Model":
                    # The published files omit labels of these, which the paper's means include.
                    omitted = re.match("Jam-All|Jam-MT|MuMu|MSD100|MSD500", name)
                    assert cell.difference == pytest.approx(cell.value - float(theirs.text))
                    assert abs(cell.difference) < (0.005 if omitted else 0.00056)


# ---------------------------------------------------------------------------------- measured values


@pytest.fixture
def measured(tmp_path):
    """MTT of two models; one of them is the paper's."""
    targets = tags(60, 5)
    for model, source, noise in (("emb", "mule", 0.4), ("my model", "mine.keras", 2.0)):
        made = {**PROVENANCE, "model_source": source}
        predictions = noisy(targets, noise)
        write_run(
            *(tmp_path, "MTT", model, "multilabel", targets, predictions),
            embeddings=made,
            protocol="paper",
        )
    return tmp_path


def test_measured_values_stand_beside_the_published_ones(measured):
    rows = {cells[0].text: cells for cells in paper.table3(measured).rows}
    assert list(rows)[2:4] == ["Musicset-ULarge", "emb (measured)"]
    assert list(rows)[-1] == "my model (measured)"
    ours, other = rows["emb (measured)"], rows["my model (measured)"]
    test = {run.model: run for run in Results(measured).runs}["emb"].facts["test"]["map"]
    assert ours[1].value == test["value"]
    assert ours[1].text == f"{test['value']:.3f}"
    assert ours[1].difference == pytest.approx(test["value"] - 0.404)
    assert ours[1].interval == (test["low"], test["high"])
    assert other[1].value > 0
    assert other[1].difference is None
    assert all(cell == Cell() for cell in ours[3:] + other[3:]), "what was not run is not empty"
    # It is far above the published ones, so that none of these is among the best any more.
    assert [name for name, cells in rows.items() if cells[1].bold] == ["emb (measured)"]
    assert [cell.text for cell in paper.table4(measured).rows[0]][:2] == ["Musicset-Sup", "0.363"]
    assert paper.table4(measured) == paper.table4()


def test_what_makes_a_value_incomparable_is_told_below_the_table(measured):
    path = measured / "MTT" / "emb" / "0" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "missing": 7}))
    assert "emb, MTT: 7 items had no embedding." in paper.table3(measured).notes
    assert not any("emb, " in note for note in paper.table4(measured).notes)


def test_a_task_of_ones_own_is_not_the_papers_of_its_name(measured):
    path = measured / "MTT" / "emb" / "0" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocol": "own"}))
    models = [cells[0].text for cells in paper.table3(measured).rows]
    assert "emb (measured)" not in models
    assert "my model (measured)" in models


def test_bold_is_within_a_hundredth_of_the_best_of_the_column():
    columns = [[0.414, 0.4037, 0.4034, 0.3], [-0.1, -0.2, None, -0.105], [None] * 4]
    rows = [[formats.number(value) for value in row] for row in zip(*columns, strict=True)]
    bold = np.array([[cell.bold for cell in row] for row in formats.with_best_bold(rows)]).T
    assert bold.tolist() == [
        [True, True, False, False],
        [True, False, False, True],
        [False, False, False, False],
    ]


# ------------------------------------------------------------------------------------- own tasks


@pytest.fixture
def own(tmp_path):
    """A balanced and an unbalanced classification, a regression; three seeds of one probe."""
    for task, counts in (("family", [20, 20, 20]), ("meter", [48, 12])):
        for model, noise in (("contrastive", 0.3), ("supervised", 0.8)):
            targets = classes(counts)
            write_run(tmp_path, task, model, "multiclass", targets, noisy(targets, noise))
            for seed in (1, 2):
                again = noisy(targets, noise, seed)
                write_run(tmp_path, task, model, "multiclass", targets, again, seed=seed)
    tempo = np.random.default_rng(0).standard_normal((60, 1))
    write_run(tmp_path, "tempo", "contrastive", "regression", tempo, noisy(tempo, 0.5), ["bpm"])
    return tmp_path


def row(table, **values):
    """The one row of a data frame with these values."""
    (place,) = np.flatnonzero(np.all([table[name] == v for name, v in values.items()], axis=0))
    return table.iloc[place]


def test_a_summary_has_the_score_of_the_first_run_and_what_seeds_make_of_it(own):
    summary = comparison.summarize(Results(own))
    assert set(summary["task"]) == {"family", "meter", "tempo"}
    guesses = summary.set_index(["task", "metric"])["guess"].groupby(level=[0, 1]).first()
    assert guesses["meter", "accuracy"] == pytest.approx(0.8)
    assert guesses["meter", "balanced_accuracy"] == pytest.approx(0.5)
    assert guesses["family", "accuracy"] == pytest.approx(1 / 3)
    assert guesses["tempo", "r2"] == pytest.approx(0)
    address = {"task": "meter", "metric": "accuracy", "model": "supervised"}
    line = row(summary, **address)
    runs = [json.loads((own / f"meter/supervised/{s}/result.json").read_text()) for s in range(3)]
    scores = [run["test"]["accuracy"] for run in runs]
    values = [score["value"] for score in scores]
    assert (line.value, line.low, line.high) == tuple(scores[0].values())
    assert line["mean"] == pytest.approx(np.mean(values))
    assert line["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert (line["seeds"], len(set(values)) > 1) == (3, True)
    assert np.isnan(row(summary, task="tempo", metric="r2", model="contrastive").deviation)
    (shown,) = [
        cells
        for cells in comparison.scores_table(summary).rows
        if [cell.text for cell in cells[:3]] == ["meter", "accuracy", "supervised"]
    ]
    *found, neighbours, guess = (cell.value for cell in shown[3:])
    assert found == pytest.approx([line.value, line["mean"], line["deviation"], 3])
    assert (neighbours, guess) == (None, pytest.approx(0.8))


@pytest.mark.parametrize(
    "changes",
    [{"config_sha256": "d" * 64}, {"embeddings": {**PROVENANCE, "model": "another"}}],
)
def test_another_probe_or_other_embeddings_are_not_another_seed(own, changes):
    path = own / "meter" / "supervised" / "1" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    summary = comparison.summarize(Results(own))
    address = {"task": "meter", "metric": "accuracy"}
    line = row(summary, **address, model="supervised")
    runs = [json.loads((own / f"meter/supervised/{s}/result.json").read_text()) for s in (0, 2)]
    values = [run["test"]["accuracy"]["value"] for run in runs]
    assert (line["mean"], line["seeds"]) == (pytest.approx(np.mean(values)), 2)
    assert row(summary, **address, model="contrastive")["seeds"] == 3


def test_tasks_metrics_and_models_are_in_the_order_that_is_asked_for(own):
    tasks, models = ["tempo", "meter"], ["supervised", "contrastive"]
    summary = comparison.summarize(Results(own), tasks, models)
    assert list(summary["task"].unique()) == tasks
    meter = summary[summary["task"] == "meter"]
    assert list(meter["metric"].unique()) == ["accuracy", "balanced_accuracy"]
    assert list(meter["model"]) == models * 2


def test_the_overview_adds_balanced_accuracy_where_classes_are_unbalanced(own):
    summary = comparison.summarize(Results(own), models=["supervised", "contrastive"])
    table = comparison.overview_table(summary)
    assert table.columns == [
        *("Model", "family, accuracy", "meter, accuracy", "meter, balanced accuracy"),
        "tempo, R²",
    ]
    assert [cells[0].text for cells in table.rows] == [
        "supervised",
        "contrastive",
        "constant guess",
    ]
    assert table.rows[0][-1] == Cell()
    assert [cell.text for cell in table.rows[-1][1:]] == ["0.333", "0.800", "0.500", "0.000"]
    assert not any(cell.bold for cell in table.rows[-1])


def test_differences_are_paired_and_their_table_is_a_view(own):
    differences = comparison.differences(Results(own), ["family"])
    assert list(differences["metric"]) == ["accuracy", "balanced_accuracy"]
    accuracy = differences.iloc[0]
    assert (accuracy["first"], accuracy["second"]) == ("contrastive", "supervised")
    runs = {(run.task, run.model): run for run in reversed(Results(own).runs)}
    tested = [score_again(runs["family", name]) for name in ("contrastive", "supervised")]
    found = accuracy.difference, accuracy.low, accuracy.high
    assert found == compare(*tested)["accuracy"]
    cells = comparison.differences_table(differences).rows[0]
    names = ["family", "accuracy", "contrastive", "supervised"]
    assert [cell.text for cell in cells[:4]] == names
    assert (cells[4].value, cells[4].interval) == (found[0], found[1:])
    assert cells[4].bold == (accuracy.low > 0 or accuracy.high < 0)


def test_every_run_is_scored_once_for_all_its_differences(own, caplog):
    targets = classes([20, 20, 20])
    for model in ("third", "fourth"):
        write_run(own, "family", model, "multiclass", targets, noisy(targets, 0.5))
    with caplog.at_level(logging.INFO, "mar"):
        differences = comparison.differences(Results(own))
    scored = [message for message in caplog.messages if "resampling the test items" in message]
    assert len(scored) == len(set(scored)) == 6, "four of family, two of meter, none of tempo"
    assert len(set(zip(differences["first"], differences["second"], strict=True))) == 6


def test_runs_on_other_items_are_named_rather_than_compared(own):
    targets = classes([10, 10, 10])
    write_run(own, "family", "other", "multiclass", targets, noisy(targets, 0.3))
    table = comparison.differences_table(comparison.differences(Results(own), ["family"]))
    assert len(table.rows) == 2
    assert len(table.notes) == 2
    assert all("expected runs of one task on the same test items" in n for n in table.notes)


def test_results_without_predictions_lack_what_follows_from_them(own):
    (own / "tempo" / "contrastive" / "0" / "predictions.npz").unlink()
    (own / "family" / "supervised" / "0" / "predictions.npz").unlink()
    summary = comparison.summarize(Results(own))
    assert np.isfinite(row(summary, task="tempo", metric="r2", model="contrastive").value)
    table = comparison.differences_table(comparison.differences(Results(own)))
    assert {cells[0].text for cells in table.rows} == {"meter"}
    assert "family/supervised/0/predictions.npz" in table.notes[0]


def test_results_that_are_not_there_are_an_error_that_names_the_folder(own):
    with pytest.raises(InputError, match=f"{own}: expected results of key, found none of these"):
        comparison.summarize(Results(own), ["key"])


# ---------------------------------------------------------------------------------------- formats


class Cells(html.parser.HTMLParser):
    """Texts of the cells of an HTML table, row by row, without its foot."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(text.partition("<tfoot>")[0])

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def of_html(table):
    return Cells(formats.html(table)).rows


def of_markdown(table):
    lines = [line for line in formats.markdown(table).split("\n") if line.startswith("|")]
    rows = [re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in lines if not line.startswith("|--")]
    rows = [[re.sub(r"(?<!\\)\*\*", "", cell) for cell in row] for row in rows]
    return [[re.sub(r"\\(.)", r"\1", cell) for cell in row] for row in rows]


def of_latex(table):
    body = formats.latex(table).partition("\\toprule\n")[2].partition("\\bottomrule")[0]
    body = body.replace("\\midrule\n", "").replace("$-$", "−").replace("$\\times$", "×")
    body = body.replace("\\textsuperscript{2}", "²").replace("\\textdagger{}", "†")
    body = body.replace("\\textasteriskcentered{}", "*").replace("\\textbackslash{}", "\\\\")
    body = body.replace("\\textless{}", "<").replace("\\textbar{}", "|")
    body = body.replace("\\textgreater{}", ">").replace("\\textasciitilde{}", "~")
    rows = [re.split(r"(?<!\\) & ", line) for line in body.removesuffix(" \\\\\n").split(" \\\\\n")]
    rows = [[re.sub(r"\\textbf{(.*?)}", r"\1", cell) for cell in row] for row in rows]
    return [[re.sub(r"\\(.)", r"\1", cell.removeprefix("{}")) for cell in row] for row in rows]


AWKWARD = Table(
    *("awkward", "Awkward", "50 % of <all> & |more|, a_b"),
    ["Model_1 & 2", "R² [%]"],
    [
        [Cell("a|b_c*d"), Cell("0.5", 0.5, bold=True, difference=-0.0004, interval=(-0.1, 1.0))],
        [Cell("<i>#1</i> 100 $"), Cell("−0.250", -0.25, mark="* [46]")],
        [Cell("[2] x\\y ~m$_$"), Cell()],
    ],
    ["* note & <more>"],
)


@pytest.mark.parametrize("form", [of_html, of_markdown, of_latex])
def test_every_format_shows_the_same(form, measured):
    awkward = form(AWKWARD)
    assert awkward == [
        ["Model_1 & 2", "R² [%]"],
        ["a|b_c*d", "0.5 (+0.000) [−0.100, 1.000]"],
        ["<i>#1</i> 100 $", "−0.250* [46]"],
        ["[2] x\\y ~m$_$", ""],
    ]
    for table in (paper.table1(), paper.table3(measured), paper.table4()):
        assert form(table) == of_html(table)
        assert form(table)[0] == table.columns
        for shown, cells in zip(form(table)[1:], table.rows, strict=True):
            assert all(s.startswith(c.text) for s, c in zip(shown, cells, strict=True))


def test_a_table_without_rows_has_its_head_in_every_format():
    empty = dataclasses.replace(AWKWARD, rows=[])
    assert of_html(empty) == of_markdown(empty) == [AWKWARD.columns]
    assert formats.csv(empty) == ",".join(AWKWARD.columns) + "\n"
    assert "R\\textsuperscript{2}" in formats.latex(empty)


def test_csv_has_columns_of_its_own_for_what_stands_beside_a_value(measured):
    rows = list(csv.reader(io.StringIO(formats.csv(AWKWARD))))
    assert rows == [
        [
            "Model_1 & 2",
            *(f"R² [%]{kind}" for kind in ("", " difference", " low", " high", " note")),
        ],
        ["a|b_c*d", "0.5", "0.000", "-0.100", "1.000", ""],
        ["<i>#1</i> 100 $", "-0.250", "", "", "", "* [46]"],
        ["[2] x\\y ~m$_$", "", "", "", "", ""],
    ]
    for table in (paper.table1(), paper.table3(measured)):
        found = {row["Model" if "Model" in row else "Dataset"]: row for row in csv.DictReader(
            io.StringIO(formats.csv(table))
        )}  # fmt: skip
        for cells in table.rows:
            for name, cell in zip(table.columns, cells, strict=True):
                text = found[cells[0].text][name]
                if cell.value is None:
                    assert text == cell.text
                else:
                    assert float(text) == pytest.approx(cell.value, abs=0.0005)


def test_bold_is_shown_in_every_format_that_has_it():
    thin = dataclasses.replace(AWKWARD, rows=[[AWKWARD.rows[1][0], AWKWARD.rows[1][1]]])
    for form, bold in (
        (formats.markdown, "**0.5**"),
        (formats.latex, r"\textbf{0.5}"),
        (formats.html, "<b>0.5</b>"),
    ):
        assert bold in form(AWKWARD)
        assert bold[:3] not in form(thin).partition("−0.250")[0].split("\n")[-1]


# ---------------------------------------------------------------------------------------- command


def test_the_command_writes_what_there_is_data_for(measured, tmp_path):
    small_records.data_set(tmp_path / "records", [200] * 12)
    mar.save(small_network().build(), tmp_path / "small.keras")
    finished = run_python(
        *("-m", "mar.tables", f"--results={measured}", "--output=out", "--model=small.keras"),
        *("--records=records",),
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stderr
    names = ["table1", "table2", "table3", "table4", "overview", "scores", "differences"]
    expected = {f"{name}{suffix}" for name in names for suffix in formats.FORMATS}
    expected |= {"figure1.svg", "figure2.svg", "tasks.svg", "per_label/MTT/emb_vs_my model.svg"}
    out = tmp_path / "out"
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} == expected
    assert (out / "table3.md").read_text() == formats.markdown(paper.table3(measured))
    assert "small.keras" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--results=nowhere"], "--results: nowhere: expected a folder, found none"),
        (["--probes=nowhere"], "--probes: nowhere: expected a folder, found none"),
        (["results"], "expected flags alone, got ['results']"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, message, tmp_path):
    process = run_python("-m", "mar.tables", *arguments, cwd=tmp_path)
    assert process.returncode == 1
    assert f"error: {message}" in process.stderr
    assert not (tmp_path / "tables").exists()
