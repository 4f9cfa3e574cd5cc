"""README and documentation: what they say to type is run, shrunk, and what they show is so."""

import re

import pytest

import mar
from docs import generated
from examples.miniature.report.content import NAMES
from helpers import homes, pages
from helpers.resources import ROOT
from mar.commands import described
from mar.records import manifest
from mar.reporting import comparison, formats
from mar.util import usage

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = [page for page in PAGES if "Written by" not in page.read_text("utf-8")[:200]]
# What there is in the folder after a page was followed.
LEFT = {
    "README.md": ["embeddings", "results/moods/embeddings/0/head.safetensors", "tags.csv"],
    "docs/how-to/continue-from-mule.md": ["models/continued/model.keras"],
    "docs/how-to/evaluate.md": ["results/MTT/mule/0/result.json", "tables", "report.html"],
    "docs/how-to/coming-from.md": ["song.npy", "vectors/song.mp3.npy", "vectors/album/b.flac.npy"],
    "docs/how-to/pre-train.md": ["recipe.yaml", "models/ularge/model.keras", "models/mine"],
    "docs/how-to/records.md": ["pictures", "all/manifest.parquet", "excerpts/manifest.parquet"],
    "docs/tutorials/embed-and-search.md": ["embeddings", "map.png"],
    "docs/tutorials/pre-train.md": ["models/mine/model_card.md", "baseline"],
    "docs/tutorials/probe-your-labels.md": ["tags.csv"],
    "docs/tutorials/reproduce.md": [
        "reproduction/index.html",
        "reproduction/results/small/GTZAN/small.keras/0/result.json",
        "reproduction/results/small/NSynth_P/small.keras/0/result.json",
        "tables/table3.md",
    ],
}
QUICK = ("README.md", "docs/start", "docs/how-to/add-a-task.md", "docs/how-to/read-outputs.md")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def followed():
    """A case for each page that says what is there at first; most are slow."""
    for page in WRITTEN:
        whole, _ = pages.parts_of(page)
        if "test" in whole:
            marks = [] if name_of(page).startswith(QUICK) else [pytest.mark.slow]
            yield pytest.param(page, marks=marks, id=name_of(page))


@pytest.mark.parametrize("page", list(followed()))
def test_a_reader_can_follow(page, tmp_path, monkeypatch):
    whole, blocks = pages.parts_of(page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in whole["test"].split():
        getattr(homes, name)(tmp_path, monkeypatch)
    pages.run(blocks, tmp_path)
    assert [name for name in LEFT.get(name_of(page), []) if not (tmp_path / name).exists()] == []


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_what_is_not_run_says_why(page):
    whole, blocks = pages.parts_of(page)
    if any(block.language in ("sh", "bash", "python") for block in blocks):
        assert whole.keys() & {"test", "skip-page"}, "see helpers.pages: a comment says what is run"
    reasons = [whole.get("skip-page", "…"), *(block.said.get("skip", "…") for block in blocks)]
    assert all(reasons)
    assert {word for block in blocks for word in block.said} <= {"skip", "needs", "exit", "file"}


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_links_lead_somewhere(page):
    """Those to other pages, and to pictures; `make docs` checks the sections within the site."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    written_by_make_docs = {"commands.md", "configuration.md", "python.md"}
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        is_page = "://" not in target and target.rpartition("/")[2] not in written_by_make_docs
        assert not is_page or (page.parent / target).exists(), f"{name_of(page)}: {target}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_the_miniatures_table_is_that_of_its_results():
    results = mar.Results(ROOT / "docs" / "miniature" / "results")
    headlines = comparison.headlines(comparison.summarize(results))
    expected = []
    for (task, metric), group in headlines.groupby(["task", "metric"], sort=False):
        values = group.set_index("model")["value"][list(NAMES)]
        best = max(values) - formats.CLOSE
        cells = [f"**{value:.3f}**" if value >= best else f"{value:.3f}" for value in values]
        guess = f"{group['guess'].iloc[0]:.3f}".replace("-0.000", "0.000")
        name = comparison.metric_name(metric)
        expected.append(f"| {' | '.join([task.capitalize(), name, *cells, guess])} |")
    head, _, *rows = rows_of(ROOT / "README.md", "| Task | Measure |")
    assert head == f"| {' | '.join(['Task', 'Measure', *NAMES.values(), 'Constant guess'])} |"
    assert rows == expected


def test_the_manifests_columns_are_those_of_the_reference():
    _, _, *rows = rows_of(ROOT / "docs" / "reference" / "files.md", "| Column | Type |")
    assert [row.split("`")[1] for row in rows] == manifest.SCHEMA.names


def test_the_generated_pages_name_every_command_flag_and_parameter():
    commands = generated.commands()
    for command in described():
        section = commands[commands.index(f"## mar {command.name}\n") :].partition("\n## ")[0]
        flags = [flag.name for flag in command.flags if not flag.help.startswith(usage.GONE)]
        assert [name for name in flags if not re.search(rf"--(\[no\])?{name}`", section)] == []
    configuration = generated.configuration()
    for name, component in generated.components().items():
        section = configuration[configuration.index(f"### {name}\n") :].partition("\n### ")[0]
        assert [p for p in component.__PARAMS__ if f"| `{p}` |" not in section] == []


def rows_of(page, head):
    """The lines of the table that begins so."""
    text = page.read_text("utf-8")
    return text[text.index(head) :].partition("\n\n")[0].splitlines()
