"""A row of benchmarks/agreement_table.py: the published program, sxmp-mule 1.1.2.

    P benchmarks/row_sxmp_mule.py MODEL mule_embedding_timeline.yml OUTPUT.npz FILE…

P is an interpreter (Python 3.11 or earlier) that has sxmp-mule, which needs TensorFlow 2.13 and the
program FFmpeg; MODEL is a published `.keras` file, and the configuration the release's. Its command
takes one file, so that seconds are those of a process for each.
"""

import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np

model, config, output, *paths = sys.argv[1:]
command = pathlib.Path(sys.executable).parent / "mule"
values = {}
with tempfile.TemporaryDirectory() as folder:
    described = pathlib.Path(config).read_text(encoding="utf-8")
    mine = pathlib.Path(folder, "mule.yml")
    mine.write_text(described.replace("./supporting_data/model/model.keras", model))
    for number, path in enumerate(paths):
        embedded = pathlib.Path(folder, "embedding.npy")
        arguments = ["analyze", "--config", mine, "-i", path, "-o", embedded]
        subprocess.run([command, *arguments], check=True, stdout=subprocess.DEVNULL)
        found = np.load(embedded)
        values[str(number)] = found if found.shape[-1] == 1728 else found.T
np.savez(output, **values)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
