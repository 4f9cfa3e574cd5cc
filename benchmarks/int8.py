"""What int8 costs and brings: speed against agreement, by how many convolutions stay in float.

    python benchmarks/int8.py --model MODEL --music FOLDER [--least 0.99]

Prints first what mar embed --precision int8 takes, which is calibrated on signals and chosen by
them, with its centred cosine on music and the processor's time as a share of float32's; and how
like music the signals are. Then a line for each choice of `mar.onnx.quantization.choices`, from all
convolutions in int8 to almost none, calibrated on one half of the music. All are measured on the
other half. Last, in which operators the time of both is spent.
"""

import collections
import json
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from absl import app, flags

import mar
from mar.embedding import files
from mar.onnx import exporting, quantization
from mar.onnx.agreement import Agreement
from mar.onnx.waveform import EMBEDDING, SNIPPETS

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "The model: what mar.load_model takes.", required=True)
flags.DEFINE_string("music", None, "Folder of real music.", required=True)
flags.DEFINE_float("least", 1.0, "Centred cosine after which nothing is tried.")
ROUNDS, BATCH = 10, 8  # of which the fastest counts; windows at once


def described(snippets: np.ndarray) -> str:
    """Log-mel `(n, frames, mels)` in numbers that music and signals should have in common."""
    mean, deviation = snippets.mean((1, 2)), snippets.std((1, 2))
    standard = (snippets - mean[:, None, None]) / np.maximum(deviation, 0.01)[:, None, None]
    bass, treble = (part.mean() for part in (standard[..., :24], standard[..., -24:]))
    lasting = standard.std(axis=1).mean()
    steps = np.abs(np.diff(standard, axis=2)).mean()
    between = standard.mean(axis=1).std(axis=0).mean()
    return (
        f"{len(snippets)} windows: mean {mean.mean():.2f}, deviation {deviation.mean():.2f}; "
        f"standardised: lowest quarter of the bands {bass:.2f}, highest {treble:.2f}, deviation "
        f"over a window's time {lasting:.2f}, between windows {between:.2f}, step from band to "
        f"band {steps:.2f}"
    )


def spent(network: onnx.ModelProto, snippets: np.ndarray) -> dict[str, float]:
    """Milliseconds of one thread in each kind of operator, the most first.

    A node counts with the least that it took in any of some runs.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/"
        session = onnxruntime.InferenceSession(
            network.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for _ in range(ROUNDS):
            session.run([EMBEDDING], {SNIPPETS: snippets})
        events = json.loads(pathlib.Path(session.end_profiling()).read_text(encoding="utf-8"))
    least: dict[tuple[str, str], float] = {}
    for event in events:
        if event["name"].endswith("_kernel_time"):
            node = event["args"]["op_name"], event["name"]
            least[node] = min(event["dur"] / 1000, least.get(node, np.inf))
    total: collections.Counter[str] = collections.Counter()
    for (kind, _), milliseconds in least.items():
        total[kind] += milliseconds
    return dict(total.most_common())


def main(_):
    plan = exporting.Plan(mar.load_model(FLAGS.model))
    audio = [item.path for item in files.find([FLAGS.music]) if item.expected]
    network = exporting.network_file(plan)
    parts = [
        *exporting.halves(exporting.waveforms((), plan.log_mel, "int8")),
        *exporting.halves(exporting.waveforms(audio, plan.log_mel)),
    ]
    signals, other_signals, music, measured = (exporting.snippets_of(plan, part) for part in parts)
    print("signals,", described(signals))
    print("music,", described(music), flush=True)

    *_, default = quantization.choices(
        network, signals, other_signals, lambda each: each.centred >= exporting.LEAST_CENTRED
    )
    reference, seconds = quantization.timed(network, measured)
    embeddings, took = quantization.timed(default.network, measured)
    centred = Agreement.of(embeddings, reference).centred
    print(f"the default, on signals: {default}")
    print(f"the default, on music: {centred:.4f}, {took / seconds:.2f} of the time", flush=True)
    for choice in quantization.choices(
        network, music, measured, lambda each: each.centred >= FLAGS.least
    ):
        print(choice, flush=True)
    for name, made in (("float32", network), ("the default", default.network)):
        kinds = spent(made, measured[:BATCH])
        parts = [f"{kind} {milliseconds:.3g}" for kind, milliseconds in kinds.items()]
        print(f"{name}, {BATCH} windows, {sum(kinds.values()):.3g} ms: {', '.join(parts[:7])}")


if __name__ == "__main__":
    app.run(main)
