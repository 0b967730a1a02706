"""Regions of a README that are rendered from results.json, so that README and results can't disagree.

A region names its results, relative to the README, and what it shows; the text between `-->` and its end is generated:

    <!-- verdicts: reports/results.json       <!-- told: reports/results.json
    family.claim/model/variant                Trained SAEs score {family.claim/model; part pwmcc}.
    -->                                       -->
    ...                                       ...
    <!-- verdicts: end -->                    <!-- told: end -->

`verdicts`: the headline, and a table of the rows that are listed. `told`: prose with facts in braces; see `fact`.
"""

import difflib
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from energylens.errors import InputError
from energylens.harness.verdict import Word, row_key
from energylens.report.content.entries import JSON, Entry, chance, entries, part_of, place
from energylens.report.content.headline import apart, as_published, counts_of, setup
from energylens.report.content.readable import Md, bold, count, label, markdown, number, rounded, table
from energylens.report.content.sentences import BY_CHANCE, holds_when, outcome, verdict_text
from energylens.report.content.verdict_rows import estimate_text, estimates_span

WIDTH = 120
OUTCOMES = (*map(str, Word), BY_CHANCE)
"""Outcomes by which the verdicts of a claim are counted."""

_REGION = re.compile(r"(<!-- (verdicts|told): (\S+)\n(.*?)\n-->\n)(.*?)(<!-- \2: end -->)", re.DOTALL)
_FIELD = re.compile(r"\{([^{}]+)\}")
_HEADERS = (
    "claim",
    "model",
    "verdict",
    "estimate [90 % interval]",
    "region",
    "chance",
    "reported",
    "same verdict",
)


def rewritten(text: str, read: Callable[[str], JSON]) -> str:
    """The text with every region generated anew. read: gives the results at the path that a region names.

    Raises InputError for a row, part, null or number that the results don't have; the message names the nearest ones.
    """

    def generated(match: re.Match[str]) -> str:
        opening, kind, source, asked, _, closing = match.groups()
        found = entries(read(source))
        made = _verdicts(found, asked.split(), source) if kind == "verdicts" else _told(found, asked)
        return f"{opening}{made}\n{closing}"

    return _REGION.sub(generated, text)


def sources(text: str) -> list[str]:
    """Paths of the results that the regions name, once each."""
    return list(dict.fromkeys(match.group(3) for match in _REGION.finditer(text)))


def fact(found: Sequence[Entry], asked: str) -> str:
    """The text of a field, `subject; wanted; ...`.

    subject: a row (claim/model/variant). wanted: the estimate to three digits, of `part NAME`, `chance`, `null NAME`,
    `ceiling NAME`, `published` (the original estimator) or `beside NAME`; in `%`; or the `word`. Of a claim: a verdict
    (`REFUTED`: `23 of 24`), or `range` (from the smallest estimate to the largest).
    """
    subject, *wanted = (text.strip() for text in asked.split(";"))
    if "/" in subject:
        entry, verdict = _row(found, subject)
        return _of_row(entry, verdict, wanted, asked)
    entry = _nearest(subject, {entry.id: entry for entry in found}, "claim")
    if wanted == ["range"]:
        return estimates_span([part for v in _cells(entry) for part in v["parts"]])
    return _share(entry, _nearest("; ".join(wanted), dict(zip(OUTCOMES, OUTCOMES, strict=True)), "verdict"))


def _verdicts(found: Sequence[Entry], rows: Sequence[str], source: str) -> str:
    """The headline in words, Holm's count, and one row for each that is listed."""
    counts = counts_of(found)
    findings = count(sum(counts["published"].values()), "as-stated finding")
    sentences = [
        f"**As published: {as_published(found)}** ({findings}, each counted by its worst verdict on the models that "
        "it was published on).",
        *(f"{name}: {told}." for name, told in apart(found).items()),
        "Holm's correction for multiple tests, over all verdicts, leaves {survive} of {decided} decided ones.".format(
            **counts["holm"]
        ),
    ]
    report = f"{source.rpartition('/')[0]}/VALIDATION.md".lstrip("/")
    listed = [_row(found, row) for row in rows]
    claims = sum(not entry.is_gate for entry in found)
    shown = len({entry.id for entry, _ in listed})
    return "\n\n".join([
        _wrapped(" ".join(sentences)),
        table(_HEADERS, [_cells_of(entry, verdict, report) for entry, verdict in listed], keep=len(_HEADERS)),
        _wrapped(
            f"The table shows {shown} of {claims} claims. *Same verdict*: how many of the claim's verdicts, one for "
            f"each model and variant, have this word. All verdicts are in the [validation report]({report})."
        ),
    ])  # fmt: skip


def _cells_of(entry: Entry, verdict: JSON, report: str) -> list[Any]:
    at = setup(entry.claim, verdict["model"])
    marked = f"{place(verdict)} ({at})" if at in ("published set-up", "restated") else place(verdict)
    nulls = [(name, null) for name in entry.parts if (null := chance(verdict, name))]
    return [
        Md(f"[{label(entry.claim['says'])}]({report}#{entry.id})"),
        marked,
        bold(verdict_text(verdict)),
        "; ".join(
            _named(entry, name, estimate_text(entry, part_of(verdict["parts"], name))) for name in entry.parts
        ),
        holds_when(entry.claim),
        "; ".join(_named(entry, name, f"{rounded(part)} ({null})") for name, (null, part) in nulls),
        entry.claim["reported"],
        _share(entry, outcome(verdict)),
    ]


def _named(entry: Entry, part: str, text: str) -> str:
    return f"{part} {text}" if len(entry.parts) > 1 else text


def _told(found: Sequence[Entry], template: str) -> str:
    """Paragraphs with every field filled in."""
    filled = _FIELD.sub(lambda field: markdown(fact(found, field.group(1))), template)
    return "\n\n".join(_wrapped(" ".join(paragraph.split())) for paragraph in filled.split("\n\n"))


def _of_row(entry: Entry, verdict: JSON, wanted: Sequence[str], asked: str) -> str:
    name, parts, percent = entry.parts[0], verdict["parts"], False
    for one in wanted:
        kind, _, rest = one.partition(" ")
        if kind == "word":
            return outcome(verdict).lower()
        if kind == "part":
            name = rest
        elif kind == "%":
            percent = True
        elif kind in ("null", "ceiling"):
            controls = {each["name"]: each["parts"] for each in verdict[f"{kind}s"]}
            parts = _nearest(rest, controls, kind)
        elif kind == "published":
            parts = verdict["as_published"]
        elif kind == "beside":
            name, parts = rest, [{"part": what, "estimate": x} for what, x in verdict["beside"].items()]
        elif kind == "chance":
            parts = [closest[1]] if (closest := chance(verdict, name)) else []
        else:
            raise InputError(
                f"the field {asked!r} asks for {one!r}; a field of a row asks for word, part NAME, chance, "
                f"null NAME, ceiling NAME, published, beside NAME or %"
            )
    found = float(
        _nearest(name, {part["part"]: part["estimate"] for part in parts}, f"number for {asked!r}:")
    )
    return f"{number(100 * found, 3)} %" if percent else number(found, 3)


def _row(found: Sequence[Entry], key: str) -> tuple[Entry, JSON]:
    rows = {
        row_key(entry.id, v["model"], v["variant"]): (entry, v) for entry in found for v in entry.verdicts
    }
    return _nearest(key, rows, "row")


def _cells(entry: Entry) -> list[JSON]:
    """The declared verdicts of a claim: one for each model and variant."""
    return [verdict for verdict in entry.verdicts if not verdict["own_checkpoint"]]


def _share(entry: Entry, word: str) -> str:
    """`23 of 24`: how many of a claim's verdicts have this outcome."""
    cells = _cells(entry)
    return f"{sum(outcome(verdict) == word for verdict in cells)} of {len(cells)}"


def _nearest(name: str, known: Any, kind: str) -> Any:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        raise InputError(f"these results have no {kind} {name!r}; nearest: {', '.join(close) or 'none'}")
    return known[name]


def _wrapped(text: str) -> str:
    """Lines of at most WIDTH characters; signs that would begin a list or a heading there are escaped."""
    filled = textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return re.sub(r"(?m)^(\d*)(?=[-+*#>.)]\s)", r"\1\\", filled)
