import itertools

import keras
import numpy as np
import pytest

from helpers import published
from helpers.optimizers import keras_adam
from helpers.resources import ROOT, reference
from mar.errors import ConfigError
from mar.probing.mlp import MLP
from mar.probing.probe import Examples, layers_of, predict, report, train
from mar.tasks import TASKS
from mar.util import shipped

WARMUP = "MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"
OURS = sorted((ROOT / "configs" / "probe").glob("*.yaml"))


def probe(steps=30, rate=0.01, **parameters):
    cosine = {"initial_learning_rate": rate, "decay_steps": max(1, steps - 10)}
    schedule = {
        "warm_learning_rate": rate,
        "warmup_steps": 10,
        "schedule": {"ScoochCosineDecay": cosine},
    }
    settings = {
        "layer_widths": [16],
        "loss": {"ScoochBinaryCrossentropy": None},
        "optimizer": {"ScoochAdam": {"schedule": {"WarmupSchedule": schedule}}},
    }
    return MLP(**{**settings, **parameters})


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    features = generator.standard_normal((120, 12)).astype(np.float32)
    targets = (features @ generator.standard_normal((12, 4)) > 0.5).astype(np.uint8)
    return Examples(features, targets)


def weights(model):
    return [np.asarray(value) for value in model.get_weights()]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


# ------------------------------------------------------------------------------- configurations


def trains(path, data, overrides=()):
    """Two steps of a configuration as it is, but for their number."""
    short = [f"{WARMUP}.warmup_steps=1", f"{WARMUP}.schedule.ScoochCosineDecay.decay_steps=1"]
    mlp = MLP.load(path, [*short, *overrides])
    before = mlp.build(data.features.shape[1], data.targets.shape[1]).get_weights()
    model = train(mlp, data, 8)
    predictions = predict(mlp, model, data)
    assert predictions.shape == data.targets.shape
    assert np.isfinite(predictions).all()
    assert not np.array_equal(before[0], model.get_weights()[0])
    assert np.isfinite(list(report(mlp, model, data).values())).all()
    return mlp


@pytest.mark.parametrize("form", ["tags", "wide", "classes", "values"])
def test_every_form_of_published_probe_runs_unchanged(form, data):
    """One of 1025 units and `metrics: null`; without a layer; with one dropout for all."""
    (path,) = published.configurations(f"**/{form}.yml")
    mlp = trains(path, data)
    assert (mlp.metrics is None) == (form == "wide")
    assert mlp.layer_widths == {"tags": (512,), "wide": (1025, 1025), "values": (1024,)}.get(
        form, ()
    )
    assert MLP.load(path).steps == {"tags": 20_000, "wide": 30_000, "classes": 400_000}.get(
        form, 10_000
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(TASKS.keys() - {"MTT_filtered"}))
def test_the_six_published_probes_of_a_task_run_unchanged(task, data):
    folder = reference("reference/release/configs/models/probes") / task
    paths = sorted(folder.glob("*.yml"))
    assert len(paths) == 6
    for path in paths:
        mlp = MLP.load(path)
        assert mlp.steps in {
            step * 1000 for step in (10, 15, 18, 20, 25, 30, 35, 40, 300, 400, 800)
        }
        narrow = [8 if width < 2000 else 4 for width in mlp.layer_widths]
        trains(path, data, [f"MLP.layer_widths={narrow}"])


# Table 2 of the paper: widths of the hidden layers, dropout, batch size.
TABLE_2 = {
    "MSDS": ([1024, 1024], 0.5, 256),
    "MSD50": ([512], 0.5, 256),
    "MSD100": ([2048, 2048], 0.5, 256),
    "MSD500": ([4096, 4096, 4096], 0.5, 256),
    "AMM": ([1024], 0.5, 256),
    "MuMu": ([], 0.3, 256),
    "MTT": ([512], 0.5, 256),
    "NSynth_P": ([], 0.0, 64),
    "NSynth_I": ([], 0.0, 64),
    "GTZAN": ([], 0.0, 2560),
    "Emo": ([1024], 0.5, 512),
    "GS_Key": ([512], 0.8, 512),
    "Jam-50": ([512], 0.75, 256),
    "Jam-All": ([1024, 1024], 0.5, 256),
    "Jam-MT": ([512], 0.75, 256),
}


def test_each_task_has_a_configuration_with_the_values_of_table_2(data):
    own = {"tags", "classes", "values"}
    others = {"MTT_windows", *(f"marble_{name}" for name in own)}
    assert {path.stem for path in OURS} == {*TABLE_2, *own, *others}
    for path in (path for path in OURS if path.stem in TABLE_2):
        mlp = MLP.load(path)
        widths, dropout, batch = TABLE_2[path.stem]
        assert list(mlp.layer_widths) == widths
        assert (mlp.dropout or mlp.output_dropout or 0) == dropout
        assert mlp.batch_size == batch
        assert mlp.optimizer.schedule.warmup_steps == 1000
        trains(path, data, [f"MLP.layer_widths={[8] * len(widths)}"])
        first, _, command, *_ = path.read_text().splitlines()
        assert first == f"# The probe of Table 2 for {path.stem}."
        assert f"--task {path.stem} " in command
        assert command.endswith(f"--config probe/{path.stem}")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dropout": 0.5, "layer_dropouts": [0.5]}, "layer_dropouts or dropout, got both"),
        ({"layer_dropouts": [0.5, 0.5]}, "one for each of the 1 layer_widths"),
        ({"dropout": 1.0}, "MLP.dropout: expected at least 0 and less than 1, got 1.0"),
        ({"windows": "some"}, "expected one of 'mean', 'single', got 'some'"),
        ({"optimizer": {"ScoochAdam": {"learning_rate": 0.1}}}, "expected a schedule"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        probe(**parameters)


def test_layers_stand_in_order():
    mlp = probe(
        layer_widths=[5, 3], layer_dropouts=[0.1, 0.2], input_dropout=0.3, output_dropout=0.4
    )
    model = mlp.build(12, 4, normalization=(np.zeros(12), np.ones(12)))
    shown = [getattr(layer, "rate", getattr(layer, "units", "norm")) for layer in model.layers]
    assert shown == ["norm", 0.3, 5, 0.1, 3, 0.2, 0.4, 4]
    everywhere = probe(layer_widths=[5, 3], dropout=0.6).build(12, 4)
    assert [layer.rate for layer in everywhere.layers if hasattr(layer, "rate")] == [0.6, 0.6]


# -------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("amsgrad", [False, True])
def test_the_compiled_steps_are_keras_fits(data, amsgrad):
    """The same weights as `Model.fit` with Keras's own Adam, given the same batches."""
    settings = probe().resolved()["MLP"]["optimizer"]["ScoochAdam"]
    mlp = probe(
        optimizer={"ScoochAdam": {**settings, "amsgrad": amsgrad}}, l2_regularization=0.01, steps=30
    )
    generator = np.random.default_rng(5)
    order = np.concatenate([generator.permutation(120) for _ in range(8)])[: 30 * 32]
    ours = train(mlp, data, 32, seed=5)
    theirs = mlp.build(12, 4, seed=5)
    for layer in theirs.layers:
        layer.kernel.regularizer = keras.regularizers.L2(0.01)
    theirs.compile(keras_adam(mlp.optimizer), mlp.loss.build())
    targets = data.targets.astype(np.float32)
    theirs.fit(data.features[order], targets[order], 32, shuffle=False, verbose=0)
    for mine, other in zip(weights(ours), weights(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-4, atol=2e-5)


def test_seeds_decide_everything(data):
    mlp = probe(dropout=0.5)
    first, again, other = (train(mlp, data, 32, seed) for seed in (1, 1, 2))
    assert equal(first, again)
    assert not equal(first, other)


def test_batches_larger_than_the_data_repeat_it(data):
    few = Examples(data.features[:10], data.targets[:10])
    losses = []
    model = train(probe(steps=300), few, 64, progress=lambda done, loss: losses.append(done))
    assert losses == [200, 300]
    assert (np.round(predict(probe(), model, few)) == few.targets).all()


def test_each_row_is_seen_equally_often():
    from mar.probing.probe import _batches

    batches = list(_batches(50, 32, 100, 7, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [7] * 14 + [2]
    counts = np.bincount(np.concatenate(batches).ravel(), minlength=50)
    assert counts.max() - counts.min() <= 1
    generator = np.random.default_rng(0)
    orders = np.concatenate([generator.permutation(50) for _ in range(64)])
    np.testing.assert_array_equal(np.concatenate(batches).ravel(), orders)


def test_l2_draws_kernels_to_zero_and_leaves_biases_free(data):
    norms = []
    for l2 in (0.0, 0.1):
        model = train(probe(steps=300, l2_regularization=l2), data, 64)
        norms.append([np.abs(value).max() for value in weights(model)])
    kernels, biases = norms[1][::2], norms[1][1::2]
    assert max(kernels) < 0.1 * max(norms[0][::2])
    assert max(biases) > max(kernels)


def test_dropout_acts_in_training_alone(data):
    mlp = probe(steps=2, rate=0.0, output_dropout=0.9, input_dropout=0.5)
    model = train(mlp, data, 64)
    np.testing.assert_array_equal(predict(mlp, model, data), predict(mlp, model, data))
    dropped = np.asarray(model(data.features, training=True))
    assert not np.allclose(dropped, np.asarray(model(data.features)))


def test_standardised_inputs_do_not_depend_on_scale_and_offset(data):
    moved = Examples(data.features * np.arange(1, 13) * 100 + 5, data.targets)
    moved = Examples(moved.features.astype(np.float32), data.targets)
    mlp = probe(steps=100, standardize=True)
    found = [predict(mlp, train(mlp, each, 64), each) for each in (data, moved)]
    np.testing.assert_allclose(*found, atol=2e-3)
    plain = probe(steps=100)
    unlike = [predict(plain, train(plain, each, 64), each) for each in (data, moved)]
    assert not np.allclose(*unlike, atol=0.1)


def test_memory_mapped_examples_train_the_same_probe(data, tmp_path):
    items = np.repeat(np.arange(40), 3)
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, data.features.shape)
    mapped[:] = data.features
    resident = Examples(data.features, data.targets[:40], items)
    elsewhere = Examples(mapped, data.targets[:40], items, resident=False)
    mlp = probe(steps=250, dropout=0.2, standardize=True)
    models = [train(mlp, each, 32) for each in (resident, elsewhere)]
    assert equal(*models)
    found = [predict(mlp, model, each) for model, each in zip(models, (resident, elsewhere))]  # noqa: B905
    np.testing.assert_array_equal(*found)


def test_predictions_of_windows_are_averaged_by_item(data):
    mlp = probe()
    model = mlp.build(12, 4)
    items = np.array([0] * 50 + [1] * 30 + [2] * 40)
    single = predict(mlp, model, data)
    grouped = predict(mlp, model, Examples(data.features, data.targets[:3], items))
    bounds = itertools.pairwise([0, 50, 80, 120])
    expected = [single[first:last].mean(axis=0) for first, last in bounds]
    np.testing.assert_allclose(grouped, expected, rtol=1e-5)


def test_the_loss_decides_what_predictions_are(data):
    classes = np.eye(4, dtype=np.uint8)[data.targets.argmax(axis=1)]
    for loss, check in {
        "ScoochBinaryCrossentropy": lambda p: ((p > 0) & (p < 1)).all(),
        "ScoochCategoricalCrossentropy": lambda p: np.allclose(p.sum(axis=1), 1, atol=1e-5),
        "ScoochMeanSquaredError": lambda p: (p < 0).any(),
    }.items():
        mlp = probe(loss={loss: None}, steps=20)
        examples = Examples(data.features, classes)
        assert check(predict(mlp, train(mlp, examples, 32), examples))
    for loss in ("ScoochBinaryCrossentropy", "ScoochCategoricalCrossentropy"):
        given = [probe(loss={loss: {"from_logits": flag}}, steps=50) for flag in (True, False)]
        found = [predict(mlp, train(mlp, examples, 32), examples) for mlp in given]
        np.testing.assert_allclose(*found, atol=1e-3)


def test_reported_metrics_are_what_the_configuration_asks_for(data):
    metrics = [
        {"ScoochAUC": {"curve": "PR", "multi_label": True, "from_logits": True}},
        {"ScoochMeanSquaredError": None},
    ]
    mlp = probe(metrics=metrics)
    model = mlp.build(12, 4)
    found = report(mlp, model, data, rows_per_call=50)
    outputs = np.asarray(model(data.features))
    targets = data.targets.astype(np.float32)
    assert list(found) == ["loss", "auc_pr", "mean_squared_error"]
    assert found["loss"] == pytest.approx(float(mlp.loss.build()(targets, outputs)), rel=1e-5)
    assert found["mean_squared_error"] == pytest.approx(((outputs - targets) ** 2).mean(), rel=1e-5)


def test_a_loss_that_explodes_ends_the_training(data):
    mlp = probe(loss={"ScoochMeanSquaredError": None}, rate=1e30, steps=40)
    with pytest.raises(
        ConfigError, match=r"expected a finite loss, got .* lower the learning rate"
    ):
        train(mlp, data, 32)


def test_values_of_any_size_are_learnt_where_they_are_standardized(data):
    """A unit is a matter of taste: metres or millimetres, Kelvin or Celsius."""
    linear = data.features[:, :2] + 0.5 * data.features[:, 2:4]
    mlp = probe(600, layer_widths=[], standardize=True, loss={"ScoochMeanSquaredError": None})

    def predicted(scale, offset):
        known = Examples(data.features, (scale * linear + offset).astype(np.float32))
        return (predict(mlp, train(mlp, known, 32), known) - offset) / scale

    np.testing.assert_allclose(predicted(1.0, 0.0), linear, atol=0.2)
    np.testing.assert_allclose(predicted(1000.0, 5000.0), predicted(1.0, 0.0), atol=1e-3)


def test_a_dimension_that_is_constant_in_training_is_not_magnified():
    """What was silent then, and says a little elsewhere, does not decide alone."""
    rng = np.random.default_rng(0)

    def examples(items):
        classes = rng.integers(0, 2, items)
        features = np.zeros((items, 8), np.float32)
        features[:, :4] = rng.normal(size=(items, 4)) + 2 * (2 * classes - 1)[:, None]
        features[:, 4] = 0.1  # constant, and not 0 in float64
        return Examples(features, np.eye(2, dtype=np.uint8)[classes])

    mlp = MLP.load(shipped.configuration("probe/classes"))
    layers = layers_of(mlp, train(mlp, examples(200), 64))
    others = examples(100)
    fired = np.concatenate([others.features[:, :4], others.features[:, 4:] + 0.3], axis=1)
    logits, of_fired = layers(others.features), layers(fired)
    assert np.abs(of_fired - logits).max() < 0.2 * np.abs(logits).max()
