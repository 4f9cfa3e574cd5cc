"""A small catalogue with a page, for the tests of it."""

import pytest

from helpers.explored import SIZES, complaints, requested, run
from helpers.processes import wait_for
from helpers.three_kinds import write_catalogue
from mar.embedding.store import Embeddings


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory):
    """A folder with `library` and `emb`, which are only read."""
    return write_catalogue(tmp_path_factory.mktemp("catalogue"))


@pytest.fixture(scope="module")
def page(catalogue, tmp_path_factory):
    """The page of the catalogue, served by this process."""
    pytest.importorskip("fastapi")
    heads = tmp_path_factory.mktemp("saved") / "heads"
    page = Embeddings(catalogue / "emb").explore(output=heads)
    page.heads = heads
    yield page
    page.close()


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


@pytest.fixture(scope="module")
def placed(page, catalogue):
    page.table = Embeddings(catalogue / "emb").project()
    return page
