"""What is built in Python is what is read from files, and the parts fit together."""

import itertools

import pytest

import mar
from helpers.resources import ROOT, reference
from mar.embedding import analysis
from mar.util import yaml_file

NAMES = {name: getattr(mar, name) for name in mar.__all__} | vars(analysis)
SHIPPED = sorted(
    itertools.chain((ROOT / "configs").rglob("*.yaml"), (ROOT / "examples").rglob("*.yaml"))
)


def read(path):
    """The component that a file describes; its placeholders stand for any folder."""
    try:
        (name,) = yaml_file.read(path)
    except mar.ConfigError:  # which needs a folder of records
        overrides = ["Constants.RECORDS=records/"]
        (name,) = yaml_file.read(path, overrides)
        return NAMES[name].load(path, overrides)
    return NAMES[name].load(path)


def check(path):
    """From the file, from what it resolves to, from its Python form, from what is written of it."""
    component = read(path)
    in_python = eval(repr(component), NAMES)
    again = type(component).from_config(component.resolved())
    for other in (in_python, again):
        assert other == component
        assert other.resolved() == component.resolved()
        assert other.hash() == component.hash()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_configurations_are_the_same_in_python(path):
    check(path)


def test_the_published_configurations_are_the_same_in_python():
    paths = sorted(reference("reference/release/configs").rglob("*.yml"))
    assert len(paths) == 92
    for path in paths:
        check(path)


def test_a_trainer_is_built_from_parts():
    model = mar.SfNfNetF0(width=0.125)
    trainer = mar.Trainer(
        model=model,
        objective=mar.ContrastiveObjective(mixup=mar.Mixup()),
        dataset=mar.PairDataset(records="records/", batch_size=64),
        optimizer=mar.ScoochAdam(learning_rate=1e-3),
        steps=1500,
    )
    assert trainer.model is model
    described = mar.Trainer.from_config(
        {
            "Trainer": {
                "model": {"SfNfNetF0": {"width": 0.125}},
                "objective": {"ContrastiveObjective": {"mixup": {"Mixup": None}}},
                "dataset": {"PairDataset": {"records": "records/", "batch_size": 64}},
                "optimizer": {"ScoochAdam": {"learning_rate": 0.001}},
                "steps": 1500,
            }
        }
    )
    assert trainer == described
    assert trainer.hash() == described.hash()
