"""The first lines of every output: findings as published; separately, other models and restated versions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from energylens.harness.headline import headline, is_published
from energylens.report.content.entries import JSON, Entry
from energylens.report.content.one_network import alone_and_others, networks
from energylens.report.content.readable import count

_TOLD = {
    "holds": ("holds", "hold"), "holds by chance too": ("by chance too", "by chance too"),
    "refuted": ("refuted", "refuted"), "open": ("open", "open"), "invalid": ("invalid", "invalid"),
    "undefined": ("undefined", "undefined"), "not run here": ("not run here", "not run here"),
    "error": ("error", "errors"),
}  # fmt: skip


_OF_ONE = {
    "HOLDS": ("holds", "hold"), "REFUTED": ("refuted", "refuted"), "INCONCLUSIVE": ("open", "open"),
    "INVALID": ("invalid", "invalid"), "NOT RUN": ("not run", "not run"), "ERROR": ("error", "errors"),
}  # fmt: skip


def first_line(found: Sequence[Entry]) -> tuple[str, str]:
    """The headline of a run, as what it counts and the counts: ("As published", "2 hold, 9 refuted").

    A run on one network alone tells nothing about findings: ("One network", "3 hold, 2 refuted").
    """
    alone, _ = alone_and_others(found)
    if not alone:
        return "As published", as_published(found)
    told = Counter(entry.word for entry in alone if not entry.is_gate)
    words = [count(told[word], *_OF_ONE[word]) for word in _OF_ONE if told[word]]
    broken = sum(map(is_broken, alone))
    extra = [count(broken, "broken gate")] if broken else []
    name = networks(alone)
    return name[0].upper() + name[1:], "; ".join([", ".join(words) or "no claims", *extra])


def as_published(found: Sequence[Entry]) -> str:
    """`2 hold, 3 by chance too, 9 refuted, 4 open`: findings as stated, on the models that they were published on.

    Errors elsewhere and broken gates are always added.
    """
    counts = counts_of(found)["published"]
    extra = []
    if broken := sum(map(is_broken, found)):
        extra.append(count(broken, "broken gate"))
    failed = sum(entry.word == "ERROR" for entry in found) - counts.get("error", 0)
    if failed > 0:
        extra.append(count(failed, "error elsewhere", "errors elsewhere"))
    return "; ".join([counts_text(counts), *extra])


def apart(found: Sequence[Entry]) -> dict[str, str]:
    """Counts apart from the headline, by title: other models, restated claims, other sizes, undefined claims."""
    counts = counts_of(found)
    told: dict[str, str] = {}
    if elsewhere := counts["elsewhere"]:
        pairs = count(sum(elsewhere.values()), "pair of a claim and a model", "pairs of a claim and a model")
        told["On other models"] = f"{counts_text(elsewhere)} ({pairs})"
    if restated := counts["restated"]:
        told["Restated"] = f"{counts_text(restated)} ({count(sum(restated.values()), 'claim')})"
    if larger := counts["larger"]:
        told["At another size"] = f"{counts_text(larger)} ({count(sum(larger.values()), 'claim')})"
    if undefined := counts["undefined"]:
        told["Undefined"] = "; ".join(
            f"{one['claim']} on {', '.join(one['models'])}, see {one['see']}" for one in undefined
        )
    return told


def counts_of(found: Sequence[Entry]) -> dict[str, Any]:
    """The headline of these entries, by the rule of results.json."""
    return headline([entry.claim for entry in found], [v for entry in found for v in entry.verdicts])


def counts_text(counts: Mapping[str, int]) -> str:
    """`9 hold, 4 refuted, 1 open`."""
    told = [count(counts[word], *forms) for word, forms in _TOLD.items() if counts.get(word)]
    return ", ".join(told) or "no claims"


def is_broken(entry: Entry) -> bool:
    """Whether this is a gate that was run and does not pass, or passes what it must reject."""
    return entry.is_gate and entry.word not in ("HOLDS", "NOT RUN", "ERROR")


def setup(claim: JSON, model: str) -> str:
    """The kind of a row: published set-up, other model or restated claim; empty for gates."""
    if claim["role"] == "gate":
        return ""
    if claim["stated"] == "restated" or claim.get("published_on") is None:
        return str(claim["stated"])
    return "published set-up" if is_published(claim, model) else "other model"
