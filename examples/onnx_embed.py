"""Embeds audio files with an exported model; needs onnxruntime, numpy, soundfile and soxr alone.

    mar export --model mule --output mule.onnx
    python onnx_embed.py mule.onnx song.mp3 …

Writes song.mp3.npy, the average embedding, and prints the labels of the heads that the file has.
"""

import json
import sys

import numpy as np
import onnxruntime
import soundfile
import soxr


def waveform(path, sample_rate):
    """Samples in ±1, (samples, channels), at a rate."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples, rate, sample_rate)


def main(model, *paths):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # without remarks on the input that is left out
    session = onnxruntime.InferenceSession(model, options, onnxruntime.get_available_providers())
    about = session.get_modelmeta().custom_metadata_map
    sample_rate = json.loads(about["front_end"])["LogMel"]["sample_rate"]
    for path in paths:
        outputs = [output.name for output in session.get_outputs()]
        values = session.run(outputs, {"waveform": waveform(path, sample_rate)})
        found = dict(zip(outputs, values, strict=True))
        np.save(f"{path}.npy", found["mean"])
        print(f"{path}: {len(found['times'])} windows, mean {found['mean'].shape}")
        for head in json.loads(about["heads"]):
            best = sorted(zip(found[head["output"]], head["labels"], strict=True), reverse=True)
            print(f"  {head['task']}: " + ", ".join(f"{name} {p:.2f}" for p, name in best[:5]))


if __name__ == "__main__":
    main(*sys.argv[1:])
