"""A probe of a task: embeddings in, test scores out."""

import contextlib
import functools
import hashlib
import json
import logging
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from mar.embedding.store import Embeddings
from mar.errors import ConfigError
from mar.probing import fitting, metrics, repeats, results
from mar.probing.calibration import Rule
from mar.probing.curve import points
from mar.probing.dense import Layers
from mar.probing.description import about, machine_facts, probe_facts, task_facts
from mar.probing.fitting import Aim
from mar.probing.floor import floor_facts, vote
from mar.probing.head import Head
from mar.probing.head_file import Parts
from mar.probing.joining import EmbeddedTask, hashes_of_items, join
from mar.probing.judging import by_decision, judge
from mar.probing.mlp import MLP
from mar.probing.outputs import check_loss
from mar.probing.probe import Examples, layers_of, logits, predict, report, train
from mar.probing.result import Result
from mar.probing.results import Predictions
from mar.probing.search import search
from mar.tasks import Task
from mar.util import shipped
from mar.util.atomic import make_folder
from mar.util.backends import require_tensorflow
from mar.util.lock import FolderLock
from mar.util.names import check_folder

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
        curve: Sequence[int] = (),
        allow_missing: bool = False,
        scratch: str | os.PathLike | None = None,
    ) -> Result:
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
            curve: numbers of examples of a label that are trained on too, to see what more of them
                bring; see `mar.probing.curve`.
            allow_missing: whether to go on without the items that have no embedding.
            scratch: folder of the search's study, by which an interrupted one resumes, and on whose
                disk windows are kept that exceed memory; None for a temporary one.

        Raises:
            InputError: embeddings are missing, or were made with other windows than the task's; or
                another process searches in `scratch`.
            ConfigError: the probe cannot be trained so.
        """
        require_tensorflow("training")
        fitting.check_aim(self.task.kind, aim)
        model = pathlib.Path(embeddings.folder).resolve().name if model is None else model
        check_folder("model", model)
        embedded = join(self.task, embeddings, allow_missing)
        settings = _Settings(trials, search_dropout, seed, resamples, aim, tuple(curve))
        with _folder(scratch) as folder:
            if self.task.folds is None:
                tested = self._tested(embedded, settings, folder)
            else:
                tested = self._tested_by_turns(embedded, settings, folder)
        kind, labels, mlp = self.task.kind, self.task.labels, tested.mlp
        facts = {
            **task_facts(embedded, tested.targets),
            **probe_facts(mlp, self._batch_size(mlp)),
            **machine_facts(),
            "model": model,
            "embeddings": embeddings.provenance,
            "seed": seed,
            "trials": 0 if tested.searched is None else len(tested.searched),
            "training_rows": tested.training_rows,
            "valid": {name: results.or_none(value) for name, value in tested.valid.items()},
            "test": results.aggregates(tested.scores),
            "floor": tested.floor,
            "resamples": resamples,
            "probe_seconds": round(tested.seconds, 3),
        }
        if embedded.folds is not None:
            facts |= repeats.facts(embedded.folds, facts, kind)
        rule = tested.rule
        if rule is not None:
            facts["decisions"] = judge(rule, tested.said, tested.targets, labels, aim)
        predictions = tested.layers.predictions(tested.said).astype(np.float32)
        return Result(
            facts,
            _per_label(tested, labels),
            Predictions(np.array(embedded.ids("test")), tested.targets, predictions),
            mlp,
            tested.network,
            Head(Parts(tested.layers, rule, about(facts, self.task))),
            tested.searched,
            tested.curve,
        )

    def _tested(
        self, embedded: EmbeddedTask, settings: "_Settings", folder: pathlib.Path
    ) -> "_Tested":
        """Trains on the training items, and tests on the test items."""
        seed = settings.seed
        training = embedded.examples("train", self.mlp.windows, folder)
        validation = embedded.examples("valid", self.mlp.windows, folder)
        mlp, searched = self.mlp, None
        if settings.trials:
            base = mlp.replace(batch_size=self._batch_size(mlp))
            objective = functools.partial(self._value, training, validation, seed)
            name = self._study_name(embedded, seed, settings.search_dropout)
            study = folder / "search.sqlite3", name
            arguments = self.task.info.constraint, objective, *study, settings.trials, seed
            with FolderLock(folder):
                mlp, searched = search(base, *arguments, settings.search_dropout)
        network, seconds = self._trained(mlp, training, seed)
        valid = report(mlp, network, validation) | self._evaluate(mlp, network, validation)
        test = embedded.examples("test", mlp.windows, folder)
        layers = layers_of(mlp, network)
        said = logits(layers, validation)
        rule = fitting.rule(self.task.kind, said, validation.targets, settings.aim)
        said = logits(layers, test)
        scores = self._scores(test.targets, layers.predictions(said), settings)
        floor = None
        if training.resident:
            votes = self._scores(test.targets, vote(training, test))
            floor = floor_facts(len(training.targets), votes)
        curve = None
        if settings.curve:

            def score(fewer):
                less = layers_of(mlp, train(mlp, fewer, self._batch_size(mlp), seed))
                return self._scores(test.targets, less.predictions(logits(less, test)), settings)

            kind = self.task.kind
            curve = points(kind, training, settings.curve, score, scores, seed)
        return _Tested(
            *(mlp, network, layers, rule, searched, valid, said, test.targets, scores, floor),
            *(len(training.features), seconds, curve),
        )

    def _tested_by_turns(
        self, embedded: EmbeddedTask, settings: "_Settings", folder: pathlib.Path
    ) -> "_Tested":
        """Tests every item by turns, and trains on all of them.

        What is said of the items, and decided on, is that of the first repetition.
        """
        for option, value in (("trials", settings.trials), ("curve", settings.curve)):
            if value:
                raise ConfigError(
                    f"{option}: expected a task with items for validation and for testing alone, "
                    f"got {self.task!r}, whose few items are tested by turns; leave it out, or "
                    f"give a column `split`"
                )
        mlp, seed, folds = self.mlp, settings.seed, embedded.folds
        assert folds is not None
        examples = embedded.examples("test", mlp.windows, folder)

        def fit(training, others):
            network = train(mlp, training, self._batch_size(mlp), seed)
            return logits(layers_of(mlp, network), others)

        of_repeats = repeats.by_turns(folds, examples, fit)
        network, seconds = self._trained(mlp, examples, seed)
        layers = layers_of(mlp, network)
        targets, said = examples.targets, of_repeats[0]
        scores = repeats.mean_scores(
            [self._scores(targets, layers.predictions(each), settings) for each in of_repeats]
        )
        votes = repeats.by_turns(folds, examples, vote)
        floor = repeats.mean_scores([self._scores(targets, each) for each in votes])
        rule = fitting.rule(self.task.kind, said, targets, settings.aim)
        trained = len(targets) * (1 - 1 / len(np.unique(folds)))
        return _Tested(
            *(mlp, network, layers, rule, None, {}, said, targets, scores),
            *(floor_facts(round(trained), floor), len(examples.features), seconds, None),
        )

    def _trained(self, mlp: MLP, examples: Examples, seed: int) -> tuple[keras.Model, float]:
        """The probe, and how many seconds its training took."""
        started = time.perf_counter()
        network = train(mlp, examples, self._batch_size(mlp), seed, _LogLoss())
        return network, time.perf_counter() - started

    def _scores(
        self, targets: np.ndarray, predictions: np.ndarray, settings: "_Settings | None" = None
    ) -> dict[str, metrics.Score]:
        """`{metric: Score}` of predictions, with intervals where there are settings for them."""
        kind, labels, values = self.task.kind, self.task.labels, predictions.astype(np.float32)
        if settings is None:
            return metrics.evaluate(kind, targets, values, labels, 0)
        return metrics.evaluate(kind, targets, values, labels, settings.resamples, settings.seed)

    def _batch_size(self, mlp: MLP) -> int:
        """Of the configuration, or else of the one that the task comes with."""
        if mlp.batch_size is not None:
            return mlp.batch_size
        path = _shipped_configuration(self.task)
        batch_size = MLP.load(path).batch_size
        if batch_size is None:
            raise ConfigError(f"MLP.batch_size: expected a number, since {path} has none")
        return batch_size

    def _evaluate(self, mlp: MLP, network: keras.Model, examples: Examples) -> dict[str, float]:
        """`{metric: value}` of the task's metrics."""
        scores = self._scores(examples.targets, predict(mlp, network, examples))
        return {name: score.value for name, score in scores.items()}

    def _value(self, training: Examples, validation: Examples, seed: int, mlp: MLP) -> float:
        """What a search maximises: the task's first metric on the validation set."""
        network = train(mlp, training, self._batch_size(mlp), seed)
        return self._evaluate(mlp, network, validation)[self.task.metrics[0]]

    def _study_name(self, embedded: EmbeddedTask, seed: int, dropout: bool) -> str:
        """Of a search: all that its trials depend on; earlier versions' are not resumed."""
        settings = [self.mlp.hash(), self._batch_size(self.mlp), self.task.hash(), dropout]
        items = embedded.paths, hashes_of_items(embedded.embeddings, embedded.paths)
        parts = [*settings, embedded.embeddings.provenance, *items, seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class _Settings(NamedTuple):
    """Those of `Probe.run` that decide what is found."""

    trials: int
    search_dropout: bool
    seed: int
    resamples: int
    aim: Aim
    curve: tuple[int, ...]


class _Tested(NamedTuple):
    """A trained probe, and what it says of the test items."""

    mlp: MLP
    network: keras.Model
    layers: Layers
    rule: Rule | None
    searched: pd.DataFrame | None
    valid: dict[str, float]
    said: np.ndarray
    targets: np.ndarray
    scores: dict[str, metrics.Score]
    floor: dict | None
    training_rows: int
    seconds: float
    curve: pd.DataFrame | None


def _per_label(tested: _Tested, labels: list[str]) -> pd.DataFrame:
    """A row for each label: its scores, and how good what is decided is, where that is."""
    ranked = results.by_label(tested.scores, labels)
    if tested.rule is None:
        return ranked
    decided = by_decision(tested.rule, tested.said, tested.targets)
    return pd.concat([ranked.drop(columns="precision", errors="ignore"), decided], axis=1)


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


class _LogLoss:
    """Logs the loss ever more rarely."""

    def __init__(self):
        self._next = 0.0

    def __call__(self, done: int, loss: float) -> None:
        if done >= self._next:
            logger.info("step %d: loss %.4f", done, loss)
            self._next = 1.5 * done
