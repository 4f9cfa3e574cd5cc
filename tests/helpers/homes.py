"""What a reader of the documentation has in the folder in which a page is run, by name."""

import functools
import hashlib
import http.server
import os
import pathlib
import shutil
import threading

import numpy as np
import soundfile
import yaml

import mar
from helpers import distributions, published, reproduction
from helpers.networks import plain_network, small_network
from helpers.resources import DATA
from helpers.signals import music as signal
from helpers.small_records import data_set
from mar.audio.logmel import PUBLISHED
from mar.tasks import fetching

FILES = ("a.wav", "album/b.flac", "album/c.mp3", "d.ogg", "e.wav")


def music(home, patch):
    """Five files in four formats."""
    (home / "Music" / "album").mkdir(parents=True)
    for number, name in enumerate(FILES):
        soundfile.write(home / "Music" / name, signal(13.0, 22050, 1, number), 22050)


def song(home, patch):
    """A file that is not among the music."""
    soundfile.write(home / "song.mp3", signal(7.0, seed=9), 44100)


def model(home, patch):
    """A plain network with the published front end, in place of the published weights."""
    mar.save(plain_network(300, PUBLISHED), home / "small.keras")


def network(home, patch):
    """A small network of the published kind, in place of the published weights."""
    mar.save(small_network().build(300, PUBLISHED), home / "small.keras")


def tracks(home, patch):
    """A table of the music, for records."""
    labels = ["rock|calm", "rock", "calm", "", "rock"]
    artists = ["Ana", "Ben", "Ben", "Cleo", "Dora"]
    rows = [
        f"{number},{path},{label},{artist}"
        for number, (path, label, artist) in enumerate(zip(FILES, labels, artists, strict=True))
    ]
    (home / "tracks.csv").write_text("\n".join(["id,path,labels,artist", *rows]) + "\n")


def records(home, patch):
    """Records of noise, with labels."""
    data_set(home / "records", [1400] * 10)


def theirs(home, patch):
    """Embeddings of the music that others made."""
    rng = np.random.default_rng(0)
    music = home / "Music"
    for name in (path.relative_to(music) for path in music.rglob("*.*")):
        path = home / "theirs" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, embedding=rng.standard_normal((4, 8)), timestamps=np.arange(4.0))


def moods(home, patch):
    """Twelve more files, six of each of two classes."""
    for number in range(12):
        path = home / "Music" / f"{number}.wav"
        soundfile.write(path, signal(3.0, 16000, 1, number), 16000)
    rows = [f"{number}.wav,{('calm', 'dark')[number % 2]}" for number in range(12)]
    (home / "moods.csv").write_text("\n".join(["path,label", *rows]) + "\n")


def embeddings(home, patch):
    """Means of the music."""
    embedder = mar.Embedder(home / "small.keras")
    embedder.embed_folder(home / "Music", home / "embeddings", store="mean")


def sxmp_mule(home, patch):
    """A configuration of the published program, with the plain network."""
    source = published.FOLDER / "configs" / "mule_embedding_average.yml"
    configuration = yaml.safe_load(source.read_text())
    embedding = configuration["Analysis"]["feature_transforms"][1]["EmbeddingFeature"]
    embedding["model_location"] = str(home / "small.keras")
    (home / "C").write_text(yaml.safe_dump(configuration))


def ballroom(home, patch):
    """An invented collection with a list of its own form."""
    parts = ("train", "valid", "test")
    lines = [f"{part},{style}/{part}.wav" for part in parts for style in ("tango", "waltz")]
    (home / "ballroom").mkdir()
    (home / "ballroom" / "ballroom.csv").write_text("\n".join(lines) + "\n")


def mtt(home, patch):
    """Annotations in the official format, on a server, and the audio of most clips."""
    served = home / "served" / "datasets" / "magnatagatune"
    paths = distributions.magnatagatune(served)
    content = (served / "annotations_final.csv").read_bytes()
    ((name, address, _),) = fetching.official_files("MTT")
    known = home / "served" / "known.csv"
    row = f"MTT,{name},{address},{hashlib.sha256(content).hexdigest()}"
    known.write_text(f"task,name,address,sha256\n{row}\n")
    patch.setenv("OFFICIAL_FILES", str(known))
    _clips(home / "MagnaTagATune", [pathlib.Path(path).with_suffix(".wav") for path in paths[1:]])
    _serve(home, patch)


def know_official_files():
    """Called by commands before all else: the checksums are those of `$OFFICIAL_FILES`."""
    if "OFFICIAL_FILES" in os.environ:
        fetching._FILES = pathlib.Path(os.environ["OFFICIAL_FILES"])


def gtzan(home, patch):
    """The official lists, on a server, and the audio of a clip of each genre and part."""
    repository = "jongpillee/music_dataset_split/raw/07e855758f180ac8bdc0e3abebbde19277094681"
    served = home / "served" / repository / "GTZAN_split"
    served.mkdir(parents=True)
    for part in ("train", "valid", "test"):
        source = DATA / "annotations" / "gtzan" / f"{part}_filtered.txt"
        shutil.copy(source, served)
        names = source.read_text().split()
        genres = {name.split("/")[0]: name for name in names}
        _clips(home / "GTZAN", genres.values())
    _serve(home, patch)


def notes(home, patch):
    """NSynth in its official format, of few notes."""
    for number, path in enumerate(distributions.nsynth(home / "nsynth")):
        reproduction.write_audio(home / "nsynth" / path, number, 4.0)


def probes(home, patch):
    """Those of Table 2, of few steps."""
    reproduction.write_probes(home / "small")


def _clips(folder, paths):
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).normal(0, 0.1, 4 * 8000)
        soundfile.write(folder / path, noise, 8000)


def _serve(home, patch):
    """Serves a folder in place of all addresses of official files."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=home / "served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    patch.setenv("MAR_MIRROR", f"http://127.0.0.1:{server.server_port}")
    patch.setenv("MAR_CACHE", str(home / "cache"))
