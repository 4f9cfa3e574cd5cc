"""What mule-torch 0.2 and PyTorch do of a row, in an environment of their own.

    P -m benchmarks.theirs_mule_torch load FOLDER
    P -m benchmarks.theirs_mule_torch forward FOLDER
    P -m benchmarks.theirs_mule_torch log_mel FOLDER SAMPLES.npy OUTPUT.npy
    P -m benchmarks.theirs_mule_torch probe ITEMS LABELS STEPS BATCH HIDDEN DIMENSIONS
    P -m benchmarks.theirs_mule_torch files FOLDER FILE…

P is that of `environments.of_mule_torch`; `row_mule_torch.convert` makes the folder. All but
`files` take turns (`benchmarks.turns`). mule-torch leaves reading and resampling to its users:
soundfile and soxr here. `probe` trains an MLP as anyone would write it, on random features.
"""

import sys

import numpy as np
import torch

from benchmarks import turns


def model_of(folder):
    from mule_torch import MuleModel

    return MuleModel.from_pretrained(model_dir=folder).eval()


def load(folder):
    turns.take(lambda: model_of(folder))


def forward(folder):
    model, snippets = model_of(folder), torch.randn(32, 1, 96, 300)
    with torch.inference_mode():
        turns.take(lambda: model.backbone(snippets))


def log_mel(folder, samples, output):
    model, waveform = model_of(folder), torch.tensor(np.load(samples))[None]
    with torch.inference_mode():
        np.save(output, model.frontend(waveform).numpy())
        turns.take(lambda: model.frontend(waveform))


def probe(items, labels, steps, batch, hidden, dimensions):
    items, labels, steps, batch, hidden, dimensions = map(
        int, (items, labels, steps, batch, hidden, dimensions)
    )
    features = torch.randn(items, dimensions)
    targets = (torch.rand(items, labels) < 0.05).float()
    model = torch.nn.Linear(hidden or dimensions, labels)
    if hidden:
        first = torch.nn.Linear(dimensions, hidden)
        model = torch.nn.Sequential(first, torch.nn.ReLU(), model)
    optimizer, loss = torch.optim.Adam(model.parameters()), torch.nn.BCEWithLogitsLoss()

    def turn():
        order = torch.randint(items, (steps, batch))
        for rows in order:
            optimizer.zero_grad()
            loss(model(features[rows]), targets[rows]).backward()
            optimizer.step()

    turns.take(turn)


def files(folder, *paths):
    import soundfile
    import soxr

    model = model_of(folder)
    with torch.inference_mode():
        for path in paths:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            samples = soxr.resample(samples.mean(axis=1), rate, 16000)
            model.embed_timeline(torch.tensor(samples)[None])


if __name__ == "__main__":
    tasks = {"load": load, "forward": forward, "log_mel": log_mel, "probe": probe, "files": files}
    tasks[sys.argv[1]](*sys.argv[2:])
