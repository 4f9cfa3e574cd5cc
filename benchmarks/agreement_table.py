"""One table: how nearly every way to run a model gives the same embeddings of the same music.

    python -m benchmarks.agreement_table --model MODEL.keras --weights "golden" --music FOLDER \\
        --output docs/reference/agreement.md [--files 12] [--seconds 20] [--rows TensorFlow,JAX]

MODEL is a published `.keras` file. Of every file of the music, or of some, the first seconds are
embedded. Every row runs in a process of its own, in an environment of its own
(benchmarks/environments.py), whose installed megabytes are counted; what it runs is exported first,
into a temporary folder: int8 calibrated on signals, as it is by default. Rows are compared with the
first. The machine is named.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soundfile
from absl import app, flags

from benchmarks import contest, environments
from mar.embedding import files
from mar.onnx.agreement import Agreement

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A published .keras file.", required=True)
flags.DEFINE_string("weights", "", "Whose weights they are, for the table.")
flags.DEFINE_string("music", None, "Folder of real music.", required=True)
flags.DEFINE_string("described", "", "What music it is, for the table.")
flags.DEFINE_integer("files", 12, "How many files of it, evenly chosen.")
flags.DEFINE_float("seconds", 20.0, "How much of each file.")
flags.DEFINE_list("rows", [], "Names of rows beside the first; none for all.")
flags.DEFINE_string("output", None, "Markdown file; none prints the table.")

HERE = pathlib.Path(__file__).parent
CONFIG = HERE.parent / "tests/data/published/configs/mule_embedding_timeline.yml"
FIRST = "TensorFlow"
HEADER = """\
# Agreement of every way to run a model

Weights: {weights}. Music: {windows} windows of {files} files of {music}. Machine: {machine}.
Made by `benchmarks/agreement_table.py`; each row is compared with the first.

The centred cosine is that of embeddings from which the mean embedding was subtracted. Seconds are
those of the processor, summed over its cores, for all of the music once more after a first file
(of sxmp-mule, which takes one file a process, with its starts). Megabytes are those of all packages
in the row's environment. mule-torch as it is takes the mean of the channels; with its level mended
half their sum, as the published program does, so that mono is half as loud.

| | worst cosine | mean cosine | centred cosine | largest difference | seconds | MB installed |
|---|--:|--:|--:|--:|--:|--:|
"""


class Row(NamedTuple):
    """A way to run a model.

    Attributes:
        python: path of its interpreter.
        program: a script and its arguments, to which an .npz file and audio files are added.
        environment: variables.
    """

    python: str
    program: tuple[str, ...]
    environment: dict[str, str]


def rows(model: str, folder: pathlib.Path) -> dict[str, Callable[[], Row]]:
    """What makes each row ready."""

    def of_keras(backend, *program):
        environment = {"KERAS_BACKEND": backend, **environments.SOURCES}
        return Row(environments.of_keras(backend), program, environment)

    def keras(backend):
        return lambda: of_keras(backend, "row_mar.py", "embedder", model)

    def exported(precision):
        path = folder / f"{precision}.onnx"
        export("--precision", precision, "--output", path)
        return Row(
            environments.of_onnx(), ("row_mar.py", "embedder", str(path)), environments.SOURCES
        )

    def saved_model():
        export("--format", "saved_model", "--output", folder / "saved")
        return of_keras("tensorflow", "row_mar.py", "saved_model", str(folder / "saved"))

    def export(*flags):
        command = [sys.executable, "-m", "mar.export", "--model", model, *map(str, flags)]
        subprocess.run(command, check=True)

    def sxmp_mule():
        python = environments.of_sxmp_mule()
        return Row(python, ("row_sxmp_mule.py", model, str(CONFIG)), {})

    def mule_torch(level):
        python = environments.of_mule_torch()
        converted = folder / "mule-torch"
        if not converted.exists():
            script = [HERE / "row_mule_torch.py", "convert", model, converted, "--python", python]
            subprocess.run([sys.executable, *script], check=True)
        return Row(python, ("row_mule_torch.py", "embed", str(converted), level), {})

    return {
        FIRST: keras("tensorflow"),
        "JAX": keras("jax"),
        "PyTorch": keras("torch"),
        "SavedModel": saved_model,
        "ONNX float32": lambda: exported("float32"),
        "ONNX float16": lambda: exported("float16"),
        "sxmp-mule 1.1.2": sxmp_mule,
        "mule-torch 0.2.0, level mended": lambda: mule_torch("halved"),
        "mule-torch 0.2.0 as it is": lambda: mule_torch("mean"),
        "ONNX int8": lambda: exported("int8"),
    }


def run(row: Row, music: list[str]) -> tuple[np.ndarray, float]:
    """Embeddings of all files together, and seconds, which a program prints last."""
    script, *arguments = row.program
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "embeddings.npz")
        printed = subprocess.run(
            [row.python, HERE / script, *arguments, output, *music],
            env={**os.environ, "PYTHONPATH": "", **row.environment},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        with np.load(output) as values:
            embeddings = np.concatenate([values[str(number)] for number in range(len(music))])
    return embeddings, float(printed.split()[-1])


def excerpts(paths: list[str], folder: pathlib.Path) -> list[str]:
    """Writes the first seconds of files."""
    made = []
    for number, path in enumerate(paths):
        rate = soundfile.info(path).samplerate
        samples, _ = soundfile.read(path, frames=int(FLAGS.seconds * rate))
        made.append(str(folder / f"{number}.wav"))
        soundfile.write(made[-1], samples, rate)
    return made


def main(_):
    paths = [item.path for item in files.find([FLAGS.music]) if item.expected]
    lines, reference = [], None
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        chosen = paths[:: max(1, len(paths) // FLAGS.files)][: FLAGS.files]
        music = excerpts(chosen, folder)
        for name, ready in rows(os.path.abspath(FLAGS.model), folder).items():
            if FLAGS.rows and name not in (FIRST, *FLAGS.rows):
                continue
            row = ready()
            embeddings, seconds = run(row, music)
            reference = embeddings if reference is None else reference
            agreement = Agreement.of(embeddings, reference)
            lines.append(
                f"| {name} | {agreement.cosine:.7f} | {agreement.mean_cosine:.7f} | "
                f"{agreement.centred:.5f} | {agreement.difference:.1e} | {seconds:.1f} | "
                f"{environments.megabytes(row.python)} |\n"
            )
            print(lines[-1], end="", flush=True)
    table = HEADER.format(
        weights=FLAGS.weights or FLAGS.model,
        windows=len(reference),
        files=len(music),
        music=FLAGS.described or FLAGS.music,
        machine=contest.machine(),
    )
    if FLAGS.output:
        pathlib.Path(FLAGS.output).write_text(table + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
