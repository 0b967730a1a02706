"""Possible causes of two runs' disagreement on a verdict: all recorded things behind it that differ between the runs.

Each is only a candidate: of several differences it is not known which one changed the verdict.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from energylens.harness.compare.ledger import declaration_diff
from energylens.harness.declare.claim import without_measure
from energylens.harness.provenance import environment
from energylens.harness.results import ERROR
from energylens.harness.verdict import Word

JSON: TypeAlias = Mapping[str, Any]


class Kind(StrEnum):
    """Kinds of causes, in the order in which they are told."""

    DECLARATION = "declaration"
    SEED = "seed"
    DATA = "data"
    RECIPE = "recipe"
    CODE = "code"
    ENVIRONMENT = "environment"
    NOT_RUN = "not run"
    NOT_RECORDED = "not recorded"
    NOT_EXPLAINED = "not explained"


UNEXPLAINED = "same code, same recipe, same data, same environment, same seeds"
"""Detail of a verdict that differs though nothing behind it does: something is not deterministic."""


@dataclass(frozen=True)
class Cause:
    """One thing that differs. where: labels of the artifacts that it concerns, if it concerns artifacts."""

    kind: Kind
    detail: str
    where: tuple[str, ...] = ()


def causes(old: JSON, new: JSON, before: JSON, after: JSON) -> list[Cause]:
    """Causes that may explain the verdicts `before` and `after` of one row, in the results `old` and `new`."""
    unfinished = [verdict for verdict in (before, after) if verdict["word"] in (Word.NOT_RUN, ERROR)]
    if unfinished:
        return [Cause(Kind.NOT_RUN, verdict["reason"]) for verdict in unfinished]
    found = [*_of_declaration(old, new, before["claim"]), *_of_seeds(before, after), *_of_data(before, after)]
    found += _of_environment(old["provenance"], new["provenance"])
    remade: tuple[str, ...] = ()
    if all("basis" in verdict for verdict in (before, after)):
        pairs, unpaired = _artifacts(old, new, before, after)
        if not any(cause.kind in (Kind.DECLARATION, Kind.SEED) for cause in found):  # else these are why
            found += unpaired
        found += [cause for pair in pairs for cause in _of_artifact(*pair)]
        found += _of_files(old["basis"]["sources"], new["basis"]["sources"], before, after)
        remade = tuple(b["label"] for a, b in pairs if a["payload"] != b["payload"])
    else:
        commits = " -> ".join(run["provenance"]["commit"][:9] or "none" for run in (old, new))
        found.append(Cause(Kind.NOT_RECORDED, f"which code and recipes; commit {commits}"))
    if not found:
        bits = "; made again, these have other bits" if remade else ""
        found.append(Cause(Kind.NOT_EXPLAINED, UNEXPLAINED + bits, remade))
    return _merged(found)


def reached_from(names: Iterable[str], links: Mapping[str, Iterable[str]]) -> set[str]:
    """Names that these link to, directly or not, and these: files and their imports, artifacts and their inputs."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += links.get(name, ())
    return reached


def declarations(old: JSON, new: JSON, claim: str) -> tuple[dict[str, str], dict[str, str]]:
    """A claim's declaration in each run, without the hash of code; empty where a run does not know the claim."""
    first, second = (
        {c["id"]: without_measure(c["declaration"]) for c in run["claims"]} for run in (old, new)
    )
    return first.get(claim, {}), second.get(claim, {})


def _merged(found: Iterable[Cause]) -> list[Cause]:
    """Causes in the order of their kinds, merged where they differ only in the artifacts that they concern."""
    where: dict[tuple[Kind, str], dict[str, None]] = {}
    for cause in found:
        where.setdefault((cause.kind, cause.detail), {}).update(dict.fromkeys(cause.where))
    merged = [Cause(kind, detail, tuple(labels)) for (kind, detail), labels in where.items()]
    return sorted(merged, key=lambda cause: list(Kind).index(cause.kind))


def _of_declaration(old: JSON, new: JSON, claim: str) -> Iterator[Cause]:
    """Differences in the declarations of the claim and of the gates that it lists in either run."""
    declared = [c for run in (old, new) for c in run["claims"] if c["id"] == claim]
    gates = {gate["claim"]: None for each in declared for gate in each["gates"]}
    for each in (claim, *gates):
        for line in declaration_diff(*declarations(old, new, each)):
            yield Cause(Kind.DECLARATION, f"{'' if each == claim else f'gate {each}: '}{line}")


def _of_seeds(before: JSON, after: JSON) -> Iterator[Cause]:
    if before["seeds"] != after["seeds"]:
        first, second = (", ".join(map(str, verdict["seeds"])) for verdict in (before, after))
        yield Cause(Kind.SEED, f"{first} -> {second}")


def _of_data(before: JSON, after: JSON) -> Iterator[Cause]:
    """Differences in the fingerprint of the training data; none where a verdict of an older file has no fingerprint."""
    first, second = (verdict.get("data", "unknown")[:12] or "none" for verdict in (before, after))
    if first != second and "unknown" not in (first, second):
        yield Cause(Kind.DATA, f"{first} -> {second}")


def _of_environment(old: JSON, new: JSON) -> Iterator[Cause]:
    changed = _changed(environment(old), environment(new))
    yield from (Cause(Kind.ENVIRONMENT, line) for line in changed)


def _of_files(old: JSON, new: JSON, before: JSON, after: JSON) -> Iterator[Cause]:
    """Differences in files that measured or judged, or that these import."""
    if before["basis"]["code"] == after["basis"]["code"]:
        return
    first, second = _hashes(old, before), _hashes(new, after)
    for name in sorted({**first, **second}):
        if first.get(name) != second.get(name):
            note = " (new)" if name not in first else " (gone)" if name not in second else ""
            yield Cause(Kind.CODE, name + note)


def _hashes(sources: JSON, verdict: JSON) -> dict[str, str]:
    imports = {name: source["imports"] for name, source in sources.items()}
    return {name: sources[name]["hash"] for name in reached_from(verdict["basis"]["sources"], imports)}


def _artifacts(
    old: JSON, new: JSON, before: JSON, after: JSON
) -> tuple[list[tuple[JSON, JSON]], list[Cause]]:
    """Pairs of corresponding artifacts of both runs, and causes for artifacts that only one run used.

    Artifacts correspond if they have the same key; else the same label, if it is unique; else the same place among the
    rest, if their classes agree.
    """
    first, second = (
        {key: run["basis"]["artifacts"][key] for key in verdict["basis"]["artifacts"]}
        for run, verdict in ((old, before), (new, after))
    )
    pairs = [(first.pop(key), second.pop(key)) for key in sorted(first.keys() & second.keys())]
    ours, theirs = _by_unique_label(first), _by_unique_label(second)
    pairs += [
        (first.pop(ours[label]), second.pop(theirs[label])) for label in sorted(ours.keys() & theirs.keys())
    ]
    left, right = (sorted(found.values(), key=_place) for found in (first, second))
    if [a["recipe"]["class"] for a in left] == [b["recipe"]["class"] for b in right]:
        return [*pairs, *zip(left, right, strict=True)], []
    unpaired = [Cause(Kind.RECIPE, "no longer used", (a["label"],)) for a in left]
    return pairs, unpaired + [Cause(Kind.RECIPE, "not used before", (b["label"],)) for b in right]


def _by_unique_label(artifacts: JSON) -> dict[str, str]:
    counts = Counter(artifact["label"] for artifact in artifacts.values())
    return {artifact["label"]: key for key, artifact in artifacts.items() if counts[artifact["label"]] == 1}


def _place(artifact: JSON) -> tuple[str, str, str]:
    return artifact["recipe"]["class"], artifact["label"], str(artifact["recipe"])


def _of_artifact(first: JSON, second: JSON) -> Iterator[Cause]:
    """Causes for the differences between two corresponding artifacts."""
    where = (second["label"],)
    yield from (Cause(Kind.RECIPE, line, where) for line in _changed(first["recipe"], second["recipe"]))
    yield from (Cause(Kind.DATA, line, where) for line in _changed(first["data"], second["data"]))
    if first["code"] != second["code"]:
        yield Cause(Kind.CODE, f"what {second['recipe']['class']} runs", where)
    if first["payload"] != second["payload"]:
        changed = _changed(first["built_with"], second["built_with"])
        yield from (Cause(Kind.ENVIRONMENT, f"built with {line}", where) for line in changed)


def _changed(old: JSON, new: JSON) -> Iterator[str]:
    """`steps 800 -> 1000`; long hashes are cut."""
    for name in {**old, **new}:
        first, second = (str(found.get(name, "none")) for found in (old, new))
        if first != second:
            long = all(len(text) == 64 for text in (first, second))
            yield f"{name} {first[:12] if long else first} -> {second[:12] if long else second}"
