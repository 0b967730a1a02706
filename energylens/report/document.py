"""VALIDATION.md as text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from energylens.harness.one_network import is_one_network
from energylens.report.headline import apart, counts_of, first_line
from energylens.report.lines import Line, lines, lines_of
from energylens.report.one_network import checked
from energylens.report.questions import answers
from energylens.report.render import render
from energylens.report.replication import REPLICATION_FIGURE
from energylens.report.sections import section
from energylens.report.tally import tally
from energylens.report.text import Md, bold, count, label, link, markdown, number, table
from energylens.report.timeline import history_section
from energylens.report.trust import TRUST_FIGURE, trust_section
from energylens.report.view import JSON, Entry, families, forest_name, history_name, place
from energylens.report.words import denominators, expected_errors

_HEADERS = (
    "claim", "model", "set-up", "verdict", "estimate [90 % interval]", "region", "chance", "reported", "as published",
    "seeds", "can decide", "survives Holm",
)  # fmt: skip
_KNOWN = {"schema", "summary", "basis", "questions", "claims", "verdicts", "cases", "errors", "provenance"}


def document(
    results: JSON,
    found: Sequence[Entry],
    pictures: Iterable[str],
    history: Sequence[JSON] = (),
    trust: JSON | None = None,
    amendments: Sequence[JSON] = (),
) -> str:
    """Fill the template. pictures: names of the figures that exist, without suffix. Others: see `write_report`."""
    drawn = set(pictures)
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
        table=verdict_table(found),
        folded=any(entry.is_many for entry in found),
        judged=judged,
        boundaries=boundaries,
        expected=number(expected, 2),
        holm=counts_of(found)["holm"],
        forests=_forests(found, drawn),
        sections=[section(entry, found, _figures(entry, drawn)) for entry in found],
        trust=trust_section(trust or {}, _trust_figures(drawn)),
        history=history_section(found, history, _histories(found, drawn), amendments),
        provenance=provenance_table(results),
        artifacts=artifacts_table(results),
    )


def picture_names(files: Iterable[str]) -> set[str]:
    """`figures/x.png` -> `x`."""
    return {name.removeprefix("figures/").rpartition(".")[0] for name in files}


def verdict_table(found: Sequence[Entry]) -> Md:
    """All verdicts in one table; the claim is named in its first line only."""
    rows = []
    previous = ""
    for line in lines(found):
        first, previous = line.claim != previous, line.claim
        rows.append(_row(line, first))
    return table(_HEADERS, rows, keep=6)


def provenance_table(results: JSON) -> Md:
    """Where the numbers come from, one row per fact."""
    header = {name: value for name, value in results.items() if name not in _KNOWN}
    facts = {name: _fact(value) for name, value in (header | results.get("provenance", {})).items()}
    rows = [[name.replace("_", " "), fact] for name, fact in facts.items() if fact and name != "artifacts"]
    return table(["", "this run"], rows, keep=2)


def artifacts_table(results: JSON) -> Md | None:
    """The networks and dictionaries that the numbers were measured on."""
    artifacts = results.get("provenance", {}).get("artifacts", {})
    rows = [[name, _fact(artifacts[name])] for name in sorted(artifacts)]
    return table(["artifact", ""], rows, keep=2) if rows else None


def _limits_of(results: JSON) -> str:
    """Why this run may not speak for all declared claims; empty for a full run."""
    if results.get("interrupted"):
        return "This run was interrupted: what it had measured by then is shown."
    partial = results.get("complete") is False or any(v["partial"] for v in results["verdicts"])
    return "This is not a full run: some claims, models or seeds were left out." if partial else ""


SHORT_REASON = 48
"""Characters of a reason that the first table has room for; the claim's section tells every reason in full."""


def _row(line: Line, first: bool) -> list[Any]:
    claim = link(line.claim) if first else ""
    model = Md(f"… {markdown(line.model)}") if line.is_part else line.model
    verdict = markdown(line.verdict) if line.is_part else bold(line.verdict)
    if line.why and len(line.why) <= SHORT_REASON:
        verdict = Md(f"{verdict} ({markdown(line.why)})")
    judged = [line.estimate, line.region, line.chance, line.reported if first else "", line.published]
    return [claim, model, line.setup, verdict, *judged, line.seeds, line.can_decide, line.holm]


_SEEDS_DRAWN = {
    "distribution": "for each model, all seeds pooled",
    "text": "for each model, first seed",
}


def _figures(entry: Entry, drawn: set[str]) -> list[dict[str, str]]:
    texts = {f"{entry.id}_estimates": _estimates_alt(entry)}
    if entry.claim["figure"]:
        seeds = _SEEDS_DRAWN.get(entry.claim["figure"]["kind"], "for each model and seed")
        texts[f"{entry.id}_series"] = f"{entry.claim['figure']['title']}, {seeds}"
    return [{"name": Md(name), "alt": label(alt)} for name, alt in texts.items() if name in drawn]


def _estimates_alt(entry: Entry) -> str:
    if entry.is_many:
        return f"Estimates of {entry.id}, {'; '.join(told for _, told in tally(entry.verdicts))}"
    shown = [line for line in lines_of(entry) if line.estimate]
    told = [f"{line.model} {line.estimate} against {line.region}: {line.word}" for line in shown]
    return f"Estimates of {entry.id}. {'; '.join(told)}"


def _forests(found: Sequence[Entry], drawn: set[str]) -> list[dict[str, str]]:
    """One per family of claims."""
    texts = {
        forest_name(
            family
        ): f"Estimates, 90 % intervals and regions of the family {family}; {': '.join(first_line(entries))}"
        for family, entries in families(found).items()
    }
    return [{"name": Md(name), "alt": label(alt)} for name, alt in texts.items() if name in drawn]


def _histories(found: Sequence[Entry], drawn: set[str]) -> list[dict[str, str]]:
    """One per family of claims."""
    texts = {
        history_name(family): f"Estimates of the family {family} over all full runs"
        for family in families(found)
    }
    return [{"name": Md(name), "alt": label(alt)} for name, alt in texts.items() if name in drawn]


_TRUST_FIGURES = {
    "calibration": (TRUST_FIGURE, "How often a true effect is decided, by its size and the number of seeds"),
    "replication": (
        REPLICATION_FIGURE,
        "Differences to the run of record in standard errors, machine by machine",
    ),
}


def _trust_figures(drawn: set[str]) -> dict[str, list[dict[str, str]]]:
    return {
        section: [{"name": Md(name), "alt": label(alt)}]
        for section, (name, alt) in _TRUST_FIGURES.items()
        if name in drawn
    }


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
