"""The network's forward pass over 32 snippets, float32 and bfloat16.

    python -m benchmarks.forward [--model MODEL.keras] [--rounds 5]

Against the same network with Keras's own convolution, as a file on ONNX Runtime, and in two other
programs; and the share of what the machine does in products of matrices of that type, of as many
operations. MODEL is a published `.keras` file; without it the weights are those of the tests.
"""

import pathlib
import tempfile

import numpy as np
import onnx
from absl import app, flags
from keras import ops

import mar
from benchmarks import contest, environments, golden, limits
from mar.embedding.network import Network
from mar.models import layers
from mar.onnx import exporting, runtime
from mar.onnx.quantization import products_of

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A published .keras file.")
flags.DEFINE_integer("rounds", 5, "Turns of each.")
SNIPPETS = 32


def through_keras(x, kernel, strides):
    return ops.conv(x, kernel, strides, "same", data_format="channels_last")


def main(_):
    with tempfile.TemporaryDirectory() as place, golden.model(FLAGS.model) as path:
        folder = pathlib.Path(place)
        weights = environments.mule_torch_weights(path, folder)
        config = golden.pipeline(path, folder)
        with (
            contest.program(environments.sxmp_mule("forward", config)) as sxmp_mule,
            contest.program(environments.mule_torch("forward", weights)) as mule_torch,
        ):
            measure(path, folder, {"sxmp-mule": sxmp_mule, "mule-torch": mule_torch})


def measure(path, folder, others):
    """Both rows."""
    model = mar.load_model(path)
    network = exporting.network_file(exporting.Plan(model))
    operations = 2 * SNIPPETS * sum(products_of(network).values())
    snippets = np.random.default_rng(0).uniform(0, 3, (SNIPPETS, 300, 96)).astype(np.float32)
    onnx.save(network, folder / "network.onnx")
    session = runtime.session(folder / "network.onnx")
    (name,) = (given.name for given in session.get_inputs())
    direct, layers.convolve = layers.convolve, through_keras
    stock = Network(mar.load_model(path), 300)
    stock(snippets)  # traced with Keras's convolution
    layers.convolve = direct
    ours, half = Network(model, 300), Network(model, 300, precision="bfloat16")

    def limit(precision):
        return lambda: contest.Cost(operations / limits.products(precision))

    work = {"work": SNIPPETS, "unit": "snippets", "rounds": FLAGS.rounds}
    contest.run(
        "forward-float32",
        "Forward pass of the network, 32 snippets, float32",
        {
            "mar": lambda: ours(snippets),
            "stock Keras": lambda: stock(snippets),
            **others,
            "mar, ONNX Runtime": lambda: session.run(None, {name: snippets}),
            "matrix products": limit("float32"),
        },
        aims={"matrix products": 0.8},
        limit="matrix products",
        **work,
    )
    contest.run(
        "forward-bfloat16",
        "Forward pass of the network, 32 snippets, bfloat16",
        {
            "mar, bfloat16": lambda: half(snippets),
            "mar, float32": lambda: ours(snippets),
            "matrix products": limit("bfloat16"),
        },
        aims={"matrix products": 0.8},
        limit="matrix products",
        **work,
    )


if __name__ == "__main__":
    app.run(main)
