"""The page in a browser: hover, play, neighbours, drop, lasso, teach, save; on a phone; by keys."""

import pytest
import soundfile

import mar
from helpers.explored import (
    assert_fits,
    box,
    canvas,
    click,
    is_seen,
    lasso,
    mouse,
    places,
    run,
    text,
    write,
)
from helpers.processes import wait_for
from helpers.three_kinds import KINDS, RATE, sound


@pytest.mark.slow
def test_from_hovering_to_a_saved_head(opened, placed, size, tmp_path):
    assert_fits(opened, size)
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
    assert not opened.find_element("id", "no").is_enabled()  # a file was placed: of which track?
    click(opened, "#skip")  # to the one that it is least sure of
    wait_for(lambda: opened.find_element("id", "no").is_enabled())
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
    assert_fits(opened, size)


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
        click(opened, "#tracks button")
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
    click(opened, "#tracks button")
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


def teach(browser, search, label, button="#teach"):
    """Says of the tracks that a search finds that they have a label, or not."""
    write(browser, "#search", search)
    wait_for(lambda: text(browser, "#heading").endswith(f"with “{search}”"))

    def is_selected():
        click(browser, "#select-shown")
        return text(browser, "#count") == "8 tracks"

    wait_for(is_selected)
    write(browser, "#label", label)
    click(browser, button)


def is_trained(browser, label):
    option = "return document.getElementById('colour').value === 'l' + arguments[0]"
    scale = "return document.querySelector('#legend .scale') !== null"
    return run(browser, option, label) and run(browser, scale)


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
def test_a_saved_head_has_all_labels_that_were_taught_before_a_reload(opened, page):
    for kind, label in (("low/", "deep"), ("middle/", "mild")):
        teach(opened, kind, label)
        wait_for(lambda label=label: is_trained(opened, label))
    opened.refresh()
    wait_for(lambda: run(opened, "return document.body.dataset.ready"))
    opened.find_elements("css selector", "#labels button")[1].click()
    wait_for(lambda: is_trained(opened, "mild"))
    write(opened, "#head", "both")
    click(opened, "#saving button")
    wait_for(lambda: "Saved. Label" in text(opened, "#status"))
    assert mar.Head(page.heads / "both.safetensors").labels == ["deep", "mild"]


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
def test_a_label_that_no_track_has_any_more_is_not_saved(opened, page):
    for kind, label in (("low/", "deep"), ("middle/", "mild")):
        teach(opened, kind, label)
        wait_for(lambda label=label: is_trained(opened, label))
    teach(opened, "low/", "deep", "#unteach")
    wait_for(lambda: "deep: needs a track that has it" in text(opened, "#status"))
    teach(opened, "middle/", "mild", "#unteach")
    wait_for(lambda: "mild: needs a track that has it" in text(opened, "#status"))
    assert not opened.find_element("id", "taught").is_displayed()
    shown = "return [...document.getElementById('colour').options].map((each) => each.value)"
    assert not [value for value in run(opened, shown) if value.startswith("l")]
    assert run(opened, "return document.getElementById('colour').value") == "c0"

    teach(opened, "middle/", "mild")
    wait_for(lambda: is_trained(opened, "mild"))
    write(opened, "#head", "mild alone")
    click(opened, "#saving button")
    wait_for(lambda: "Saved without deep, which no track has" in text(opened, "#status"))
    assert mar.Head(page.heads / "mild alone.safetensors").labels == ["mild"]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["desktop"], indirect=True)
def test_a_late_answer_changes_nothing(opened, catalogue):
    """Of a search that was given up: all tracks are shown, and all are meant."""
    run(
        opened,
        """
        window.late = 0;
        const fetched = window.fetch;
        window.fetch = async (path, options) => {
          const answer = await fetched(path, options);
          if (!String(path).startsWith("search")) return answer;
          await new Promise((resolve) => setTimeout(resolve, 1000));
          window.late += 1;
          return answer;
        };
        const search = document.getElementById("search");
        search.value = "low";
        search.dispatchEvent(new Event("input"));
        """,
    )
    asked = "return performance.getEntriesByType('resource').some((e) => e.name.includes('search'))"
    wait_for(lambda: run(opened, asked))
    from selenium.webdriver.common.keys import Keys

    opened.find_element("id", "search").send_keys(Keys.ESCAPE)
    wait_for(lambda: run(opened, "return window.late") == 1)
    click(opened, "#select-shown")
    assert text(opened, "#count") == f"{len(mar.Embeddings(catalogue / 'emb'))} tracks"
