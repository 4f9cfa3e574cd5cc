"""One table: how nearly every way to run a model gives the same embeddings of the same music.

    python benchmarks/agreement_table.py --model MODEL --weights "golden" --music FOLDER \\
        --exported "ONNX float32=mule.onnx" --exported "ONNX int8=mule.int8.onnx" \\
        --row "mule-torch=/tmp/torch/bin/python embed_with_mule_torch.py" \\
        --output docs/reference/agreement.md [--files 12]

The first row is the model on TensorFlow, with which the others are compared. --keras jax adds a row
of another Keras backend, --exported one of a file of mar export, --row one of any program: a
command that is given the path of an .npz file to write and audio files, and writes float32
`(windows, dimensions)` of each under its place ("0", "1", …). Every row runs in a process of its
own; --python NAME=PATH takes another interpreter for one, whose installed megabytes are counted.
Seconds are what the program prints in its last line, or else those of the whole process.
"""

import os
import pathlib
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import time

import numpy as np
from absl import app, flags

from mar.embedding import files
from mar.onnx.agreement import Agreement

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "The model: what mar.load_model takes.", required=True)
flags.DEFINE_string("weights", "", "Whose weights they are, for the table.")
flags.DEFINE_string("music", None, "Folder of real music.", required=True)
flags.DEFINE_integer("files", 12, "How many files of it, evenly chosen.")
flags.DEFINE_multi_string("keras", [], "Keras backend, such as jax; repeatable.")
flags.DEFINE_multi_string("exported", [], "NAME=FILE.onnx; repeatable.")
flags.DEFINE_multi_string("row", [], "NAME=COMMAND of another program; repeatable.")
flags.DEFINE_multi_string("python", [], "NAME=INTERPRETER of a row; repeatable.")
flags.DEFINE_string("output", None, "Markdown file; none prints the table.")

_EMBED = """
import sys, time, numpy as np, mar
embedder = mar.Embedder(sys.argv[1])
embedder(sys.argv[3])
began = time.process_time()
values = [embedder(path).values for path in sys.argv[3:]]
seconds = time.process_time() - began
np.savez(sys.argv[2], **{str(number): each for number, each in enumerate(values)})
print(seconds)
"""
_HEADER = """\
# Agreement of every way to run a model

Weights: {weights}. Music: {windows} windows of {files} files. Made by
`benchmarks/agreement_table.py`; each row is compared with the first. The centred cosine is that of
embeddings from which the mean embedding was subtracted. Seconds are those of the processor, summed
over its cores, for all of the music once more after a first file. Megabytes are those of all
packages that the row's interpreter finds.

| | worst cosine | mean cosine | centred cosine | largest difference | seconds | MB installed |
|---|--:|--:|--:|--:|--:|--:|
"""


def pairs(values):
    return dict(value.split("=", 1) for value in values)


def commands():
    """`{name: (command, environment)}` of the rows, TensorFlow first."""
    interpreters = pairs(FLAGS.python)

    def ours(name, model, **environment):
        return [interpreters.get(name, sys.executable), "-c", _EMBED, model], environment

    rows = {"TensorFlow float32": ours("TensorFlow float32", FLAGS.model)}
    for backend in FLAGS.keras:
        rows[backend] = ours(backend, FLAGS.model, KERAS_BACKEND=backend)
    for name, file in pairs(FLAGS.exported).items():
        rows[name] = ours(name, file)
    for name, command in pairs(FLAGS.row).items():
        rows[name] = shlex.split(command), {}
    return rows


def run(command, environment, music):
    """Embeddings of all files together, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "embeddings.npz")
        began = time.perf_counter()
        process = subprocess.run(
            [*command, str(output), *music],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - began
        with np.load(output) as values:
            embeddings = np.concatenate([values[str(number)] for number in range(len(music))])
    try:
        return embeddings, float(process.stdout.split()[-1])
    except (IndexError, ValueError):
        return embeddings, seconds


def megabytes(interpreter):
    """Of all packages that an interpreter finds."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    if interpreter == sys.executable:
        folder = sysconfig.get_path("purelib")
    else:
        folder = subprocess.check_output([interpreter, "-c", code], text=True).strip()
    counted = subprocess.check_output(["du", "-sm", folder], text=True)
    return int(counted.split()[0])


def main(_):
    found = [item.path for item in files.find([FLAGS.music]) if item.expected]
    music = found[:: max(1, len(found) // FLAGS.files)][: FLAGS.files]
    lines, reference = [], None
    for name, (command, environment) in commands().items():
        embeddings, seconds = run(command, environment, music)
        reference = embeddings if reference is None else reference
        agreement = Agreement.of(embeddings, reference)
        lines.append(
            f"| {name} | {agreement.cosine:.7f} | {agreement.mean_cosine:.7f} | "
            f"{agreement.centred:.5f} | {agreement.difference:.1e} | {seconds:.1f} | "
            f"{megabytes(command[0])} |\n"
        )
        print(lines[-1], end="", flush=True)
    facts = {"weights": FLAGS.weights or FLAGS.model, "files": len(music)}
    table = _HEADER.format(windows=len(reference), **facts) + "".join(lines)
    if FLAGS.output:
        pathlib.Path(FLAGS.output).write_text(table, encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
