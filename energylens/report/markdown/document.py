"""Text of VALIDATION.md, the index of a report, and of the beginnings of its other pages."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from energylens.harness.one_network import is_one_network
from energylens.report.content.entries import JSON, Entry, families, part_of, place
from energylens.report.content.headline import apart, counts_of, first_line
from energylens.report.content.one_network import checked
from energylens.report.content.questions import answers
from energylens.report.content.readable import Md, bold, count, label, link, markdown, number, table
from energylens.report.content.sentences import (
    counted,
    denominators,
    expected_errors,
    holds_when,
    outcome,
    verdict_of,
)
from energylens.report.content.trust_lines import trust_lines
from energylens.report.content.verdict_rows import Line, estimates_span, lines
from energylens.report.markdown.pictures import forests
from energylens.report.markdown.render import render

_HEADERS = (
    "claim", "model", "set-up", "verdict", "estimate [90 % interval]", "region", "chance", "reported",
    "original estimator", "seeds", "HOLDS, REFUTED in reach", "survives Holm",
)  # fmt: skip
_KNOWN = {"schema", "summary", "basis", "questions", "claims", "verdicts", "cases", "errors", "provenance"}


def index(results: JSON, found: Sequence[Entry], about: Collection[str], trust: JSON) -> str:
    """VALIDATION.md: the findings, links to the pages, how far to trust them. about: pages on the run that exist."""
    judged, boundaries, expected = expected_errors(found)
    errors = list(results["errors"])
    return render(
        "VALIDATION.md.j2",
        headline=": ".join(first_line(found)),
        stated=""
        if checked(found)
        else count(sum(counts_of(found)["published"].values()), "as-stated finding"),
        apart=apart(found),
        denominators=denominators(found),
        own=_own_checkpoints(results),
        one_network=checked(found),
        limits=_limits_of(results),
        errors=errors,
        moved=_moved(found),
        errors_text=count(len(errors), "case raised an exception", "cases raised an exception"),
        questions=answers(results, found),
        table=claims_table(found),
        families=Md(", ".join(f"[{label(name)}](families/{name}.md)" for name in families(found))),
        judged=judged,
        boundaries=boundaries,
        expected=number(expected, 2),
        holm=counts_of(found)["holm"],
        trust=trust_lines(trust),
        provenance=provenance_table(results),
        about=about,
    )


def family_head(family: str, members: Sequence[Entry], drawn: set[str]) -> str:
    """The beginning of a family's page: its headline, the table of its verdicts, and the figure of its estimates."""
    return render(
        "family.md.j2",
        family=family,
        headline=": ".join(first_line(members)),
        table=verdict_table(members),
        folded=any(entry.is_many for entry in members),
        forests=forests(members, drawn),
    )


def errors_of(results: JSON) -> list[str]:
    """Every case that raised an exception, with the text of the exception."""
    return [render("error.md.j2", error=error) for error in results["errors"]]


def claims_table(found: Sequence[Entry]) -> Md:
    """All claims, one row each, with an anchor for links from other documents."""
    rows = [
        [
            Md(f'<a id="{entry.id}"></a>{link(entry.id)}'),
            bold(verdict_of(entry)),
            ", ".join(counted(map(outcome, entry.verdicts))) if len(entry.verdicts) > 1 else "",
            "; ".join(_estimates(entry)),
            holds_when(entry.claim),
            entry.claim["reported"],
        ]
        for entry in found
    ]
    headers = [
        "claim",
        "verdict",
        "verdicts by model and variant",
        "estimates (range)",
        "holds when",
        "reported",
    ]
    return table(headers, rows, keep=5)


def _estimates(entry: Entry) -> Iterator[str]:
    """Range of the estimates of every part of a claim."""
    for name in entry.parts:
        told = estimates_span([part_of(verdict["parts"], name) for verdict in entry.verdicts])
        if told:
            yield f"{name} {told}" if len(entry.parts) > 1 else told


def picture_names(files: Iterable[str]) -> set[str]:
    """`figures/x.png` -> `x`."""
    return {name.removeprefix("figures/").rpartition(".")[0] for name in files}


def verdict_table(found: Sequence[Entry]) -> Md:
    """All verdicts of these claims; each claim is named in its first row only."""
    rows = []
    previous = ""
    for line in lines(found):
        first, previous = line.claim != previous, line.claim
        rows.append(_row(line, first))
    return table(_HEADERS, rows, keep=6)


def provenance_table(results: JSON) -> Md:
    """Provenance of the numbers, one row per fact."""
    header = {name: value for name, value in results.items() if name not in _KNOWN}
    facts = {name: _fact(value) for name, value in (header | results.get("provenance", {})).items()}
    rows = [[name.replace("_", " "), fact] for name, fact in facts.items() if fact and name != "artifacts"]
    return table(["", "this run"], rows, keep=2)


def artifact_tables(results: JSON) -> list[str]:
    """The networks and dictionaries that the numbers were measured on, in tables of ROWS."""
    artifacts = results.get("provenance", {}).get("artifacts", {})
    rows = [[name, _fact(artifacts[name])] for name in sorted(artifacts)]
    return [f"{table(['artifact', ''], rows[i : i + ROWS], keep=2)}\n" for i in range(0, len(rows), ROWS)]


def _limits_of(results: JSON) -> str:
    """Why this run may not speak for all declared claims; empty for a full run."""
    if results.get("interrupted"):
        return "This run was interrupted: the report shows what was measured until then."
    partial = results.get("complete") is False or any(v["partial"] for v in results["verdicts"])
    return "This is not a full run: some claims, models or seeds were left out." if partial else ""


ROWS = 500
"""Number of artifacts per table: pages may break between tables."""

SHORT_REASON = 48
"""Longest reason, in characters, that the table of verdicts shows; the claim's section tells every reason in full."""


def _row(line: Line, first: bool) -> list[Any]:
    claim = link(line.claim) if first else ""
    model = Md(f"… {markdown(line.model)}") if line.is_part else line.model
    verdict = markdown(line.verdict) if line.is_part else bold(line.verdict)
    if line.why and len(line.why) <= SHORT_REASON:
        verdict = Md(f"{verdict} ({markdown(line.why)})")
    judged = [line.estimate, line.region, line.chance, line.reported if first else "", line.published]
    return [claim, model, line.setup, verdict, *judged, line.seeds, line.can_decide, line.holm]


def _own_checkpoints(results: JSON) -> str:
    if not any(v["own_checkpoint"] and not is_one_network(v) for v in results["verdicts"]):
        return ""
    return "Rows marked own checkpoint are not counted."


def _moved(found: Sequence[Entry]) -> Md:
    """Links to the verdicts that are not the recorded ones, by kind."""
    by_status: dict[str, list[str]] = {}
    for entry in found:
        for verdict in entry.verdicts:
            status = (verdict.get("ledger") or {}).get("status", "same")
            if status not in ("same", "unrecorded"):
                shown = f"{link(entry.id)} on {markdown(place(verdict))}"
                by_status.setdefault(status, []).append(shown)
    return Md("; ".join(f"**{markdown(status)}**: {', '.join(links)}" for status, links in by_status.items()))


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(item)}" for name, item in value.items() if _fact(item))
    if isinstance(value, list):
        return ", ".join(map(_fact, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value, 6) if isinstance(value, float) else str("" if value is None else value)
