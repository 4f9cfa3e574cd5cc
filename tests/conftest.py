"""For all tests."""

import gc

gc.set_threshold(20_000)  # as commands have it
