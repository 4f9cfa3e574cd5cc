"""The report: its numbers, its sound, and the page in a real browser."""

import base64
import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
from sklearn.neighbors import NearestNeighbors

from helpers.miniature import write_miniature
from helpers.shared import run_python
from mar.embedding.store import Embeddings
from mar.errors import InputError
from mar.probing import results
from mar.reporting import comparison
from mar.reporting.report import map, page, scores

MODELS = ["supervised", "contrastive", "random", "logmel_mean"]
CHROMIUM = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    write_miniature(folder)
    return folder


@pytest.fixture(scope="module")
def report(quickstart):
    """Made by the command."""
    path = quickstart / "report.html"
    process = run_python("-m", "mar.report", "--quickstart", quickstart, "--output", path)
    assert process.returncode == 0, process.stderr
    return path


# ------------------------------------------------------------------------------------ numbers


def test_scores_and_differences_are_those_of_the_runs(report, quickstart):
    html = report.read_text("utf-8")
    for task, metric in (("instrument", "accuracy"), ("tempo", "r2"), ("key", "weighted")):
        runs = {model: quickstart / "results" / task / model for model in MODELS}
        for model, run in runs.items():
            value = results.read_run(run)["test"][metric]["value"]
            shown = f"{value:.2f}".replace("-", "−")
            assert f'aria-label="{scores.NAMES[model]}: {shown}"' in html
        tested = [results.score_again(runs[model]) for model in ("supervised", "contrastive")]
        _, low, high = results.compare(*tested)[metric]
        told = (
            "no difference" if low < 0 < high else "contrastive is" if high < 0 else "supervised is"
        )
        assert re.search(f"<b>{task.capitalize()}, {comparison.NAMES[metric]}</b>: {told}", html)


def test_neighbours_are_those_that_scikit_learn_finds(quickstart):
    tracks = map.read_tracks(quickstart / "data")
    folder = quickstart / "embeddings" / "contrastive"
    (found,) = map.build(tracks, {"contrastive": folder})["representations"]
    vectors = Embeddings(folder).means([row["path"] for row in tracks])
    search = NearestNeighbors(n_neighbors=map.NEIGHBOURS, metric="cosine").fit(vectors)
    distances, nearest = search.kneighbors()
    np.testing.assert_array_equal(found["nearest"], nearest)
    np.testing.assert_allclose(found["similarities"], 1 - distances, atol=6e-4)


def test_of_many_tracks_some_of_every_genre_are_shown(tmp_path):
    genres = {"air": 500, "jig": 100, "reel": 40}
    tracks = [f"{genre}_{number:04}" for genre, count in genres.items() for number in range(count)]
    lines = ["id,split", *(f"{track},test" for track in tracks), "march_0000,train"]
    (tmp_path / "tracks.csv").write_text("\n".join(lines))
    shown = [row["id"] for row in map.read_tracks(tmp_path)]
    assert len(set(shown)) == map.MOST_TRACKS
    for genre, count in genres.items():
        share = sum(genre in track for track in shown) / map.MOST_TRACKS
        assert share == pytest.approx(count / len(tracks), abs=0.01)


@pytest.mark.parametrize("count", [3, 5, 6])
def test_of_few_tracks_none_is_its_own_neighbour(count):
    drawn = np.random.default_rng(count).standard_normal((count, 8))
    for vectors in (drawn, np.ones((count, 8))):  # whose order the angles do not tell
        found = map._arrange(vectors)
        for track, nearest in enumerate(found["nearest"]):
            assert len(nearest) == len(set(nearest)) == min(map.NEIGHBOURS, count - 1)
            assert track not in nearest
        json.dumps(found, allow_nan=False)


def test_keys_are_ordered_so_that_neighbours_are_related():
    keys = ["A minor", "B major", "C major", "E minor", "G major", "Gb major"]
    ordered = map._label("key", keys)["classes"]
    assert ordered == ["Gb major", "C major", "A minor", "G major", "E minor", "B major"]


def test_clips_are_the_middle_of_their_files(tmp_path):
    seconds, rate = 9, 16000
    time = np.arange(seconds * rate) / rate
    samples = 0.3 * np.sin(2 * np.pi * (300 + 100 * np.floor(time)) * time)
    soundfile.write(tmp_path / "a.flac", samples, rate)
    clip, clip_rate = soundfile.read(io.BytesIO(base64.b64decode(map.clip(tmp_path / "a.flac"))))
    assert len(clip) / clip_rate == pytest.approx(map.CLIP_SECONDS, abs=0.1)
    spectrum = np.abs(np.fft.rfft(clip[2 * clip_rate + 4800 : 3 * clip_rate - 4800]))
    loudest = spectrum.argmax() * clip_rate / (2 * (len(spectrum) - 1))
    assert loudest == pytest.approx(300 + 100 * 4, abs=10)  # second 2 of 5 is second 4 of 9


def test_what_is_missing_is_named(quickstart, tmp_path):
    with pytest.raises(InputError, match=r"tracks\.csv"):
        map.read_tracks(tmp_path)
    shutil.copytree(quickstart / "data", tmp_path / "data")
    with pytest.raises(InputError, match="expected results"):
        page.write(tmp_path, tmp_path / "report.html")
    tracks = [{"path": "tracks/other.flac"}]
    with pytest.raises(InputError, match=r"1 are missing.*tracks/other\.flac"):
        map._vectors(quickstart / "embeddings" / "random", tracks)


def test_a_report_that_is_too_large_is_not_written(quickstart, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "_LIMIT_BYTES", 100_000)
    with pytest.raises(InputError, match="--nosound"):
        page.write(quickstart, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------ browser


@pytest.fixture(scope="module")
def chromium():
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in CHROMIUM.split():
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium, report):
    """Shows the report; afterwards, nothing has been complained of or fetched."""
    chromium.get(report.as_uri())
    yield chromium
    assert chromium.get_log("browser") == []
    messages = [
        json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")
    ]
    requests = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    addresses = {request["request"]["url"] for request in requests}
    assert {a for a in addresses if not a.startswith("data:")} == {report.as_uri()}


def all_of(browser, selector):
    return browser.find_elements("css selector", selector)


def select(browser, identity, text):
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", identity)).select_by_visible_text(text)


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

    tracks = map.read_tracks(quickstart / "data")
    folder = quickstart / "embeddings" / "supervised"
    (expected,) = map.build(tracks, {"supervised": folder})["representations"]
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
    assert browser.execute_script(length) == pytest.approx(map.CLIP_SECONDS, abs=0.1)
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
    rows = map.read_tracks(quickstart / "data")
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
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_script("choose(2)")
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_sound_it_has_none_and_stays_usable(chromium, quickstart, tmp_path):
    page.write(quickstart, tmp_path / "silent.html", sound=False)
    chromium.get((tmp_path / "silent.html").as_uri())
    all_of(chromium, "#points circle")[0].click()
    assert len(all_of(chromium, "#chosen ol button")) == map.NEIGHBOURS
    assert not all_of(chromium, "#chosen audio")
    assert chromium.execute_script("return data.clips") is None


def test_titles_with_markup_are_text(report, quickstart):
    with open(quickstart / "data" / "tracks.csv", encoding="utf-8") as file:
        title = next(csv.DictReader(file))["title"]
    assert "<" in title
    assert title not in report.read_text("utf-8")
