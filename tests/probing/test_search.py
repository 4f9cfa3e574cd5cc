import optuna
import pytest
from test_probe import probe

from mar.errors import ConfigError
from mar.probing.probe import DivergedError
from mar.probing.search import propose, search


def proposals(base, constraint, count=150):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [propose(study.ask(), base.resolved(), constraint)["MLP"] for _ in range(count)]


def schedule(mlp):
    warmup = mlp["optimizer"]["ScoochAdam"]["schedule"]["WarmupSchedule"]
    return warmup, warmup["schedule"]["ScoochCosineDecay"]


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_mtt_stays_within_the_grid_of_castellon_et_al():
    found = proposals(probe(steps=1000), "[24]")
    assert {tuple(mlp["layer_widths"]) for mlp in found} == {(), (512,)}
    assert {mlp["standardize"] for mlp in found} == {False, True}
    assert {mlp["batch_size"] for mlp in found} == {64, 256}
    assert {schedule(mlp)[0]["warm_learning_rate"] for mlp in found} == {1e-5, 1e-4, 1e-3}
    assert {mlp["l2_regularization"] for mlp in found} == {0.0, 1e-4, 1e-3}
    rates = {mlp["dropout"] if mlp["layer_widths"] else mlp["output_dropout"] for mlp in found}
    assert rates == {0.25, 0.5, 0.75}


def test_nsynth_is_linear_without_dropout_in_batches_of_64():
    found = proposals(probe(steps=1000, dropout=0.5), "[2]")
    assert {tuple(mlp["layer_widths"]) for mlp in found} == {()}
    assert {mlp["batch_size"] for mlp in found} == {64}
    assert {(mlp["dropout"], mlp["output_dropout"]) for mlp in found} == {(None, None)}
    assert len({schedule(mlp)[0]["warm_learning_rate"] for mlp in found}) > 100
    assert len({mlp["l2_regularization"] for mlp in found}) == 7


def test_unconstrained_tasks_keep_the_layers_and_batches_of_their_configuration():
    found = proposals(probe(steps=1000, layer_widths=[16, 8], batch_size=32), None)
    assert {tuple(mlp["layer_widths"]) for mlp in found} == {(16, 8)}
    assert {mlp["batch_size"] for mlp in found} == {32}
    assert {mlp["dropout"] for mlp in found} == {0.0, 0.25, 0.5, 0.75}


def test_steps_are_multiples_of_the_configurations_and_both_rates_are_one():
    for mlp in proposals(probe(steps=1000), None):
        warmup, cosine = schedule(mlp)
        assert warmup["warmup_steps"] + cosine["decay_steps"] in (500, 750, 1000, 1250, 1500)
        assert warmup["warm_learning_rate"] == cosine["initial_learning_rate"]
        assert 1e-5 <= cosine["initial_learning_rate"] <= 1e-3


def toy_score(mlp):
    """Best at a learning rate of 1e-4."""
    rate = mlp.optimizer.schedule.warm_learning_rate
    return -abs(rate - 1e-4) - mlp.l2_regularization


def run(folder, trials, score=toy_score, seed=3):
    return search(probe(steps=1000), None, score, folder / "s.sqlite3", "name", trials, seed)


def params(folder):
    study = optuna.load_study(study_name="name", storage=f"sqlite:///{folder}/s.sqlite3")
    return [t.params for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]


def test_an_interrupted_search_ends_as_one_that_was_not(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    best, value, count = run(tmp_path / "whole", 16)
    calls = 0

    def killed(mlp):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return toy_score(mlp)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", 16, killed)
    assert len(params(tmp_path / "parts")) == 5
    resumed, same_value, _ = run(tmp_path / "parts", 16)
    assert params(tmp_path / "parts") == params(tmp_path / "whole")
    assert (resumed.resolved(), same_value, count) == (best.resolved(), value, 16)


def test_the_best_trial_is_returned_and_nothing_runs_twice(tmp_path):
    seen = []

    def score(mlp):
        seen.append(toy_score(mlp))
        return seen[-1]

    best, value, _ = run(tmp_path, 12, score)
    assert value == max(seen) == toy_score(best)
    run(tmp_path, 12, score)
    assert len(seen) == len({trial["learning_rate"] for trial in params(tmp_path)}) == 12


def test_a_schedule_that_cannot_be_varied_is_refused(tmp_path):
    cosine = {"ScoochCosineDecay": {"initial_learning_rate": 1e-3, "decay_steps": 10}}
    base = probe(optimizer={"ScoochAdam": {"schedule": cosine}})
    with pytest.raises(ConfigError, match="expected a WarmupSchedule .* got ScoochCosineDecay"):
        search(base, None, toy_score, tmp_path / "s.sqlite3", "name", 1)


def test_a_trial_that_diverges_is_the_worst_and_ends_nothing(tmp_path):
    calls = []

    def score(mlp):
        calls.append(mlp)
        if len(calls) in (2, 3):
            raise DivergedError("nan")
        return toy_score(mlp)

    best, value, count = run(tmp_path, 6, score)
    assert (len(calls), count) == (6, 6)
    assert value == max(toy_score(mlp) for mlp in calls[:1] + calls[3:]) == toy_score(best)

    def diverging(mlp):
        raise DivergedError("nan")

    (tmp_path / "all").mkdir()
    with pytest.raises(DivergedError, match="of all 3 trials"):
        run(tmp_path / "all", 3, diverging)
