"""What a run of a probe found, and where it is written."""

import dataclasses
import os

import keras
import pandas as pd

from mar.embedding import provenance
from mar.probing import pictures, published, results
from mar.probing.head import Head
from mar.probing.head_file import FILE
from mar.probing.mlp import MLP
from mar.probing.results import Predictions, Run
from mar.util.atomic import whole


@dataclasses.dataclass(frozen=True)
class Result:
    """What one run of a probe found.

    Attributes:
        facts: about the run, with its aggregate scores, see `mar.probing.facts`.
        per_label: a row for each label, see `mar.probing.results.by_label`.
        predictions: ids, targets and predictions of the test items.
        mlp: the `MLP`, with the parameters that a search chose.
        network: the trained Keras model, embeddings `(items, dimensions)` → `(items, labels)`.
        head: the same with all that is needed to apply it.
        trials: of the search, see `mar.probing.search.search`; None without one.
        curve: what fewer examples lead to, see `mar.probing.curve.points`; None unless asked for.
    """

    facts: dict
    per_label: pd.DataFrame
    predictions: Predictions
    mlp: MLP
    network: keras.Model
    head: Head
    trials: pd.DataFrame | None
    curve: pd.DataFrame | None = None

    @property
    def scores(self) -> pd.DataFrame:
        """The scores, a row each, as those of `mar.Results`."""
        return results.tidy(self.facts, self.per_label)

    def save(self, folder: str | os.PathLike) -> Run:
        """Writes `<folder>/<task>/<model>/<seed>/`, whole or not at all, in place of an older one.

        The task's tables in the published layout, `<folder>/<task>/<metric>.csv`, follow. Probes
        that are saved at the same time wait for one another.

        Args:
            folder: of all results.

        Raises:
            InputError: it cannot be written, or holds what does not go with it: results of version
                0.1, or of another collection of this task's name.
        """
        facts = self.facts
        address = facts["task"], facts["model"], facts["items_sha256"]
        with results.writing(folder, *address) as place:
            run = place / str(facts["seed"])
            with whole(run, replaces=True) as unfinished:
                unfinished.mkdir()
                self.mlp.write(unfinished / "config.yaml")
                self.head.save(unfinished / FILE)
                results.write_run(unfinished, facts, self.per_label, self.predictions)
                for name, table in (("trials", self.trials), ("curve", self.curve)):
                    if table is not None:
                        table.to_csv(unfinished / f"{name}.csv", index=False, lineterminator="\n")
                pictures.write(unfinished, facts, self.predictions, self.trials, self.curve)
            runs = list(map(results.read_run, results.run_folders(folder, facts["task"])))
            published.write_tables(runs, place.parent)
            return results.read_run(run)

    def __str__(self) -> str:
        facts = self.facts
        lines = [f"{facts['task']}, {facts['model']}, seed {facts['seed']}:"]
        for metric, score in facts["test"].items():
            value = "undefined" if score["value"] is None else f"{score['value']:.4f}"
            known = score["low"] is not None
            interval = f"  [{score['low']:.4f}, {score['high']:.4f}]" if known else ""
            lines.append(f"  {metric:<22} {value}{interval}")
        counts = " / ".join(map(str, facts["items"].values()))
        lines.append(f"  {counts} items to train / validate / test, {facts['missing']} missing")
        if pooled := provenance.pooling(facts["embeddings"]):
            lines.append(f"  embeddings of {provenance.model(facts['embeddings'])}: {pooled}")
        if facts["undefined_labels"]:
            lines.append(f"  undefined, left out: {', '.join(facts['undefined_labels'])}")
        if floor := facts.get("floor"):
            values = (
                f"{metric} {'undefined' if value is None else format(value, '.4f')}"
                for metric, value in floor["test"].items()
            )
            lines.append(f"  nearest {floor['neighbours']} neighbours alone: {', '.join(values)}")
        if self.curve is not None:
            first = self.curve[self.curve["metric"] == next(iter(facts["test"]))]
            reached = (f"{row.examples}: {row.value:.4f}" for row in first.itertuples())
            lines.append(f"  by examples of a label: {', '.join(reached)}")
        if turns := facts.get("turns"):
            lines.append(
                f"  too few to split: each item is tested by what others train, in "
                f"{turns['folds']} folds, {turns['repeats']} times over; scores are means, the "
                f"head is trained on all, and decisions are judged on what they are chosen on"
            )
        if decided := facts.get("decisions"):
            before, after = decided["calibration_error"].values()
            left_out = len(decided["uncalibrated_labels"])
            few = f" ({left_out} labels have too few items for it)" if left_out else ""
            lines.append(f"  error of probabilities {before:.3f}, calibrated {after:.3f}{few}")
            right = decided["precision"]
            shown = "" if right is None else f", {right:.0%} of the labels are right"
            lines.append(f"  {decided['coverage']:.0%} of the items are given labels{shown}")
        lines.append(
            f"  {facts['steps']} steps in {facts['probe_seconds']:.0f} s on {facts['cpus']} CPUs, "
            f"after {facts['trials']} trials"
        )
        return "\n".join(lines)
