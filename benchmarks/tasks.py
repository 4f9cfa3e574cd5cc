"""Time and memory of reading a task's official files, and of the intervals of its metrics.

    python benchmarks/tasks.py [TASK=FOLDER ...]

Prints, each from a process of its own, the seconds and the peak memory of `mar.Task` for the
given tasks, and for NSynth_P with a full-size `examples.json` (289,205 notes) that is made for it.
Then the seconds of 1,000 random halves for mAP and ROC-AUC at Jam-All's size (11,565 x 183),
and, from a few of them, what calling scikit-learn on each would take.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app

from mar.probing import metrics

READ = """
import resource, sys, time
from mar import Task
started = time.perf_counter()
task = Task(sys.argv[1], sys.argv[2])
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{sys.argv[1]}: {len(task.items.ids)} items in {seconds:.1f} s, peak {peak:.0f} MB")
"""


def write_nsynth(folder):
    """NSynth's three files at their full size."""
    families = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed")
    for split, count in (("train", 289205), ("valid", 12678), ("test", 4096)):
        (folder / f"nsynth-{split}").mkdir()
        with open(folder / f"nsynth-{split}" / "examples.json", "w") as file:
            file.write("{\n")
            for number in range(count):
                family, pitch = families[number % 8], 9 + number % 112
                name = f"{family}_{split}_{number:06d}-{pitch:03d}-075"
                note = {
                    **{"qualities": [0] * 10, "pitch": pitch, "note": number, "velocity": 75},
                    **{"instrument_source_str": "acoustic", "instrument_str": name[:-8]},
                    **{"instrument": number, "sample_rate": 16000, "qualities_str": ["dark"]},
                    **{"instrument_source": 0, "note_str": name, "instrument_family": number % 8},
                    "instrument_family_str": family,
                }
                entry = json.dumps({name: note}, indent=4)[2:-2]
                file.write(entry + (",\n" if number < count - 1 else "\n"))
            file.write("}\n")


def intervals():
    generator = np.random.default_rng(0)
    targets = (generator.random((11565, 183)) < 0.0225).astype(np.uint8)
    scores = generator.random((11565, 183), dtype=np.float32)
    started = time.perf_counter()
    metrics.evaluate("multilabel", targets, scores, list(range(183)), resamples=1000)
    ours = time.perf_counter() - started
    few = 3
    started = time.perf_counter()
    for item in range(few):
        metrics.average_precision(np.delete(targets, item, 0), np.delete(scores, item, 0))
        metrics.roc_auc(np.delete(targets, item, 0), np.delete(scores, item, 0))
    naive = (time.perf_counter() - started) / few * len(targets)
    print(f"intervals at Jam-All's size: {ours:.1f} s; by scikit-learn {naive / 60:.0f} min")


def main(argv):
    for argument in argv[1:]:
        name, folder = argument.split("=", 1)
        subprocess.run([sys.executable, "-c", READ, name, folder], check=True)
    with tempfile.TemporaryDirectory() as folder:
        write_nsynth(pathlib.Path(folder))
        subprocess.run([sys.executable, "-c", READ, "NSynth_P", folder], check=True)
    intervals()


if __name__ == "__main__":
    app.run(main)
