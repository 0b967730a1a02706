"""The ledger of the verdicts that we currently stand by, and the comparison of a run with them.

`ledger.toml` has one table per claim, model and variant: verdict, estimates, the declaration and its hash, a digest of
the artifacts' bits, and the machine. On the same artifacts a flip between HOLDS, REFUTED and INVALID is red (it fails
the run); a change into or out of INCONCLUSIVE is drift, and so is any change on other data (the text of another
Python); an edited declaration is amended, with its diff.

On other artifacts, or another machine, a run is a replication: a verdict with another word *differs here*, with the
difference in standard errors, and is not red. An estimate more than `replication.FAR` standard errors away *does not
replicate*, whatever its word.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from energylens.errors import InputError
from energylens.harness.compare.replication import FAR, Estimate, estimate_of, z_value
from energylens.harness.declare.claim import MEASURE, hash_of
from energylens.harness.json_values import replace_file
from energylens.harness.provenance import machine_of
from energylens.harness.verdict import Word, row_key

CONTROLS = "controls"
"""Entry of a row: digest of the numbers of the claim's nulls and ceilings; rows of older ledgers have none."""


class Mode(StrEnum):
    """How a run treats the ledger: `--ledger=MODE`."""

    CHECK = "check"
    STRICT = "strict"
    UPDATE = "update"
    IGNORE = "ignore"


class Status(StrEnum):
    """How a verdict compares with the recorded one."""

    SAME = "same"
    FLIP = "flip"
    DRIFT = "drift"
    AMENDED = "amended"
    UNRECORDED = "unrecorded"
    DIFFERS = "differs here"
    NOT_REPLICATED = "does not replicate"


@dataclass(frozen=True)
class Comparison:
    """One verdict against its row of the ledger.

    z: of every part, where the run is a replication; see `energylens.harness.compare.replication`.
    """

    status: Status
    red: bool
    message: str = ""
    recorded: Mapping[str, Any] = field(default_factory=dict)
    z: Mapping[str, float] = field(default_factory=dict)


def read_ledger(path: Path) -> dict[str, dict[str, Any]]:
    """Rows by key; empty when there is no file. Raises InputError, naming the file, when it is not TOML.

    A row of an older ledger has no machine of its own: it was recorded on the machine of the ledger's environment.
    """
    if not path.exists():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}; mend it, or restore it from git") from None
    environment = content.get("environment", {})
    made_on = {"machine": machine_of(environment)} if "cpu" in environment else {}
    return {
        key: row if "machine" in row else row | made_on for key, row in content.get("verdicts", {}).items()
    }


def compare(
    verdict: Mapping[str, Any], claim: Mapping[str, Any], row: Mapping[str, Any] | None, mode: Mode
) -> Comparison:
    """Compare a verdict with its recorded row; verdict and claim as results.json holds them.

    Never red are a user's own checkpoint, NOT RUN and, except in strict mode, claims that measure time.
    """
    key, word = row_key(verdict["claim"], verdict["model"], verdict["variant"]), verdict["word"]
    if mode in (Mode.IGNORE, Mode.UPDATE) or verdict["own_checkpoint"] or word == Word.NOT_RUN:
        return Comparison(Status.UNRECORDED if row is None else Status.SAME, False, recorded=row or {})
    strict = mode is Mode.STRICT
    if row is None:
        red = strict or word in (Word.REFUTED, Word.INVALID)
        return Comparison(Status.UNRECORDED, red, f"{key} is {word} and not in the ledger")
    if row["declaration_hash"] != claim["declaration_hash"]:
        return _amended(row, verdict, claim, strict)
    if claim.get("timed"):  # the same artifacts cost other seconds in every run
        return _replicated(key, verdict, row, {}, strict)
    if is_replication(verdict, row):
        return _replicated(key, verdict, row, _z_by_part(row, verdict), strict)
    if row["verdict"] == word:
        return Comparison(Status.SAME, False, recorded=row)
    message = f"{key}: {row['verdict']} -> {word}\n{_numbers(row, verdict)}"
    other_data = row.get("data", "") != verdict.get("data", "")
    if other_data:
        old, new = (found.get("data", "")[:12] or "none" for found in (row, verdict))
        message += f"\n  on other data: {old} -> {new}"
    drift = Word.INCONCLUSIVE in (row["verdict"], word) or verdict["partial"] or other_data
    return Comparison(Status.DRIFT if drift else Status.FLIP, strict or not drift, message, row)


def is_replication(verdict: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the verdict rests on other artifacts than the recorded one, or was measured on another machine.

    Entries that either lacks are taken as equal. A run on fewer seeds or on other data is no replication.
    """
    if verdict["partial"] or row.get("data", "") != verdict.get("data", ""):
        return False
    told = ((row.get(name, ""), verdict.get(name, "")) for name in ("artifacts", "machine"))
    return any(old and new and old != new for old, new in told)


def _replicated(
    key: str, verdict: Mapping[str, Any], row: Mapping[str, Any], z: Mapping[str, float], strict: bool
) -> Comparison:
    """Comparison of a replication, or of a claim that measures time: it is red in strict mode only."""
    far = any(abs(each) > FAR for each in z.values())
    same = row["verdict"] == verdict["word"]
    if same and not far:
        return Comparison(Status.SAME, False, recorded=row, z=z)
    status = Status.NOT_REPLICATED if far else Status.DIFFERS
    message = f"{key}: {row['verdict']} -> {verdict['word']}\n{_numbers(row, verdict, z)}"
    if row.get("machine") and row["machine"] != verdict.get("machine"):
        message += f"\n  recorded on {row['machine']}\n  measured on {verdict['machine']}"
    elif is_replication(verdict, row):
        message += "\n  on the same machine, but other artifacts"
    else:
        message += "\n  on the same machine, timed again"
    return Comparison(status, strict, message, row, z)


def _z_by_part(row: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, float]:
    return {part["part"]: _z(part, row) for part in verdict["parts"] if part["part"] in row["estimates"]}


def _z(part: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """z of every part against the recorded row; NaN for a row without standard error."""
    name = part["part"]
    recorded = Estimate(
        float(row["estimates"][name][0]),
        float(row.get("standard_errors", {}).get(name, "nan")),
        row.get("scales", {}).get(name, "linear"),
    )
    return z_value(recorded, estimate_of(part))


def _amended(
    row: Mapping[str, Any], verdict: Mapping[str, Any], claim: Mapping[str, Any], strict: bool
) -> Comparison:
    """Comparison of a verdict on another declaration than the recorded one, or by other measuring code."""
    if _differs_in_measure_alone(row, claim):
        return _other_measure(row, verdict, claim, strict)
    key = row_key(verdict["claim"], verdict["model"], verdict["variant"])
    changed = "\n".join(f"  {line}" for line in declaration_diff(row["declaration"], claim["declaration"]))
    message = f"{key}: {row['verdict']} -> {verdict['word']}, the declaration changed\n{changed}"
    return Comparison(Status.AMENDED, strict, message, row)


def _differs_in_measure_alone(row: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether the declaration is the recorded one and its measuring code is another, or is not recorded."""
    if row["declaration_hash"] == claim["declaration_hash"]:
        return False
    changed = list(declaration_diff(row["declaration"], claim["declaration"]))
    return bool(changed) and all(line.startswith(f"{MEASURE}: ") for line in changed)


def _other_measure(
    row: Mapping[str, Any], verdict: Mapping[str, Any], claim: Mapping[str, Any], strict: bool
) -> Comparison:
    """Comparison by other measuring code: same if word and numbers are, to six digits; else amended.

    Numbers of nulls and ceilings count: comparisons with chance and with the ceiling rest on them.
    """
    qualifiers = list(row.get("qualifiers", ())), list(verdict["qualifiers"])
    same = row["verdict"] == verdict["word"] and qualifiers[0] == qualifiers[1]
    same &= CONTROLS not in row or row[CONTROLS] == controls_digest(verdict)
    if same and _is_recorded(row["estimates"], estimates_of(verdict)):
        return Comparison(Status.SAME, False, recorded=row)
    key = row_key(verdict["claim"], verdict["model"], verdict["variant"])
    (changed,) = declaration_diff(row["declaration"], claim["declaration"])
    z = _z_by_part(row, verdict) if is_replication(verdict, row) and not claim.get("timed") else {}
    old, new = (
        ", ".join([word, *others])
        for word, others in zip((row["verdict"], verdict["word"]), qualifiers, strict=True)
    )
    moved = f"{key}: {old} -> {new}\n{_numbers(row, verdict, z)}"
    return Comparison(Status.AMENDED, strict, f"amended: measure of {moved}\n  {changed}", row, z)


def _is_recorded(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether word and numbers are the recorded ones; compared as text, so that NaN equals NaN."""
    texts = [
        {part: [str(short(x)) for x in numbers] for part, numbers in each.items()}
        for each in (recorded, found)
    ]
    return texts[0] == texts[1]


def estimates_of(verdict: Mapping[str, Any]) -> dict[str, list[float]]:
    """[estimate, low, high] of every part, as the ledger records them."""
    names = ("estimate", "low", "high")
    return {part["part"]: [short(part[name]) for name in names] for part in verdict["parts"]}


def controls_digest(verdict: Mapping[str, Any]) -> str:
    """First 16 hex digits of the sha256 of the numbers of nulls and ceilings (six digits); empty without these.

    A null that does not qualify, and so is only printed beside the claim, does not count.
    """
    nulls = [null for null in verdict.get("nulls", ()) if null["qualifies"]]
    numbers = {
        f"{kind} {each['name']}": {
            name: [str(x) for x in three] for name, three in estimates_of(each).items()
        }
        for kind, controls in (("null", nulls), ("ceiling", verdict.get("ceilings", ())))
        for each in controls
    }
    return hash_of(numbers) if numbers else ""


def updated(
    rows: Mapping[str, dict[str, Any]],
    results: Mapping[str, Any],
    complete: bool,
    declared: Iterable[str] = (),
) -> dict[str, dict[str, Any]]:
    """The ledger after a run: judged rows replaced, and after a complete run rows of vanished claims dropped.

    declared: keys of rows that are declared and not in these results, such as those of larger tiers. Partial, NOT
    RUN and own-checkpoint verdicts and errors are never recorded. The row of a claim that measures time is kept where
    only its times differ.
    """
    claims = {claim["id"]: claim for claim in results["claims"]}
    by_key = {row_key(v["claim"], v["model"], v["variant"]): v for v in results["verdicts"]}
    known = by_key.keys() | set(declared)
    kept = {key: row for key, row in rows.items() if not complete or key in known}
    for key, verdict in by_key.items():
        claim = claims[verdict["claim"]]
        if is_recorded(verdict) and not (key in kept and _timed_again(kept[key], verdict, claim)):
            kept[key] = _row(verdict, claim)
    return dict(sorted(kept.items()))


def is_recorded(verdict: Mapping[str, Any]) -> bool:
    """Whether `--ledger=update` records the verdict."""
    judged = verdict["word"] in set(Word) - {Word.NOT_RUN}
    return judged and not verdict["partial"] and not verdict["own_checkpoint"]


def _timed_again(row: Mapping[str, Any], verdict: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether a claim that measures time differs from its row in nothing but times, so that the row is kept."""
    told = [(row["declaration_hash"], claim["declaration_hash"]), (row["verdict"], str(verdict["word"]))]
    told += [(row.get(name, ""), verdict.get(name, "")) for name in ("artifacts", "machine", "data")]
    return bool(claim.get("timed")) and all(old == new for old, new in told)


def write_ledger(path: Path, rows: Mapping[str, dict[str, Any]], environment: Mapping[str, Any]) -> None:
    """Write the ledger in one step: a reader sees the old file or the new one."""
    import tomli_w

    text = tomli_w.dumps({"environment": dict(environment), "verdicts": dict(rows)})
    replace_file(path, f"# Written by `pytest --ledger=update`; review the diff like code.\n{text}".encode())


def declaration_diff(old: Mapping[str, str], new: Mapping[str, str]) -> Iterable[str]:
    """`region: '≥ 4.5' -> '≥ 1.5'` for every entry of a claim's declaration that differs."""
    for name in sorted({*old, *new}):
        if old.get(name, "") != new.get(name, ""):
            yield f"{name}: {old.get(name, '')!r} -> {new.get(name, '')!r}"


def short(value: float | str) -> float:
    """A number to six significant digits: enough to see a change, few enough to review."""
    return float(f"{float(value):.6g}")


def _row(verdict: Mapping[str, Any], claim: Mapping[str, Any]) -> dict[str, Any]:
    scales = {
        part["part"]: part["scale"] for part in verdict["parts"] if part.get("scale", "linear") != "linear"
    }
    controls = controls_digest(verdict)
    return {
        "verdict": str(verdict["word"]),
        "qualifiers": list(verdict["qualifiers"]),
        **({"data": verdict["data"]} if verdict.get("data") else {}),
        "estimates": estimates_of(verdict),
        "standard_errors": {part["part"]: short(estimate_of(part).se) for part in verdict["parts"]},
        **({"scales": scales} if scales else {}),
        **({CONTROLS: controls} if controls else {}),
        **{name: verdict[name] for name in ("artifacts", "machine") if verdict.get(name)},
        "declaration_hash": claim["declaration_hash"],
        "declaration": claim["declaration"],
    }


def _numbers(row: Mapping[str, Any], verdict: Mapping[str, Any], z: Mapping[str, float] | None = None) -> str:
    lines = []
    for part in verdict["parts"]:
        old = row["estimates"].get(part["part"])
        before = _interval(*old) if old else "not recorded"
        now = _interval(part["estimate"], part["low"], part["high"])
        told = f", z = {z[part['part']]:.1f}" if z and part["part"] in z else ""
        lines.append(f"  {part['part']}: {before} -> {now}{told}, region {part['region']}")
    return "\n".join([*lines, f"  {verdict['reason']}"]).rstrip()


def _interval(estimate: float | str, low: float | str, high: float | str) -> str:
    return f"{float(estimate):.4g} [{float(low):.4g}, {float(high):.4g}]"
