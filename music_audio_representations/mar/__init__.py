"""Music audio representations: pre-train, embed, probe.

Names are loaded when first used, so that `import mar` is instant and does not import TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_PUBLIC = {
    "ConfigError": "mar.errors",
    "Embedder": "mar.embedding.embedder",
    "Embedding": "mar.embedding.embedder",
    "InputError": "mar.errors",
    "LogMel": "mar.audio.logmel",
    "PairDataset": "mar.data.pipelines",
    "RecordReader": "mar.records.reader",
    "SfNfNetF0": "mar.models.sfnfnet",
    "SnippetDataset": "mar.data.pipelines",
    "Trainer": "mar.training.trainer",
    "Windows": "mar.audio.windows",
    "front_end": "mar.models.saving",
    "load_model": "mar.models.loading",
    "save": "mar.models.saving",
    "save_waveform_model": "mar.models.saving",
    "standardize": "mar.audio.logmel",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mar' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__():
    return sorted({*globals(), *_PUBLIC})
