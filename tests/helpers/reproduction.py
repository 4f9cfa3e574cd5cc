"""All fifteen collections, tiny and in their official layouts, for `mar reproduce`."""

import concurrent.futures
import contextlib
import json

import numpy as np
import soundfile
import yaml

import mar
from helpers import distributions
from helpers.networks import plain_network
from mar.audio.logmel import PUBLISHED
from mar.errors import ConfigError, InputError
from mar.reproducing import workers
from mar.reproducing.collections import COLLECTIONS
from mar.util import shipped

RATE = 16000


def write_collections(home, tasks):
    """Writes annotations, audio and `collections.yaml`; returns the audio's paths by collection.

    Args:
        home: the folder.
        tasks: names of the tasks; other collections are left empty.
    """
    places, written = {}, {}
    for collection in COLLECTIONS:
        names = [name for name in collection.tasks if name in tasks]
        if not names:
            continue
        audio = home / "audio" / collection.name
        metadata = {}
        for name in names:
            folder = audio if collection.is_annotated else home / "metadata" / name
            paths = distributions.WRITERS[name](folder)
            there = written.setdefault(collection.name, {})
            if collection.name == "MillionSong":  # a track is one file, wherever tasks look for it
                known = {path.rpartition("/")[2] for path in there}
                paths = [path for path in paths if path.rpartition("/")[2] not in known]
            there.update(dict.fromkeys(paths))
            if not collection.is_annotated:
                metadata[name] = f"metadata/{name}"
        places[collection.name] = {"audio": f"audio/{collection.name}", "metadata": metadata}
        for number, path in enumerate(written[collection.name]):
            write_audio(audio / path, number, 4.0 if collection.name == "NSynth" else 1.0)
    (home / "collections.yaml").write_text(yaml.safe_dump(places))
    return {name: list(paths) for name, paths in written.items()}


def write_audio(path, seed, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
    soundfile.write(path, noise, RATE)


def write_probes(folder):
    """The probes of Table 2, of a few steps."""
    folder.mkdir()
    for collection in COLLECTIONS:
        for task in collection.tasks:
            probe = yaml.safe_load(shipped.configuration(f"probe/{task}").read_text())
            warmup = probe["MLP"]["optimizer"]["ScoochAdam"]["schedule"]["WarmupSchedule"]
            warmup["warmup_steps"] = 2
            warmup["schedule"]["ScoochCosineDecay"]["decay_steps"] = 5
            (folder / f"{task}.yaml").write_text(yaml.safe_dump(probe))


def write_model(path):
    """A plain network with the published front end."""
    mar.save(plain_network(300, PUBLISHED), path)


@contextlib.contextmanager
def in_this_process(_):
    """As `workers`, without processes of their own, which take seconds to start."""

    def submit(job, began):
        began()
        future = concurrent.futures.Future()
        try:
            future.set_result(workers.probe(job))
        except (ConfigError, InputError) as error:
            future.set_exception(error)
        return future

    yield submit


# `mar reproduce` that notes what it decodes, keeps what it embeds in small parts, and is killed.
RUN = """
import sys
from helpers import kills, reproduction as helper
from mar.embedding import ahead, writer
from mar.reproducing import reproduction
from mar.__main__ import main

log, moment, of = open(sys.argv.pop(1), "a"), int(sys.argv.pop(1)), sys.argv.pop(1)
if sys.argv.pop(1) == "in this process":
    reproduction.workers = helper.in_this_process
pieces = ahead._pieces

def noted(embedder, decoder, path, row):
    log.write(f"{embedder.representation.provenance['window_seconds']} {path}\\n")
    log.flush()
    return pieces(embedder, decoder, path, row)

ahead._pieces, writer._PART_ROWS = noted, 4
kills.at_replace(moment, "after", of=of)
sys.exit(main())
"""


class Runs:
    """Runs in one folder, and what they decode.

    Args:
        probes: where they are trained, "in processes of their own" or "in this process".
    """

    def __init__(self, home, tasks, *options, probes="in processes of their own"):
        self.home, self.tasks, self.log = home, tasks, home / "decoded.txt"
        self.probes = probes
        self.arguments = [
            *("reproduce", "--audio=collections.yaml", "--model=small.keras", "--output=out"),
            *("--probes=small", f"--tasks={','.join(tasks)}", "--workers=2", *options),
        ]

    def script(self, moment=0, of=""):
        self.log.unlink(missing_ok=True)
        return "-c", RUN, self.log, moment, of, self.probes, *self.arguments

    def embedded(self):
        """What is on the disk: `(windows, path)`."""
        there = set()
        for folder in (self.home / "out" / "embeddings" / "small.keras").glob("*"):
            if any(folder.glob("*.parquet")):
                embeddings = mar.Embeddings(folder)
                root = self.home / "audio" / folder.name.partition("_")[0]
                seconds = embeddings.provenance["window_seconds"]
                there |= {(seconds, str(root / path)) for path in embeddings.paths}
        return there

    def decoded(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        pairs = [line.partition(" ")[::2] for line in lines]
        assert len(set(pairs)) == len(pairs), "a file is decoded twice in one run"
        return {(float(seconds), path) for seconds, path in pairs}

    def scores(self):
        return {
            path.parts[-4]: json.loads(path.read_text())["test"]
            for path in (self.home / "out" / "results").glob("*/*/*/*/result.json")
        }

    def has_scores(self, tasks):
        with contextlib.suppress(FileNotFoundError):  # an unfinished folder that takes its name
            return len(self.scores()) >= tasks

    def page(self):
        return (self.home / "out" / "index.html").read_text()


def prepare(home, tasks):
    write_probes(home / "small")
    write_model(home / "small.keras")
    return write_collections(home, tasks)
