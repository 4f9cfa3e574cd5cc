"""What `mar tag --top 5` does, as a script in NumPy.

python -m benchmarks.theirs_numpy HEAD.safetensors EMBEDDINGS OUTPUT.parquet
"""

import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open

TOP = 5


def main(head, folder, output):
    with safe_open(head, "numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        names = np.array(json.loads(file.metadata()["mar"])["about"]["labels"])
    first, second = (arrays[f"kernel.{layer}"] for layer in (0, 1))
    paths, labels, probabilities = [], [], []
    for part in sorted(pathlib.Path(folder).glob("*.parquet")):
        table = pq.read_table(part, columns=["path", "mean"])
        vectors = table["mean"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        hidden = (vectors - arrays["mean"]) / arrays["scale"] @ first + arrays["bias.0"]
        logits = np.maximum(hidden, 0) @ second + arrays["bias.1"]
        best = np.argsort(-logits, axis=1)[:, :TOP]
        paths.extend(np.repeat(table["path"].to_numpy(), TOP))
        labels.extend(names[best].ravel())
        chosen = np.take_along_axis(logits, best, axis=1).ravel()
        probabilities.extend(1 / (1 + np.exp(-chosen)))
    columns = {"path": paths, "label": labels, "probability": probabilities}
    pq.write_table(pa.table(columns), output)


if __name__ == "__main__":
    main(*sys.argv[1:])
