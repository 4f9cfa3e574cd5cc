"""What `mar explore` takes: to make a map, to show it, to teach a label.

    python benchmarks/explore.py --rows 100000 --folder /tmp/explore [--dimensions 64] [--plain_map]

The rows are drawn around 500 centres; what the page takes does not depend on what they are. With
--plain_map their first two principal components are the map, where the page alone is measured. A
folder that has the rows already is taken as it is. Chromium and its driver draw without a GPU
(Debian: chromium, chromium-driver; pip install selenium).

Prints seconds and CPU seconds of the index and the map; then seconds from the command's start to
its address, from there to the first picture of all points, and to the answers that a user waits
for; and the load of the machine.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

from mar.embedding import stored_map
from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.writer import write_part

FLAGS = flags.FLAGS
flags.DEFINE_integer("rows", 100_000, "Number of tracks.")
flags.DEFINE_integer("dimensions", 64, "Of an embedding.")
flags.DEFINE_string("folder", None, "Folder of the data set.", required=True)
flags.DEFINE_bool("plain_map", False, "Take principal components for the map.")

CENTRES, BATCH = 500, 10_000
BROWSER = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --window-size=1280,800"
MADE = {
    "model": "drawn",
    "front_end": "none",
    "front_end_config": {},
    "window_seconds": 3.0,
    "hop_seconds": 2.0,
    "precision": "float32",
    "store": "mean",
    "format": "parquet",
    "version": "0",
}


def write_rows(folder):
    """A data set of rows around centres, of which each is a folder."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CENTRES, FLAGS.dimensions)).astype(np.float32)
    folder.mkdir(parents=True)
    for first in range(0, FLAGS.rows, BATCH):
        kinds = generator.integers(0, CENTRES, min(BATCH, FLAGS.rows - first))
        noise = generator.standard_normal((len(kinds), FLAGS.dimensions), np.float32)
        vectors = centres[kinds] + 0.7 * noise
        rows = [
            Row(f"{kind:03d}/{number:07d}.mp3", "ok", audio_hash=str(number), duration=200.0,
                folder="/music", times=np.zeros(1, np.float32), values=vector[None])
            for number, (kind, vector) in enumerate(zip(kinds, vectors, strict=True), first)
        ]  # fmt: skip
        made = {**MADE, "dimensions": FLAGS.dimensions}
        write_part(folder, made, rows, f"{first:09d}", written=first + 1)


@contextlib.contextmanager
def timed(what):
    """Prints how long a block took."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    print(f"{what:<40} {seconds:8.2f} s {used:8.2f} CPU s", flush=True)


def principal_map(directions, **_):
    """Two principal components, within 0…1."""
    points = directions[:, :2].astype(np.float64)
    return (points - points.min(axis=0)) / np.ptp(points, axis=0).max()


@contextlib.contextmanager
def chromium():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in BROWSER.split():
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    browser.set_script_timeout(600)
    try:
        yield browser
    finally:
        browser.quit()


def until(browser, condition):
    """Waits within the page until an expression of JavaScript holds."""
    return browser.execute_async_script(
        "const done = arguments[0];"
        f"(function look() {{ if ({condition}) done(); else setTimeout(look, 10); }})();"
    )


def measure_page(address):
    with chromium() as browser:
        browser.get("about:blank")
        with timed("to the first picture"):
            browser.get(address)
            until(browser, "document.body.dataset.ready")
        press = "document.dispatchEvent(new KeyboardEvent('keydown', {key: '%s', bubbles: true}))"
        with timed("to the neighbours of a track"):
            browser.execute_script(press.replace("document.d", "document.body.d") % "ArrowRight")
            until(browser, "document.querySelectorAll('#tracks button').length")
        with timed("to what a search finds"):
            field = browser.find_element("id", "search")
            field.send_keys("001/")
            until(browser, "document.getElementById('heading').textContent.includes('tracks with')")
        browser.find_element("id", "select-list").click()
        browser.find_element("id", "label").send_keys("calm")
        with timed("to a map in the colours of a label"):
            browser.find_element("id", "teach").click()
            until(browser, "document.getElementById('colour').value === 'lcalm'")
            until(browser, "document.getElementById('legend').textContent.startsWith('0')")


def main(_):
    folder = pathlib.Path(FLAGS.folder)
    if not folder.exists():
        write_rows(folder)
    embeddings = Embeddings(folder)
    print(f"{len(embeddings)} tracks of {embeddings.dimensions} dimensions")
    with timed("the index"):
        embeddings.index()
    if FLAGS.plain_map:
        stored_map.project = principal_map
    with timed("the map"):
        embeddings.project()
    command = [sys.executable, "-m", "mar.explore", "--port=0", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            with timed("from the command to its address"):
                address = server.stdout.readline().strip()
            measure_page(address)
        finally:
            server.send_signal(signal.SIGINT)
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {loads}")


if __name__ == "__main__":
    app.run(main)
