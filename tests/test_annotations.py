"""Every public function and method says what it takes and what it returns."""

import ast

import pytest

from helpers.resources import ROOT

PACKAGES = (ROOT / "music_audio_representations" / "mar", ROOT / "tfrecord_tools")
MODULES = sorted(
    path.relative_to(ROOT).as_posix() for package in PACKAGES for path in package.rglob("*.py")
)


def unannotated(source):
    """Names of the public functions and methods in a module that lack an annotation."""
    missing = []

    def visit(body, prefix, in_class):
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                visit(node.body, f"{prefix}{node.name}.", in_class=True)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
                if not is_annotated(node, in_class):
                    missing.append(f"{prefix}{node.name}, line {node.lineno}")
            elif isinstance(node, ast.If | ast.Try | ast.With):
                visit(node.body, prefix, in_class)

    visit(ast.parse(source).body, "", in_class=False)
    return missing


def is_public(name):
    """Also `__init__` and the other methods that Python calls."""
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def is_annotated(function, in_class):
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    decorators = {d.id for d in function.decorator_list if isinstance(d, ast.Name)}
    if in_class and "staticmethod" not in decorators:
        named = named[1:]  # self or cls
    named += [*arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg))]
    return function.returns is not None and all(argument.annotation for argument in named)


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_are_annotated(module):
    assert unannotated((ROOT / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("def f(a: int, *b: int, c: int = 1, **d: int) -> None: ...", []),
        ("def f(a) -> None: ...", ["f, line 1"]),
        ("def f(*a) -> None: ...", ["f, line 1"]),
        ("def f(*, a) -> None: ...", ["f, line 1"]),
        ("def f(a: int): ...", ["f, line 1"]),
        ("def _f(a): ...", []),
        ("class A:\n    def f(self) -> int: ...", []),
        ("class A:\n    def f(self, b) -> int: ...", ["A.f, line 2"]),
        ("class A:\n    def __init__(self, b): ...", ["A.__init__, line 2"]),
        ("class A:\n    @staticmethod\n    def f(a) -> int: ...", ["A.f, line 3"]),
        ("class _A:\n    def f(self): ...", []),
        ("try:\n    def f(): ...\nfinally:\n    pass", ["f, line 2"]),
    ],
)
def test_what_is_told_apart(source, missing):
    assert unannotated(source) == missing
