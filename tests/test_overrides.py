"""`--set`: values are what their parameters can be, and components are found by their class."""

from collections.abc import Mapping
from typing import Annotated, Literal

import pytest
from annotated_types import Ge

import mar
from helpers import published
from mar.config import Configurable, Param
from mar.errors import ConfigError


class Pen(Configurable):
    ink: str = Param(default="black", doc="Ink.")
    width: Annotated[float, Ge(0)] = Param(default=1.0, doc="Width.")


class Brush(Pen):
    hairs: int = Param(default=100, doc="Hairs.")


class Desk(Configurable):
    name: str = Param(default="desk", doc="Name.")
    owner: str | None = Param(default=None, doc="Owner.")
    legs: int = Param(default=4, doc="Legs.")
    tall: bool = Param(default=False, doc="Tall.")
    norm: float | Literal["slaney"] | None = Param(default=2.0, doc="Norm.")
    answer: Literal["yes", "no"] = Param(default="yes", doc="Answer.")
    sizes: tuple[float, ...] = Param(default=(1.0, 2.0), doc="Sizes.")
    pens: tuple[Pen, ...] = Param(default=(), doc="Pens.")
    by_name: Mapping[str, Pen] = Param(default={}, doc="More pens.")
    best: Pen = Param(default=Brush(ink="gold", hairs=7), doc="The best one.")
    spare: Pen | None = Param(default=None, doc="Another.")


def desk(*overrides, config=None, tmp_path=None):
    if config is None:
        return Desk.load(None, overrides)
    (tmp_path / "desk.yaml").write_text(config)
    return Desk.load(tmp_path / "desk.yaml", overrides)


TEXTS = [
    "My Music #1/records",
    "1.0",
    "2024",
    "2024-10-01",
    "2024-13-45",
    "1:30",
    "010",
    "yes",
    "0x1f",
    "1e5",
    "true",
    "Artist: Album/records",
    "- a",
    "!!Wow/records",
    "*star*/records",
    "@home",
    "%done",
    "a, b",
    "it's",
    "100%",
    "a = b",
    "Beyoncé [live]",
    "~/records",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_what_was_given(tmp_path, text):
    """Straight, for one that may be none, and through a constant, alone and within others."""
    assert desk(f"Desk.name={text}").name == text
    assert desk(f"Desk.owner={text}").owner == text
    config = "Constants: {N: null}\nDesk: {name: '${N}', owner: 'a/${N}/b'}"
    found = desk(f"Constants.N={text}", config=config, tmp_path=tmp_path)
    assert (found.name, found.owner) == (text, f"a/{text}/b")
    found = desk(f"Constants.N={text}", "Desk.name=${N}/c", config=config, tmp_path=tmp_path)
    assert found.name == f"{text}/c"


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("owner=null", None),
        ("name=null", "null"),
        ("owner='null'", "null"),
        ('name="My Music #1"', "My Music #1"),
        ("name= padded ", "padded"),
        ("name=", ""),
        ("owner=", None),
        ("legs=3", 3),
        ("legs=3 # of them", 3),
        ("tall=true", True),
        ("norm=1", 1.0),
        ("norm=2e-1", 0.2),
        ("norm=slaney", "slaney"),
        ("norm=null", None),
        ("answer=no", "no"),
        ("sizes=[3, 4]", (3.0, 4.0)),
        ("sizes.1=5", (1.0, 5.0)),
        ("spare=null", None),
        ("spare.Brush=null", Brush()),
    ],
)
def test_a_value_is_what_its_parameter_can_be(override, value):
    assert getattr(desk(f"Desk.{override}"), override.partition("=")[0].split(".")[0]) == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("Desk.legs=four", r"Desk.legs: expected int, got 'four' \(str\)"),
        ("Desk.legs=3.5", r"Desk.legs: expected int, got 3.5 \(float\)"),
        ("Desk.answer=maybe", r"Desk.answer: expected one of 'yes', 'no', got 'maybe'"),
        ("Desk.best=Brush", "Desk.best: expected one of .*'Brush'.*got 'Brush'"),
        ("Desk.sizes=[1, 2", "not valid YAML"),
        ("Desk.tall.x=1", "Desk.tall: expected bool"),
        ("Constants.N=null", "Constants.N has no value"),
        ("Constants.N=", "Constants.N has no value"),
    ],
)
def test_what_it_cannot_be_is_refused(tmp_path, override, message):
    with pytest.raises(ConfigError, match=message):
        desk(override, config="Constants: {N: 1}\nDesk: {name: '${N}/x'}", tmp_path=tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        "Desk: {pens: [{Brush: null}, {Pen: {ink: red}}], best: {Brush: null}}",
        "Desk: {by_name: {mine: {Pen: {ink: red}}}}",
        "Desk: {best: {Pen: {ink: red}}}",
        "Desk: {spare: {Pen: {ink: red}}}",
    ],
)
def test_a_component_is_found_by_its_class_wherever_it_is(tmp_path, config):
    changed = desk("Pen.width=3", config=config, tmp_path=tmp_path)
    wider = config.replace("ink: red", "ink: red, width: 3")
    assert changed == desk(config=wider, tmp_path=tmp_path)


def test_a_default_is_changed_where_it_is_told(tmp_path):
    for override in ("Brush.width=3", "Desk.best.Brush.width=3"):
        assert desk(override).best == Brush(ink="gold", hairs=7, width=3)
    assert desk("Desk.best.Pen.width=3").best == Pen(width=3)


def test_a_class_that_appears_twice_or_never_is_refused(tmp_path):
    config = "Desk: {pens: [{Pen: null}, {Brush: null}], by_name: {mine: {Pen: null}}}"
    with pytest.raises(ConfigError, match=r"Desk\.pens\.0\.Pen and Desk\.by_name\.mine\.Pen"):
        desk("Pen.width=3", config=config, tmp_path=tmp_path)
    with pytest.raises(ConfigError, match=r"Desk\.pens\.1\.Brush and Desk\.best\.Brush"):
        desk("Brush.width=3", config=config, tmp_path=tmp_path)
    with pytest.raises(ConfigError, match="configures no 'Brsh'; did you mean 'Brush'"):
        desk("Brsh.width=3")
    with pytest.raises(ConfigError, match="Pen: expected one of .* got 'widht'.*'width'"):
        desk("Pen.widht=3", config="Desk: {pens: [{Pen: null}]}", tmp_path=tmp_path)


def test_the_published_pipelines_take_another_model():
    path = published.FOLDER / "configs" / "mule_embedding_timeline.yml"
    pipeline = mar.Analysis.load(
        path, ["EmbeddingFeature.model_location=1.0 #2", "SliceExtractor.hop=100"]
    )
    assert pipeline.feature_transforms[1].model_location == "1.0 #2"
    assert pipeline.feature_transforms[1].extractor.hop == 100
    average = path.with_name("mule_embedding_average.yml")
    with pytest.raises(
        ConfigError,
        match=r"\.0\.MelSpectrogram\.extractor\.BlockExtractor and "
        r".*\.2\.TimelineAverage\.extractor\.BlockExtractor",
    ):
        mar.Analysis.load(average, ["BlockExtractor.x=1"])
