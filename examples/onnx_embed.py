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


def main(model, *paths):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # no remarks on the input that is left out
    session = onnxruntime.InferenceSession(model, options, onnxruntime.get_available_providers())
    about = session.get_modelmeta().custom_metadata_map
    sample_rate = json.loads(about["front_end"])["LogMel"]["sample_rate"]
    outputs = [output.name for output in session.get_outputs()]
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        waveform = soxr.resample(samples, rate, sample_rate)  # (samples, channels) in ±1
        values = session.run(outputs, {"waveform": waveform})
        found = dict(zip(outputs, values, strict=True))
        np.save(f"{path}.npy", found["mean"])
        print(f"{path}: {len(found['times'])} windows, mean {found['mean'].shape}")
        for head in json.loads(about["heads"]):
            named = zip(found[head["output"]], head["labels"], strict=True)
            best = [f"{label} {value:.2f}" for value, label in sorted(named, reverse=True)[:5]]
            print(f"  {head['task']}: {', '.join(best)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
