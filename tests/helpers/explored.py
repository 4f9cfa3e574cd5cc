"""The page of `mar explore` in a browser: what is on it, and how mouse and keys are used on it."""

import json

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.support.wait import WebDriverWait

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
SIZES = {"desktop": {**PHONE, "width": 1280, "height": 800, "mobile": False}, "phone": PHONE}


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
    """Clicks on the first that there is, again where the page draws it anew meanwhile."""

    def clicked(browser):
        element = browser.find_element("css selector", selector)
        run(browser, "arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        return True

    ignored = [StaleElementReferenceException]
    WebDriverWait(browser, 60, ignored_exceptions=ignored).until(clicked)


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
    """Draws around corners; it begins at one on which no legend lies."""
    first = next(n for n, corner in enumerate(corners) if is_seen(browser, *corner))
    corners = corners[first:] + corners[:first]
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


def box(browser, xs, ys, margin=12):
    """Corners around points, within the map."""
    left, top, width, height = canvas(browser)
    x1, x2 = max(min(xs) - margin, left + 2), min(max(xs) + margin, left + width - 2)
    y1, y2 = max(min(ys) - margin, top + 2), min(max(ys) + margin, top + height - 2)
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def assert_fits(browser, size):
    """It is as wide as the screen, which a phone would show smaller otherwise."""
    assert run(browser, "return document.documentElement.scrollWidth") == SIZES[size]["width"]
    assert run(browser, "return visualViewport.scale") == 1
