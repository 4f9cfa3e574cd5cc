"""The page in a browser: hover, play, neighbours, drop, lasso, teach, save; on a phone; by keys."""

import json

import pytest
import soundfile

import mar
from helpers.processes import wait_for
from helpers.three_kinds import KINDS, RATE, sound
from mar import Embeddings

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
SIZES = {"desktop": {**PHONE, "width": 1280, "height": 800, "mobile": False}, "phone": PHONE}


@pytest.fixture(params=SIZES)
def size(request):
    return request.param


@pytest.fixture
def opened(page, chromium, size, tmp_path):
    """The page, at a size, once the map is there."""
    emulated = SIZES[size]
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", emulated)
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    chromium.get_log("browser")
    chromium.get_log("performance")
    chromium.get(page.address)
    wait_for(lambda: run(chromium, "return document.body.dataset.ready"))
    yield chromium
    run(chromium, "sessionStorage.clear()")
    assert complaints(chromium) == []
    for address in requested(chromium):
        assert address.startswith((page.address, "data:", "blob:")), address
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def complaints(browser):
    """What the console has, but what Chromium remarks of drawing without a GPU."""
    return [entry for entry in browser.get_log("browser") if entry["source"] != "rendering"]


def requested(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {each["request"]["url"] for each in sent}


def run(browser, script, *arguments):
    return browser.execute_script(script, *arguments)


def text(browser, selector):
    return browser.find_element("css selector", selector).text


def click(browser, selector):
    element = browser.find_element("css selector", selector)
    run(browser, "arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def write(browser, selector, words):
    element = browser.find_element("css selector", selector)
    element.clear()
    element.send_keys(words)


def mouse(browser, kind, x, y, **more):
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})


def canvas(browser):
    run(browser, "document.getElementById('map').scrollIntoView()")
    box = run(browser, "return document.getElementById('canvas').getBoundingClientRect().toJSON()")
    return box["left"], box["top"], box["width"], box["height"]


def places(page, browser):
    """Where on the screen each track is."""
    left, top, width, height = canvas(browser)
    half = min(width, height) / 2
    for path, x, y in page.table.itertuples(index=False):
        yield (
            path,
            left + width / 2 + half * (2 * x - 1) * 0.95,
            top + height / 2 - half * (2 * y - 1) * 0.95,
        )


def is_seen(browser, x, y):
    """Whether the map is what one touches there, and not what lies on it."""
    return run(browser, "return document.elementFromPoint(...arguments)?.id", x, y) == "canvas"


def lasso(browser, corners):
    button = {"button": "left", "buttons": 1}
    x, y = corners[0]
    mouse(browser, "mouseMoved", x, y)
    mouse(browser, "mousePressed", x, y, clickCount=1, **button)
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        for step in range(1, 9):
            mouse(
                browser,
                "mouseMoved",
                x1 + (x2 - x1) * step / 8,
                y1 + (y2 - y1) * step / 8,
                **button,
            )
            run(browser, "return new Promise((resolve) => setTimeout(resolve, 12))")
    mouse(browser, "mouseReleased", x, y, clickCount=1, **button)


@pytest.fixture(scope="module")
def placed(page, catalogue):
    page.table = Embeddings(catalogue / "emb").project()
    return page


@pytest.mark.slow
def test_from_hovering_to_a_saved_head(opened, placed, size, tmp_path):
    assert run(opened, "return document.documentElement.scrollWidth") == SIZES[size]["width"]
    assert text(opened, "#legend").split()[0] in KINDS

    spots = {path: (x, y) for path, x, y in places(placed, opened)}
    x, y = next(spot for spot in spots.values() if is_seen(opened, *spot))
    mouse(opened, "mouseMoved", x - 1, y)
    mouse(opened, "mouseMoved", x, y)
    wait_for(lambda: text(opened, "#tooltip") != "")
    assert text(opened, "#tooltip") in spots

    mouse(opened, "mousePressed", x, y, button="left", buttons=1, clickCount=1)
    mouse(opened, "mouseReleased", x, y, button="left", clickCount=1)
    wait_for(lambda: len(opened.find_elements("css selector", "#tracks button")) == 12)
    assert text(opened, "#heading").startswith("Sounds like ")
    wait_for(lambda: run(opened, "return document.getElementById('audio').currentTime") > 0.2)

    second = opened.find_elements("css selector", "#tracks button")[1]
    name = second.get_attribute("title").rpartition("/")[2]
    run(opened, "arguments[0].scrollIntoView({block: 'center'})", second)
    second.click()
    wait_for(lambda: text(opened, "#heading") == f"Sounds like {name}")

    soundfile.write(tmp_path / "dropped.flac", sound("middle", 50), RATE)
    opened.find_element("id", "file").send_keys(str(tmp_path / "dropped.flac"))
    wait_for(lambda: text(opened, "#heading") == "Sounds like dropped.flac")
    first = opened.find_element("css selector", "#tracks button")
    assert first.get_attribute("title").startswith("middle/")

    click(opened, "#reset")
    spots = {path: (x, y) for path, x, y in places(placed, opened)}
    low = [spot for path, spot in spots.items() if path.startswith("low/")]
    xs, ys = zip(*low, strict=True)
    click(opened, "#lasso")
    canvas(opened)
    lasso(opened, box(opened, xs, ys))
    wait_for(lambda: text(opened, "#count") != "none")
    assert int(text(opened, "#count").split()[0]) >= len(low) - 1

    write(opened, "#label", "deep <b>")
    click(opened, "#teach")
    wait_for(lambda: opened.find_element("id", "taught").is_displayed())
    assert text(opened, "#asked-label") == "deep <b>"
    assert run(opened, "return document.getElementById('colour').value") == "ldeep <b>"
    run(opened, "document.getElementById('audio').pause()")
    wait_for(lambda: opened.find_elements("css selector", "#legend .scale"))  # it is trained
    click(opened, "#skip")  # to the one that it is least sure of
    click(opened, "#no")
    wait_for(lambda: ", 1 no" in text(opened, "#labels"))
    write(opened, "#head", f"moods {size}")
    click(opened, "#saving button")
    wait_for(lambda: "Saved" in text(opened, "#status"))
    head = mar.Head(placed.heads / f"moods {size}.safetensors")
    assert head.labels == ["deep <b>"]

    click(opened, "#select-likely")
    click(opened, "#csv")
    wait_for(lambda: (tmp_path / "selection.csv").exists())
    lines = (tmp_path / "selection.csv").read_text().splitlines()
    assert lines[0] == "path,label,probability"
    assert all(float(line.rpartition(",")[2]) >= 0.5 for line in lines[1:])


def box(browser, xs, ys, margin=12):
    """Corners around points, within the map."""
    left, top, width, height = canvas(browser)
    x1, x2 = max(min(xs) - margin, left + 2), min(max(xs) + margin, left + width - 2)
    y1, y2 = max(min(ys) - margin, top + 2), min(max(ys) + margin, top + height - 2)
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
def test_by_keys_alone(opened, catalogue):
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        opened.find_element("id", "canvas").send_keys(*keys)

    press(Keys.ARROW_RIGHT)
    wait_for(lambda: text(opened, "#title") != "")
    before = text(opened, "#heading")
    press("n")
    wait_for(lambda: text(opened, "#heading") not in ("", before))
    press("w")
    before = text(opened, "#heading")
    press("n")
    wait_for(lambda: text(opened, "#heading") != before)
    press("e")
    wait_for(lambda: text(opened, "#heading") == "The way")
    press("a")
    wait_for(lambda: text(opened, "#count") == "1 track")
    press("/")
    opened.switch_to.active_element.send_keys("LOW/")
    wait_for(lambda: "tracks with" in text(opened, "#heading"))
    assert text(opened, "#heading").startswith("8 tracks")
    click(opened, "#select-shown")
    assert text(opened, "#count") == "8 tracks"
    opened.find_element("id", "search").send_keys(Keys.ESCAPE)
    wait_for(lambda: text(opened, "#count") == "none")
    press("?")
    assert opened.find_element("id", "keys").is_displayed()
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
def test_names_are_text_whatever_they_are(opened):
    write(opened, "#search", "hacked")
    wait_for(lambda: text(opened, "#heading").startswith("2 tracks"))
    names = [b.text for b in opened.find_elements("css selector", "#tracks button")]
    assert any("<script>" in name for name in names)
    assert any("onerror" in name for name in names)
    for number in range(2):
        opened.find_elements("css selector", "#tracks button")[0].click()
        wait_for(lambda: text(opened, "#title") != "")
        if number == 0:
            write(opened, "#search", "hacked ")
            write(opened, "#search", "img")
            wait_for(lambda: "img" in text(opened, "#heading"))
    assert opened.title.startswith("emb")
    assert not opened.find_elements("css selector", "main script, main img")


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
def test_what_the_browser_lacks_is_transcoded(opened):
    write(opened, "#search", "3.aiff")
    wait_for(lambda: text(opened, "#heading").startswith("3 tracks"))
    opened.find_elements("css selector", "#tracks button")[0].click()
    playing = "const a = document.getElementById('audio'); return a.currentTime > 0.2 && a.src"
    wait_for(lambda: run(opened, playing))
    assert "/wave/" in run(opened, playing)
    assert run(opened, "return document.getElementById('audio').duration") == pytest.approx(4, 0.1)


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
def test_categories_are_shown_and_hidden(opened):
    legend = opened.find_elements("css selector", "#legend button")
    assert {each.text.split("\n")[0] for each in legend} == {*KINDS, "."}
    for each in legend[1:]:
        each.click()
    click(opened, "#select-shown")
    shown = legend[0].text.split()[-1]
    assert text(opened, "#count") == f"{shown} tracks"


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
def test_labels_survive_a_reload(opened, page):
    write(opened, "#search", "low/")
    wait_for(lambda: text(opened, "#heading").startswith("8 tracks"))
    click(opened, "#select-shown")
    write(opened, "#label", "deep")
    click(opened, "#teach")
    wait_for(lambda: "deep: 8 yes" in text(opened, "#labels"))
    wait_for(lambda: opened.find_element("id", "taught").is_displayed())
    opened.refresh()
    wait_for(lambda: run(opened, "return document.body.dataset.ready"))
    assert text(opened, "#labels") == "deep: 8 yes, 0 no"


def test_a_cell_of_a_notebook_has_the_page(page):
    shown = page._repr_html_()
    assert f'<iframe src="{page.address}"' in shown
