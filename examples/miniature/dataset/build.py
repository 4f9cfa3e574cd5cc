"""Builds the data set: tracks with their labels, single notes, and the tables that commands read.

DIR/tracks/*.flac  DIR/notes/*.flac  tracks.csv  notes.csv
DIR/train.csv valid.csv labels.txt   for tfrecord_tools.write: families, genres, meters
DIR/tasks/*.csv           for mar probe: key, instrument, genre, meter, tempo, pitch
DIR/audio.m3u             for mar embed: all tracks and notes
DIR/README.md             comes last: with it the data set is whole
"""

import collections
import concurrent.futures
import csv
import dataclasses
import functools
import io
import json
import math
import multiprocessing
import os
import pathlib
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata

import numpy as np
import soundfile

import mar
from examples.miniature.dataset import (
    compositions,
    performance,
    readme,
    render,
    single_notes,
    splits,
)
from examples.miniature.dataset.compositions import Source
from examples.miniature.dataset.performance import Track
from examples.miniature.dataset.single_notes import Note
from examples.miniature.dataset.soundfont import SoundFont
from mar.errors import InputError
from mar.util.atomic import remove_abandoned, whole
from mar.util.processes import end_with_parent
from mar.util.progress import Progress

LABELS = ("instrument", "genre", "meter")  # what supervised pre-training is told
TASKS = ("key", "instrument", "genre", "meter", "tempo", "pitch")
VERSION = 1  # of what is drawn and rendered
_SPARE = 1.2  # works read for each track of a genre
_FEWEST = 16  # works read of each genre, so that every part has some
_PACKAGES = ("music21", "pretty_midi")
_SETTINGS, _README = "settings.json", "README.md"


def build(
    folder: str | pathlib.Path,
    tracks: int = 1280,
    notes: int = 2000,
    seed: int = 0,
    workers: int | None = None,
) -> bool:
    """Builds the data set, or the rest of it.

    The same settings give the same bytes, in any number of processes.

    Args:
        folder: of the data set.
        tracks: how many tracks of 20 s.
        notes: how many single notes of 3 s.
        seed: of all draws.
        workers: processes; None: one for each core.

    Returns:
        Whether there was anything to do.

    Raises:
        InputError: the scores or the soundfont are not installed; the folder holds a data set with
            other settings, or something else, or cannot be written; a process was killed.
    """
    folder = pathlib.Path(folder)
    asked = {"version": VERSION, "tracks": tracks, "notes": notes, "seed": seed}
    if not _begun(folder, asked):
        return False
    soundfont = compositions.data_file("pretty_midi", "TimGM6mb.sf2")
    workers = workers or len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(workers, context, end_with_parent) as pool:
            planned = plan(pool, tracks, seed)
            single = single_notes.plan(notes, seed)
            jobs = [(folder / path(each), each) for each in (*planned, *single)]
            jobs = [job for job in jobs if not job[0].exists()]
            write = functools.partial(_write_audio, soundfont)
            _in_order(pool, write, jobs, "playing", "file", 8)
    except BrokenProcessPool:
        raise InputError(
            f"{folder}: a worker process was killed (out of memory?). Finished files are kept: run "
            "the same command again, with fewer --workers"
        ) from None
    for part in ("tracks", "notes"):
        remove_abandoned(folder / part)
    _write_tables(folder, planned, single)
    _write(folder / _README, readme.text(planned, single))
    return True


def plan(pool: concurrent.futures.Executor, count: int, seed: int = 0) -> list[Track]:
    """The `Track`s: works are read by the processes of `pool`."""
    sources = candidates(count, seed)
    read = _in_order(pool, compositions.read, sources, "reading", "score", 16)
    works = [work for work in read if work is not None]
    groups = splits.groups(works)
    parts = splits.assign(groups, [work.genre for work in works], seed)
    return performance.plan(works, parts, groups, count, seed)


def candidates(count: int, seed: int = 0) -> list[Source]:
    """Enough `Source`s of each genre for `count` tracks: those in minor first, which are scarce."""
    by_genre = collections.defaultdict(list)
    for source in compositions.sources():
        by_genre[source.genre].append(source)
    generator = np.random.default_rng([seed, 2])
    most = max(_FEWEST, math.ceil(_SPARE * count / len(by_genre)))
    chosen = []
    for _, sources in sorted(by_genre.items()):
        order = [sources[row] for row in generator.permutation(len(sources))]
        order.sort(key=lambda source: source.stated.get("mode") != "minor")
        chosen += order[:most]
    return chosen


def path(item: Track | Note) -> str:
    """Where the audio of a `Track` or `Note` lies below the folder of the data set."""
    kind = "tracks" if isinstance(item, Track) else "notes"
    return f"{kind}/{item.id}.flac"


def _begun(folder, asked):
    """Whether there is something to do in the folder, which is begun if it was not.

    A data set that is whole stays so with other packages; one that is not would become a mixture.
    """
    file = folder / _SETTINGS
    is_whole = file.exists() and (folder / _README).exists()
    settings = asked if is_whole else {**asked, "made_with": _versions()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            if found := sorted(path.name for path in folder.glob("[!.]*")):
                raise InputError(f"{folder}: expected an empty folder, found {found[0]} there")
            _write(file, json.dumps(settings, indent=1))
        else:
            found = json.loads(file.read_text(encoding="utf-8"))
            if {name: found.get(name) for name in settings} != settings:
                raise InputError(
                    f"{folder}: expected {settings}, found a data set of {found}; remove it, or "
                    f"give another --output"
                )
        for part in ("tracks", "notes", "tasks"):
            (folder / part).mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    return not (folder / _README).exists()


def _versions():
    """Of this package, and of those that hold the scores and the soundfont."""
    for name in _PACKAGES:
        compositions.data_file(name, "__init__.py")  # tells what installs it
    return {"mar": mar.__version__, **{name: metadata.version(name) for name in _PACKAGES}}


def _in_order(pool, function, items, doing, unit, chunk):
    """The results for all items, in their order, with a bar of progress."""
    results = []
    with Progress(len(items), unit) as progress:
        for result in pool.map(function, items, chunksize=chunk):
            results.append(result)
            progress.update(more=doing)
    return results


def _write_audio(soundfont, job):
    file, item = job
    if isinstance(item, Track):
        played, seconds = performance.perform(item), performance.SECONDS
    else:
        played, seconds = single_notes.perform(item), single_notes.SECONDS
    font = _opened(soundfont)
    samples = render.render(font, item.program, played, seconds, item.seed)
    with whole(file) as unfinished:
        soundfile.write(unfinished, samples, render.SAMPLE_RATE, "PCM_16", format="FLAC")


@functools.lru_cache(maxsize=1)
def _opened(path):
    return SoundFont(path)


# ----------------------------------------------------------------------------------------- tables


def row(track: Track) -> dict:
    """What `tracks.csv` says of a track."""
    work = track.composition
    return {
        "id": track.id,
        "path": path(track),
        "title": work.title,
        "source": work.id,
        "split": track.split,
        "group": track.group,
        "key": compositions.key_name(track.tonic, work.mode),
        "instrument": track.instrument,
        "program": track.program,
        "genre": work.genre,
        "meter": work.meter,
        "tempo_bpm": track.tempo_bpm,
        "seed": track.seed,
    }


def _write_tables(folder, tracks, notes):
    rows = [row(track) for track in tracks]
    singles = [{**dataclasses.asdict(note), "path": path(note)} for note in notes]
    _write_csv(folder / "tracks.csv", rows)
    columns = ("id", "path", "split", "program", "pitch", "instrument", "seed")
    _write_csv(folder / "notes.csv", [{name: each[name] for name in columns} for each in singles])
    for split in ("train", "valid"):
        part = [each for each in rows if each["split"] == split]
        labels = ("|".join(each[name] for name in LABELS) for each in part)
        _write_csv(
            folder / f"{split}.csv",
            [
                {"id": each["id"], "path": each["path"], "labels": names}
                for each, names in zip(part, labels, strict=True)
            ],
        )
    for task in TASKS:
        _write_csv(folder / "tasks" / f"{task}.csv", _task(task, rows, singles))
    _write(folder / "audio.m3u", "".join(f"{each['path']}\n" for each in (*rows, *singles)))
    vocabulary = (*sorted(performance.FAMILIES), *compositions.GENRES, *compositions.METERS)
    _write(folder / "labels.txt", "".join(f"{label}\n" for label in vocabulary))


def _task(name, tracks, notes):
    """The rows of one task's table, see `mar.tasks.folder`."""
    column = {"key": "key", "tempo": "target"}.get(name, "label")
    rows = []
    for each in notes if name == "pitch" else tracks:
        value = round(math.log2(each["tempo_bpm"]), 5) if name == "tempo" else each[name]
        rows.append({"path": each["path"], column: value, "split": each["split"]})
    return rows


def _write_csv(file, rows):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write(file, text.getvalue())


def _write(file, text):
    with whole(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
