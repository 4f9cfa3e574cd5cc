"""All fifteen collections, tiny and in their official layouts, for `mar reproduce`."""

import numpy as np
import soundfile
import yaml

import mar
from helpers import distributions
from helpers.networks import plain_network
from mar.audio.logmel import PUBLISHED
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
