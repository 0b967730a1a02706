"""Questions and answers: what the verdicts say, put together from the words that were declared for each outcome."""

from collections.abc import Mapping, Sequence
from typing import Any

from energylens.harness.results import NOT_SELECTED
from energylens.report.content.counted import tally
from energylens.report.content.entries import JSON, Entry
from energylens.report.content.estimates import chance_words, estimates_table
from energylens.report.content.one_network import alone_and_others
from energylens.report.content.sentences import BY_CHANCE, UNCOMPARED, holds_when, outcome

_OWN_WORDS = {BY_CHANCE: "It is no better than a control in which there is nothing to find."}
"""Meanings of outcomes for which a question declares no words."""

_UNJUDGED, _REASONS = ("INVALID", "NOT RUN"), 2
"""Outcomes whose reasons are told, and the largest number of reasons."""


def answers(results: JSON, found: Sequence[Entry]) -> list[dict[str, Any]]:
    """One answer for each question in results.json: what is asked, and what every claim says to it, in order.

    Empty for a run on one network alone: questions are about networks in general.
    """
    if alone_and_others(found)[0]:
        return []
    by_id = {entry.id: entry for entry in found}
    return [_answers(question, by_id) for question in results.get("questions", [])]


def _answers(question: JSON, by_id: Mapping[str, Entry]) -> dict[str, Any]:
    """The answer to one question; it lists no claims where none of them was selected."""
    asked = [_at_its_size(by_id, name) for name in question["answered_by"] if name in by_id]
    selected = any(verdict["reason"] != NOT_SELECTED for entry in asked for verdict in entry.verdicts)
    return {
        "asks": question["asks"],
        "claims": [
            _answer(entry, question["words"].get(entry.claim.get("extends") or entry.id, {}))
            for entry in asked
        ]
        if selected
        else [],
        "missing": [name for name in question["answered_by"] if name not in by_id],
    }


def _at_its_size(by_id: Mapping[str, Entry], name: str) -> Entry:
    """The claim itself, or the same claim at full size where only that was measured."""
    larger = [entry for entry in by_id.values() if entry.claim.get("extends") == name]
    measured = any(verdict["reason"] != NOT_SELECTED for verdict in by_id[name].verdicts)
    return by_id[name] if measured or not larger else larger[0]


def _answer(entry: Entry, words: JSON) -> dict[str, Any]:
    """What one claim says to a question. A user's own checkpoints are in the table, not in the counts."""
    verdicts = [v for v in entry.verdicts if not v["own_checkpoint"]] or list(entry.verdicts)
    return {
        "id": entry.id,
        "says": entry.claim["says"],
        "stated": entry.claim["stated"],
        "holds_when": holds_when(entry.claim),
        "outcomes": [_outcome(one, told, verdicts, words) for one, told in tally(verdicts)]
        or [_nothing(words)],
        "table": estimates_table(entry),
        "chance": chance_words(entry),
    }


def _outcome(one: str, told: str, verdicts: Sequence[JSON], words: JSON) -> dict[str, str]:
    """The meaning of an outcome in the question's words, with reasons where nothing was judged."""
    means = words.get(one) or (words.get("HOLDS", "") if one in (BY_CHANCE, UNCOMPARED) else "")
    own = _OWN_WORDS.get(one, "") if one not in words else ""
    reasons = list(dict.fromkeys(v["reason"] for v in verdicts if outcome(v) == one and v["reason"]))
    shown = "; ".join(reasons[:_REASONS]) + " …" * (len(reasons) > _REASONS)
    return {"told": told, "means": " ".join(filter(None, (means, own, shown if one in _UNJUDGED else "")))}


def _nothing(words: JSON) -> dict[str, str]:
    return {"told": "not run: nothing was recorded", "means": words.get("NOT RUN", "")}
