import numpy as np
import optuna
import pandas as pd
import pytest
from test_probe import OURS, probe

from helpers.resources import ROOT
from mar.errors import ConfigError, InputError
from mar.probing.mlp import MLP
from mar.probing.probe import DivergedError
from mar.probing.search import propose, search
from mar.tasks import TASKS


def proposals(base, constraint, dropout=False, count=150):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [propose(study.ask(), base, constraint, dropout)["MLP"] for _ in range(count)]


def schedule(mlp):
    warmup = mlp["optimizer"]["ScoochAdam"]["schedule"]["WarmupSchedule"]
    return warmup, warmup["schedule"]["ScoochCosineDecay"]


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_mtt_stays_within_the_range_of_castellon_et_al():
    base = probe(steps=1000, rate=3e-5, dropout=0.5, batch_size=256, l2_regularization=1e-6)
    found = proposals(base, "[24]")
    assert {tuple(mlp["layer_widths"]) for mlp in found} == {(), (16,), (512,)}
    assert {mlp["standardize"] for mlp in found} == {False, True}
    assert {mlp["batch_size"] for mlp in found} == {64, 256}
    rates = [schedule(mlp)[0]["warm_learning_rate"] for mlp in found]
    assert len(set(rates)) > 100
    assert 1e-5 <= min(rates) < 2e-5
    assert 5e-4 < max(rates) <= 1e-3
    assert {0.0, 1e-6, 1e-4, 1e-3} < {mlp["l2_regularization"] for mlp in found}
    assert {mlp["dropout"] or mlp["output_dropout"] for mlp in found} == {0.5}


@pytest.mark.parametrize("name", sorted({path.stem for path in OURS} & TASKS.keys()))
def test_the_row_of_table_2_is_what_is_tried_first(name, tmp_path):
    """Exactly, whatever its dropouts and rates are; half of them search for dropout."""
    base = MLP.load(ROOT / "configs" / "probe" / f"{name}.yaml")
    best, trials = search(
        *(base, TASKS[name].constraint, lambda mlp: float(mlp == base)),
        *(tmp_path / "trials.sqlite3", "name", 1, 0, bool(len(name) % 2)),
    )
    assert best == base
    assert trials["value"].tolist() == [1.0]


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
    assert {mlp["dropout"] for mlp in found} == {None}


def test_dropout_is_as_configured_unless_it_is_searched():
    base = probe(steps=1000, layer_widths=[16, 8], layer_dropouts=[0.8, 0.1])
    assert {tuple(mlp["layer_dropouts"]) for mlp in proposals(base, None)} == {(0.8, 0.1)}
    found = proposals(base, None, dropout=True)
    assert {mlp["dropout"] for mlp in found} == {0.0, 0.25, 0.5, 0.75, 0.8}
    linear = proposals(probe(steps=1000, layer_widths=[], output_dropout=0.3), None, dropout=True)
    assert {mlp["output_dropout"] for mlp in linear} == {None, 0.25, 0.3, 0.5, 0.75}
    assert {mlp["dropout"] for mlp in proposals(probe(steps=1000), "[2]", dropout=True)} == {None}


def test_steps_are_multiples_of_the_configurations_and_both_rates_are_one():
    for mlp in proposals(probe(steps=1000, rate=1e-4), None):
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
    best, trials = run(tmp_path / "whole", 16)
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
    resumed, same_trials = run(tmp_path / "parts", 16)
    assert params(tmp_path / "parts") == params(tmp_path / "whole")
    pd.testing.assert_frame_equal(same_trials, trials)
    assert (resumed, len(trials)) == (best, 16)


@pytest.mark.parametrize("call", [1, 2])
def test_the_first_trial_is_the_configuration_also_after_an_interruption(call, tmp_path):
    calls = []

    def killed(mlp):
        calls.append(mlp)
        if len(calls) == call:
            raise KeyboardInterrupt
        return toy_score(mlp)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 5, killed)
    _, trials = run(tmp_path, 5, killed)
    assert calls[0] == probe(steps=1000)
    assert calls.count(calls[0]) == (2 if call == 1 else 1)
    assert trials["trial"].tolist() == list(range(5))
    assert trials["value"][0] == toy_score(calls[0])


def test_a_file_that_is_no_study_is_named(tmp_path):
    (tmp_path / "s.sqlite3").write_text("no database " * 100)
    with pytest.raises(InputError, match=r"s\.sqlite3: .*not a database.*remove the file"):
        run(tmp_path, 2)


def test_any_name_of_a_folder_will_do(tmp_path):
    """It becomes part of an address, where some characters mean something."""
    folder = tmp_path / "what is it? {2024} 100%20 #1"
    folder.mkdir()
    run(folder, 2)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert [path.name for path in folder.iterdir()] == ["s.sqlite3"]


def test_a_search_never_ends_with_less_than_it_began_with(tmp_path):
    best, _ = run(tmp_path, 6, lambda mlp: float(mlp == probe(steps=1000)))
    assert best == probe(steps=1000)


def test_seeds_share_no_draws(tmp_path):
    """In version 0.1 the first draws of seed 1 were the second ones of seed 0."""
    drawn = {}
    for seed in (0, 1, 2):
        (tmp_path / str(seed)).mkdir()
        _, trials = run(tmp_path / str(seed), 9, lambda mlp: 0.0, seed)
        drawn[seed] = set(trials["learning_rate"][1:])
    assert len(drawn[0] | drawn[1] | drawn[2]) == 24


def test_the_best_trial_is_returned_and_nothing_runs_twice(tmp_path):
    seen = []

    def score(mlp):
        seen.append(toy_score(mlp))
        return seen[-1]

    best, trials = run(tmp_path, 12, score)
    assert trials["value"].max() == max(seen) == toy_score(best)
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

    best, trials = run(tmp_path, 6, score)
    assert (len(calls), len(trials)) == (6, 6)
    assert trials["value"][1:3].tolist() == [-np.inf] * 2
    assert toy_score(best) == max(toy_score(mlp) for mlp in calls[:1] + calls[3:])

    def diverging(mlp):
        raise DivergedError("nan")

    (tmp_path / "all").mkdir()
    with pytest.raises(DivergedError, match="of all 3 trials"):
        run(tmp_path / "all", 3, diverging)
