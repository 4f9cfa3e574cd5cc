"""One process at work for a long time: its memory and its descriptors stay as they are.

    python -m soak.growth embed --minutes 30     `make soak-embed`
    python -m soak.growth train --minutes 30     `make soak-train`
    python -m soak.growth explore --minutes 30   `make soak-explore`

Memory is that of the process and of those that it started, without what they share with others.
What was seen goes into the table of faults (`soak.table`), and into a plot beside it.
"""

import argparse
import contextlib
import pathlib
import signal
import sys
import tempfile
import threading
import time

import psutil
from matplotlib.figure import Figure

from helpers import three_kinds
from helpers.processes import start_python
from mar.reporting.figures import save_figure
from soak import commands, table

SAMPLES = 200
STARTING = 0.75  # minutes in which a program may still grow
GROWTH_MIB, GROWTH_FILES = 64, 8  # after the start, at most
# Embeds the same files again and again, into data sets that are removed.
EMBED = """
import shutil, sys
import mar
model, music, output = sys.argv[1:]
embedder = mar.Embedder(model)
while True:
    embedder.embed_folder(music, output)
    shutil.rmtree(output)
    print("round", flush=True)
"""

# Serves a page, and asks everything that a user who looks, listens and teaches asks.
EXPLORE = """
import json, sys, urllib.request
from mar import Embeddings
embeddings, heads = sys.argv[1:]
page = Embeddings(embeddings).explore(output=heads)

def ask(path, body=None):
    kind = {"content-type": "application/json"} if body else {}
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(page.address + path, data, kind)) as answer:
        return answer.read()

while True:
    for path in ("", "points", "about", "search?text=low", "between/0/9"):
        ask(path)
    for row in range(20):
        for path in (f"tracks/{row}", f"nearest/{row}", f"sound/{row}", f"wave/{row}"):
            ask(path)
    ask("labels", {"label": "deep", "yes": [0, 1, 2], "no": [20, 21]})
    ask("probabilities?label=deep")
    ask("export", {"rows": [0, 1, 2], "format": "csv", "label": "deep"})
    print("round", flush=True)
"""


def embedding(inputs, output):
    """A program that embeds, as `Popen`; it prints a line after each round."""
    commands.Embedding().make(inputs)
    return start_python("-c", EMBED, inputs / "model.keras", inputs / "music", output)


def training(inputs, output):
    """A program that trains, and writes a line into its log after each ten steps."""
    command = commands.Training()
    command.make(inputs)
    endless = ("--set", "Trainer.steps=100000000", "--set", "Trainer.checkpoint_every=100")
    arguments = (*command.arguments(inputs, output), *endless, "--set", "Trainer.log_every=10")
    return start_python(*arguments)


def exploring(inputs, output):
    """A program that serves a page and asks it everything; it prints a line after each round."""
    three_kinds.write_catalogue(inputs)
    return start_python("-c", EXPLORE, inputs / "emb", output)


WORK = {
    "embed": ("mar.Embedder.embed_folder", embedding),
    "train": ("mar train", training),
    "explore": ("mar.Embeddings.explore", exploring),
}


def sample(process):
    """Memory, MiB, and open files of a process and those below it."""
    memory = files = 0
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            memory += each.memory_full_info().uss
            files += each.num_fds()
    return memory / 2**20, files


def observe(what, minutes, folder):
    """Lets a program work; returns samples `(minutes, MiB, open files)`, and how many rounds."""
    inputs, output = folder / "inputs", folder / "output"
    inputs.mkdir()
    log = folder / "printed"
    samples = []
    with WORK[what][1](inputs, output) as program:
        process, started = psutil.Process(program.pid), time.monotonic()
        with open(log, "w") as printed:
            _copy(program.stdout, printed)
            while (now := (time.monotonic() - started) / 60) < minutes:
                if program.poll() is not None:
                    raise RuntimeError(f"{what} ended: {program.stderr.read()[-2000:]}")
                samples.append((now, *sample(process)))
                time.sleep(minutes * 60 / SAMPLES)
        program.send_signal(signal.SIGKILL)
    metrics = output / "metrics.jsonl"
    rounds = len((metrics if metrics.exists() else log).read_text().splitlines())
    return samples, rounds


def _copy(source, target):
    """Copies what a program prints, in a thread of its own, until it ends."""

    def copy():
        for line in source:
            target.write(line)
            target.flush()

    threading.Thread(target=copy, daemon=True).start()


def entry(what, minutes, samples, rounds):
    """What the table says."""
    begun = min(max(minutes / 10, STARTING), minutes / 2)
    settled = [sample for sample in samples if sample[0] >= begun]
    return {
        "command": WORK[what][0],
        "minutes": round(minutes, 1),
        "rounds": rounds,
        "memory_mib": [round(settled[0][1]), round(settled[-1][1])],
        "open_files": [settled[0][2], settled[-1][2]],
    }


def plot(what, samples):
    """Draws memory and descriptors over time, beside the table."""
    figure = Figure((7, 2.6), layout="constrained")
    minutes, memory, files = zip(*samples, strict=True)
    axis = figure.add_subplot(xlabel="minutes", ylabel="MiB", ylim=(0, 1.2 * max(memory)))
    axis.plot(minutes, memory, color="C0", label="memory")
    other = axis.twinx()
    other.set(ylabel="open files", ylim=(0, 1.5 * max(files)))
    other.plot(minutes, files, color="C1", label="open files")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    save_figure(figure, table.PAGE.with_name(f"faults-{what}.svg"))


def main():
    """Observes one kind of work; the exit code is 1 where it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=WORK)
    parser.add_argument("--minutes", type=float, default=30)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples, rounds = observe(flags.what, flags.minutes, pathlib.Path(folder))
    seen = entry(flags.what, flags.minutes, samples, rounds)
    plot(flags.what, samples)
    table.note("growth", flags.what, seen)
    print(seen)
    grown = [end - begin for begin, end in (seen["memory_mib"], seen["open_files"])]
    return int(grown[0] > GROWTH_MIB or grown[1] > GROWTH_FILES)


if __name__ == "__main__":
    sys.exit(main())
