"""What a model costs on ONNX Runtime, beside TensorFlow: the network, whole commands, memory.

    python benchmarks/anywhere.py --model MODEL.keras [--parts network] [--repeats 3]

Exports the model in float32 and int8 first. Everything is done in turns, so that ratios hold on a
machine that others use too; the load is printed. The limit of a type is the rate at which ONNX
Runtime multiplies two square matrices of it. Commands are timed from start to exit, with the
environments of benchmarks/environments.py: TensorFlow is not installed beside ONNX Runtime.
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import embed_command
import environments
import numpy as np
import onnx
import onnxruntime
from absl import app, flags

import mar
from mar.embedding.network import Network
from mar.onnx import exporting
from mar.onnx.graph import Graph
from mar.onnx.quantization import products_of
from mar.onnx.runtime import ExportedNetwork

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "What mar.load_model takes.", required=True)
flags.DEFINE_list("parts", ["network", "commands", "memory"], "What is measured.")
flags.DEFINE_integer("repeats", 3, "Turns.")
flags.DEFINE_integer("snippets", 32, "That the network is timed on.")
flags.DEFINE_list("minutes", ["3", "60"], "Lengths of files whose peak memory is compared.")

SIZE = 2048  # of the matrices


def in_turns(calls):
    """Median seconds of each of several calls, which are made in turns."""
    taken = {name: [] for name in calls}
    for _ in range(FLAGS.repeats):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def product(kind):
    """Multiplies two matrices of float32 or of bytes on ONNX Runtime."""
    rng, graph = np.random.default_rng(0), Graph()
    if kind == "float32":
        graph.input("x", (SIZE, SIZE))
        weights = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
        graph.output("y", graph("MatMul", "x", weights))
        x = weights
    else:
        graph.input("x", (SIZE, SIZE), onnx.TensorProto.UINT8)
        weights = rng.integers(-127, 128, (SIZE, SIZE), np.int8)
        y = graph("MatMulInteger", "x", weights)
        graph.output("y", y, kind=onnx.TensorProto.INT32)
        x = rng.integers(0, 256, (SIZE, SIZE), np.uint8)
    session = onnxruntime.InferenceSession(graph.model().SerializeToString())
    return lambda: session.run(None, {"x": x})


def network(model, files):
    """Prints seconds of the network, and its share of the machine's limit."""
    plan = exporting.Plan(model)
    products = FLAGS.snippets * sum(products_of(exporting.network_file(plan)).values())
    shape = (FLAGS.snippets, 300, plan.log_mel.n_mels)
    snippets = np.random.default_rng(0).uniform(0, 3, shape).astype(np.float32)
    networks = {
        "TensorFlow float32": Network(model, 300),
        "TensorFlow bfloat16": Network(model, 300, precision="bfloat16"),
        **{f"ONNX {precision}": ExportedNetwork(path) for precision, path in files.items()},
    }
    calls = {name: lambda run=run: run(snippets) for name, run in networks.items()}
    calls |= {f"limit {kind}": product(kind) for kind in ("float32", "int8")}
    for call in calls.values():
        call()
    seconds = in_turns(calls)
    for name in networks:
        kind = name.split()[1]
        share = ""
        if f"limit {kind}" in seconds:
            limit = SIZE**3 / seconds[f"limit {kind}"]
            rate = products / seconds[name]
            share = f", {rate / 1e9:.0f} of {limit / 1e9:.0f} G products/s: {rate / limit:.0%}"
        ratio = seconds[name] / seconds["TensorFlow float32"]
        print(f"{name}: {seconds[name]:.2f} s, {ratio:.2f} of TensorFlow's{share}", flush=True)


def commands(files, folder):
    """Prints seconds of commands from start to exit."""
    song, short = folder / "song.mp3", folder / "short.mp3"
    embed_command.make(song, 3)
    embed_command.make(short, 1)
    ways = {"TensorFlow": (environments.of_keras("tensorflow"), FLAGS.model)}
    ways |= {f"ONNX {name}": (environments.of_onnx(), path) for name, path in files.items()}

    def embed(name):
        """Afresh: an embedding that is there is not computed again."""
        store = folder / f"store {name}"
        shutil.rmtree(store, ignore_errors=True)
        run(name, "embed", "--output", store, song)

    def similar(name):
        run(name, "similar", "--embeddings", folder / f"store {name}", short)

    def run(name, command, *arguments):
        python, model = ways[name]
        subprocess.run(
            [python, "-m", "mar", command, "--model", model, *arguments],
            env={**os.environ, **environments.SOURCES},
            capture_output=True,
            check=True,
        )

    for what, call in (("mar embed, 3 minutes", embed), ("mar similar, 1 minute", similar)):
        seconds = in_turns({name: lambda name=name, call=call: call(name) for name in ways})
        for name, taken in seconds.items():
            share = taken / seconds["TensorFlow"]
            print(f"{what}, {name}: {taken:.1f} s, {share:.0%} of TensorFlow's", flush=True)


def memory(file, folder):
    """Prints the peak memory of embedding short and long files."""
    for minutes in map(int, FLAGS.minutes):
        path = folder / f"{minutes}.mp3"
        embed_command.make(path, minutes)
        seconds, peak = embed_command.embed(file, str(path), str(folder / "memory"))
        print(f"{minutes} min with ONNX float32: {seconds:.1f} s, peak {peak:.0f} MB", flush=True)


def main(_):
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    model = mar.load_model(FLAGS.model)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = {}
        for precision in ("float32", "int8"):
            files[precision] = str(folder / f"{precision}.onnx")
            agreement = exporting.write_onnx(
                exporting.Plan(model), files[precision], precision=precision, least=0.0
            )
            print(f"ONNX {precision}: {agreement}", flush=True)
        if "network" in FLAGS.parts:
            network(model, files)
        if "commands" in FLAGS.parts:
            commands(files, folder)
        if "memory" in FLAGS.parts:
            memory(files["float32"], folder)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    app.run(main)
