"""Measurements that documents and comments quote: a module each, `python -m benchmarks.NAME`.

Those of the table (`make benchmarks`) let contestants take turns, see `benchmarks.contest`.
"""
