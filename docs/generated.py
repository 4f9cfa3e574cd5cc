"""The pages of the reference that are written from the code: commands, configuration, Python API.

reference/commands.md        from the table of `mar` and the flags of each command
reference/configuration.md   from the parameters of every component
reference/python/*.md        from the public names; Sphinx's autodoc fills them with docstrings
"""

import ast
import inspect
import itertools
import pathlib
import re
import typing

import mar
from mar.commands import described
from mar.config import Configurable
from mar.util import kinds, usage

# Titles of the rooms, in the order in which a reader needs them.
ROOMS = {
    "embedding": "Embed and search",
    "audio": "Audio",
    "tasks": "Tasks",
    "probing": "Probe and label",
    "records": "Records",
    "data": "Training data",
    "models": "Networks",
    "optim": "Optimizers",
    "training": "Pre-train",
    "errors": "Errors",
}
# Modules that are public as a whole.
MODULES = {
    "embedding": ["mar.embedding.representations", "mar.embedding.hear", "mar.embedding.rows"],
    "training": ["mar.training.losses"],
    "probing": ["mar.probing.metrics"],
}
PYTHON = "The public names of `mar`. Everything else may change without notice."


def write(folder: pathlib.Path) -> None:
    """Writes all pages below `folder`; what is as it was is left, so that Sphinx skips it."""
    pages = {"commands": commands(), "configuration": configuration(), **python_pages()}
    for name, text in pages.items():
        text = f"<!-- Written by docs/generated.py -->\n{text}"
        path = folder / "reference" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------------------------------- commands


def commands() -> str:
    """A section for each command: its docstring, and its flags as a table."""
    lines = [
        "# Commands",
        "",
        "`mar COMMAND --help` prints what stands here. `python -m MODULE` is the same command, "
        "where there is no `mar` on the path. Flags take one hyphen or two, before or after "
        "arguments.",
        "",
    ]
    for command in described():
        lines += [f"## mar {command.name}", "", f"`python -m {command.module}`", ""]
        lines += [_fenced(command.text), ""]
        lines += _table(["Flag", "Default", "Meaning"], map(_flag, command.flags))
    return "\n".join(lines)


def _flag(flag):
    """Its row: how it is written, its default, its meaning."""
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    names = f"`-{flag.short_name}`, `{name}`" if flag.short_name else f"`{name}`"
    meaning = usage.description(flag)
    if choices := usage.choices(flag):
        meaning += f" One of {', '.join(choices)}."
    default = "" if flag.default in (None, []) or flag.boolean else f"`{flag.default}`"
    return names, default, _plain(meaning)


def _fenced(text):
    """Plain text with indented examples as Markdown with fenced ones."""
    blocks = re.split(r"\n((?:[ ]{4}.*(?:\n|$)|\n(?=[ ]{4}))+)", text.strip() + "\n")
    for number in range(1, len(blocks), 2):
        code = re.sub(r"^    ", "", blocks[number].strip("\n"), flags=re.MULTILINE)
        blocks[number] = f"\n```sh\n{code}\n```\n"
    return "\n".join(
        block if number % 2 else _plain(block) for number, block in enumerate(blocks)
    ).strip()


# ----------------------------------------------------------------------------------- configuration


def components() -> dict[str, type[Configurable]]:
    """All component classes that the package has, by name."""
    for name in mar.__all__:
        getattr(mar, name)
    classes = Configurable.classes().items()
    return {
        name: cls
        for name, cls in classes
        if cls.__module__.startswith("mar.") and cls is not Configurable and name[0] != "_"
    }


def configuration() -> str:
    """A section for each component: what it is, and its parameters as a table."""
    lines = [
        "# Configuration",
        "",
        "Everything that a configuration can say. A YAML file names one component and its "
        "parameters; what is left out has its default; components nest. `--set` changes one "
        "value: `--set Windows.hop_seconds=1`. In Python, components take the same names: "
        "`mar.Windows(hop_seconds=1)`. [How configurations work](../how-to/configurations.md) has "
        "examples.",
        "",
    ]
    for room, title in ROOMS.items():
        chosen = [c for c in components().values() if _room(c.__module__) == room]
        lines += [f"## {title}", ""] if chosen else []
        for component in chosen:
            lines += _component(component)
    return "\n".join(lines)


def _component(cls):
    text = (cls.__doc__ or "").partition("\n\nArgs:")[0]
    lines = [f"({_anchor(cls)})=", f"### {cls.__name__}", "", _fenced(text), ""]
    if kinds_of_it := [c for c in components().values() if issubclass(c, cls) and c is not cls]:
        lines += [f"One of: {_links(kinds_of_it)}.", ""]
    rows = [_parameter(name, getattr(cls, name)) for name in cls.__PARAMS__]
    return lines + (_table(["Parameter", "Type", "Default", "Meaning"], rows) if rows else [])


def _parameter(name, parameter):
    """Its row: name, type with bounds, default, meaning."""
    kind = _kind(parameter.kind)
    if bounds := kinds.bounds(parameter.kind):
        kind += f", {' and '.join(bounds)}"
    return f"`{name}`", kind, _default(parameter), _plain(parameter.doc)


def _kind(kind):
    """As `kinds.named`, with links to components."""
    if kinds.is_component(kind):
        return _links([kind])
    if _names_component(kind):
        parts = [_kind(part) for part in typing.get_args(kind) if part is not Ellipsis]
        return ("list of " if typing.get_origin(kind) is tuple else "") + " or ".join(parts)
    return _plain(kinds.named(kind))


def _names_component(kind):
    return kinds.is_component(kind) or any(map(_names_component, typing.get_args(kind)))


def _default(parameter):
    if parameter.default == mar.config._REQUIRED:
        return "required"
    value = kinds.plain(parameter.default)
    if kinds.is_component(type(parameter.default)):
        return f"`{parameter.default!r}`"
    return "`null`" if value is None else f"`{value}`"


def _links(classes):
    return ", ".join(f"[{cls.__name__}](#{_anchor(cls)})" for cls in classes)


def _anchor(cls):
    return f"config-{cls.__name__.lower()}"


# ------------------------------------------------------------------------------------------ Python


def python_pages() -> dict[str, str]:
    """A page for each room that has public names, and one that lists them all."""
    public = _public_names()
    if unknown := {_room(module) for module in public.values()} - ROOMS.keys():
        raise ValueError(f"expected a title in ROOMS for every room with public names: {unknown}")
    lines, pages = ["# Python", "", PYTHON, ""], {}
    for room, title in ROOMS.items():
        names = [name for name, module in public.items() if _room(module) == room]
        if not names:
            continue
        lines += [f"[{title}](python/{room}.md): {', '.join(f'`mar.{n}`' for n in names)}", ""]
        page = [f"# {title}", ""]
        for name in names:
            kind = "class" if isinstance(getattr(mar, name), type) else "function"
            page += [f"## mar.{name}", ""]
            if name in components():
                anchor = _anchor(getattr(mar, name))
                page += [f"[Types and bounds of the parameters](#{anchor})", ""]
            page += _documented(f"auto{kind}", f"mar.{name}")
        for module in MODULES.get(room, []):
            page += [f"## {module}", "", *_documented("automodule", module)]
        pages[f"python/{room}"] = "\n".join(page)
    lines += ["```{toctree}", ":hidden:", *pages, "```", ""]
    return {"python": "\n".join(lines), **pages}


def _public_names():
    """`{name: module}` of the stub, which has one name a line."""
    stub = pathlib.Path(mar.__file__).with_name("__init__.pyi").read_text(encoding="utf-8")
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    return {node.names[0].name: f"mar.{node.module}" for node in imports}


def _documented(directive, name):
    members = [] if directive == "autofunction" else ["   :members:"]
    return ["```{eval-rst}", f".. {directive}:: {name}", *members, "```", ""]


def as_restructured_text(app, what, name, obj, options, lines) -> None:
    """Docstrings as Sphinx reads them: `code` in two backticks, examples as literal blocks."""
    out: list[str] = []
    heading = ""
    for line in lines:
        is_indented = line.startswith("    ")
        if line and not is_indented:
            heading = line
        if is_indented and out[-1:] == [""] and not _SECTION.match(heading):
            if not _last_text(out).startswith("    "):
                out += ["::", ""]
        else:
            line = _CODE.sub(_in_two_backticks, line)
        out.append(line)
    lines[:] = out


_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):$")
_CODE = re.compile(r"`([^`]+)`(\w?)")


def _in_two_backticks(match):
    """Of "`Run`s" too, where the code ends inside of a word."""
    code, following = match.groups()
    return f"``{code}``" + (f"\\ {following}" if following else "")


def short_signature(app, what, name, obj, options, signature, returned):
    """Of a component without types: the page of the configuration has them, with their bounds."""
    if what != "class" or not issubclass(obj, Configurable):
        return None
    parameters = obj.__signature__.parameters.values()
    plain = [p.replace(annotation=p.empty) for p in parameters]
    return str(inspect.Signature(plain)), returned


def _last_text(lines):
    return next((line for line in reversed(lines) if line), "")


# ------------------------------------------------------------------------------------------- shared


def _room(module):
    return module.split(".")[1]


def _plain(text):
    """Plain text as Markdown, in which nothing is markup but code: what is quoted, and flags."""
    parts = re.split(r"(`[^`]*`|(?<![\w-])--[a-z]\w*)", text)
    escaped = [re.sub(r"([*_<>\[\]|#])", r"\\\1", part) for part in parts[::2]]
    code = [f"`{part.strip('`')}`" for part in parts[1::2]]
    return "".join(itertools.chain(*itertools.zip_longest(escaped, code, fillvalue="")))


def _table(head, rows):
    cells = [head, ["---"] * len(head), *rows]
    lines = [f"| {' | '.join(' '.join(cell.split()) for cell in row)} |" for row in cells]
    return [":::{div} stacked", *lines, ":::", ""]  # on a phone: see site.css
