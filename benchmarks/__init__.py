"""Measurements that documents and comments quote: a module each, `python -m benchmarks.NAME`.

Those of the table (`make benchmarks`) let contestants take turns, see `benchmarks.contest`.
"""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as commands have it
