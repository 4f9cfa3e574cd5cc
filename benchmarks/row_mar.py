"""Rows of benchmarks/agreement_table.py: mar with a model, on whatever runs it, or a SavedModel.

    python benchmarks/row_mar.py embedder MODEL OUTPUT.npz FILE…
    python benchmarks/row_mar.py saved_model FOLDER OUTPUT.npz FILE…

Prints the processor's seconds for all files, after a first one that warms up.
"""

import sys
import time

import numpy as np


def embedder(model):
    import mar

    embed = mar.Embedder(model)
    return lambda path: embed(path).values


def saved_model(folder):
    import tensorflow as tf

    from mar.audio import isolated
    from mar.audio.logmel import PUBLISHED

    embed = tf.saved_model.load(folder).signatures["embed_waveform"]

    def embedded(path):
        samples = np.concatenate(list(isolated.blocks(path, **PUBLISHED.decoding)))
        return np.asarray(embed(waveform=tf.constant(samples))["embedding"])

    return embedded


def main(kind, model, output, *paths):
    embedded = {"embedder": embedder, "saved_model": saved_model}[kind](model)
    embedded(paths[0])
    began = time.process_time()
    values = {str(number): embedded(path) for number, path in enumerate(paths)}
    print(time.process_time() - began)
    np.savez(output, **values)


if __name__ == "__main__":
    main(*sys.argv[1:])
