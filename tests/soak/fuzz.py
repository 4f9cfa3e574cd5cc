"""Coverage-guided fuzzing of the parsers that are ours, with atheris (pip install atheris).

    python -m soak.fuzz --seconds 60                 all; `make soak-fuzz`
    python -m soak.fuzz --target examples            one

Each target runs in a process of its own, which ends at the first input that raises anything but an
error that is a sentence, hangs for ten seconds or takes two gigabytes; that input is kept.
"""

import argparse
import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile

from soak import table


def _in_file(name):
    """Decorates a reader of files, which gets the input as a file of this name."""

    def decorated(read):
        path = pathlib.Path(tempfile.mkdtemp()) / name

        def target(data):
            path.write_bytes(data)
            read(path)

        return target

    return decorated


def examples(data):
    """A `tf.train.Example`."""
    from mar.records import schema

    schema.parse(data, schema.FEATURES, "float16")


def framing():
    """The records of a TFRecord."""
    from mar.records import framing, storage

    return _in_file("a.tfrecord")(lambda path: list(framing.records(storage.open_file(path), path)))


def bundle():
    """The index of a checkpoint."""
    from mar.models.bundle import Bundle

    return _in_file("a.index")(lambda path: Bundle(path.with_suffix("")).nodes())


def graph(data):
    """The graph of a model of Keras 2."""
    from mar.models import keras2
    from mar.util import plain_data

    keras2._layers("a", plain_data.parsed(data), lambda layers: dict.fromkeys(layers, ()))


def lists():
    """A `.cP` list."""
    from mar.tasks import readers

    return _in_file("a.cP")(readers.read_list)


def pickles():
    """A pickle of plain data."""
    from mar.tasks import readers

    return _in_file("a.pkl")(readers.read_mapping)


def streamed():
    """A large JSON object."""
    from mar.tasks import json_stream

    return _in_file("a.json")(lambda path: list(json_stream.entries(path, 16)))


def user_tables():
    """A table that a user brings."""
    from mar.util import tables

    return _in_file("a.csv")(lambda path: tables.read(path, ["path"], ["label"]))


def configuration():
    """A configuration."""
    from mar.embedding.catalogue import Catalogue

    return _in_file("a.yaml")(Catalogue.load)


def exported(data):
    """Where an exported model says that its arrays lie."""
    from mar.onnx import metadata

    list(metadata._outside(data, (0, len(data))))


SEEDS = {
    "configuration": [
        b"Catalogue:\n  batch_size: &a 3\n  windows: {Windows: {hop_seconds: 2.0}}\n"
    ],
    "user_tables": [b"path,label\na.mp3,x\n", b'"path"\t"label"\n"a"\t"b"\n'],
    "streamed": [b'{"a": [1, {"b": null}], "c": "d"}'],
    "lists": [b"(lp1\nS'a'\np2\naS'b'\np3\na."],
    "graph": [
        b'{"config":{"layers":[{"name":"a","class_name":"D","inbound_nodes":[]},{"name":"b",'
        b'"class_name":"D","inbound_nodes":[[["a",0,0,{}]]]}],"output_layers":[["b",0,0]]}}'
    ],
}
PLAIN = {"examples": examples, "graph": graph, "exported": exported}
MADE = {
    **{"framing": framing, "bundle": bundle, "lists": lists, "pickles": pickles},
    **{"streamed": streamed, "user_tables": user_tables, "configuration": configuration},
}


def child(name, options):
    """Fuzzes one target; does not return."""
    import atheris

    with atheris.instrument_imports(include=["mar"]):
        target = PLAIN[name] if name in PLAIN else MADE[name]()

    def one(data):
        with contextlib.suppress(ValueError):  # InputError and ConfigError are
            target(data)

    for seed in (b"", *SEEDS.get(name, [])):
        one(seed)  # and imports what it needs
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def fuzzed(name, seconds):
    """Fuzzes one target in a process; returns how many inputs were tried, and what was found."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS.get(name, [])):
            (pathlib.Path(folder) / str(number)).write_bytes(seed)
        options = ("-timeout=10", "-rss_limit_mb=2048", f"-max_total_time={seconds}", folder)
        options += (f"-artifact_prefix={tempfile.gettempdir()}/",)
        options += ("-print_final_stats=1", "-max_len=4096")
        command = [sys.executable, "-m", "soak.fuzz", "--child", name, *options]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    counted = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
    runs = int(counted[1]) if counted else 0
    return runs, ended.stderr[-3000:] if ended.returncode else ""


def main():
    """Fuzzes all targets, or one."""
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", action="append", choices=[*PLAIN, *MADE])
    parser.add_argument("--seconds", type=int, default=60)
    flags = parser.parse_args()
    bad = 0
    for name in flags.target or [*PLAIN, *MADE]:
        runs, found = fuzzed(name, flags.seconds)
        bad += bool(found)
        print(f"{name}: {runs} inputs" + (f": {found}" if found else ""), flush=True)
        table.note(
            "fuzz", name, {"seconds": flags.seconds, "inputs": runs, "bad": int(bool(found))}
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
