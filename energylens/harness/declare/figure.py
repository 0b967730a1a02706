"""Declaration of a figure of a claim's `series`, in addition to the figure of estimates that every claim has."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from energylens.errors import DeclarationError, InputError

Series = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One figure per claim, a panel (or a row of panels) per model and variant, made from `Measurement.series`.

    kind, and the series that it reads:
    - "lines", "bars": `x` and several `y`, lists of numbers of one length. Lines of all seeds share a panel; with
      `split`, every y gets a row of panels with its own scale, and its name is the label.
    - "scatter": `x` and one `y`; `colour` names a series of labels (a layer per point), told in a legend. Models are
      rows and variants columns; all seeds share a panel. `mark`: a vertical line at this x, or {variant: x}, which
      `mark_label` explains.
    - "heatmap": "values", a list of rows of numbers (layers of heads), one map per seed, on one colour scale per model.
    - "graph": "nodes" (names), their positions "x" and "y", "edges" as [from, to, weight] by name, and, if recorded,
      "weights" of the nodes. Drawn directed, widths by |weight|, for the first seeds.
    - "distribution": several `y`, samples of any lengths, the first of them emphasised: histogram, 5-25-50-75-95 % and
      size of each, all seeds pooled. NaN is left out and counted. `x_label` is the quantity; `mark` as in a scatter.
    - "text": "tokens" (strings) and "values", a number per token (NaN: not coloured) that its background tells, and, if
      recorded, "title", a string. `x_label` is the label of the colours. First seed only.
    - "table": "columns" (strings) and "rows", lists of as many cells. A cell is a string, a number, or
      [before, marked, after], three strings that read as one text with its middle marked. Printed in the claim's
      section as text, first seed only.

    Variants of a model that record the same series are drawn once. A seed without any series is left out.
    Raises DeclarationError for fields that the kind does not have or lacks.
    """

    kind: str
    x: str = ""
    y: tuple[str, ...] = ()
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    log_y: bool = False
    split: bool = False
    colour: str = ""
    mark: float | Mapping[str, float] | None = None
    mark_label: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _FIELDS:
            raise DeclarationError(f"a figure is one of {', '.join(_FIELDS)}, got {self.kind!r}")
        if isinstance(self.y, str):
            raise DeclarationError(f"y of a figure is a sequence of names, got {self.y!r}")
        object.__setattr__(self, "y", tuple(self.y))
        given = {f.name for f in fields(self) if f.name in _OPTIONAL and getattr(self, f.name) != f.default}
        wanted, possible = _FIELDS[self.kind]
        problems = {
            "a figure has a title": self.title.strip(),
            f"a {self.kind} figure needs {sorted(wanted - given)}": wanted <= given,
            f"a {self.kind} figure has no {sorted(given - wanted - possible)}": given <= wanted | possible,
            f"a scatter has one y, got {self.y}": self.kind != "scatter" or len(self.y) == 1,
        }
        for problem, fine in problems.items():
            if not fine:
                raise DeclarationError(f"{problem} (figure {self.title!r})")


_OPTIONAL = ("x", "y", "log_y", "split", "colour", "mark", "mark_label")
_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "lines": ({"x", "y"}, {"log_y", "split"}),
    "bars": ({"x", "y"}, {"log_y"}),
    "scatter": ({"x", "y"}, {"colour", "mark", "mark_label"}),
    "heatmap": (set(), set()),
    "graph": (set(), set()),
    "distribution": ({"y"}, {"mark", "mark_label"}),
    "text": (set(), set()),
    "table": (set(), set()),
}
"""By kind, fields that a figure must have, and fields that it may have."""


def read_series(figure: Mapping[str, Any], series: Series) -> dict[str, Any]:
    """The series that the figure draws, numbers as floats ("NaN" of results.json included).

    figure: the declaration as results.json holds it. Raises InputError, naming the series, for one that is missing
    or can't be drawn.
    """
    return _READERS[figure["kind"]](figure, series)


def _read_columns(figure: Mapping[str, Any], series: Series) -> dict[str, Any]:
    """The series of x, of every y and of the colour, checked to have one length."""
    names = [figure["x"], *figure["y"]]
    found: dict[str, Any] = {name: _numbers(series, name) for name in names}
    if colour := figure.get("colour"):
        found[colour] = _list(series, colour)
    for name, values in found.items():
        _same_length(name, values, figure["x"], found[figure["x"]])
    return found


def _read_matrix(_: Mapping[str, Any], series: Series) -> dict[str, Any]:
    rows = [
        _numbers({"values": row}, "values")
        if isinstance(row, list)
        else _bad("values", "a list of rows", row)
        for row in _list(series, "values")
    ]
    if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        _bad("values", "rows of one length", [len(row) for row in rows])
    return {"values": rows}


def _read_graph(_: Mapping[str, Any], series: Series) -> dict[str, Any]:
    nodes = [str(name) for name in _list(series, "nodes")]
    if not nodes or len(set(nodes)) < len(nodes):
        _bad("nodes", "distinct names", nodes)
    found: dict[str, Any] = {"nodes": nodes, "edges": []}
    for name in ("x", "y", *(["weights"] if "weights" in series else [])):
        found[name] = _numbers(series, name)
        _same_length(name, found[name], "nodes", nodes)
        if name != "weights" and not all(map(math.isfinite, found[name])):
            _bad(name, "finite numbers", found[name])
    if len(set(zip(found["x"], found["y"], strict=True))) < len(nodes):
        _bad("x", "with 'y' a place of its own for every node", found["x"])
    for edge in _list(series, "edges"):
        ends = {str(end) for end in edge[:2]} if isinstance(edge, list) and len(edge) == 3 else set()
        if len(ends) < 2 or not ends <= set(nodes):
            _bad("edges", f"[from, to, weight] between two of {nodes}", edge)
        found["edges"].append((str(edge[0]), str(edge[1]), _number("edges", edge[2])))
    return found


def _read_samples(figure: Mapping[str, Any], series: Series) -> dict[str, Any]:
    found = {name: _numbers(series, name) for name in figure["y"]}
    for name, values in found.items():
        if any(map(math.isinf, values)):
            _bad(name, "finite numbers or NaN", [value for value in values if math.isinf(value)])
    return found


def _read_text(_: Mapping[str, Any], series: Series) -> dict[str, Any]:
    tokens, values = _strings(series, "tokens"), _numbers(series, "values")
    _same_length("values", values, "tokens", tokens)
    if not tokens:
        _bad("tokens", "at least one string", tokens)
    (title,) = _strings({"title": [series.get("title", "")]}, "title")
    return {"tokens": tokens, "values": values, "title": title}


def _read_table(_: Mapping[str, Any], series: Series) -> dict[str, Any]:
    columns, rows = _strings(series, "columns"), _list(series, "rows")
    if not columns:
        _bad("columns", "at least one string", columns)
    for row in rows:
        if not isinstance(row, list) or len(row) != len(columns):
            _bad("rows", f"lists of {len(columns)} cells, as 'columns' has", row)
        for cell in row:
            if not _is_cell(cell):
                _bad("rows", "strings, numbers or [before, marked, after]", cell)
    return {"columns": columns, "rows": rows}


def _is_cell(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) == 3 and all(isinstance(part, str) for part in value)
    return isinstance(value, str | int | float) and not isinstance(value, bool)


_READERS: dict[str, Callable[[Mapping[str, Any], Series], dict[str, Any]]] = {
    "lines": _read_columns,
    "bars": _read_columns,
    "scatter": _read_columns,
    "heatmap": _read_matrix,
    "graph": _read_graph,
    "distribution": _read_samples,
    "text": _read_text,
    "table": _read_table,
}


def _list(series: Series, name: str) -> list[Any]:
    if name not in series:
        raise InputError(f"series {name!r} is missing; recorded: {sorted(series)}")
    values = series[name]
    return values if isinstance(values, list) else _bad(name, "a list", values)


def _numbers(series: Series, name: str) -> list[float]:
    return [_number(name, value) for value in _list(series, name)]


def _strings(series: Series, name: str) -> list[str]:
    values = _list(series, name)
    return values if all(isinstance(x, str) for x in values) else _bad(name, "strings", values)


def _number(name: str, value: Any) -> float:
    if isinstance(value, int | float) or value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return _bad(name, "numbers", value)


def _same_length(name: str, values: Sequence[Any], other: str, expected: Sequence[Any]) -> None:
    if len(values) != len(expected):
        raise InputError(f"series {name!r} has {len(values)} values, but {other!r} has {len(expected)}")


def _bad(name: str, wanted: str, got: Any) -> Any:
    raise InputError(f"series {name!r} must be {wanted}, got {str(got)[:80]}")
