"""Writes a model as one file that runs without TensorFlow: waveform in, embeddings and labels out.

    mar export --model mule --output mule.onnx
    mar export --model mule --head results/MTT/mule/0 --output mule.onnx
    mar export --model models/run@best --format saved_model --output served/

Models are what mar embed takes but for the baselines. The file's input is a waveform in ±1,
(samples,) or (samples, channels), at the front end's rate; its outputs are times, embeddings and
mean, and for each --head the probabilities of its labels. --audio names music on which the file is
compared with the model. It is written only where it agrees: float32 embeddings are then
interchangeable with the model's. mar embed, mar tag, mar similar and mar analyze take it as their
model.

    mar export --model mule --precision int8 --audio ~/Music --output mule.int8.onnx

int8 is about half the time on a processor with VNNI instructions, and a quarter of the size. It is
calibrated on one half of --audio and measured on the other, or else on signals that stand for
music, as mar embed --precision int8 is; where the centred cosine is below --least_centred, the
layers that hurt stay in float.
"""

import pathlib

from absl import flags

from mar.embedding import model_names
from mar.errors import ConfigError, InputError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "mule", "A file or folder, or a name: see mar.embed.")
flags.DEFINE_enum("format", "onnx", ["onnx", "saved_model"], "What is written.")
cli.define_output_flag("File, .onnx, or folder of a SavedModel.", required=True)
flags.DEFINE_enum(
    "precision", "float32", ["float32", "float16", "int8"], "Of the network's computation."
)
flags.DEFINE_float(
    "least_centred", 0.99, "Centred cosine that float16 and int8 must reach.", upper_bound=1.0
)
flags.DEFINE_multi_string("head", [], "A head, or the folder of its run; repeatable.")
flags.DEFINE_multi_string("audio", [], "Music to compare on: a file, folder or list; repeatable.")
flags.DEFINE_string("licence", None, "Of the weights, for the file's metadata.")
cli.define_config_flags(required=False)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, such as --model, got {' '.join(argv[1:])}")
    output = pathlib.Path(FLAGS.output)
    _check_flags(output)
    from mar.audio.windows import Windows
    from mar.embedding import files
    from mar.models.loading import MULE_LICENCE, load_model, located
    from mar.onnx import exporting
    from mar.probing.head import Head

    windows = Windows.load(FLAGS.config, FLAGS.set)
    audio = [item.path for item in files.on_disks(files.find(FLAGS.audio)) if item.expected]
    plan = exporting.Plan(
        load_model(FLAGS.model),
        windows,
        [Head(path) for path in FLAGS.head],
        FLAGS.licence or (MULE_LICENCE if FLAGS.model == "mule" else "not stated"),
        located(FLAGS.model),
    )
    plan.check_heads()
    if FLAGS.format == "saved_model":
        agreement = exporting.write_saved_model(plan, output, audio)
    else:
        agreement = exporting.write_onnx(plan, output, audio, FLAGS.precision, FLAGS.least_centred)
    parts = output.rglob("*") if output.is_dir() else [output]
    size = sum(part.stat().st_size for part in parts if part.is_file())
    print(f"{output}: {FLAGS.format} {FLAGS.precision}, {size / 1e6:.1f} MB; {windows!r}")
    print(f"agreement with {FLAGS.model}, loaded again: {agreement}")


def _check_flags(output):
    """Raises ConfigError or InputError where nothing could be written."""
    cli.check_config()
    cli.check_paths("head", "audio")
    model_names.check(FLAGS.model)
    if FLAGS.format == "saved_model":
        if FLAGS.precision != "float32" or FLAGS.head or FLAGS.config or FLAGS.set:
            raise ConfigError(
                "--format saved_model: expected no --head, --config or --set, and float32; "
                "--format onnx has them"
            )
    elif output.suffix != ".onnx":
        raise ConfigError(f"--output: expected a name that ends in .onnx, got {output}")
    if not output.parent.is_dir():
        raise InputError(f"--output: expected an existing folder, {output.parent} is none")


if __name__ == "__main__":
    cli.run(main)
