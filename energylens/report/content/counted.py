"""Verdicts counted over models and variants, in words: `refuted on 4 of 5 models: a, b, c, d`."""

from collections import Counter
from collections.abc import Iterator, Sequence

from energylens.report.content.entries import JSON
from energylens.report.content.sentences import BY_CHANCE, UNCOMPARED, outcome

_TOLD = {
    "HOLDS": "holds", "REFUTED": "refuted", "INCONCLUSIVE": "inconclusive", "INVALID": "invalid",
    "NOT RUN": "not run", "ERROR": "an error, no verdict,", BY_CHANCE: "holds, no better than a control,",
    UNCOMPARED: "holds, not compared with a control,",
    "REFUTED, as it must": "rejected, as it must be,",
}  # fmt: skip
_ORDER = list(_TOLD)

_FEW = 3
"""Largest number of cases that are named one by one."""


def tally(verdicts: Sequence[JSON]) -> Iterator[tuple[str, str]]:
    """(outcome, where it was found) of every outcome that occurs, the most frequent first."""
    found = list(map(outcome, verdicts))
    for one in sorted(set(found), key=lambda one: (-found.count(one), _ORDER.index(one))):
        here = [verdict for verdict in verdicts if outcome(verdict) == one]
        yield one, f"{_TOLD[one]} {_where(here, verdicts)}"


def _where(here: Sequence[JSON], verdicts: Sequence[JSON]) -> str:
    """`on 4 of 5 models: a, b, c, d`; with variants the number of cases, and models or variants named whole."""
    if len({verdict["variant"] for verdict in verdicts}) == 1:
        names = ", ".join(verdict["model"] for verdict in here)
        if len(verdicts) == 1:
            return f"on {names}"
        share = f"all {len(verdicts)}" if len(here) == len(verdicts) else f"{len(here)} of {len(verdicts)}"
        return f"on {share} models: {names}"
    cases = f"in {len(here)} of {len(verdicts)} cases"
    if len(here) == len(verdicts):
        return f"in all {len(verdicts)} cases"
    if len(here) <= _FEW:
        named = "; ".join(f"{verdict['variant']} on {verdict['model']}" for verdict in here)
        return f"{cases}: {named}"
    models, variants = (_whole(here, verdicts, kind) for kind in ("model", "variant"))
    told = [f"every variant on {', '.join(models)}"] if models else []
    told += [f"{', '.join(variants)} on every model"] if variants else []
    return f"{cases}, among them {' and '.join(told)}" if told else cases


def _whole(here: Sequence[JSON], verdicts: Sequence[JSON], kind: str) -> list[str]:
    """Models (or variants) all of whose verdicts are in `here`."""
    found = Counter(verdict[kind] for verdict in here)
    return [name for name, n in Counter(verdict[kind] for verdict in verdicts).items() if found[name] == n]
