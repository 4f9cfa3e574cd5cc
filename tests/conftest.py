"""For all tests."""

import gc
import os

from helpers import quick
from helpers.browser import chromium  # noqa: F401
from helpers.published import golden_model, golden_saved_model, signals  # noqa: F401

gc.set_threshold(20_000)  # as commands have it
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def pytest_addoption(parser):
    parser.addoption(
        "--quick",
        action="store_true",
        help="skip what needs TensorFlow, or starts a command, as soon as it asks for it",
    )


def pytest_configure(config):
    if config.getoption("--quick"):
        quick.enable()
