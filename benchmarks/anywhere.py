"""A model on ONNX Runtime beside TensorFlow: the network, and commands from start to end.

    python -m benchmarks.anywhere --model MODEL.keras [--rows network,embed,similar,hour]

The model is exported in float32 and int8 first. Commands run in the environments of
benchmarks/environments.py, so that where ONNX Runtime runs no TensorFlow is. The limit of int8 is
what ONNX Runtime does in products of matrices of bytes.
"""

import concurrent.futures
import functools
import os
import pathlib
import shutil
import tempfile

import numpy as np
import onnx
import onnxruntime
from absl import app, flags

import mar
from benchmarks import audio as made
from benchmarks import contest, environments, limits
from mar.embedding.network import Network
from mar.onnx import exporting
from mar.onnx.graph import Graph
from mar.onnx.quantization import products_of
from mar.onnx.runtime import ExportedNetwork

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "What mar.load_model takes.", required=True)
flags.DEFINE_list("rows", ["network", "embed", "similar", "hour"], "What is measured.")
flags.DEFINE_integer("rounds", 3, "Turns of each.")
SNIPPETS, SIZE = 32, 2048


def of_bytes():
    """A session that multiplies two matrices of bytes, and its input."""
    rng, graph = np.random.default_rng(0), Graph()
    graph.input("x", (SIZE, SIZE), onnx.TensorProto.UINT8)
    product = graph("MatMulInteger", "x", rng.integers(-127, 128, (SIZE, SIZE), np.int8))
    graph.output("y", product, kind=onnx.TensorProto.INT32)
    session = onnxruntime.InferenceSession(graph.model().SerializeToString())
    return session, {"x": rng.integers(0, 256, (SIZE, SIZE), np.uint8)}


def a_stream_a_core(file):
    """Embeds snippets with a session of one thread on each core, in place of one of many."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    streams = [onnxruntime.InferenceSession(file, options) for _ in range(os.cpu_count())]
    threads = concurrent.futures.ThreadPoolExecutor(len(streams))

    def embed(session, snippets):
        inputs = {"waveform": np.zeros(0, np.float32), "logmel": snippets}
        return session.run(["embeddings"], inputs)[0]

    return lambda snippets: list(
        threads.map(embed, streams, np.array_split(snippets, len(streams)))
    )


def network(model, files):
    """The network alone, and the machine's limits for as much work."""
    products = SNIPPETS * sum(products_of(exporting.network_file(exporting.Plan(model))).values())
    shape = (SNIPPETS, 300, mar.front_end(model).n_mels)
    snippets = np.random.default_rng(0).uniform(0, 3, shape).astype(np.float32)
    session, matrix = of_bytes()

    def limit_of_bytes():
        _, seconds = contest.timed(lambda: session.run(None, matrix))
        return contest.Cost(seconds * products / SIZE**3)

    networks = {
        "ONNX int8": ExportedNetwork(files["int8"]),
        "ONNX int8, batches of 8": ExportedNetwork(files["int8"], batch_size=8),
        "ONNX int8, a stream a core": a_stream_a_core(files["int8"]),
        "ONNX float32": ExportedNetwork(files["float32"]),
        "TensorFlow float32": Network(model, 300),
        "TensorFlow bfloat16": Network(model, 300, precision="bfloat16"),
    }
    contestants = {name: functools.partial(run, snippets) for name, run in networks.items()}
    contestants["products of bytes"] = limit_of_bytes
    contestants["products of float32"] = lambda: contest.Cost(2 * products / limits.products())
    contest.run(
        "anywhere-network",
        "The network over 32 snippets",
        contestants,
        FLAGS.rounds,
        aims={"ONNX float32": 1.8},
        limit="products of bytes",
        work=SNIPPETS,
        unit="snippets",
    )


def commands(row, files, folder):
    """One command with each way to run the model."""
    ways = {f"ONNX {name}": (environments.of_onnx(), path) for name, path in files.items()}
    ways["TensorFlow"] = environments.of_keras("tensorflow"), FLAGS.model

    def run(name, command, *arguments):
        python, model = ways[name]
        flags = [command, "--model", model, *arguments]
        return contest.process([python, "-m", "mar", *flags], **environments.SOURCES)

    def embed(audio, name):
        """Afresh: an embedding that is there is not computed again."""
        shutil.rmtree(folder / name, ignore_errors=True)
        return run(name, "embed", "--output", folder / name, audio)

    def similar(audio, name):
        return run(name, "similar", "--embeddings", folder / name, audio)

    audio = made.song(folder / "song.mp3", 3)
    if row == "similar":
        for name in ways:
            embed(audio, name)
        audio = made.song(folder / "short.mp3", 1 / 6)
    what = {
        "embed": "mar embed, a file of 3 minutes, from start to end",
        "similar": "mar similar, a file of 10 s, from start to end",
    }[row]
    call = similar if row == "similar" else embed
    contest.run(
        f"anywhere-{row}",
        what,
        {name: functools.partial(call, audio, name) for name in ways},
        FLAGS.rounds,
        aims={"TensorFlow": 1 / 0.6} if row == "embed" else None,
    )


def hour(model, folder):
    """Memory does not grow with the length of a file."""

    def embed(audio):
        shutil.rmtree(folder / "long", ignore_errors=True)
        flags = ["embed", "--model", model, "--output", folder / "long", audio]
        return contest.process(
            [environments.of_onnx(), "-m", "mar", *flags], **environments.SOURCES
        )

    lengths = {"an hour": 60, "ten minutes": 10, "a minute": 1}
    contest.run(
        "anywhere-hour",
        "mar embed on ONNX Runtime, int8, one file: its memory",
        {
            name: functools.partial(embed, made.song(folder / f"{minutes}.mp3", minutes))
            for name, minutes in lengths.items()
        },
        1,
    )


def main(_):
    model = mar.load_model(FLAGS.model)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = {precision: folder / f"{precision}.onnx" for precision in ("float32", "int8")}
        for precision, path in files.items():
            plan = exporting.Plan(model)
            print(precision, exporting.write_onnx(plan, path, (), precision, 0.9), flush=True)
        for row in FLAGS.rows:
            if row == "network":
                network(model, files)
            elif row == "hour":
                hour(files["int8"], folder)
            else:
                commands(row, files, folder)


if __name__ == "__main__":
    app.run(main)
