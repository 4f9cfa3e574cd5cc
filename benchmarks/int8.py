"""What int8 costs and brings: speed against agreement, by how many convolutions stay in float.

    python benchmarks/int8.py --model MODEL --music FOLDER [--least 0.99]

Prints a line for each choice of `mar.onnx.quantization.choices`, from all convolutions in int8 to
almost none: their share of the work, the centred cosine on music that was not calibrated on, and
the processor's time as a share of float32's. The first is calibrated on signals, as the engine of
mar embed is, the others on one half of the music; all are measured on the other half.
"""

from absl import app, flags

import mar
from mar.embedding import files
from mar.onnx import exporting, quantization

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "The model: what mar.load_model takes.", required=True)
flags.DEFINE_string("music", None, "Folder of real music.", required=True)
flags.DEFINE_float("least", 1.0, "Centred cosine after which nothing is tried.")


def main(_):
    plan = exporting.Plan(mar.load_model(FLAGS.model))
    audio = [item.path for item in files.find([FLAGS.music]) if item.expected]
    network = exporting.network_file(plan)
    calibration, held_out = exporting.halves(exporting.waveforms(audio, plan.log_mel))
    signals, _ = exporting.halves(exporting.waveforms((), plan.log_mel, "int8"))
    parts = (signals, calibration, held_out)
    of_signals, of_music, measured = (exporting.snippets_of(plan, part) for part in parts)
    print(f"{len(of_music)} windows to calibrate on, {len(measured)} to measure on")
    first = quantization.choices(network, of_signals, measured, lambda _: True)
    print(f"calibrated on {len(of_signals)} windows of signals: {next(first)}", flush=True)
    for choice in quantization.choices(
        network, of_music, measured, lambda each: each.centred >= FLAGS.least
    ):
        print(choice, flush=True)


if __name__ == "__main__":
    app.run(main)
