"""Choosing a probe's parameters on the validation set, within what Table 2 allows.

The search is an Optuna study in an SQLite file, so that an interrupted one resumes, and ends as one
that was not: each trial's draws depend on the seed and on the trials before it alone. The first
trial is the configuration that was given, so that none ends with a worse one.
"""

import contextlib
import copy
import logging
import math
import os
import urllib.parse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mar.errors import ConfigError, InputError
from mar.optim.schedules import ScoochCosineDecay
from mar.probing.mlp import MLP
from mar.probing.probe import DivergedError

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

# What is tried; the configuration's own value is too.
STEPS = (0.5, 0.75, 1.0, 1.25, 1.5)  # multiples of its number of steps
L2 = (0.0, 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 1e-4)
RATES = (1e-5, 1e-3)  # between these
MARBLE_RATES = (5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2)  # marble-bm.sheffield.ac.uk/submit
DROPOUT = (0.0, 0.25, 0.5, 0.75)


def propose(trial: "optuna.Trial", base: MLP, constraint: str | None, dropout: bool) -> dict:
    """The configuration of one trial.

    Args:
        trial: Optuna's.
        base: the `MLP` that is varied. Its schedule is a warm-up and a cosine.
        constraint: of Table 2. None: learning rate, steps and L2 are free (section 3). "[24]": so
            are standardisation, one hidden layer of 512 or none, and batches of 64 or 256, within
            the range that Castellon et al. draw their grid over. "[2]": linear, in batches of 64,
            without dropout. "MARBLE": one of six learning rates, and the steps.
        dropout: whether dropout is free as well.

    Returns:
        A changed copy, as `resolved` returns it.
    """
    config = copy.deepcopy(base.resolved())
    mlp = config["MLP"]
    given = start(base)

    def choice(name, values):
        return trial.suggest_categorical(name, sorted({*values, given[name]}))

    if constraint == "MARBLE":
        rate = choice("learning_rate", MARBLE_RATES)
        factor = trial.suggest_categorical("steps", STEPS)
        _set_schedule(mlp["optimizer"]["ScoochAdam"]["schedule"], rate, factor)
        return config
    if constraint == "[2]":
        mlp["layer_widths"], mlp["batch_size"] = [], 64
        _set_dropout(mlp, 0.0)
    elif constraint == "[24]":
        mlp["standardize"] = trial.suggest_categorical("standardize", [False, True])
        hidden = choice("hidden_units", (0, 512))
        mlp["layer_widths"] = [hidden] if hidden else []
        mlp["batch_size"] = choice("batch_size", (64, 256))
        _set_dropout(mlp, given["dropout"])
    if dropout and constraint != "[2]":
        _set_dropout(mlp, choice("dropout", DROPOUT))
    low, high = (edge((*RATES, given["learning_rate"])) for edge in (min, max))
    rate = trial.suggest_float("learning_rate", low, high, log=True)
    mlp["l2_regularization"] = choice("l2", (*L2, 1e-3) if constraint == "[24]" else L2)
    factor = trial.suggest_categorical("steps", STEPS)
    _set_schedule(mlp["optimizer"]["ScoochAdam"]["schedule"], rate, factor)
    return config


def start(base: MLP) -> dict:
    """What a trial would have to draw to become the configuration that is varied."""
    widths = base.layer_widths
    rates = base.layer_dropouts or (base.dropout or base.output_dropout or 0.0,)
    return {
        "standardize": base.standardize,
        "hidden_units": widths[0] if widths else 0,
        "batch_size": base.batch_size,
        "dropout": rates[0],
        "learning_rate": _cosine(base).initial_learning_rate,
        "l2": base.l2_regularization,
        "steps": 1.0,
    }


def search(
    base: MLP,
    constraint: str | None,
    score: Callable[[MLP], float],
    file: str | os.PathLike,
    name: str,
    trials: int,
    seed: int = 0,
    dropout: bool = False,
) -> tuple[MLP, pd.DataFrame]:
    """Runs the trials that are missing from a study.

    Args:
        base: the `MLP` that is varied, with a batch size.
        constraint: see `propose`.
        score: function of an `MLP` → value on the validation set, higher is better.
        file: the SQLite file, which may hold a part of the study already.
        name: of the study: what else its values depend on. Another name begins another one.
        trials: how many trials the study is to have in the end.
        seed: of the draws.
        dropout: see `propose`.

    Returns:
        The best `MLP`, and the trials in the order in which they ran: `trial`, `value` on the
        validation set (-inf where the loss was not finite), and a column for each parameter.

    Raises:
        ConfigError: the configuration's schedule is not a warm-up and a cosine.
        DivergedError: no trial had a finite loss.
        InputError: the file cannot be read or written: the disk is full, or it was removed.
    """
    import optuna
    from optuna.trial import TrialState

    _cosine(base)

    def objective(trial):
        config = propose(trial, base, constraint, dropout)
        if "given" in trial.user_attrs:  # whatever no draw can express, such as several dropouts
            config = base.resolved()
        trial.set_user_attr("config", config)
        try:
            value = score(MLP.from_config(config))
        except DivergedError:
            value = -math.inf
        if math.isnan(value):
            raise ConfigError(
                "MLP: expected a value on the validation set, got NaN: no label is in it"
            )
        logger.info("trial %d: %.4f %s", trial.number, value, trial.params)
        return value

    with _quiet(), _kept_in(file):
        study = optuna.create_study(
            storage=f"sqlite:///{urllib.parse.quote(str(file))}",  # which others read as a URL
            study_name=name,
            direction="maximize",
            load_if_exists=True,
        )
        for unfinished in study.get_trials(states=[TrialState.RUNNING]):  # of a killed process
            study.tell(unfinished.number, state=TrialState.FAIL)
        while (done := len(study.get_trials(states=[TrialState.COMPLETE]))) < trials:
            if not done and not study.get_trials(states=[TrialState.WAITING]):
                study.enqueue_trial(start(base), user_attrs={"given": True})
            study.sampler = optuna.samplers.TPESampler(seed=_sampler_seed(seed, done))
            trial = study.ask()
            study.tell(trial, objective(trial))
        best, complete = study.best_trial, study.get_trials(states=[TrialState.COMPLETE])
    if best.value == -math.inf:
        raise DivergedError(f"MLP: the loss of all {done} trials became NaN or infinite")
    rows = [{"trial": n, "value": trial.value, **trial.params} for n, trial in enumerate(complete)]
    return MLP.from_config(best.user_attrs["config"]), pd.DataFrame(rows)


def _sampler_seed(seed, done):
    """Of the sampler of a trial: seeds and trials that are next to each other share no draws."""
    return int(np.random.SeedSequence([seed, done]).generate_state(1)[0])


def _cosine(base):
    """The cosine of a schedule, which a warm-up precedes."""
    cosine = getattr(base.optimizer.schedule, "schedule", None)
    if not isinstance(cosine, ScoochCosineDecay):
        raise ConfigError(
            "MLP.optimizer.ScoochAdam.schedule: expected a WarmupSchedule with a "
            f"ScoochCosineDecay, whose steps and rate a search varies; got "
            f"{type(base.optimizer.schedule).__name__}"
        )
    return cosine


@contextlib.contextmanager
def _kept_in(file: str | os.PathLike) -> Iterator[None]:
    """What goes wrong with the file of a study, in a sentence."""
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = getattr(cause, "orig", None) or cause or error
        raise InputError(
            f"{file}: the trials cannot be kept: {reason}; make room, or remove the file where it "
            "is damaged, and run the same command again"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna reports nothing but warnings meanwhile: the search logs its trials itself."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _set_dropout(mlp, rate):
    """The rate behind every hidden layer; a linear probe drops what its output layer is given."""
    mlp["layer_dropouts"] = mlp["dropout"] = mlp["output_dropout"] = None
    if mlp["layer_widths"]:
        mlp["dropout"] = rate
    elif rate:
        mlp["output_dropout"] = rate


def _set_schedule(schedule, rate, factor):
    """Scales the length of a `WarmupSchedule` and sets its learning rates."""
    warmup = schedule["WarmupSchedule"]
    cosine = warmup["schedule"]["ScoochCosineDecay"]
    steps = warmup["warmup_steps"] + cosine["decay_steps"]
    cosine["decay_steps"] = max(1, round(steps * factor) - warmup["warmup_steps"])
    cosine["initial_learning_rate"] = warmup["warm_learning_rate"] = rate
