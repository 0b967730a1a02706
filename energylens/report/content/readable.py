"""Formatting of numbers and of other people's words as text, escaped so that the words stay text.

Anyone can write a claim, so nothing in a claim may become Markdown, HTML or a terminal escape.
`Md` marks text that is Markdown already; everything else is escaped on its way into a template or a table.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

DASH = "–"

_SPECIAL = re.compile(r"[\\`*|~$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|!(?=\[)")
_SPECIAL_IN_LABEL = re.compile(r"[\\`*|~$\[\]_!]")
_BLOCK_START = re.compile(r"^(\d*)(#|[-+=]+(?=\s|$|[-+=])|(?<=\d)[.)](?=\s|$)|\[(?=!|[ xX]\]))")
_NOT_IN_XML = dict.fromkeys((0xFFFE, 0xFFFF))
_MAX_DECIMALS = 6
_LARGE = 4000
"""Largest table, in characters, whose cells are padded."""


class Md(str):
    """Text that is Markdown already."""

    __slots__ = ()


def clean(value: Any) -> str:
    """One line without control, formatting (bidirectional) and surrogate characters, and those that XML forbids."""
    kept = (" " if unicodedata.category(char) == "Cc" else char for char in str(value))
    visible = (char for char in kept if unicodedata.category(char) not in ("Cf", "Cs"))
    return " ".join("".join(visible).translate(_NOT_IN_XML).split())


def clean_lines(value: Any) -> str:
    """`clean` line by line: breaks and indentation stay."""
    lines = str(value).splitlines()
    return "\n".join(" " * (len(line) - len(line.lstrip(" "))) + clean(line) for line in lines)


def html(value: Any) -> Md:
    """Escape for the inside of an HTML block, where Markdown's escapes would be shown."""
    return Md(escape(clean(value)))


def markdown(value: Any) -> Md:
    """Escape for Markdown prose and table cells; `Md` passes as it is, None is empty."""
    if isinstance(value, Md):
        return value
    return Md(_BLOCK_START.sub(r"\1\\\2", _escape(value, _SPECIAL)))


def bold(value: Any) -> Md:
    """Strong emphasis; nothing stays nothing."""
    text = markdown(value)
    return Md(f"**{text}**") if text else text


def label(value: Any) -> Md:
    """Escape for the text of a link or the alternative text of a picture, where brackets must balance."""
    return Md(_escape(value, _SPECIAL_IN_LABEL))


def fenced(value: Any, language: str = "") -> Md:
    """A code block whose fence is longer than any run of backticks inside."""
    text = clean_lines(value)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Md(f"{fence}{language}\n{text}\n{fence}")


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], keep: int = 1) -> Md:
    """A Markdown table. Columns after the first `keep` that are empty in every row are left out.

    Cells of small tables are padded, so that the text reads as a table. Large ones are not: most of their text would
    be padding, and sites that show repositories don't render Markdown beyond half a megabyte.
    """
    from tabulate import tabulate

    cells = [[markdown(cell) for cell in row] for row in rows]
    shown = [i for i in range(len(headers)) if i < keep or any(row[i] for row in cells)]
    picked = [[row[i] for i in shown] for row in cells]
    names = [markdown(headers[i]) for i in shown]
    padded = tabulate(picked, names, tablefmt="pipe", disable_numparse=True)
    if len(padded) <= _LARGE:
        return Md(padded)
    lines: list[Sequence[str]] = [names, ["---"] * len(names), *picked]
    return Md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def number(value: Any, digits: int = 4) -> str:
    """`digits` significant digits; "NaN", "∞" and a missing value (a dash) keep their own text."""
    if value is None:
        return DASH
    x = float(value)
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    return f"{x:.{digits}g}".replace("-", "−")


def interval(part: Mapping[str, Any]) -> str:
    """`estimate [low, high]` with the decimals that show the half width to two significant digits."""
    estimate, low, high = (float(part[name]) for name in ("estimate", "low", "high"))
    if math.isnan(estimate):
        return "NaN"
    decimals = _decimals((high - low) / 2, estimate)
    if decimals is None:
        return f"{number(estimate)} [{number(low)}, {number(high)}]"
    texts = (f"{x:.{decimals}f}".replace("-", "−") for x in (estimate, low, high))
    return "{} [{}, {}]".format(*texts)


def span(low: Any, high: Any, digits: int = 4) -> str:
    """A range of values, over seeds or variants; one number when they agree."""
    ends = number(low, digits), number(high, digits)
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} … {ends[1]}"


def rounded(part: Mapping[str, Any]) -> str:
    """The estimate alone, with the decimals of its interval."""
    return interval(part).partition(" ")[0]


def link(claim_id: str) -> Md:
    """A claim's id as a link to its section."""
    safe = re.fullmatch(r"[\w.-]+", claim_id)
    return Md(f"[{label(claim_id)}](#{claim_id})") if safe else markdown(claim_id)


def count(n: int, singular: str, plural: str = "") -> str:
    """`1 seed`, `2 seeds`."""
    return f"{n} {singular if n == 1 else plural or singular + 's'}"


def _escape(value: Any, special: re.Pattern[str]) -> str:
    text = "" if value is None else clean(value)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return special.sub(r"\\\g<0>", text)


def _decimals(half_width: float, estimate: float) -> int | None:
    """Number of decimals for fixed-point text, or None where significant digits serve better."""
    if not math.isfinite(half_width) or half_width <= 0 or max(abs(estimate), half_width) >= 1e4:
        return None
    decimals = 1 - math.floor(math.log10(half_width))
    return max(0, decimals) if decimals <= _MAX_DECIMALS else None
