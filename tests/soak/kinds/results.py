"""The files of a probe's run."""

import numpy as np

from helpers import probe_runs
from soak import mutations
from soak.kinds.kind import kind, plain


def results(name):
    """One file of the run of a probe."""

    def make(folder):
        targets = probe_runs.tags(12, 3)
        predictions = 1 / (1 + np.exp(-probe_runs.noisy(targets, 0.5)))
        probe_runs.write_run(folder, "moods", "toy", "multilabel", targets, predictions)
        return folder / "moods" / "toy" / "0" / name

    def read(path):
        from mar.probing.results import Results

        found = Results(path.parents[3])
        arrays = [plain(map(np.asarray, run.predictions())) for run in found.runs]
        return [found.scores.to_csv(), arrays]

    return lambda: (make, read)


kind("result.json", [mutations.in_json])(results("result.json"))
kind("per_label.csv", [mutations.in_text])(results("per_label.csv"))
kind("predictions.npz", [mutations.in_zip], checked=True)(results("predictions.npz"))
