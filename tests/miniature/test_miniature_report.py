"""The miniature's page: its numbers, its sound, and the page in a real browser."""

import csv
import re
import shutil

import numpy as np
import pytest

from examples.miniature.report import content
from helpers.browser import all_of, assert_fits_a_phone, assert_silent, select
from helpers.miniature import write_miniature
from helpers.processes import run_python
from mar.errors import InputError
from mar.probing.differences import compare, score_again
from mar.probing.results import Results
from mar.reporting import comparison, item_map, page

MODELS = ["supervised", "contrastive", "random", "logmel_mean"]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    write_miniature(folder)
    return folder


@pytest.fixture(scope="module")
def report(quickstart):
    """Made by the command."""
    path = quickstart / "report.html"
    process = run_python("-m", "examples.miniature.report", quickstart, "--output", path)
    assert process.returncode == 0, process.stderr
    return path


# ------------------------------------------------------------------------------------ numbers


def test_scores_and_differences_are_those_of_the_runs(report, quickstart):
    html = report.read_text("utf-8")
    runs = {(run.task, run.model): run for run in reversed(Results(quickstart / "results").runs)}
    for task, metric in (("instrument", "accuracy"), ("tempo", "r2"), ("key", "weighted")):
        for model in MODELS:
            shown = f"{runs[task, model].facts['test'][metric]['value']:.2f}".replace("-", "−")
            assert f'aria-label="{content.NAMES[model]}: {shown}"' in html
        tested = [score_again(runs[task, model]) for model in ("supervised", "contrastive")]
        _, low, high = compare(*tested)[metric]
        told = (
            "no difference" if low < 0 < high else "contrastive is" if high < 0 else "supervised is"
        )
        name = comparison.metric_name(metric)
        assert re.search(f"<b>{task.capitalize()}, {name}</b>: {told}", html)


def test_of_many_tracks_some_of_every_genre_are_shown(tmp_path):
    genres = {"air": 500, "jig": 100, "reel": 40}
    tracks = [f"{genre}_{number:04}" for genre, count in genres.items() for number in range(count)]
    lines = ["id,split", *(f"{track},test" for track in tracks), "march_0000,train"]
    (tmp_path / "tracks.csv").write_text("\n".join(lines))
    shown = [row["id"] for row in content.read_tracks(tmp_path)]
    assert len(set(shown)) == item_map.MOST_ITEMS
    for genre, count in genres.items():
        share = sum(genre in track for track in shown) / item_map.MOST_ITEMS
        assert share == pytest.approx(count / len(tracks), abs=0.01)


def test_keys_are_ordered_so_that_neighbours_are_related():
    keys = ["A minor", "B major", "C major", "E minor", "G major", "Gb major"]
    ordered = content.colouring("key", keys).classes
    assert ordered == ["Gb major", "C major", "A minor", "G major", "E minor", "B major"]


def test_facts_of_a_run_are_those_of_its_card(tmp_path):
    (tmp_path / "supervised").mkdir()
    (tmp_path / "supervised" / "model_card.json").write_text(
        '{"hours": 10.666, "batch_size": 32, "hardware": "1 CPU", "front_end": {"n_fft": 2048}}'
    )
    assert content.training(tmp_path / "supervised")["facts"] == {
        **{"hours": "10.7", "batch size": "32", "hardware": "1 CPU"}
    }


def test_what_is_missing_is_named(quickstart, tmp_path):
    with pytest.raises(InputError, match=r"tracks\.csv"):
        content.read_tracks(tmp_path)
    shutil.copytree(quickstart / "data", tmp_path / "data")
    with pytest.raises(InputError, match="expected results"):
        content.render(tmp_path)
    shutil.copytree(quickstart / "embeddings", tmp_path / "embeddings")
    tracks = (tmp_path / "data" / "tracks.csv").read_text("utf-8")
    (tmp_path / "data" / "tracks.csv").write_text(tracks.replace("tracks/0002", "tracks/other"))
    with pytest.raises(InputError, match=r"holds no tracks/other\.flac"):
        content.tracks_map(tmp_path, sound=False)


def test_a_report_that_is_too_large_is_not_written(quickstart, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "_LIMIT_BYTES", 100_000)
    with pytest.raises(InputError, match="leave the sound out"):
        page.write(content.render(quickstart), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------ browser


@pytest.fixture
def browser(chromium, report):
    """Shows the report; afterwards, nothing has been complained of or fetched."""
    chromium.get(report.as_uri())
    yield chromium
    assert_silent(chromium, report)


def points(browser, attribute):
    return browser.execute_script(f"return circles.map(c => c.style.{attribute})")


def test_a_press_on_a_column_sorts_by_it(browser):
    header = "#overview thead th:nth-child(4)"
    for order in ("descending", "ascending"):
        all_of(browser, f"{header} button")[0].click()
        assert all_of(browser, header)[0].get_attribute("aria-sort") == order
        cells = all_of(browser, "#overview tbody td:nth-child(4)")
        values = [float(cell.get_attribute("data-value")) for cell in cells]
        assert len(values) == len(MODELS) + 1
        assert values == sorted(values, reverse=order == "descending")
    assert len(all_of(browser, "#overview [aria-sort]")) == 1


def test_a_click_on_a_point_lists_its_neighbours_and_has_its_sound(browser, quickstart):
    from selenium.webdriver.support.ui import WebDriverWait

    tracks = content.read_tracks(quickstart / "data")
    shown = content.tracks_map(quickstart, sound=False)
    expected = shown["representations"][shown["opens"][0]]
    all_of(browser, "#points circle")[3].click()
    assert all_of(browser, "#chosen h3")[0].text == tracks[3]["title"]
    assert all_of(browser, "#tip")[0].text.startswith(tracks[3]["title"])
    listed = [button.text.split("\n")[0] for button in all_of(browser, "#chosen ol button")]
    nearest = expected["nearest"][3]
    assert listed == [f"{r}. {tracks[t]['title']}" for r, t in enumerate(nearest, start=1)]
    marked = browser.execute_script("return circles.map(c => c.classList.contains('neighbour'))")
    assert np.flatnonzero(marked).tolist() == sorted(nearest)
    length = "return document.querySelector('#chosen audio').duration"
    WebDriverWait(browser, 30).until(lambda b: b.execute_script(length))
    assert browser.execute_script(length) == pytest.approx(item_map.CLIP_SECONDS, abs=0.1)
    all_of(browser, "#chosen ol button")[0].click()
    assert all_of(browser, "#chosen h3")[0].text == tracks[nearest[0]]["title"]


def test_keys_walk_and_choose(browser):
    browser.execute_script("circles[0].focus()")
    assert all_of(browser, "#tip")[0].is_displayed()
    for key in ("\ue014", "\ue012", "\ue013", "\ue015"):  # right, left, up, down
        before = browser.switch_to.active_element
        before.send_keys(key)
        if browser.switch_to.active_element != before:
            break
    walked = browser.switch_to.active_element
    assert walked != before
    walked.send_keys("\ue007")
    assert all_of(browser, "#chosen h3")[0].text == walked.get_attribute("aria-label")


def test_label_and_representation_are_switched(browser, quickstart):
    rows = content.read_tracks(quickstart / "data")
    select(browser, "representation", "Supervised")
    select(browser, "label", "key")
    places, colours = points(browser, "cx"), points(browser, "fill")
    select(browser, "label", "genre")
    assert points(browser, "cx") == places
    assert points(browser, "fill") != colours
    by_genre = {(row["genre"], c) for row, c in zip(rows, points(browser, "fill"), strict=True)}
    assert len(by_genre) == len({row["genre"] for row in rows}) == len({c for _, c in by_genre})
    select(browser, "representation", "Mean log-mel")
    assert points(browser, "cx") != places
    all_of(browser, "#legend button")[0].click()
    dimmed = browser.execute_script("return circles.map(c => c.classList.contains('dimmed'))")
    first = min(row["genre"] for row in rows)
    assert dimmed == [row["genre"] != first for row in rows]
    select(browser, "label", "tempo")
    assert "BPM" in all_of(browser, "#legend")[0].text


def test_it_fits_a_phone(browser):
    browser.execute_script("choose(2)")
    assert_fits_a_phone(browser)


def test_without_sound_it_has_none_and_stays_usable(chromium, quickstart, tmp_path):
    page.write(content.render(quickstart, sound=False), tmp_path / "silent.html")
    chromium.get((tmp_path / "silent.html").as_uri())
    all_of(chromium, "#points circle")[0].click()
    assert len(all_of(chromium, "#chosen ol button")) == item_map.NEIGHBOURS
    assert not all_of(chromium, "#chosen audio")
    assert chromium.execute_script("return data.clips") is None


def test_titles_with_markup_are_text(report, quickstart):
    with open(quickstart / "data" / "tracks.csv", encoding="utf-8") as file:
        title = next(csv.DictReader(file))["title"]
    assert "<" in title
    assert title not in report.read_text("utf-8")
