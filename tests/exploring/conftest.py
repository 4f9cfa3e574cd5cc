"""A small catalogue with a page, for the tests of it."""

import pytest

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
