"""A plan as text: the number of seeds that would decide each part of a claim."""

import math
from collections.abc import Iterator, Sequence

from energylens.harness.compare.plan import CAP, Need, Row
from energylens.harness.declare.measurement import SINGLE
from energylens.report.content.readable import clean, count, number, rounded

_UNIT = {"linear": "", "fisher z": " in Fisher's z", "log": " in logarithms"}

_NOTE = """\
"About": the number of seeds takes estimate and spread for the truth, though both come from few seeds. In brackets: the
number at the smallest and at the largest spread that these seeds leave open (90 %)."""


def plan_text(rows: Sequence[Row], power: float) -> str:
    """One paragraph for every model, variant and part, and a note on what "about" means where a number has it."""
    told = ["\n".join(_paragraph(row, f"{100 * power:.4g} %")) for row in rows]
    return "\n\n".join([*told, _NOTE] if any(row.same for row in rows) else told)


def _paragraph(row: Row, percent: str) -> Iterator[str]:
    names = [row.model, row.variant, "" if row.part == SINGLE else row.part]
    head = f"{', '.join(clean(name) for name in names if name)}: {row.word}"
    yield f"{head}: {clean(row.reason)}" if row.reason else head
    if math.isnan(row.distance):
        return
    spread = (
        "" if math.isnan(row.sd) else f", standard deviation of a seed {number(row.sd, 3)}{_UNIT[row.scale]}"
    )
    yield f"  estimate {number(row.estimate)} from {count(row.n, 'seed')}{spread}; region {row.region}"
    in_sd = "" if math.isnan(row.distance_sd) else f" ({_few(row.distance_sd)} standard deviations)"
    yield f"  {number(row.distance, 3)}{in_sd} to the nearest boundary"
    if row.same and row.powered:
        yield f"  would decide at the same estimate and spread: {_need(row.same)}"
        yield f"  would decide with {percent} power: {_need(row.powered)}"
    elif not row.reason:
        yield "  decided: no further seeds are needed"
    if row.decides is not None:
        yield f"  {count(row.declared, 'declared seed')} decide with {percent} power {_values(row)}"


def _few(deviations: float) -> str:
    return number(deviations, 2) if deviations < 100 else "more than 100"


def _need(need: Need) -> str:
    if need.seeds is None and (need.range is None or need.range[0] is None):
        return f"more than {CAP} seeds"
    seeds = f"more than {CAP}" if need.seeds is None else f"about {need.seeds}"
    if need.range is None:
        return f"{seeds} seeds"
    least, most = (f"more than {CAP}" if end is None else str(end) for end in need.range)
    return f"{seeds} seeds ({least} to {most})"


def _values(row: Row) -> str:
    """`at true values ≤ 0.1, 0.3 … 0.4 or ≥ 0.6`."""
    if not row.decides:
        return "at no true value"
    *most, last = [_range(start, end, row.boundaries) for start, end in row.decides]
    return f"at true values {', '.join(most)} or {last}" if most else f"at true values {last}"


def _range(start: float, end: float, boundaries: Sequence[float]) -> str:
    if math.isinf(start):
        return f"≤ {_beside(end, boundaries)}"
    if math.isinf(end):
        return f"≥ {_beside(start, boundaries)}"
    return f"{_beside(start, boundaries)} … {_beside(end, boundaries)}"


def _beside(value: float, boundaries: Sequence[float]) -> str:
    """A value, with the decimals that tell it from the nearest boundary."""
    distance = min(abs(value - end) for end in boundaries)
    return rounded({"estimate": value, "low": value - distance, "high": value + distance})
