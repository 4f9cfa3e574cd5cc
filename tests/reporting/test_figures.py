import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from helpers.networks import small_network
from helpers.probe_runs import classes, noisy, tags, write_run
from mar.errors import InputError
from mar.models.sfnfnet import STAGES
from mar.probing.results import Results
from mar.reporting import comparison, diagram, figures


def texts(figure):
    """What is written in a figure, with its place in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = {t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()}
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = {*axis.get_major_ticks(), *axis.get_minor_ticks()}
        shown = axis.axes.axison
        drawn = {tick for tick in ticks if shown and low <= tick.get_loc() <= high}
        for tick in {*axis.majorTicks, *axis.minorTicks} - drawn:  # spare ones
            found -= {tick.label1, tick.label2}
    return [(text.get_text(), text.get_window_extent()) for text in found]


def assert_legible(figure):
    """No text lies over another one, or beyond the edge."""
    width, height = FigureCanvasAgg(figure).get_width_height()
    found = texts(figure)
    assert len(found) > 5
    for text, box in found:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, text
    for (first, box), (second, other) in itertools.combinations(found, 2):
        assert not box.padded(-1).overlaps(other.padded(-1)), (first, second)


@pytest.fixture
def runs(tmp_path):
    """Two runs on forty tags, of which one has no positive item."""
    targets = tags(60, 40)
    targets[:, 7] = 0
    labels = [f"mood---tag_{number} $x" for number in range(40)]
    for model, noise in (("a model", 0.4), ("another_one", 1.5)):
        predictions = noisy(targets, noise, seed=len(model))
        write_run(tmp_path, "Jam", model, "multilabel", targets, predictions, labels)
    return Results(tmp_path).runs


def test_label_density_sorts_the_counts_and_draws_both_scales():
    counts = {"mine_$1": np.array([3, 1000, 0, 40]), "other": np.array([7, 7])}
    figure = figures.plot_label_density(counts)
    assert len(figure.axes) == 4
    for axes, scale in zip(figure.axes, ["linear", "log"] * 2, strict=True):
        assert axes.get_yscale() == scale
    assert figure.axes[1].patches[0].get_data().values.tolist() == [1000, 40, 3, 0]
    assert figure.axes[2].patches[0].get_data().values.tolist() == [7, 7]
    assert_legible(figure)
    assert_legible(figures.plot_label_density({"without labels": np.zeros(3, int)}))


NAMES = ["m$_$", "_mule", "<b>&", "100%", "a_b^c", r"x\frac", "Bj\xf6rk", "constant guess"]


def test_names_are_drawn_as_they_are(tmp_path):
    """Also those that would be formulas to matplotlib, or that its legends leave out."""
    targets = classes([9, 9, 9])
    for task, model in itertools.product(("$genre$", "_t"), NAMES):
        write_run(tmp_path, task, model, "multiclass", targets, noisy(targets, 0.5), NAMES[:3])
    results = Results(tmp_path)
    shown = comparison.headlines(comparison.summarize(results))
    figure = figures.plot_tasks(shown)
    found = [text for text, _ in texts(figure)]
    (legend,) = figure.legends
    models = sorted(NAMES)
    expected = [*models, "95 % interval", "constant guess"]
    assert [text.get_text() for text in legend.get_texts()] == expected
    assert {"$genre$\naccuracy", "_t\naccuracy"} < {*found}
    assert {*models} < {*found}
    pair = [run for run in results.runs if run.task == "$genre$"][:2]
    of_labels = [text for text, _ in texts(figures.plot_labels(*pair))]
    assert {*NAMES[:3]} < {*of_labels}
    for number, drawn in enumerate([figure, figures.plot_labels(*pair)]):
        for kind in ("svg", "png", "pdf"):
            figures.save_figure(drawn, tmp_path / f"{number}.{kind}")
        element = figures.inline_svg(lambda drawn=drawn: drawn)
        assert "&lt;b&gt;" in element
        assert "<b>" not in element
    network = small_network().build()
    of_network = texts(diagram.plot_network(network, {"$a_b$": [3, "_labels$"]}))
    assert "$a_b$" in [text for text, _ in of_network]


def test_tasks_are_bars_of_the_scores(tmp_path):
    targets = classes([20, 10])
    for task in ("genre", "meter"):
        for model, noise in (("a", 0.3), ("b", 0.9), ("c", 2.0)):
            if (task, model) != ("meter", "b"):
                write_run(tmp_path, task, model, "multiclass", targets, noisy(targets, noise))
    shown = comparison.headlines(comparison.summarize(Results(tmp_path)))
    figure = figures.plot_tasks(shown)
    (axes,) = figure.axes
    bars = {
        container.get_label(): [bar.get_height() for bar in container]
        for container in axes.containers
    }
    assert bars == {model: list(shown["value"][shown["model"] == model]) for model in "abc"}
    assert len(bars["b"]) == 1
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("a", "b", "c", "95 % interval", "constant guess")
    ]
    (drawn,) = axes.collections
    ends = {tuple(ends) for ends in drawn.get_segments() for ends in [ends[:, 1].tolist()]}
    assert ends == set(zip(shown["low"], shown["high"], strict=True))
    assert_legible(figure)


def test_labels_are_ordered_by_what_each_model_is_better_at(runs):
    figure = figures.plot_labels(*runs)
    bars, square = figure.axes
    widths = [bar.get_width() for bar in bars.patches]
    assert len(widths) == 30
    assert widths == sorted(widths)
    assert widths[-1] > 0
    assert sum(len(points.get_offsets()) for points in square.collections) == 39
    labels = runs[0].per_label["label"]
    differences = np.subtract(*(run.per_label["map"] for run in runs))
    top = bars.get_yticklabels()[-1].get_text()
    assert top == labels[np.nanargmax(differences)]
    assert widths[-1] == np.nanmax(differences)
    assert_legible(figure)


def test_runs_with_other_labels_are_refused(runs, tmp_path):
    targets = tags(60, 3)
    write_run(tmp_path, "Jam", "third", "multilabel", targets, noisy(targets, 1.0))
    third = Results(tmp_path).runs[-1]
    with pytest.raises(InputError, match="expected runs with the same labels"):
        figures.plot_labels(runs[0], third)


def test_the_diagram_shows_the_network_that_was_built():
    network = small_network(depths=[1, 2, 1, 1]).build(300)
    found = diagram.facts(network)
    assert found["input"] == (96, 300)
    assert found["seconds"] == pytest.approx(3.0)
    assert [(name, count) for name, count, _ in found["slow"]] == [
        *(("stem", 4), ("stage 1", 1), ("stage 2", 2), ("stage 3", 1), ("stage 4", 1))
    ]
    mels = 24
    for pathway, frames in (("slow", 19), ("fast", 75)):
        mels = 24
        for (_, _, shape), stage in zip(found[pathway][1:], STAGES, strict=True):
            mels //= stage.frequency_stride
            assert shape[:2] == (mels, frames)
            assert abs(shape[2] - getattr(stage, pathway) / 10) <= 2
    ends = found["slow"][-1][2][-1] + found["fast"][-1][2][-1]
    assert found["embedding"] == ends == network.output.shape[-1]
    assert found["parameters"] == network.count_params()

    figure = diagram.plot_network(network, {"NT-Xent": [8, 8, 4], "other": [16, "labels"]})
    written = " ".join(text for text, _ in texts(figure))
    expected = ["log-mel\n96 × 300\n3 s", f"embedding z\n{ends}", "2 blocks", "NT-Xent"]
    expected += ["2 × 8 ReLU\n→ 4", "1 × 16 ReLU\n→ labels"]
    expected += [f"+{channels}" for channels in found["fusions"]]
    for text in expected:
        assert text in written
    assert_legible(figure)
    assert_legible(diagram.plot_network(small_network().build()))


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_equal_figures_become_equal_files(suffix, runs, tmp_path):
    files = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for file in files:
        figures.save_figure(figures.plot_labels(*runs), file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert len(first) > 5000
    with pytest.raises(InputError, match=r"ends in \.svg, \.png or \.pdf"):
        figures.save_figure(figures.plot_labels(*runs), tmp_path / "figure.txt")
