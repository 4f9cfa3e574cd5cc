"""The network's forward pass over 32 snippets, float32 and bfloat16.

    python -m benchmarks.forward [--rounds 7]

Against the same network with Keras's own convolution, and as a file on ONNX Runtime; and the share
of what the machine does in products of matrices of that type, of as many operations.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from absl import app, flags
from keras import ops

from benchmarks import contest, limits
from mar.embedding.network import Network
from mar.models import layers
from mar.models.sfnfnet import SfNfNetF0
from mar.onnx import exporting, runtime
from mar.onnx.quantization import products_of

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 7, "Turns of each.")
SNIPPETS = 32


def through_keras(x, kernel, strides):
    return ops.conv(x, kernel, strides, "same", data_format="channels_last")


def main(_):
    model = SfNfNetF0().build(300)
    network = exporting.network_file(exporting.Plan(model))
    operations = 2 * SNIPPETS * sum(products_of(network).values())
    snippets = np.random.default_rng(0).uniform(0, 3, (SNIPPETS, 300, 96)).astype(np.float32)

    def limit(precision):
        return lambda: contest.Cost(operations / limits.products(precision))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.onnx")
        onnx.save(network, file)
        session = runtime.session(file)
        (name,) = (given.name for given in session.get_inputs())
        direct, layers._convolve = layers._convolve, through_keras
        stock = Network(SfNfNetF0().build(300), 300)
        stock(snippets)  # traced with Keras's convolution
        layers._convolve = direct
        ours = Network(model, 300)
        work = {"work": SNIPPETS, "unit": "snippets", "rounds": FLAGS.rounds}
        contest.run(
            "forward-float32",
            "Forward pass of the network, 32 snippets, float32",
            {
                "mar": lambda: ours(snippets),
                "stock Keras": lambda: stock(snippets),
                "mar, ONNX Runtime": lambda: session.run(None, {name: snippets}),
                "matrix products": limit("float32"),
            },
            limit="matrix products",
            **work,
        )
        half = Network(model, 300, precision="bfloat16")
        contest.run(
            "forward-bfloat16",
            "Forward pass of the network, 32 snippets, bfloat16",
            {
                "mar, bfloat16": lambda: half(snippets),
                "mar, float32": lambda: ours(snippets),
                "matrix products": limit("bfloat16"),
            },
            limit="matrix products",
            **work,
        )


if __name__ == "__main__":
    app.run(main)
