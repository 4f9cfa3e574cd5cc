"""Figure 1, drawn from the network that was built."""

import re

import keras
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mar.models.saving import front_end

_PART = re.compile(r"(slow|fast)_(?:stem|stage(\d+)_block)_?(\d+)$")
_COLOURS = {"slow": "#cfe3f5", "fast": "#fde2c4", "other": "#eeeeee", "head": "#dcefd8"}
_SLOW, _FAST, _MIDDLE = 3.6, 0.9, 2.25  # heights of the pathways
_STEP, _WIDTH, _HEIGHT = 2.0, 1.5, 1.05


def facts(network: keras.Model) -> dict:
    """What the diagram shows of a network.

    Args:
        network: Keras model, as `SfNfNetF0.build` or `mar.load_model` returns it.

    Returns:
        A dictionary: `input` `(mels, frames)`, `seconds` or None, `slow` and `fast`: lists of
        `(name, number of layers or blocks, output shape (mels, frames, channels))`, the stem
        first; `fusions`: channels that join before each stage; `embedding`: its dimensions;
        `parameters`.
    """
    parts: dict[str, dict[str, tuple]] = {"slow": {}, "fast": {}}
    fusions = []
    for layer in network.layers:
        if match := _PART.match(layer.name):
            pathway, stage, _ = match.groups()
            name = "stem" if stage is None else f"stage {int(stage) + 1}"
            count = parts[pathway].get(name, (0, None))[0] + 1
            parts[pathway][name] = count, tuple(layer.output.shape[1:])
        elif re.fullmatch(r"fusion\d+_pointwise", layer.name):
            fusions.append(layer.output.shape[-1])
    _, mels, frames, _ = network.inputs[0].shape if network.inputs else network.input_shape
    settings = front_end(network)
    return {
        "input": (mels, frames),
        "seconds": None if frames is None else frames * settings.hop_seconds,
        **{
            pathway: [(name, count, shape) for name, (count, shape) in found.items()]
            for pathway, found in parts.items()
        },
        "fusions": fusions,
        "embedding": network.output.shape[-1],
        "parameters": network.count_params(),
    }


def plot_network(network: keras.Model, heads: dict[str, list[int | str]] | None = None) -> Figure:
    """The network, what pre-training puts on it, and what becomes of its embedding (Figure 1).

    Args:
        network: see `facts`.
        heads: `{objective: widths of its layers, the output last}`, e.g.
            `{"NT-Xent": [4096, 4096, 4096, 1024]}`.
    """
    found, heads = facts(network), heads or {}
    stages = len(found["slow"])
    figure = Figure(figsize=(14, 3.7), layout="constrained")
    axes = figure.subplots()
    columns = [_STEP * (1 + index) for index in range(stages)]
    _draw_pathways(axes, found, columns)
    pool, z = _STEP * (1 + stages), _STEP * (2 + stages)
    _box(axes, pool, _MIDDLE, "global average\npooling, joined,\nactivation", "other")
    _box(axes, z, _MIDDLE, f"embedding z\n{found['embedding']}", "other")
    for height in (_SLOW, _FAST):
        _arrow(axes, (columns[-1] + _WIDTH / 2, height), (pool - _WIDTH / 2, _MIDDLE))
    _arrow(axes, (pool + _WIDTH / 2, _MIDDLE), (z - _WIDTH / 2, _MIDDLE))
    _draw_uses(axes, z, heads)
    longest = max(map(len, (*heads, "task")))
    axes.set(xlim=(-0.9, z + 2 * _STEP + 0.1 * longest), ylim=(0.1, 4.4), aspect="equal")
    axes.set_axis_off()
    millions = found["parameters"] / 1e6
    title = f"SF-NFNet, {millions:.1f} million parameters; shapes are frequency × time × channels"
    axes.set_title(title, fontsize="medium", loc="left")
    return figure


def _draw_pathways(axes, found, columns):
    """Input, both pathways, and the fusions between them."""
    mels, frames = found["input"]
    lasting = "" if found["seconds"] is None else f"\n{found['seconds']:g} s"
    _box(axes, 0, _MIDDLE, f"log-mel\n{_shape((mels, frames))}{lasting}", "other")
    for pathway, height in (("slow", _SLOW), ("fast", _FAST)):
        _arrow(axes, (_WIDTH / 2, _MIDDLE), (columns[0] - _WIDTH / 2, height))
        for index, (name, count, shape) in enumerate(found[pathway]):
            unit = "convolution" if name == "stem" else "block"
            text = f"{pathway} {name}\n{count} {unit}{'s' * (count > 1)}\n{_shape(shape)}"
            _box(axes, columns[index], height, text, pathway)
            if index:
                start = (columns[index - 1] + _WIDTH / 2, height)
                _arrow(axes, start, (columns[index] - _WIDTH / 2, height))
    for index, channels in enumerate(found["fusions"]):
        start = (columns[index] + _WIDTH / 2, _FAST + _HEIGHT / 2 - 0.1)
        end = (columns[index + 1] - _WIDTH / 2, _SLOW - _HEIGHT / 2 + 0.1)
        _arrow(axes, start, end)
        middle = (start[0] + end[0]) / 2
        axes.text(middle - 0.12, _MIDDLE, f"+{channels}", ha="right", va="center", fontsize=8.5)


def _draw_uses(axes, z, heads):
    """Projectors of pre-training, and the probe."""
    uses = [(f"projector\n{_layers(widths)}", name, "head") for name, widths in heads.items()]
    uses.append(("probe, on the\nfrozen embedding", "task", "other"))
    span = 1.5
    for index, (text, goal, colour) in enumerate(uses):
        height = _MIDDLE + span * ((len(uses) - 1) / 2 - index)
        x = z + _STEP + 0.25
        _arrow(axes, (z + _WIDTH / 2, _MIDDLE), (x - 0.95, height))
        _box(axes, x, height, text, colour, width=1.9)
        _arrow(axes, (x + 0.95, height), (x + 1.25, height))
        axes.text(x + 1.3, height, goal, va="center", fontsize=8.5, parse_math=False)


def _box(axes, x, y, text, colour, width=_WIDTH):
    corner = (x - width / 2, y - _HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.12"
    face = _COLOURS[colour]
    axes.add_patch(FancyBboxPatch(corner, width, _HEIGHT, style, facecolor=face, edgecolor="0.3"))
    axes.text(x, y, text, ha="center", va="center", fontsize=8.5, parse_math=False)


def _arrow(axes, start, end):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.3", "shrinkB": 0})


def _shape(sizes):
    return " × ".join("any" if size is None else str(size) for size in sizes)


def _layers(widths):
    """Hidden layers and output: `3 × 4096 ReLU → 1024`."""
    *hidden, output = widths
    if not hidden:
        return str(output)
    alike = len(set(hidden)) == 1
    shown = f"{len(hidden)} × {hidden[0]}" if alike else ", ".join(map(str, hidden))
    return f"{shown} ReLU\n→ {output}"
