import copy

import pytest

from energylens.report.content.entries import entries
from energylens.report.content.sections import section
from energylens.report.content.sign_flips import attainable, flips_table
from energylens.stats import sign_flip_p


def entry_of(results, name):
    return next(entry for entry in entries(results) if entry.id == name)


def with_seeds(results, name, n):
    """The same claim with n seeds, whose values are .95, .951, ..., on its first model only."""
    changed = copy.deepcopy(results)
    claim = next(claim for claim in changed["claims"] if claim["id"] == name)
    claim["seeds"] = list(range(n))
    verdict = next(v for v in changed["verdicts"] if v["claim"] == name)
    verdict["seeds"], verdict["excluded"] = list(range(n)), []
    old = next(c for c in changed["cases"] if c["claim"] == name and not c["null"])
    kept = [c for c in changed["cases"] if c["claim"] != name or c["null"]]
    made = [
        {**old, "model": verdict["model"], "seed": i, "value": {"value": 0.95 + i / 1000}} for i in range(n)
    ]
    changed["verdicts"] = [v for v in changed["verdicts"] if v["claim"] != name] + [verdict]
    changed["cases"] = kept + made
    return entry_of(changed, name)


def test_with_eight_seeds_flips_are_shown(results):
    entry = with_seeds(results, "fourier.grokked-circuit", 8)
    table = flips_table(entry)
    p = sign_flip_p([0.95 + i / 1000 for i in range(8)], 0.93)
    assert p == pytest.approx(2**-7)
    assert "modadd-1l" in table
    assert ".93" in table
    assert table.count(".0078") == 2  # p, and the smallest possible one
    assert "Sign-flip test" in "".join(section(entry, [entry], [])["tables"])


def test_with_five_seeds_the_smallest_p_is_told(results):
    entry = entry_of(results, "fourier.grokked-circuit")
    assert flips_table(entry) is None
    assert ".062" in attainable(entry)
    assert section(entry, [entry], [])["attainable"] == attainable(entry)


def test_with_eight_seeds_the_smallest_p_is_in_the_table_alone(results):
    assert attainable(with_seeds(results, "fourier.grokked-circuit", 8)) == ""


def test_models_with_seeds_of_their_own_have_their_own_smallest_p(results):
    entry = with_seeds(results, "fourier.grokked-circuit", 8)
    entry.claim["seeds_on"] = {"modadd-2l": list(range(5))}
    assert attainable(entry) == "modadd-2l: a sign-flip test of 5 seeds can't give p below 0.062"


def test_more_seeds_than_are_counted_have_no_table(results):
    assert flips_table(with_seeds(results, "fourier.grokked-circuit", 17)) is None


def test_pairs_have_no_value_per_seed(results):
    entry = entry_of(results, "stability.pwmcc-level")
    assert flips_table(entry) is None
