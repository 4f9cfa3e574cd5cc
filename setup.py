"""Installs `mar` (from music_audio_representations/) and `tfrecord_tools`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

REQUIRED = [
    "tensorflow>=2.17",  # training, data pipelines, SavedModels
    "keras>=3.5",  # the network, on TensorFlow, JAX or PyTorch
    "h5py",  # the weights inside .keras files
    "scooch>=1.1,<2",  # configurations that instantiate components
    "annotated-types>=0.6",  # bounds of their parameters
    "typing-extensions>=4.4",  # what Python 3.10 lacks of typing
    "lazy-loader>=0.3",  # `import mar` without TensorFlow
    "absl-py",  # command lines
    "numpy",  # arrays between the parts
    "soundfile>=0.12.1",  # decodes WAV, AIFF, W64, CAF, and what FFmpeg does not know
    "av>=13.1",  # decodes everything else that FFmpeg's libraries read
    "psutil>=5.9",  # memory that is available
    "soxr>=0.3.6",  # streaming resampler
    "pyarrow>=15",  # manifests, embeddings, S3 and GCS
    "google-crc32c>=1.6",  # checksums of TFRecords, without TensorFlow
    "pooch>=1.8",  # verified downloads
    "pandas>=2.1.1",  # tables that are handed out
    "scikit-learn>=1.3",  # metrics, folds, neighbours
    "threadpoolctl>=2.0",  # one thread of linear algebra for each of several
    "safetensors>=0.4",  # heads: trained probes
    "mir_eval>=0.7",  # key score
    "optuna>=3.5",  # probe search
    "matplotlib>=3.7",  # pictures
    "jinja2>=3.1",  # the report
    "tqdm",  # progress
    "tensorboard",  # summaries of training, which newer TensorFlows do not bring along
]

EXTRAS = {
    "gpu": ["tensorflow[and-cuda]>=2.17"],
    # hdfs:// and Azure. The last tensorflow-io cannot be loaded by a newer TensorFlow.
    "io": ["tensorflow-io==0.37.1", "tensorflow>=2.17,<2.18"],
    "hub": ["huggingface_hub>=1.16"],  # hf:// models
    # Exported models: applied with onnxruntime alone, which requirements-onnx.txt installs.
    "onnx": ["onnxruntime>=1.17", "onnx>=1.15"],
    "cluster": ["ray[data]>=2.30"],
    "search": ["faiss-cpu>=1.12"],  # the index of mar.index
    # The page of mar.explore: its server, maps of many tracks (whose steps are called one by one,
    # so that they can be resumed), and the index.
    "explore": ["fastapi>=0.116", "uvicorn>=0.29", "pacmap>=0.9.1,<0.10", "faiss-cpu>=1.12"],
    # Data carriers of the embedded data set: scores and a soundfont.
    "quickstart": ["music21>=9.9,<11", "pretty_midi>=0.2.11"],
    # Writes into the tags of audio files; GPL-2.0-or-later, and imported for that alone.
    "tags": ["mutagen>=1.46"],
    "notebooks": ["jupyterlab", "nbclient", "ipykernel"],
    # Sphinx itself comes with SCOOCH.
    "docs": ["furo", "myst-parser>=4", "sphinx-copybutton", "sphinx-design"],
    "benchmarks": ["grain>=0.2", "array-record>=0.5"],  # what ours is compared with
    "test": [
        "pytest",
        "pytest-xdist",
        "ruff",
        "mypy",
        "types-PyYAML",
        "types-tqdm",
        "jax",
        "onnxruntime>=1.17",
        "onnx>=1.15",
        "librosa>=0.10.2",  # what our mel filters are compared with
        "resampy",
        "huggingface_hub>=1.16,<1.17",  # later ones need a click that scooch has not
        "mutagen>=1.46",
        "faiss-cpu>=1.12",
        "fastapi>=0.116",
        "uvicorn>=0.29",
        "pacmap>=0.9.1,<0.10",
        "tinytag>=2.0",  # reads tags, as another program would
        "gcp-storage-emulator",
        "moto[server]",
        "boto3",
        "selenium>=4.11",
    ],
}

SOURCE = "music_audio_representations/mar"
PACKAGES = [
    "mar",
    *(f"mar.{name}" for name in find_packages(SOURCE)),
    "mar.configs",
    "tfrecord_tools",
]

INIT = Path(__file__).parent.joinpath(SOURCE, "__init__.py").read_text(encoding="utf-8")
(VERSION,) = re.findall(r'^__version__ = "(.+)"$', INIT, re.MULTILINE)

setup(
    name="music-audio-representations",
    version=VERSION,
    description="Pre-train, extract and probe audio representations for music understanding",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["music", "audio", "embeddings", "representation learning", "MIR"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
    ],
    python_requires=">=3.10,<3.14",
    packages=PACKAGES,
    package_dir={
        "mar": SOURCE,
        "mar.configs": "configs",
        "tfrecord_tools": "tfrecord_tools",
    },
    package_data={
        "mar": ["*.pyi", "py.typed"],
        "mar.configs": ["*/*.yaml"],
        "mar.exploring": ["page/*", "page/vendor/*"],
        "mar.tasks": ["*.csv"],
        "mar.reporting": ["*.csv", "*.pyi", "templates/*"],
    },
    entry_points={"console_scripts": ["mar = mar.__main__:main"]},
    install_requires=REQUIRED,
    extras_require=EXTRAS,
)
