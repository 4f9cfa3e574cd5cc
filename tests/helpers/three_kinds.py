"""A small catalogue of three kinds of sound, some of it with hostile names."""

import os

import numpy as np
import soundfile

from mar.embedding import files
from mar.embedding.catalogue import Catalogue

RATE, SECONDS = 16000, 4.0
KINDS = ("low", "middle", "noise")
PER_KIND = 8
HOSTILE = (
    b"<script>document.title='hacked'<script>.wav",
    b"<img src=x onerror=\"document.title='hacked'\">.wav",
    b"new\nline.wav",
    b"no \xff text.wav",
    b"n" * 251 + b".wav",
)


def sound(kind, seed):
    """Samples `(n,)` of a kind."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(RATE * SECONDS)) / RATE
    noise = generator.standard_normal(len(time))
    if kind == "noise":
        return 0.3 * noise / np.abs(noise).max()
    pitch = {"low": 80, "middle": 900}[kind] * generator.uniform(0.9, 1.1)
    return 0.3 * np.sin(2 * np.pi * pitch * time) + 0.002 * noise


def write_library(folder):
    """Files of three kinds, in formats that browsers play and one that they do not."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for number in range(PER_KIND):
            suffix = ("wav", "flac", "ogg", "aiff")[number % 4]
            soundfile.write(folder / kind / f"{number}.{suffix}", sound(kind, number), RATE)
    for number, name in enumerate(HOSTILE):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            soundfile.write(file, sound("noise", 100 + number), RATE, format="WAV")
    return folder


def write_catalogue(folder):
    """The library in `folder`, and its embeddings beside it."""
    library = write_library(folder / "library")
    Catalogue(store="mean").run("logmel_mean", files.find([str(library)]), folder / "emb")
    return folder
