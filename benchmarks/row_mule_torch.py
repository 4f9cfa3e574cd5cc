"""A row of benchmarks/agreement_table.py: the package mule-torch, with the weights of a model.

    python benchmarks/row_mule_torch.py convert MODEL FOLDER --python P
    P benchmarks/row_mule_torch.py embed FOLDER mean|halved OUTPUT.npz FILE…

P is an interpreter that has mule-torch 0.2, soundfile and soxr. `convert` runs where `mar` is, and
writes the weights by mule-torch's names, with what it has besides made by itself. mule-torch takes
16 kHz mono and leaves the rest to its users: `mean` gives it the mean of the channels, `halved`
half their sum, as the published program does; of stereo that is the same, mono is twice as loud.
"""

import subprocess
import sys
import time

import numpy as np

BUILD = """
import sys, mule_torch
from safetensors.torch import load_file
state = load_file(sys.argv[1])
model = mule_torch.MuleModel(mel_fb=state.pop("filters"))
assert not model.load_state_dict(state, strict=False).unexpected_keys
model.save_pretrained(sys.argv[2])
"""


def convert(model, folder, _, python):
    import librosa
    import safetensors.numpy

    import mar
    from mar.models.mule_torch import its_name
    from mar.models.sfnfnet import canonical_name

    mel = librosa.filters.mel(sr=16000, n_fft=2048, n_mels=96, fmax=8000, htk=True, norm=2.0)
    arrays = {"filters": mel.astype(np.float32)}
    for variable in mar.load_model(model).weights:
        array = np.array(variable)
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        array = array.T if array.ndim == 2 else array.reshape(array.shape or 1)
        arrays[its_name(canonical_name(variable))] = array
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    safetensors.numpy.save_file(arrays, f"{folder}.safetensors")
    subprocess.run([python, "-c", BUILD, f"{folder}.safetensors", folder], check=True)


def embed(folder, level, output, *paths):
    import soundfile
    import soxr
    import torch
    from mule_torch import MuleModel

    model = MuleModel.from_pretrained(model_dir=folder).eval()

    def embedded(path):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = samples.sum(axis=1) / 2 if level == "halved" else samples.mean(axis=1)
        with torch.no_grad():
            rows = model.embed_timeline(torch.tensor(soxr.resample(mono, rate, 16000))[None])
        return np.asarray(rows).reshape(-1, 1728)

    embedded(paths[0])
    began = time.process_time()
    values = {str(number): embedded(path) for number, path in enumerate(paths)}
    print(time.process_time() - began)
    np.savez(output, **values)


if __name__ == "__main__":
    {"convert": convert, "embed": embed}[sys.argv[1]](*sys.argv[2:])
