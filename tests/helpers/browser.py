"""A real browser, for the tests of pages; `chromium` is a fixture of all tests."""

import json
import shutil

import pytest

CHROMIUM = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


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


def assert_silent(browser, page):
    """Since this was last asked, nothing has been complained of or fetched but the page."""
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    addresses = {request["request"]["url"] for request in requests}
    assert {a for a in addresses if not a.startswith("data:")} == {page.as_uri()}


def all_of(browser, selector):
    """The elements of a page that a CSS selector names."""
    return browser.find_elements("css selector", selector)


def select(browser, identity, text):
    """Chooses an option of a list."""
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", identity)).select_by_visible_text(text)


def assert_fits_a_phone(browser):
    """The page is no wider than a phone."""
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
