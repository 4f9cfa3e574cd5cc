"""Choosing a probe's parameters on the validation set, within what Table 2 allows.

The search is an Optuna study in an SQLite file, so that an interrupted one resumes, and ends as one
that was not: each trial's draws depend on the seed and on the trials before it alone.
"""

import contextlib
import copy
import logging
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mar.errors import ConfigError
from mar.optim.schedules import ScoochCosineDecay
from mar.probing.probe import MLP, DivergedError

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

# Multiples of the configuration's own number of steps.
STEPS = (0.5, 0.75, 1.0, 1.25, 1.5)
L2 = (0.0, 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 1e-4)


def propose(trial: "optuna.Trial", base: dict, constraint: str | None) -> dict:
    """The configuration of one trial.

    Args:
        trial: Optuna's.
        base: the resolved configuration that is varied, `{"MLP": …}`.
        constraint: of Table 2. None: learning rate, steps, L2 and dropout are free. "[24]": the
            grid of Castellon et al. "[2]": linear, batches of 64, no dropout; learning rate,
            steps and L2 are free.

    Returns:
        The changed copy.
    """
    config = copy.deepcopy(base)
    mlp = config["MLP"]
    if constraint == "[24]":
        mlp["standardize"] = trial.suggest_categorical("standardize", [False, True])
        hidden = trial.suggest_categorical("hidden_units", [0, 512])
        mlp["layer_widths"] = [hidden] if hidden else []
        mlp["batch_size"] = trial.suggest_categorical("batch_size", [64, 256])
        rate = trial.suggest_categorical("learning_rate", [1e-5, 1e-4, 1e-3])
        dropout = trial.suggest_categorical("dropout", [0.25, 0.5, 0.75])
        _set_dropout(mlp, dropout)
        mlp["l2_regularization"] = trial.suggest_categorical("l2", [0.0, 1e-4, 1e-3])
    else:
        rate = trial.suggest_float("learning_rate", 1e-5, 1e-3, log=True)
        mlp["l2_regularization"] = trial.suggest_categorical("l2", L2)
        if constraint == "[2]":
            mlp["layer_widths"], mlp["batch_size"] = [], 64
            _set_dropout(mlp, 0.0)
        else:
            _set_dropout(mlp, trial.suggest_categorical("dropout", [0.0, 0.25, 0.5, 0.75]))
    factor = trial.suggest_categorical("steps", STEPS)
    _set_schedule(mlp["optimizer"]["ScoochAdam"]["schedule"], rate, factor)
    return config


def search(
    base: MLP,
    constraint: str | None,
    score: Callable[[MLP], float],
    file: str | os.PathLike,
    name: str,
    trials: int,
    seed: int = 0,
) -> tuple[MLP, float, int]:
    """Runs the trials that are missing from a study.

    Args:
        base: the `MLP` that is varied.
        constraint: see `propose`.
        score: function of an `MLP` → value on the validation set, higher is better.
        file: the SQLite file, which may hold a part of the study already.
        name: of the study: what else its values depend on. Another name begins another one.
        trials: how many trials the study is to have in the end.
        seed: of the draws.

    Returns:
        The best `MLP`, its value on the validation set, and how many trials there were.

    Raises:
        ConfigError: the configuration's schedule is not a warm-up and a cosine.
    """
    import optuna
    from optuna.trial import TrialState

    cosine = getattr(base.optimizer.schedule, "schedule", None)
    if not isinstance(cosine, ScoochCosineDecay):
        raise ConfigError(
            "MLP.optimizer.ScoochAdam.schedule: expected a WarmupSchedule with a "
            f"ScoochCosineDecay, whose steps and rate a search varies; got "
            f"{type(base.optimizer.schedule).__name__}"
        )

    def objective(trial):
        config = propose(trial, base.resolved(), constraint)
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

    with _quiet():
        study = optuna.create_study(
            storage=f"sqlite:///{file}", study_name=name, direction="maximize", load_if_exists=True
        )
        for unfinished in study.get_trials(states=[TrialState.RUNNING]):  # of a killed process
            study.tell(unfinished.number, state=TrialState.FAIL)
        while (done := len(study.get_trials(states=[TrialState.COMPLETE]))) < trials:
            study.sampler = optuna.samplers.TPESampler(seed=seed + done)
            study.optimize(objective, n_trials=1)
    best, value = study.best_trial, study.best_value
    if value == -math.inf:
        raise DivergedError(f"MLP: the loss of all {done} trials became NaN or infinite")
    return MLP.from_config(best.user_attrs["config"]), value, done


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
