"""What sxmp-mule 1.1.2 does of a row, in its own environment (`environments.of_sxmp_mule`).

    P -m benchmarks.theirs_sxmp_mule load CONFIG.yml
    P -m benchmarks.theirs_sxmp_mule forward CONFIG.yml
    P -m benchmarks.theirs_sxmp_mule files CONFIG.yml FILE…

CONFIG.yml is `golden.pipeline`'s. `load` and `forward` take turns (`benchmarks.turns`); `files`
embeds all files in one process, which loads the model once, where its command takes one file.
"""

import sys

from benchmarks import turns


def analysis(config):
    from mule.analysis import Analysis
    from scooch import Config

    return Analysis(Config(config))  # loads the model


def network(config):
    steps = analysis(config)._feature_transforms
    return next(step for step in steps if hasattr(step, "load_model"))


def load(config):
    turns.take(network(config).load_model)


def forward(config):
    import tensorflow as tf

    function = tf.function(network(config)._model)
    snippets = tf.random.normal((32, 96, 300, 1))
    turns.take(lambda: function(snippets).numpy())


def files(config, *paths):
    embed = analysis(config).analyze
    for path in paths:
        embed(path)


if __name__ == "__main__":
    {"load": load, "forward": forward, "files": files}[sys.argv[1]](*sys.argv[2:])
