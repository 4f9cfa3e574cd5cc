"""A table for readers, and how it looks as Markdown, LaTeX, CSV and HTML.

`mar.reporting.paper` makes those of the paper, `mar.reporting.comparison` those of any tasks and
models.
"""

import csv as csv_module
import dataclasses
import html as html_module
import io
import math
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from mar.util.atomic import whole

CLOSE = 0.01  # "Models within 0.01 of SOTA are bold" (Tables 3 and 4)
_EXACT = 1e-9  # 0.414 − 0.404 is within 0.01
_LATEX = {
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"−": "$-$", "×": r"$\times$", "²": r"\textsuperscript{2}", "†": r"\textdagger{}"},
    **{"–": "--", "*": r"\textasteriskcentered{}", "|": r"\textbar{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}"},
}
_TAGS = "<b>{}</b>", "<small>{}</small>"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:1em}table{border-collapse:collapse}"
    "td,th{padding:.2em .6em;text-align:right;border-bottom:1px solid #8886}"
    "tbody td,tbody th{white-space:nowrap}small{display:block}"
    "th[scope=row],tbody td.text,caption,tfoot td{text-align:left}"
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One entry.

    Attributes:
        text: what is shown first: words, or the value in as many digits as it has.
        value: the number, None for words and where there is none.
        mark: footnote mark and reference that follow the text.
        difference: from what it is compared with.
        interval: `(low, high)` of the value, or of the difference where that is the value.
        bold: whether it is among the best.
    """

    text: str = ""
    value: float | None = None
    mark: str = ""
    difference: float | None = None
    interval: tuple[float, float] | None = None
    bold: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of `Cell`s under column names.

    Attributes:
        name: of its files, e.g. "table3".
        title: e.g. "Table 3".
        caption: one or two sentences.
        columns: names.
        rows: lists of `Cell`s, as many as columns; the first names the row.
        notes: lines below it.
    """

    name: str
    title: str
    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[str] = dataclasses.field(default_factory=list)

    def _repr_markdown_(self) -> str:
        """How a notebook shows it."""
        return markdown(self)


def number(value: float | None, **more: Any) -> Cell:
    """The `Cell` of a number in three digits; empty where it is None or NaN.

    Args:
        value: the number.
        **more: other attributes of the `Cell`.
    """
    if value is None or math.isnan(value):
        return Cell()
    return Cell(_signed(f"{_rounded(value):.3f}"), float(value), **more)


def interval_of(low: float, high: float) -> tuple[float, float] | None:
    """The interval, or None where its ends are NaN."""
    return None if math.isnan(low) else (low, high)


def with_best_bold(rows: list[list[Cell]]) -> list[list[Cell]]:
    """The rows with those values in bold that are within 0.01 of the best of their column.

    Values count as they are shown, in three digits.
    """
    columns = zip(*rows, strict=True)
    return [list(row) for row in zip(*map(_best_bold, columns), strict=True)]


def _best_bold(cells):
    values = [-math.inf if cell.value is None else _rounded(cell.value) for cell in cells]
    limit = max(values) - CLOSE - _EXACT
    return [
        dataclasses.replace(cell, bold=limit <= value > -math.inf)
        for cell, value in zip(cells, values, strict=True)
    ]


def markdown(table: Table) -> str:
    """GitHub's Markdown."""
    lines = [f"**{table.title}.** {_markdown(table.caption)}", ""]
    lines.append(_row(map(_markdown, table.columns)))
    lines.append("|" + "|".join("--:" if n else "---" for n in _numeric(table)) + "|")
    for cells in table.rows:
        lines.append(_row(_joined(cell, _markdown, "**{}**") for cell in cells))
    if table.notes:
        lines += ["", "  \n".join(map(_markdown, table.notes))]
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """A `table*`, no wider than the page, for the packages booktabs and graphicx."""
    columns = "".join("r" if n else "l" for n in _numeric(table))
    lines = [
        *(r"\begin{table*}", r"\centering"),
        rf"\caption{{{_latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(_latex, table.columns)) + r" \\",
        r"\midrule",
    ]
    for cells in table.rows:
        row = " & ".join(_joined(cell, _latex, r"\textbf{{{}}}") for cell in cells)
        lines.append(rf"{{}}{row} \\")  # \\ would take a bracket that follows it as its argument
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\par\raggedright\footnotesize {_latex(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def csv(table: Table) -> str:
    """Comma-separated values; what stands beside a value has columns of its own."""
    header, data = [], []
    for name, cells in zip(table.columns, _by_column(table), strict=True):
        parts = [_parts(cell) for cell in cells]
        kinds = [
            "",
            *(k for k in ("difference", "low", "high", "note") if any(map(_has(k), parts))),
        ]
        header += [f"{name} {kind}".strip() for kind in kinds]
        data += [[part.get(kind, "") for part in parts] for kind in kinds]
    text = io.StringIO(newline="")
    csv_module.writer(text, lineterminator="\n").writerows([header, *zip(*data, strict=True)])
    return text.getvalue()


def html(table: Table) -> str:
    """A `<table>`; `data-value` holds each number."""
    numeric = _numeric(table)
    head = "".join(f'<th scope="col">{_html(name)}</th>' for name in table.columns)
    lines = [
        f'<table id="{table.name}" class="sortable">',
        f"<caption><b>{_html(table.title)}.</b> {_html(table.caption)}</caption>",
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
    ]
    for cells in table.rows:
        tags = ["td" if n else 'td class="text"' for n in numeric]
        tags[0] = 'th scope="row"'
        row = ""
        for tag, cell in zip(tags, cells, strict=True):
            data = "" if cell.value is None else f' data-value="{cell.value!r}"'
            row += f"<{tag}{data}>{_joined(cell, _html, *_TAGS)}</{tag[:2]}>"
        lines.append(f"<tr>{row}</tr>")
    lines.append("</tbody>")
    if table.notes:
        notes = "<br>".join(map(_html, table.notes))
        lines.append(f'<tfoot><tr><td colspan="{len(table.columns)}">{notes}</td></tr></tfoot>')
    return "\n".join([*lines, "</table>"]) + "\n"


def page(*tables: Table) -> str:
    """An HTML document of tables."""
    title = _html(", ".join(table.title for table in tables))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n" + "\n".join(map(html, tables))
    )


FORMATS: dict[str, Callable[[Table], str]] = {
    ".md": markdown,
    ".tex": latex,
    ".csv": csv,
    ".html": page,
}


def write(table: Table, folder: str | os.PathLike) -> tuple[str, str]:
    """Writes a table in every format into a folder; returns its title, and where it is."""
    stem = pathlib.Path(folder, table.name)
    for suffix, form in FORMATS.items():
        with whole(stem.with_name(f"{stem.name}{suffix}")) as unfinished:
            unfinished.write_text(form(table), "utf-8", "backslashreplace")
    return table.title, f"{stem}{{{','.join(FORMATS)}}}"


def _by_column(table):
    """Lists of cells, empty ones where there is no row."""
    return [[row[column] for row in table.rows] for column in range(len(table.columns))]


def _numeric(table):
    """Whether each column holds numbers."""
    return [any(cell.value is not None for cell in cells) for cells in _by_column(table)]


def _joined(cell, escape, bold, beside="{}"):
    """A cell's text, in bold if it is, and what stands beside it."""
    text = escape(cell.text)
    parts = [(bold.format(text) if cell.bold else text) + escape(cell.mark)]
    if cell.difference is not None:
        parts.append(beside.format(escape(_signed(f"({_rounded(cell.difference):+.3f})"))))
    if cell.interval is not None:
        parts.append(beside.format(escape(_signed("[{:.3f}, {:.3f}]".format(*cell.interval)))))
    return " ".join(parts)


def _parts(cell):
    """A cell's text, and what stands beside it, by kind."""
    plain = cell.text.replace("−", "-").replace(",", "")
    parts = {"": cell.text if cell.value is None else plain, "note": cell.mark.strip()}
    if cell.difference is not None:
        parts["difference"] = f"{_rounded(cell.difference):.3f}"
    if cell.interval is not None:
        parts["low"], parts["high"] = (f"{end:.3f}" for end in cell.interval)
    return parts


def _rounded(value):
    """Three digits, never −0."""
    return round(float(value), 3) + 0.0


def _signed(text):
    return text.replace("-", "−")


def _has(kind):
    return lambda part: part.get(kind)


def _row(texts):
    return f"| {' | '.join(texts)} |"


def _markdown(text):
    return re.sub(r"([\\`*_|<$~&])", r"\\\1", text)


def _latex(text):
    return "".join(_LATEX.get(character, character) for character in text)


def _html(text):
    return html_module.escape(text)
