import copy
from typing import Literal

import pytest
import yaml

from helpers.shared import reference
from mar.config import Config, ConfigCollection, ConfigList, Configurable, Param, load
from mar.errors import ConfigError


class Shape(Configurable):
    colour = Param(str, default="red", doc="Colour.")
    sizes = Param(list[int], default=[1, 2], doc="Sizes.")


class Circle(Shape):
    radius = Param(float, doc="Radius.")


class Square(Shape):
    side = Param(float | None, default=None, doc="Side.")
    edge = Param(Literal["sharp", "round"], default="sharp", doc="Edge.")


class Drawing(Configurable):
    main = Param(Shape, default={"Square": {"side": 1}}, doc="Main shape.")
    others = Param(ConfigList(Shape), default=[], doc="Further shapes.")
    named = Param(ConfigCollection(Shape), default={}, doc="Shapes by name.")
    weights = Param(dict[str, float], default={}, doc="Weights.")
    visible = Param(bool, default=True, doc="Whether it is shown.")


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "drawing.yaml"
        path.write_text(text)
        return path

    return write


def refused(config, cls=Drawing):
    with pytest.raises(ConfigError) as error:
        cls(config)
    return str(error.value)


# ------------------------------------------------------------------------------------ components


def test_defaults_are_filled_in_and_nested_components_built():
    drawing = Drawing({"Drawing": {"others": [{"Circle": {"radius": 2}}, {"Square": None}]}})
    assert (drawing.main.side, drawing.main.edge) == (1, "sharp")
    assert [type(other) for other in drawing.others] == [Circle, Square]
    assert drawing.others[0].colour == "red"
    assert drawing.resolved() == {
        "Drawing": {
            "main": {
                "Square": {"side": 1, "edge": "sharp", "colour": "red", "sizes": [1, 2]},
            },
            "others": [
                {"Circle": {"radius": 2, "colour": "red", "sizes": [1, 2]}},
                {"Square": {"side": None, "edge": "sharp", "colour": "red", "sizes": [1, 2]}},
            ],
            "named": {},
            "weights": {},
            "visible": True,
        }
    }


def test_parameters_may_be_given_by_keyword():
    assert Circle(radius=3).resolved() == Circle({"Circle": {"radius": 3}}).resolved()
    assert Drawing(main={"Circle": {"radius": 1}}).main.radius == 1
    with pytest.raises(TypeError, match="not both"):
        Circle({"Circle": {"radius": 1}}, radius=2)


def test_a_chosen_component_replaces_the_default_one():
    assert list(Drawing(main={"Circle": {"radius": 1}}).resolved()["Drawing"]["main"]) == ["Circle"]


def test_instances_share_nothing_and_the_given_configuration_is_not_changed():
    given = {"Drawing": {"main": {"Circle": {"radius": 1, "sizes": [5]}}, "others": []}}
    before = copy.deepcopy(given)
    first, second = Drawing(given), Drawing(given)
    first.main.sizes.append(6)
    first.others.append("changed")
    Shape().sizes.append(9)
    assert given == before
    assert second.main.sizes == [5]
    assert second.others == []
    assert Shape().sizes == [1, 2]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"Circle": {"radius": "2.5"}}, "Circle.radius: expected float, got '2.5' (str); write it"),
        ({"Circle": {"radius": True}}, "Circle.radius: expected float, got True (bool)"),
        ({"Circle": {"radius": None}}, "Circle.radius: expected float, got None"),
        ({"Circle": {}}, "Circle.radius: expected a value (Radius.), got nothing"),
        ({"Circle": None}, "Circle.radius: expected a value (Radius.), got nothing"),
        ({"Circle": 3}, "Circle: expected parameters by name, got 3 (int)"),
        ({"Circle": {"radius": 1, "colour": 3}}, "Circle.colour: expected str, got 3 (int)"),
        ({"Circle": {"radius": 1, "sizes": [1, 2.5]}}, "Circle.sizes: expected list[int]"),
        ({"Circle": {"radius": 1, "color": "x"}}, "did you mean 'colour'?"),
        ({"Circel": {"radius": 1}}, "did you mean 'Circle'?"),
        (
            {"Square": {"edge": "blunt"}},
            "Square.edge: expected one of 'sharp', 'round', got 'blunt'",
        ),
        ({"Square": {"side": "big"}}, "Square.side: expected float or null, got 'big'"),
        ({"Square": None, "Circle": None}, "expected one of ['Circle', 'Shape', 'Square']"),
    ],
)
def test_messages_name_the_key_path_what_was_expected_and_what_was_given(config, message):
    assert message in refused({"Drawing": {"main": config}})
    assert refused({"Drawing": {"main": config}}).startswith("Drawing.main")
    assert refused({"Drawing": {"others": [config]}}).startswith("Drawing.others.0")
    assert refused({"Drawing": {"named": {"a": config}}}).startswith("Drawing.named.a")


def test_values_of_the_right_kind_are_taken():
    assert Circle(radius=1).radius == 1
    assert Square(side=None).side is None
    assert Drawing(weights={"a": 1, "b": 0.5}).weights == {"a": 1, "b": 0.5}
    assert "expected dict[str, float]" in refused({"Drawing": {"weights": {"a": "x"}}})
    assert "expected bool, got 1 (int)" in refused({"Drawing": {"visible": 1}})


def test_every_parameter_needs_a_type_and_a_doc():
    with pytest.raises(TypeError, match="Undocumented.x needs a type and a doc"):

        class Undocumented(Configurable):
            x = Param(int, default=1)


def test_the_hash_depends_on_what_is_meant_not_on_how_it_is_written():
    assert Drawing().hash() == Drawing(main={"Square": {"side": 1, "edge": "sharp"}}).hash()
    assert Drawing().hash() != Drawing(visible=False).hash()


def test_a_written_configuration_is_read_back(tmp_path):
    drawing = Drawing(named={"sun": {"Circle": {"radius": 1}}})
    drawing.write(tmp_path / "resolved.yaml")
    text = (tmp_path / "resolved.yaml").read_text()
    assert text.startswith(f"# sha256 {drawing.hash()}\n")
    assert Drawing(load(tmp_path / "resolved.yaml")).resolved() == drawing.resolved()


# ----------------------------------------------------------------------------------------- files


def test_messages_name_the_file(write):
    path = write("Drawing: {main: {Circle: {radius: big}}}")
    with pytest.raises(
        ConfigError, match=r"drawing.yaml: Drawing.main.Circle.radius: expected float"
    ):
        Drawing(load(path))


def test_scientific_notation_is_a_number(write):
    for text, value in [("2e-4", 2e-4), ("1.5E3", 1500.0), ("-1e+2", -100.0), (".5e1", 5.0)]:
        assert (
            Drawing(load(write(f"Drawing: {{main: {{Circle: {{radius: {text}}}}}}}"))).main.radius
            == value
        )
    assert load(write("A: {x: e2e, y: 1e, z: '2e-4'}"))["A"] == {"x": "e2e", "y": "1e", "z": "2e-4"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Drawing: {visible: true}\nCircle: {radius: 1}",
            r"one top-level class.*'Circle', 'Drawing'",
        ),
        ("Drawing: {visible: true, visible: false}", r"the key 'visible' appears twice"),
        ("Drawing:\n  main: 1\nDrawing:\n  main: 2", r"the key 'Drawing' appears twice"),
        ("- a\n- b", r"expected `Class: \{parameters\}`"),
        ("", r"expected `Class: \{parameters\}`, got None"),
        ("Drawing: [", "not valid YAML"),
        ("Drawing: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("Constants: {A: 1}", "one top-level class"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(write, text, message):
    with pytest.raises(ConfigError, match=rf"(?s)drawing.yaml: .*{message}"):
        load(write(text))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.yaml: cannot be read: No such file"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="in UTF-8, got binary data"):
        load(tmp_path / "binary.yaml")


def test_constants_are_interpolated_anywhere(write):
    config = load(
        write(
            "Constants: {DATA: /data, SET: '${DATA}/set', N: 3}\n"
            "A: {x: '${SET}/x-${N}', n: '${N}', many: ['${DATA}', {y: 'a${DATA}'}]}"
        )
    )
    assert config == {"A": {"x": "/data/set/x-3", "n": 3, "many": ["/data", {"y": "a/data"}]}}


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ("{DATE: 1}", r"needs the constant 'DATA'; did you mean 'DATE'\?.*--set Constants.DATA="),
        ("{DATA: null}", r"Constants.DATA has no value; give it with --set Constants.DATA="),
        ("{DATA: 'x${DATA}'}", "refers to itself"),
    ],
)
def test_placeholders_without_a_value_are_refused(write, constants, message):
    path = write(f"Constants: {constants}\nA: {{x: '${{DATA}}/x'}}")
    with pytest.raises(ConfigError, match=message):
        load(path)


# ------------------------------------------------------------------------------------- overrides


def test_overrides(write):
    path = write(
        "Constants: {R: 1}\nDrawing: {main: {Circle: {radius: '${R}'}}, others: [{Square: null}]}"
    )
    overrides = [
        "Drawing.main.Circle.colour=blue",
        "Drawing.visible=false",
        "Drawing.others.0.Square.side=2e-1",
        "Drawing.weights={a: 1}",
        "Constants.R=7",
    ]
    drawing = Drawing(load(path, overrides))
    assert (drawing.main.colour, drawing.main.radius, drawing.visible) == ("blue", 7, False)
    assert drawing.others[0].side == 0.2
    assert drawing.weights == {"a": 1}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("Drawing.visible", "expected Class.parameter=value"),
        ("Drawing=1", "expected Class.parameter=value"),
        ("Drawing..x=1", "expected Class.parameter=value"),
        ("Drawin.visible=1", "did you mean 'Drawing'"),
        ("Drawing.others.1.Square.side=1", "expected an index below 1, got '1'"),
        ("Drawing.visible.x=1", r"Drawing.visible is True \(bool\), which has no keys"),
        ("Drawing.visible=[", "not valid YAML"),
        ("Drawing.visibel=1", "did you mean 'visible'"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(write, override, message):
    path = write("Drawing: {visible: true, others: [{Square: null}]}")
    with pytest.raises(ConfigError, match=message):
        Drawing(load(path, [override]))


def test_every_published_configuration_is_read_as_yaml_reads_it():
    paths = sorted(reference("reference/release/configs").rglob("*.yml"))
    assert len(paths) == 92
    for path in paths:
        config = load(path)
        assert isinstance(config, Config)
        assert config == yaml.safe_load(path.read_text())
