"""A probe of a task: embeddings in, test scores out."""

import contextlib
import dataclasses
import datetime
import functools
import hashlib
import json
import logging
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import pandas as pd

import mar
from mar.embedding.store import Embeddings
from mar.errors import ConfigError
from mar.probing import calibration, metrics, pictures, published, results
from mar.probing.calibration import Aim
from mar.probing.head import FILE, Head, Parts
from mar.probing.joining import EmbeddedTask, join
from mar.probing.judging import by_decision, judge
from mar.probing.outputs import check_loss
from mar.probing.probe import MLP, Examples, layers_of, logits, predict, report, train
from mar.probing.results import Predictions, Run
from mar.probing.search import search
from mar.tasks import Task
from mar.util import shipped
from mar.util.atomic import make_folder, whole
from mar.util.lock import FolderLock

logger = logging.getLogger(__name__)


class Probe:
    """A shallow network for a task, on frozen embeddings.

    Args:
        config: an `MLP`, or its configuration, `{"MLP": {…}}`.
        task: the `Task` that it is trained, validated and tested on.

    Attributes:
        mlp: the `MLP`.
        task: the `Task`.

    Raises:
        ConfigError: the loss does not fit the task's kind.
    """

    def __init__(self, config: MLP | dict, task: Task) -> None:
        self.mlp = config if isinstance(config, MLP) else MLP.from_config(config)
        self.task = task
        check_loss(self.mlp.loss, task.kind, task.name)

    @classmethod
    def for_task(cls, task: Task, overrides: Sequence[str] = ()) -> "Probe":
        """The probe that a task comes with.

        That of Table 2 for the paper's tasks; for a table or folder of your own a linear one, by
        what it holds: `configs/probe/tags.yaml`, `classes.yaml` (keys too) or `values.yaml`.

        Args:
            task: the `Task`.
            overrides: changes of that configuration, `MLP.param=value`.
        """
        return cls(MLP.load(_shipped_configuration(task), overrides), task)

    def __repr__(self) -> str:
        return f"<Probe of {self.task.name}: {self.mlp.resolved()}>"

    def run(
        self,
        embeddings: Embeddings,
        *,
        model: str | None = None,
        trials: int = 0,
        search_dropout: bool = False,
        seed: int = 0,
        resamples: int = 1000,
        aim: Aim = Aim(),  # noqa: B008 - immutable
        allow_missing: bool = False,
        scratch: str | os.PathLike | None = None,
    ) -> "Result":
        """Trains the probe, with parameters that a search chose if asked for, and tests it once.

        Args:
            embeddings: the open folder of embeddings of the task's audio.
            model: name of what made the embeddings; by default the name of their folder.
            trials: of a search on the validation set, the configuration as it is being the first; 0
                trains that.
            search_dropout: whether the search is over dropout too, which Table 2 has fixed.
            seed: of the search, of training and of the intervals.
            resamples: random halves of the test items, for the confidence intervals.
            aim: what the head's thresholds are chosen for, on the validation set.
            allow_missing: whether to go on without the items that have no embedding.
            scratch: folder of the search's study, by which an interrupted one resumes, and on whose
                disk windows are kept that exceed memory; None for a temporary one.

        Raises:
            InputError: embeddings are missing, or were made with other windows than the task's; or
                another process searches in `scratch`.
            ConfigError: the probe cannot be trained so.
        """
        model = pathlib.Path(embeddings.folder).resolve().name if model is None else model
        results.check_name(model)
        embedded = join(self.task, embeddings, allow_missing)
        with _folder(scratch) as folder:
            training = embedded.examples("train", self.mlp.windows, folder)
            validation = embedded.examples("valid", self.mlp.windows, folder)
            mlp, searched = self.mlp, None
            if trials:
                base = mlp.replace(batch_size=self._batch_size(mlp))
                objective = functools.partial(self._value, training, validation, seed)
                study = folder / "search.sqlite3", self._study_name(embedded, seed, search_dropout)
                settings = self.task.info.constraint, objective, *study, trials, seed
                with FolderLock(folder):
                    mlp, searched = search(base, *settings, search_dropout)
            started = time.perf_counter()
            network = train(mlp, training, self._batch_size(mlp), seed, _LogLoss())
            seconds = time.perf_counter() - started
            valid = report(mlp, network, validation) | self._evaluate(mlp, network, validation)
            test = embedded.examples("test", mlp.windows, folder)
            layers = layers_of(mlp, network)
            rule = calibration.rule(
                self.task.kind, logits(layers, validation), validation.targets, aim
            )
            said = logits(layers, test)
        predictions = layers.predictions(said).astype(np.float32)
        kind, labels = self.task.kind, self.task.labels
        scores = metrics.evaluate(kind, test.targets, predictions, labels, resamples, seed)
        facts = {
            **_task_facts(embedded, test.targets),
            **_probe_facts(mlp, self._batch_size(mlp)),
            **_machine_facts(),
            "model": model,
            "embeddings": embeddings.provenance,
            "seed": seed,
            "trials": 0 if searched is None else len(searched),
            "training_rows": len(training.features),
            "valid": {name: results.or_none(value) for name, value in valid.items()},
            "test": results.aggregates(scores),
            "resamples": resamples,
            "probe_seconds": round(seconds, 3),
        }
        per_label = results.by_label(scores, labels)
        if rule is not None:
            facts["decisions"] = judge(rule, said, test.targets, labels, aim)
            decided = by_decision(rule, said, test.targets)
            ranked = per_label.drop(columns="precision", errors="ignore")
            per_label = pd.concat([ranked, decided], axis=1)
        return Result(
            facts,
            per_label,
            Predictions(np.array(embedded.ids("test")), test.targets, predictions),
            mlp,
            network,
            Head(Parts(layers, rule, _about(facts, self.task))),
            searched,
        )

    def _batch_size(self, mlp: MLP) -> int:
        """Of the configuration, or else of the one that the task comes with."""
        if mlp.batch_size is not None:
            return mlp.batch_size
        path = _shipped_configuration(self.task)
        batch_size = MLP.load(path).batch_size
        if batch_size is None:
            raise ConfigError(f"MLP.batch_size: expected a number, since {path} has none")
        return batch_size

    def _evaluate(
        self, mlp: MLP, network: keras.Model, examples: Examples, resamples: int = 0
    ) -> dict[str, float]:
        """`{metric: value}` of the task's metrics."""
        predictions = predict(mlp, network, examples)
        scores = metrics.evaluate(
            self.task.kind, examples.targets, predictions, self.task.labels, resamples
        )
        return {name: score.value for name, score in scores.items()}

    def _value(self, training: Examples, validation: Examples, seed: int, mlp: MLP) -> float:
        """What a search maximises: the task's first metric on the validation set."""
        network = train(mlp, training, self._batch_size(mlp), seed)
        return self._evaluate(mlp, network, validation)[self.task.metrics[0]]

    def _study_name(self, embedded: EmbeddedTask, seed: int, dropout: bool) -> str:
        """Of a search: all that its trials depend on. Studies of version 0.1 are not resumed."""
        settings = [self.mlp.hash(), self._batch_size(self.mlp), self.task.hash(), dropout]
        parts = [*settings, embedded.embeddings.provenance, embedded.paths, seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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
    """

    facts: dict
    per_label: pd.DataFrame
    predictions: Predictions
    mlp: MLP
    network: keras.Model
    head: Head
    trials: pd.DataFrame | None

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
            with whole(run) as unfinished:
                unfinished.mkdir()
                self.mlp.write(unfinished / "config.yaml")
                self.head.save(unfinished / FILE)
                results.write_run(unfinished, facts, self.per_label, self.predictions)
                if self.trials is not None:
                    self.trials.to_csv(unfinished / "trials.csv", index=False, lineterminator="\n")
                pictures.write(unfinished, facts, self.predictions, self.trials)
                if run.exists():  # a folder can take no other's name; this goes with the unfinished
                    os.replace(run, unfinished.with_name("replaced"))
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
        if facts["undefined_labels"]:
            lines.append(f"  undefined, left out: {', '.join(facts['undefined_labels'])}")
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


def _shipped_configuration(task: Task) -> pathlib.Path:
    return shipped.configuration(f"probe/{task.info.probe or task.name}")


@contextlib.contextmanager
def _folder(path: str | os.PathLike | None) -> Iterator[pathlib.Path]:
    """The folder, which is made, or a temporary one."""
    if path is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield pathlib.Path(temporary)
    else:
        make_folder(path)
        yield pathlib.Path(path)


def _task_facts(embedded: EmbeddedTask, targets: np.ndarray) -> dict:
    """What a result says of its task, whose test items have these targets."""
    task = embedded.task
    multilabel = task.kind == "multilabel"
    undefined: list[int] = metrics.undefined_labels(targets).tolist() if multilabel else []
    return {
        "task": task.name,
        "protocol": task.protocol,
        "kind": task.kind,
        "labels": task.labels,
        "undefined_labels": [task.labels[label] for label in undefined],
        "items": embedded.counts,
        "items_sha256": task.hash(),
        "missing": embedded.missing,
        "constant_guess": {
            metric: results.or_none(value)
            for metric, value in metrics.constant_guess(task.kind, targets, task.labels).items()
        },
    }


def _probe_facts(mlp: MLP, batch_size: int) -> dict:
    """What a result says of its probe."""
    return {
        "pooling": "mean" if mlp.windows == "mean" else "windows",
        "config": mlp.resolved(),
        "config_sha256": mlp.hash(),
        "batch_size": batch_size,
        "steps": mlp.steps,
    }


def _about(facts: dict, task: Task) -> dict:
    """What a head says of itself."""
    names = ("task", "kind", "labels", "pooling", "model", "test", "mar_version", "date")
    decided = facts.get("decisions", {})
    return {
        **{name: facts[name] for name in names},
        "embeddings": facts["embeddings"],
        "dimensions": facts["embeddings"]["dimensions"],
        "unit": task.info.unit,
        "licence": task.info.licence,
        "calibrated": decided.get("calibrated"),
        "uncalibrated_labels": decided.get("uncalibrated_labels", []),
        "aim": decided.get("aim"),
    }


def _machine_facts() -> dict:
    """What a result says of when and where it was obtained."""
    return {
        "cpus": os.cpu_count(),
        "mar_version": mar.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


class _LogLoss:
    """Logs the loss ever more rarely."""

    def __init__(self):
        self._next = 0.0

    def __call__(self, done: int, loss: float) -> None:
        if done >= self._next:
            logger.info("step %d: loss %.4f", done, loss)
            self._next = 1.5 * done
