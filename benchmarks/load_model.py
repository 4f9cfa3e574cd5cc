"""Seconds until the published weights can be used.

    python benchmarks/load_model.py MODEL [--repeats 3]

MODEL is a published `.keras` file or SavedModel folder, or `mule`. Each repetition is a new
process, and prints the seconds for `import mar`, for the imports that loading needs (TensorFlow,
most of it), for `mar.load_model`, and for a first forward pass of one snippet.
"""

import statistics
import subprocess
import sys

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("repeats", 3, "Processes.")

SCRIPT = """
import sys, time
marks = [time.perf_counter()]
import mar; marks.append(time.perf_counter())
mar.load_model; marks.append(time.perf_counter())
model = mar.load_model(sys.argv[1]); marks.append(time.perf_counter())
import numpy
model(numpy.zeros((1, 96, 300, 1), "float32")); marks.append(time.perf_counter())
print(*(b - a for a, b in zip(marks, marks[1:])))
"""


def main(argv):
    if len(argv) != 2:
        raise app.UsageError("expected one model")
    runs = []
    for _ in range(FLAGS.repeats):
        command = [sys.executable, "-c", SCRIPT, argv[1]]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        runs.append([float(word) for word in output.split()])
    for name, *seconds in zip(
        ("import mar", "imports for loading", "load_model", "first forward pass"),
        *runs,
        strict=True,
    ):
        print(f"{name}: {statistics.median(seconds):.2f} s (of {FLAGS.repeats} processes)")


if __name__ == "__main__":
    app.run(main)
