import copy
import inspect
import pathlib
import pickle
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import pytest
import yaml
from annotated_types import Gt

from helpers import published
from mar.config import Configurable, Param
from mar.errors import ConfigError
from mar.util import yaml_file


class Shape(Configurable):
    colour: str = Param(default="red", doc="Colour.")
    sizes: tuple[int, ...] = Param(default=(1, 2), doc="Sizes.")


class Circle(Shape):
    radius: Annotated[float, Gt(0)] = Param(doc="Radius.")


class Square(Shape):
    side: float | None = Param(default=None, doc="Side.")
    edge: Literal["sharp", "round"] = Param(default="sharp", doc="Edge.")


class Drawing(Configurable):
    """Shapes on paper."""

    main: Shape = Param(default=Square(side=1), doc="Main shape.")
    others: tuple[Shape, ...] = Param(default=(), doc="Further shapes.")
    named: Mapping[str, Shape] = Param(default={}, doc="Shapes by name.")
    weights: Mapping[str, float] = Param(default={}, doc="Weights.")
    visible: bool = Param(default=True, doc="Whether it is shown.")
    frame: Square | None = Param(default=None, doc="What is around it.")


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "drawing.yaml"
        path.write_text(text)
        return path

    return write


def refused(config, cls=Drawing):
    with pytest.raises(ConfigError) as error:
        cls.from_config(config)
    return str(error.value)


# ------------------------------------------------------------------------------------ components


def test_defaults_are_filled_in_and_nested_components_built():
    drawing = Drawing.from_config(
        {"Drawing": {"others": [{"Circle": {"radius": 2}}, {"Square": None}]}}
    )
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
            "frame": None,
        }
    }


def test_python_and_configurations_build_the_same():
    in_python = Drawing(main=Circle(radius=1, sizes=[3]), others=[Square(), Circle(radius=2)])
    mixed = Drawing(
        main={"Circle": {"radius": 1, "sizes": (3,)}}, others=[{"Square": None}, Circle(radius=2)]
    )
    read = Drawing.from_config(in_python.resolved())
    assert in_python == mixed == read
    assert in_python.hash() == mixed.hash() == read.hash()
    assert in_python.resolved() == mixed.resolved() == read.resolved()
    assert Drawing.from_config(read.resolved()).resolved() == read.resolved()


def test_instances_are_kept():
    sun, frame = Circle(radius=3), Square()
    drawing = Drawing(main=sun, others=[frame, sun], named={"sun": sun}, frame=frame)
    assert drawing.main is sun
    assert drawing.frame is frame
    assert drawing.others[1] is sun
    assert drawing.named["sun"] is sun


def test_other_components_and_files_are_refused_with_what_is_meant():
    with pytest.raises(ConfigError, match=r"Drawing.frame: .*'Square'.*got Circle\(radius=1.0\)"):
        Drawing(frame=Circle(radius=1))
    with pytest.raises(ConfigError, match=r"a file is read by Drawing.load"):
        Drawing("drawing.yaml")
    with pytest.raises(TypeError, match="not both"):
        Circle({"Circle": {"radius": 1}}, radius=2)


def test_a_chosen_component_replaces_the_default_one():
    assert list(Drawing(main={"Circle": {"radius": 1}}).resolved()["Drawing"]["main"]) == ["Circle"]


def test_a_given_configuration_is_not_changed():
    given = {"Drawing": {"main": {"Circle": {"radius": 1, "sizes": [5]}}, "others": []}}
    before = copy.deepcopy(given)
    drawing = Drawing.from_config(given)
    given["Drawing"]["main"]["Circle"]["sizes"].append(6)
    assert drawing.main.sizes == (5,)
    assert Drawing.from_config(before).resolved() == drawing.resolved()


def test_components_do_not_change():
    circle = Circle(radius=1)
    with pytest.raises(AttributeError, match=r"replace\(radius=2\)"):
        circle.radius = 2
    with pytest.raises(AttributeError, match="no parameter 'raduis'; did you mean 'radius'"):
        circle.raduis = 2
    with pytest.raises(TypeError):
        Drawing(weights={"a": 1}).weights["a"] = 2
    assert copy.deepcopy(circle) is circle


def test_replace_makes_a_changed_copy():
    drawing = Drawing(main=Circle(radius=1))
    changed = drawing.replace(visible=False)
    assert (changed.visible, drawing.visible) == (False, True)
    assert changed.main is drawing.main
    with pytest.raises(ConfigError, match="did you mean 'visible'"):
        drawing.replace(visibel=False)


def test_one_value_in_several_forms_is_one_value():
    forms = [2, 2.0, np.float32(2), np.int64(2), np.float64(2)]
    assert len({Circle(radius=form).hash() for form in forms}) == 1
    assert Circle(radius=1, sizes=np.array([1, 2])) == Circle(radius=1, sizes=(1, 2))
    assert Circle(radius=1, colour=pathlib.Path("a/b")) == Circle(radius=1, colour="a/b")
    assert Drawing(visible=np.bool_(True)) == Drawing()
    with pytest.raises(ConfigError, match="a finite number"):
        Circle(radius=float("nan"))


def test_signature_documentation_and_repr():
    signature = inspect.signature(Circle)
    assert signature.parameters["radius"].default is inspect.Parameter.empty
    assert signature.parameters["colour"].default == "red"
    assert signature.parameters["colour"].annotation is str
    assert Drawing.__doc__.startswith("Shapes on paper.\n\nArgs:\n    main: Main shape.")
    drawing = Drawing(main=Circle(radius=1, sizes=[3]), named={"a": Square(side=2)})
    pasted = eval(repr(drawing))
    assert pasted == drawing
    assert repr(Circle(radius=1)) == "Circle(radius=1.0)"


def test_components_are_pickled():
    drawing = Drawing(main=Circle(radius=1), weights={"a": 1})
    assert pickle.loads(pickle.dumps(drawing)) == drawing


def test_the_latest_definition_of_a_class_wins():
    """As in a notebook, where a cell is run again."""

    def define(default):
        class Star(Shape):
            points: int = Param(default=default, doc="Points.")

        return Star

    older, newer = define(5), define(6)
    assert type(Drawing(main={"Star": {}}).main) is newer
    assert Drawing.from_config({"Drawing": {"main": {"Star": None}}}).main.points == 6
    assert Drawing(main=older()).main.points == 5


def test_a_subclass_may_check_and_compute():
    class Ring(Circle):
        inner: Annotated[float, Gt(0)] = Param(default=1, doc="Inner radius.")

        def __post_init__(self):
            if self.inner >= self.radius:
                raise ConfigError(f"Ring.inner: expected less than {self.radius}, got {self.inner}")

    assert Ring(radius=2).inner == 1.0
    with pytest.raises(ConfigError, match=r"Ring.inner: expected less than 1.0, got 1.0"):
        Ring(radius=1)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"Circle": {"radius": "2.5"}}, "Circle.radius: expected float, got '2.5' (str); write it"),
        ({"Circle": {"radius": 0}}, "Circle.radius: expected more than 0, got 0.0 (float)"),
        ({"Circle": {"radius": True}}, "Circle.radius: expected float, got True (bool)"),
        ({"Circle": {"radius": None}}, "Circle.radius: expected float, got None"),
        ({"Circle": {}}, "Circle.radius: expected a value (Radius.), got nothing"),
        ({"Circle": None}, "Circle.radius: expected a value (Radius.), got nothing"),
        ({"Circle": 3}, "Circle: expected parameters by name, got 3 (int)"),
        ({"Circle": {"radius": 1, "colour": 3}}, "Circle.colour: expected str, got 3 (int)"),
        (
            {"Circle": {"radius": 1, "sizes": [1, 2.5]}},
            "Circle.sizes.1: expected int, got 2.5 (float)",
        ),
        ({"Circle": {"radius": 1, "color": "x"}}, "did you mean 'colour'?"),
        ({"Circel": {"radius": 1}}, "did you mean 'Circle'?"),
        (
            {"Square": {"edge": "blunt"}},
            "Square.edge: expected one of 'sharp', 'round', got 'blunt'",
        ),
        ({"Square": {"side": "big"}}, "Square.side: expected float or null, got 'big'"),
        ({"Square": None, "Circle": None}, "expected one of ["),
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
    assert "weights.a: expected float" in refused({"Drawing": {"weights": {"a": "x"}}})
    assert "expected bool, got 1 (int)" in refused({"Drawing": {"visible": 1}})


def test_every_parameter_needs_a_type_and_a_doc():
    with pytest.raises(TypeError, match="Untyped.x needs an annotation and a doc"):

        class Untyped(Configurable):
            x = Param(default=1, doc="X.")

    with pytest.raises(TypeError, match="Undocumented.x needs an annotation and a doc"):

        class Undocumented(Configurable):
            x: int = Param(default=1, doc="")


def test_the_hash_depends_on_what_is_meant_not_on_how_it_is_written():
    assert Drawing().hash() == Drawing(main={"Square": {"side": 1, "edge": "sharp"}}).hash()
    assert Drawing().hash() != Drawing(visible=False).hash()


def test_a_written_configuration_is_read_back(tmp_path):
    drawing = Drawing(named={"sun": {"Circle": {"radius": 1}}})
    drawing.write(tmp_path / "resolved.yaml")
    text = (tmp_path / "resolved.yaml").read_text()
    assert text.startswith(f"# sha256 {drawing.hash()}\n")
    assert Drawing.load(tmp_path / "resolved.yaml").resolved() == drawing.resolved()


# ----------------------------------------------------------------------------------------- files


def test_messages_name_the_file(write):
    path = write("Drawing: {main: {Circle: {radius: big}}}")
    with pytest.raises(
        ConfigError, match=r"drawing.yaml: Drawing.main.Circle.radius: expected float"
    ):
        Drawing.load(path)


def test_scientific_notation_is_a_number(write):
    for text, value in [("2e-4", 2e-4), ("1.5E3", 1500.0), ("-1e+2", -100.0), (".5e1", 5.0)]:
        assert Square.load(write(f"Square: {{side: {text}}}")).side == value
    assert yaml_file.read(write("A: {x: e2e, y: 1e, z: '2e-4'}"))["A"] == {
        "x": "e2e",
        "y": "1e",
        "z": "2e-4",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Drawing: {visible: true}\nCircle: {radius: 1}",
            r"one top-level class.*'Circle', 'Drawing'",
        ),
        ("Drawing: {visible: true, visible: false}", r"the key 'visible' appears twice"),
        ("Drawing:\n  main: 1\nDrawing:\n  main: 2", r"the key 'Drawing' appears twice"),
        ("Drawing:\n0e2:\n", r"a name as key, got 0.0 \(float\); .* quotes\n.*line 2"),
        ("Drawing: {main: {[1]: 2}}", r"a name as key, got \[1\] \(list\)"),
        ("Drawing: {on: 1}", r"a name as key, got True \(bool\)"),
        ("- a\n- b", r"expected `Class: \{parameters\}`"),
        ("", r"expected `Class: \{parameters\}`, got None"),
        ("Drawing: [", "not valid YAML"),
        ("Drawing: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("Constants: {A: 1}", "one top-level class"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(write, text, message):
    with pytest.raises(ConfigError, match=rf"(?s)drawing.yaml: .*{message}"):
        yaml_file.read(write(text))


def test_scoochs_own_macros_are_filled_in(write):
    circle = Circle.load(write("Circle: {radius: 3, colour: '${datetime}'}"))
    assert circle.colour[:2] == "20"
    text = "Drawing: {visible: false, main: {Square: {visible: '${inherit}'}}}"
    with pytest.raises(ConfigError, match=r"drawing.yaml: Drawing.main.Square: .* got 'visible'"):
        Drawing.load(write(text))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.yaml: cannot be read: No such file"):
        yaml_file.read(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="line 1: expected text in UTF-8"):
        yaml_file.read(tmp_path / "binary.yaml")


def test_constants_are_interpolated_anywhere(write):
    config = yaml_file.read(
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
        yaml_file.read(path)


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
    drawing = Drawing.load(path, overrides)
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
        Drawing.load(path, [override])


def test_every_published_configuration_is_read_as_yaml_reads_it():
    paths = published.configurations()
    assert len(paths) in (6, 98)
    for path in paths:
        config = yaml_file.read(path)
        assert config == yaml.safe_load(path.read_text())
