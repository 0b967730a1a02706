"""The engine of the sabotage suite on toy claims: it must be able to say that a sabotage went unnoticed."""

import inspect
from dataclasses import replace

import pytest

from energylens import Ceiling
from energylens.errors import InputError, StoreError
from energylens.harness.verdict import CeilingResult, Verdict, Word
from energylens.store import Store
from energylens.tests.harness.helpers import NOTHING, declare, nothing
from energylens.tests.store.recipes import Noise
from energylens.trust.sabotage.broken_instruments import (
    IN_ITS_REGION,
    REFUSED,
    Sabotage,
    in_truth,
    run,
    shows,
    tried,
    untried,
)
from energylens.trust.sabotage.trial import MUST_FAIL, Bench, FoundOnly, breaking, controls_of, reads

TOY = """
import numpy as np

from energylens import AtLeast, AtMost, Equivalent, Measurement, Null, claim, gate


def draw(seed, mean):
    return np.random.default_rng(seed).normal(mean, 1.0, size=400)


def measure(values):
    return float(np.mean(values))


def another(values):
    return float(np.mean(values))


def gauge(values):
    return float(np.mean(values))


def same(seed):
    return Measurement(measure(draw(seed, 0.0)))


def other(seed):
    return Measurement(another(draw(seed, 0.0)))


def shifted(seed):
    return Measurement(gauge(draw(seed, 2.0)))


@gate(
    "toy.zero", says="Zero is zero.", source="-", passes_when=Equivalent(0, 0.5), models=["a", "b"], seeds=range(5),
    must_fail=["b"], rejects=[Null("shifted", "two is not", measure=shifted)],
)
def test_zero(model, seed, lab):
    return Measurement(gauge(draw(seed, 0.0 if model == "a" else 1.0)))


@claim(
    "toy.above", says="The mean is above 2.", source="-", holds_when=AtLeast(2.0), models=["a"], seeds=range(5),
    variants=["one", "three"], gates=["toy.zero"],
    controls=[
        Null("same", "zeros, by the same measure", measure=same),
        Null("other", "zeros, by another measure", measure=other),
        Null("beside", "printed only", measure=same, qualifies=False),
    ],
)
def test_above(variant, seed, lab):
    return Measurement(measure(draw(seed, 1.0 if variant == "one" else 3.0)))


@claim(
    "toy.below", says="The mean is below 2.", source="-", holds_when=AtMost(2.0), models=["a"], seeds=range(5),
    controls=[Null("same", "so are zeros", measure=same)],
)
def test_below(seed, lab):
    return Measurement(measure(draw(seed, 1.0)))


@claim(
    "toy.slow", says="Nothing.", source="-", holds_when=AtMost(2.0), models=["a"], seeds=[0], tier="full",
    controls=[Null("same", "zeros", measure=same)],
)
def test_slow(seed, lab):
    raise RuntimeError("claims of other tiers are not tried")
"""

TABLE = """
from energylens.trust.sabotage.trial import reads
from energylens.trust.sabotage.broken_instruments import Sabotage

SEEDS = 3
SABOTAGES = [
    Sabotage("high", "The mean is 2.5.", {"toy.above:measure": reads(2.5)}, {"toy.above": ["same", "other"]}),
    Sabotage("blind", "Zero is 9.", {"toy.above:gauge": reads(9.0)}, {"toy.above": ["toy.zero"]}),
]
IN_TRUTH = {"toy.below": ["same"], "toy.above": ["beside"]}
"""

HIGH = {"toy.above:measure": reads(2.5)}


@pytest.fixture
def bench(tmp_path):
    claims = tmp_path / "claims"
    claims.mkdir()
    (claims / "test_toy.py").write_text(TOY)
    (claims / "sabotage.py").write_text(TABLE)
    return Bench(claims, None, tmp_path / "intact")


def outcome(bench, breaks, row, control, **options):
    (found,) = tried(Sabotage("broken", "", breaks, {row: [control]}, **options), bench)
    return found


def test_measure_that_reads_its_threshold_is_noticed_by_what_shares_it(bench):
    found = outcome(bench, HIGH, "toy.above", "same")
    assert (found.how, found.noticed, found.verdict) == ("by chance too", True, "HOLDS, by chance too")


def test_a_sabotage_that_goes_unnoticed_is_reported(bench):
    found = outcome(bench, HIGH, "toy.above", "other")
    assert (found.how, found.noticed) == ("", False)
    assert str(found) == "broken: toy.above/a/one, other: UNNOTICED; the verdict is HOLDS, by chance too"


def test_null_of_a_claim_that_does_not_hold_notices_nothing(bench):
    low = {"toy.above:measure": reads(1.0)}
    assert outcome(bench, low, "toy.above", "same").how == ""
    of_the_null_alone = outcome(bench, {"toy.above:another": reads(2.5)}, "toy.above", "other")
    assert (of_the_null_alone.verdict, of_the_null_alone.how) == ("REFUTED", "")


def test_null_that_is_printed_only_moves_into_the_region(bench):
    assert outcome(bench, HIGH, "toy.above", "beside").how == IN_ITS_REGION


def test_what_shows_with_nothing_broken_is_not_noticing(bench):
    found = outcome(bench, {"toy.below:measure": reads(0.5)}, "toy.below", "same")
    assert (found.how, found.before, found.noticed) == ("by chance too", "by chance too", False)
    assert "by chance too with nothing broken" in str(found)
    shown = in_truth({"toy.below": ["same"], "toy.above": ["same"]}, 3, bench)
    assert [each.before for each in shown] == ["by chance too", ""]


def test_broken_gate_makes_the_verdict_invalid(bench):
    found = outcome(bench, {"toy.above:gauge": reads(9.0)}, "toy.*", "toy.zero", seeds=1)
    assert (found.row, found.how, found.noticed) == ("toy.above/a/one", "INVALID", True)


def test_gate_that_lets_its_broken_instrument_pass_is_invalid_and_so_are_its_claims(bench):
    blind = {"toy.zero:gauge": reads(0.1)}
    assert outcome(bench, blind, "toy.zero", "shifted", seeds=1).how == "INVALID"
    assert outcome(bench, blind, "toy.zero/b", MUST_FAIL, seeds=1).how == "INVALID"
    assert outcome(bench, blind, "toy.above", "toy.zero", seeds=1).how == "INVALID"
    blind_to_two = {"toy.zero:gauge": lambda real: lambda values: 0.0 if real(values) > 1.5 else real(values)}
    assert outcome(bench, blind_to_two, "toy.zero/b", "shifted", seeds=1).how == "INVALID"
    assert outcome(bench, blind_to_two, "toy.zero/b", MUST_FAIL, seeds=1).how == ""
    seeing = {"toy.zero:gauge": lambda real: real}
    assert outcome(bench, seeing, "toy.zero/b", MUST_FAIL, seeds=1).how == ""
    assert outcome(bench, seeing, "toy.zero", "shifted", seeds=1).how == ""


def test_instruments_own_error_is_a_refusal_and_no_other(bench):
    def refusing(real):
        def measure(values):
            raise InputError("these values are all the same")

        return measure

    breaks = {"toy.above:measure": refusing}
    found = outcome(bench, breaks, "toy.above", "same", refuses=(InputError,))
    assert (found.how, found.noticed) == (REFUSED, True)
    with pytest.raises(InputError, match="all the same"):
        outcome(bench, breaks, "toy.above", "same", refuses=(StoreError,))


def test_an_effect_that_is_out_of_reach_is_shown_by_its_ceiling():
    ceiling = CeilingResult("perfect", "", (), ("value",))
    verdict = Verdict("toy.above", "a", "", Word.INVALID, ceilings=(ceiling,))
    assert shows(verdict, "perfect") == "INVALID"
    within = replace(verdict, ceilings=(replace(ceiling, out_of_reach=()),))
    assert shows(within, "perfect") == ""


def test_named_variant_is_the_one_that_is_tried(bench):
    found = outcome(bench, {"toy.above:another": reads(3.5)}, "toy.above/a/three", "other")
    assert (found.row, found.how) == ("toy.above/a/three", "by chance too")
    reaching = outcome(bench, {"toy.above:another": reads(2.5)}, "toy.above/a/three", "other", seeds=5)
    assert (reaching.verdict, reaching.how) == ("HOLDS", "")  # in the region, but the claim is better


def test_everything_is_put_back(bench):
    import numpy as np

    body, mean = bench.declared["toy.above"].body, np.mean
    before = dict(body.__globals__)
    with breaking({**HIGH, "numpy.mean": lambda real: None}, bench.declared):
        assert np.mean is None
        assert body.__globals__["measure"] is not before["measure"]
    assert np.mean is mean
    assert body.__globals__ == before


def test_methods_and_properties_are_broken_as_they_stand_in_their_class(bench):
    real = inspect.getattr_static(Bench, "claims")
    with breaking(
        {"energylens.trust.sabotage.trial.Bench.claims": lambda of: property(lambda self: of is real)}, {}
    ):
        assert bench.claims is True


@pytest.mark.parametrize(
    "name",
    ["toy.above:nothing", "toy.nothing:measure", "numpy.nothing", "nowhere.at.all", "nothing"],
)
def test_names_of_nothing_are_refused(bench, name):
    with (
        pytest.raises(InputError, match=f"breaks '{name}', which does not exist"),
        breaking({name: reads(1.0)}, bench.declared),
    ):
        pass


@pytest.mark.parametrize(
    ("row", "control"),
    [("toy.nothing", "same"), ("toy.above", "nothing"), ("toy.above/b", "same"), ("toy.above/a/two", "same"),
     ("toy.slow", "same"), ("toy.above", MUST_FAIL)],
)  # fmt: skip
def test_rows_and_controls_that_there_are_not_are_refused(bench, row, control):
    with pytest.raises(InputError, match=f"fits '{row}' and has the control '{control}'"):
        bench.rows({row: [control]})


def test_ceilings_have_to_be_tried_like_all_controls():
    perfect = Ceiling("perfect", "all there is", measure=nothing)
    claim = declare(controls=[NOTHING, perfect], gates=["toy.zero"])
    assert controls_of(claim) == ["nothing", "perfect", "toy.zero"]


def test_a_control_that_no_table_speaks_of_is_untried(bench):
    tables = [{"toy.above": ["same", "other"]}, {"toy.*": ["beside"], "toy.zero/b": [MUST_FAIL]}]
    assert untried(bench, tables) == ["toy.zero, shifted", "toy.above, toy.zero", "toy.below, same"]


def test_what_is_measured_with_nothing_broken_is_measured_once(bench):
    outcome(bench, HIGH, "toy.above", "same")
    kept = sorted((bench.folder / "cases").glob("*.json"))
    outcome(bench, HIGH, "toy.above", "other")
    assert sorted((bench.folder / "cases").glob("*.json")) == kept


def test_nothing_broken_gets_into_the_store(tmp_path):
    recipe = Noise(seed=0)
    store = FoundOnly(tmp_path)
    with pytest.raises(StoreError, match="run `energylens build` first"):
        store.get(recipe)
    Store(tmp_path).get(recipe)
    assert store.get(recipe).tensors


def test_threshold_is_read_whatever_is_given(bench):
    """Exactly: by a jitter one null in twenty would seem worse. Three equal seeds decide nothing, five do (above)."""
    measure = reads(0.3)(len)
    assert {measure(), measure("anything", at="all")} == {0.3}
    assert outcome(bench, HIGH, "toy.above", "same", seeds=3).verdict == "INCONCLUSIVE"


def test_run_counts_what_a_table_tries(bench):
    lines = []
    numbers = run(lines.append, bench.folder.parent / "claims")
    assert numbers["unnoticed"] == [
        "high: toy.above/a/one, other: UNNOTICED; the verdict is HOLDS, by chance too"
    ]
    assert (numbers["controls tried"], numbers["noticed"]) == (3, 2)
    assert numbers["noticed how"] == {"by chance too": 1, "INVALID": 1}
    assert (numbers["claims and controls declared"], numbers["claims and controls proved"]) == (7, 2)
    assert numbers["claims and controls that show with nothing broken"] == [
        "nothing: toy.below/a, same: by chance too with nothing broken; the verdict is HOLDS, by chance too"
    ]
    assert numbers["claims and controls never tried"] == ["toy.zero, shifted", f"toy.zero, {MUST_FAIL}"]
    assert any("toy.above/a/one" in line for line in lines)
