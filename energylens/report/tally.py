"""Verdicts counted over models and variants, in words: `refuted on 4 of 5 models: a, b, c, d`."""

from collections.abc import Iterator, Sequence

from energylens.report.text import count
from energylens.report.view import JSON
from energylens.report.words import BY_CHANCE, outcome

_TOLD = {
    "HOLDS": "holds", "REFUTED": "refuted", "INCONCLUSIVE": "inconclusive", "INVALID": "invalid",
    "NOT RUN": "not run", "ERROR": "an error, no verdict,", BY_CHANCE: "holds, but so does a control,",
    "REFUTED, as it must": "rejected, as it must be,",
}  # fmt: skip
_ORDER = list(_TOLD)


def tally(verdicts: Sequence[JSON]) -> Iterator[tuple[str, str]]:
    """(outcome, where it was found) of every outcome that occurs, the most frequent first."""
    found = list(map(outcome, verdicts))
    for one in sorted(set(found), key=lambda one: (-found.count(one), _ORDER.index(one))):
        here = [verdict for verdict in verdicts if outcome(verdict) == one]
        yield one, f"{_TOLD[one]} {_where(here, verdicts)}"


def _where(here: Sequence[JSON], verdicts: Sequence[JSON]) -> str:
    """`on 4 of 5 models: a, b, c, d`; with variants, the models under each."""
    models = list(dict.fromkeys(verdict["model"] for verdict in verdicts))
    variants = list(dict.fromkeys(verdict["variant"] for verdict in verdicts))
    if len(variants) == 1:
        return _on_models(here, models)
    if len(here) == len(verdicts):
        return f"on every model under every variant ({count(len(models), 'model')}, {len(variants)} variants)"
    told = []
    for variant in variants:
        of_variant = [verdict for verdict in here if verdict["variant"] == variant]
        declared = [verdict["model"] for verdict in verdicts if verdict["variant"] == variant]
        if of_variant:
            names = ", ".join(verdict["model"] for verdict in of_variant)
            told.append(
                f"{variant} {'on every model' if len(of_variant) == len(declared) else f'on {names}'}"
            )
    return f"in {len(here)} of {len(verdicts)} cases: {'; '.join(told)}"


def _on_models(here: Sequence[JSON], models: Sequence[str]) -> str:
    names = [verdict["model"] for verdict in here]
    if len(models) == 1:
        return f"on {models[0]}"
    if len(names) == len(models):
        return f"on all {len(models)} models: {', '.join(names)}"
    return f"on {len(names)} of {len(models)} models: {', '.join(names)}"
