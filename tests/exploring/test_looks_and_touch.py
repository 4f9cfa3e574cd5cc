"""The page under other hands: fingers, files that are dropped, a dark theme, a notebook."""

import io
import itertools
import math

import numpy as np
import pytest
import soundfile

from helpers.explored import (
    assert_fits,
    box,
    canvas,
    click,
    complaints,
    is_seen,
    places,
    run,
    text,
    write,
)
from helpers.processes import wait_for
from helpers.three_kinds import RATE, sound

on_a_phone = pytest.mark.parametrize("size", ["phone"], indirect=True)
on_a_desktop = pytest.mark.parametrize("size", ["desktop"], indirect=True)


def pixels(browser):
    """What is seen of the page, `(height, width, 3)`."""
    from PIL import Image

    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png()))
    return np.asarray(picture.convert("RGB")).astype(int)


def touch(browser, *moments):
    """Fingers at places, at one moment after the other: `[[(x, y), …], …]`; then they leave."""
    kind = "touchStart"
    for moment in [*moments, []]:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(moment)]
        kind = kind if points else "touchEnd"
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        run(browser, "return new Promise((resolve) => setTimeout(resolve, 30))")
        kind = "touchMove"


def between(start, end, steps=8):
    """Places on the way from one to another, with both."""
    return [
        tuple(a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
        for step in range(steps + 1)
    ]


@pytest.fixture
def fingers(opened):
    opened.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    yield opened
    opened.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def tap(browser, spot, name):
    """A finger on a track, which is shown then."""
    touch(browser, [spot])
    wait_for(lambda: text(browser, "#title") == name)


def apart(spots):
    """Names and places of the two tracks that are farthest from the next one."""

    def room(path):
        return min(math.dist(spots[path], spot) for p, spot in spots.items() if p != path)

    ranked = sorted(spots, key=room)[-2:]
    return [(path.rpartition("/")[2], spots[path]) for path in ranked]


@on_a_phone
def test_fingers_choose_zoom_and_draw(fingers, placed):
    spots = {
        path: (x, y)
        for path, x, y in places(placed, fingers)
        if path.isprintable() and is_seen(fingers, x, y)
    }
    (one, (x, y)), (other, (other_x, other_y)) = apart(spots)
    tap(fingers, (x, y), one)
    tap(fingers, (other_x, other_y), other)
    before = pixels(fingers)
    touch(fingers, *[[spot] for spot in between((x, y), (x + 40, y + 40))])
    wait_for(lambda: (pixels(fingers) != before).mean() > 0.001)
    assert text(fingers, "#title") == other  # a drag chooses nothing
    tap(fingers, (x + 40, y + 40), one)  # which moved along
    click(fingers, "#reset")
    canvas(fingers)

    before = pixels(fingers)
    ways = between((x, y - 20), (x, y - 60)), between((x, y + 20), (x, y + 60))
    touch(fingers, *map(list, zip(*ways, strict=True)))
    wait_for(lambda: (pixels(fingers) != before).mean() > 0.001)
    click(fingers, "#reset")
    canvas(fingers)
    tap(fingers, (x, y), one)  # where it was at first

    low = [spot for path, spot in spots.items() if path.startswith("low/")]
    click(fingers, "#lasso")
    canvas(fingers)
    corners = box(fingers, *zip(*low, strict=True))
    first = next(n for n, corner in enumerate(corners) if is_seen(fingers, *corner))
    corners = corners[first:] + corners[: first + 1]
    drawn = [spot for pair in itertools.pairwise(corners) for spot in between(*pair)]
    touch(fingers, *[[spot] for spot in drawn])
    wait_for(lambda: text(fingers, "#count") != "none")
    assert int(text(fingers, "#count").split()[0]) >= len(low) - 1


@on_a_phone
def test_a_question_with_a_long_name_fits(opened):
    write(opened, "#search", "nnnnnnnn")
    wait_for(lambda: text(opened, "#heading").startswith("1 tracks with"))
    opened.find_element("css selector", "#tracks button").click()
    wait_for(lambda: "nnnn" in text(opened, "#title"))
    write(opened, "#search", "low/")
    wait_for(lambda: text(opened, "#heading").startswith("8 tracks"))
    click(opened, "#select-list")
    write(opened, "#label", "deep")
    click(opened, "#teach")
    wait_for(lambda: opened.find_element("id", "taught").is_displayed())
    assert "nnnn" in text(opened, "#asked")
    assert_fits(opened, "phone")


@on_a_desktop
def test_answers_need_not_wait_for_the_training(opened):
    """Of three at once, each is of another track, and the head that is saved knows of all."""
    write(opened, "#search", "low/")
    wait_for(lambda: text(opened, "#heading").startswith("8 tracks"))
    click(opened, "#select-shown")
    write(opened, "#label", "deep")
    click(opened, "#teach")
    wait_for(lambda: opened.find_element("id", "skip").is_displayed())
    assert not opened.find_element("id", "yes").is_enabled()  # of no track is it asked
    opened.find_element("id", "canvas").send_keys("y")
    assert text(opened, "#status").startswith("No track is asked about")
    click(opened, "#skip")
    for _ in range(3):
        wait_for(lambda: opened.find_element("id", "no").is_enabled())
        click(opened, "#no")
    write(opened, "#head", "quick")
    click(opened, "#saving button")
    wait_for(lambda: "Saved" in text(opened, "#status"))
    assert text(opened, "#labels") == "deep: 8 yes, 3 no"


@on_a_desktop
def test_a_double_click_keeps_the_policy(opened):
    """The library would write styles into the page at one."""
    left, top, width, height = canvas(opened)
    mouse = {"x": left + width / 2, "y": top + height / 2, "button": "left"}
    for clicks in (1, 2):
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "clickCount": clicks, **mouse}
            opened.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    run(opened, "return new Promise((drawn) => setTimeout(drawn, 500))")
    assert complaints(opened) == []


@on_a_desktop
def test_a_file_that_is_dropped_finds_its_place(opened, tmp_path):
    soundfile.write(tmp_path / "dropped.flac", sound("middle", 50), RATE)
    data = {"items": [], "files": [str(tmp_path / "dropped.flac")], "dragOperationsMask": 1}
    left, top, width, height = canvas(opened)
    place = {"x": left + width / 2, "y": top + height / 2, "data": data}
    for kind in ("dragEnter", "dragOver"):
        opened.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, **place})
    wait_for(lambda: opened.find_element("id", "drop").is_displayed())
    opened.execute_cdp_cmd("Input.dispatchDragEvent", {"type": "drop", **place})
    wait_for(lambda: text(opened, "#heading") == "Sounds like dropped.flac")
    assert not opened.find_element("id", "drop").is_displayed()
    first = opened.find_element("css selector", "#tracks button")
    assert first.get_attribute("title").startswith("middle/")
    assert not opened.find_element("id", "from").is_enabled()  # a file is no track of a way


@on_a_desktop
def test_it_is_dark_where_one_likes_that(opened):
    left, top, *_ = (round(value) for value in canvas(opened))
    corner, panel = (top + 3, left + 3), (700, 1200)

    def brightness(theme):
        feature = {"name": "prefers-color-scheme", "value": theme}
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        run(opened, "return new Promise((resolve) => setTimeout(resolve, 200))")
        seen = pixels(opened)
        return seen[corner].mean(), seen[panel].mean()

    assert min(brightness("light")) > 240
    assert max(brightness("dark")) < 50
    assert min(brightness("light")) > 240
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_page_shows_itself_in_a_notebook(page):
    assert f'<iframe src="{page.address}"' in page._repr_html_()


@pytest.mark.slow
def test_a_cell_of_a_notebook_has_the_page(catalogue):
    nbclient = pytest.importorskip("nbclient", reason="needs the extra `notebooks`")
    nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebooks`")
    cells = [
        f"import mar\npage = mar.Embeddings({str(catalogue / 'emb')!r}).explore()\npage",
        "import urllib.request\nprint(page.address, urllib.request.urlopen(page.address).status)",
        "page.close()",
    ]
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=600).execute()
    shown, told = (notebook.cells[number].outputs[0] for number in (0, 1))
    address, status = told.text.split()
    assert status == "200"
    assert f'<iframe src="{address}"' in shown.data["text/html"]
