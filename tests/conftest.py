"""For all tests."""

import gc

from helpers.browser import chromium  # noqa: F401

gc.set_threshold(20_000)  # as commands have it
