"""Loading 250 MB of weights, once everything is imported.

    python -m benchmarks.load_model [--model MODEL.keras] [--rounds 1]

MODEL is a published `.keras` file; without it the weights are those of the tests. sxmp-mule's are
loaded by Keras 2, as there, and mule-torch's from its own format.
"""

import pathlib
import tempfile

from absl import app, flags

import mar
from benchmarks import contest, environments, golden

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A published .keras file.")
flags.DEFINE_integer("rounds", 1, "Turns of each; sxmp-mule takes a minute.")


def main(_):
    with tempfile.TemporaryDirectory() as place, golden.model(FLAGS.model) as model:
        folder = pathlib.Path(place)
        weights = environments.mule_torch_weights(model, folder)
        config = golden.pipeline(model, folder)
        with (
            contest.program(environments.sxmp_mule("load", config)) as published,
            contest.program(environments.mule_torch("load", weights)) as torch,
        ):
            contest.run(
                "load-model",
                "Loading 250 MB of weights",
                {
                    "mar": lambda: mar.load_model(model),
                    "sxmp-mule": published,
                    "mule-torch": torch,
                },
                aims={"sxmp-mule": 10.0},
                rounds=FLAGS.rounds,
                warm_up=False,
            )


if __name__ == "__main__":
    app.run(main)
