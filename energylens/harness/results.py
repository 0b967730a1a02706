"""results.json: the one record of a run, and the only input of every report, badge and figure.

Numbers that differ between two equal runs, such as times, are not in it: see `energylens.harness.quiet`.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from energylens.errors import InputError
from energylens.harness.declare.claim import MEASURE, Claim, hash_of
from energylens.harness.declare.decidable import described
from energylens.harness.headline import headline
from energylens.harness.json_values import plain, write_lines_of_json
from energylens.harness.one_network import is_one_network
from energylens.harness.quiet import in_order, quiet
from energylens.harness.run_folder import RunFolder
from energylens.harness.timings import timings_of, write_timings
from energylens.harness.verdict import AS_IT_MUST, ERROR, Unit, Word, row_key

SCHEMA = 1

NOT_SELECTED = "not selected in this run"
"""Reason of a declared verdict that this run did not ask for."""

_WORST_FIRST = (ERROR, Word.REFUTED, Word.INVALID, Word.INCONCLUSIVE, Word.NOT_RUN, Word.HOLDS)


def describe_claim(claim: Claim, root: Path, measure: str = "") -> dict[str, Any]:
    """A declaration as it goes into results.json; `root` shortens the file name.

    measure: hash of the code that measures, which becomes part of the declaration.
    """
    declaration = claim.declaration | ({MEASURE: measure} if measure else {})
    file, _, line = claim.where.rpartition(":")
    path = Path(file)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    fields = plain({name: getattr(claim, name) for name in _SHOWN})
    return fields | {
        "statistics": {part: statistic.describes for part, statistic in claim.statistics.items()},
        "nulls": [{"name": n.name, "why": n.why, "qualifies": n.qualifies} for n in claim.nulls],
        "ceilings": [{"name": c.name, "why": c.why} for c in claim.ceilings],
        "reach": described(claim),
        "declaration": declaration,
        "declaration_hash": hash_of(declaration),
        "file": shown.as_posix(),
        "line": int(line),
        "rerun": f"pytest {shown.as_posix()}::{claim.function}",
    }


_SHOWN = (
    "id", "says", "source", "reported", "stated", "unit", "note", "tier", "role", "models", "variants", "seeds",
    "regions", "gates", "must_fail", "competence", "figure", "extends", "published_on",
    "seeds_on", "undefined_is", "timed",
)  # fmt: skip


def assemble(run: RunFolder, **header: Any) -> dict[str, Any]:
    """The results of a run: all that it recorded, in the order of declaration. header: provenance, times, selection."""
    verdicts = {_key(verdict): verdict for verdict in run.verdicts()}
    errors = run.notes("error")
    touched = {verdict["claim"] for verdict in verdicts.values()} | {case["claim"] for case in run.cases()}
    # A claim at another size (`in_full`) is no finding of its own: it is told of only where it was run.
    declared = [
        claim for claim in run.notes("claim").values() if not claim["extends"] or claim["id"] in touched
    ]
    declared.sort(key=lambda claim: (claim["file"], claim["line"], claim["extends"]))
    order = {claim["id"]: i for i, claim in enumerate(declared)}
    rows = {key: row for key, row in run.notes("row").items() if row["claim"] in order}
    for key, row in rows.items():
        verdicts.setdefault(key, _missing(row, failed=any(e["row"] == key for e in errors.values())))
    comparisons = run.notes("ledger")
    for key, verdict in verdicts.items():
        verdict["ledger"] = comparisons.get(key)
    ordered = sorted(verdicts.values(), key=lambda v: (order.get(v["claim"], 0), rows[_key(v)]["index"]))
    _add_holm(ordered, gates={claim["id"] for claim in declared if claim["role"] == "gate"})
    return {
        "schema": SCHEMA,
        **header,
        "summary": summary(declared, ordered),
        "questions": _questions(run),
        "claims": declared,
        "verdicts": ordered,
        "cases": in_order(run.cases(), declared, ordered),
        "errors": [{"case": name, **error} for name, error in sorted(errors.items())],
    }


def _questions(run: RunFolder) -> list[dict[str, Any]]:
    """Questions of every file, each once, also if another file imports it."""
    by_file = sorted(run.notes("questions").items())
    return list({question["asks"]: question for _, questions in by_file for question in questions}.values())


def summary(claims: Sequence[Mapping[str, Any]], verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts over claims and over verdicts, and the headline.

    In `claims` and `by_claim` a claim is judged over all its models: one refuted model refutes it.
    """
    words = {claim["id"]: claim_word(claim["id"], verdicts) for claim in claims}
    return {
        "claims": dict(Counter(words.values())),
        "declared": len(words),
        "verdicts": dict(Counter(verdict["word"] for verdict in verdicts)),
        "by_claim": words,
        "headline": headline(claims, verdicts),
    }


def claim_word(claim: str, verdicts: Iterable[Mapping[str, Any]]) -> str:
    """The worst word over a claim's declared models and variants; a gate rejecting what it must counts as HOLDS.

    A user's own checkpoints count only in a run without other verdicts (with --model); a single network only where
    there are no verdicts on several.
    """
    rows = [verdict for verdict in verdicts if verdict["claim"] == claim]
    declared = [verdict for verdict in rows if not verdict.get("own_checkpoint")]
    several = [verdict for verdict in rows if not is_one_network(verdict)]
    words = {
        Word.HOLDS if AS_IT_MUST in verdict["qualifiers"] else verdict["word"]
        for verdict in declared or several or rows
    }
    return str(next((word for word in _WORST_FIRST if word in words), Word.NOT_RUN))


def write_results(path: Path, results: Mapping[str, Any]) -> dict[str, Any]:
    """Write results.json, and timings.json beside it; returns the content of results.json.

    A run with the results that the file holds already leaves the file as it is: its `commit` is that of the first run
    with these results, unless that run had uncommitted changes and this run has none.
    """
    committed = _as_before(quiet(results), path)
    write_lines_of_json(path, committed)
    write_timings(path, timings_of(plain(results)))
    return committed


def _as_before(results: dict[str, Any], path: Path) -> dict[str, Any]:
    """The results with the commit in the file, where only the commit differs."""
    try:
        before = parse_results(path.read_bytes(), str(path))
    except (OSError, InputError):
        return results
    first, now = before.get("provenance", {}), results.get("provenance", {})
    commit = {name: first[name] for name in ("commit", "dirty") if name in first}
    mended = first.get("dirty") and not now.get("dirty")
    if mended or before != {**results, "provenance": {**now, **commit}}:
        return results
    return before


def read_results(path: Path) -> dict[str, Any]:
    """Load and check the schema version. Raises InputError, naming the file and what it holds."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run `pytest claims/` first, or name another file") from None
    return parse_results(text, str(path))


def parse_results(text: bytes, name: str) -> dict[str, Any]:
    """The content of a results.json. Raises InputError, naming it and what it holds, for anything else."""
    try:
        results = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{name} is not JSON: {error}") from None
    found = results.get("schema") if isinstance(results, dict) else None
    if found != SCHEMA:
        raise InputError(
            f"{name} has schema {found!r}, this version reads {SCHEMA}: run `pytest claims/` again"
        )
    return results


def _key(row: Mapping[str, Any]) -> str:
    return row_key(row["claim"], row["model"], row["variant"])


def _missing(row: Mapping[str, Any], failed: bool) -> dict[str, Any]:
    """The entry of a declared row without verdict: its case raised an exception, or was not selected."""
    empty: dict[str, Any] = dict(
        qualifiers=[],
        parts=[],
        as_published=[],
        nulls=[],
        ceilings=[],
        gates=[],
        seeds=[],
        excluded=[],
        beside={},
    )
    return {
        "claim": row["claim"], "model": row["model"], "variant": row["variant"], "partial": False,
        "own_checkpoint": row["own_checkpoint"], "unit": row.get("unit", Unit.NETWORK),
        "word": ERROR if failed else str(Word.NOT_RUN),
        "reason": "an exception, see errors" if failed else NOT_SELECTED, **empty,
    }  # fmt: skip


def _add_holm(verdicts: Sequence[dict[str, Any]], gates: Collection[str]) -> None:
    """Add Holm's correction over all declared verdicts of findings, decided or not; undecided verdicts have p = 1."""
    tested = [v for v in verdicts if v["claim"] not in gates and not v["own_checkpoint"]]
    if not tested:
        return
    from energylens.stats import holm

    p_values = [_p_value(verdict) for verdict in tested]
    for verdict, p_value, survives in zip(tested, p_values, holm(p_values).survives, strict=True):
        verdict["holm"] = {"p_value": p_value, "survives": survives}


def _p_value(verdict: Mapping[str, Any]) -> float:
    """The p value of a verdict: of HOLDS the largest over parts, of REFUTED the smallest refuting p times the parts."""
    parts = [part for part in verdict["parts"] if part["word"] == verdict["word"]]
    values = [float(part["p_value"]) for part in parts]
    if verdict["word"] == Word.HOLDS:
        return max(values)
    if verdict["word"] == Word.REFUTED:
        return min(1.0, min(values) * len(verdict["parts"]))
    return 1.0
