import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.sae.methods.matched_relu import GRID, NEAR, REFINEMENT, crossing, matched_l1
from energylens.sae.sae import encode
from energylens.sae.scaling import Scaling
from energylens.sae.train import train
from energylens.sae.weights import Settings
from energylens.store import no_progress
from energylens.tests.sae.helpers import mixture


@given(power=st.floats(-3, -0.2), scale=st.floats(0.5, 50), at=st.floats(0.02, 0.9))
def test_a_power_law_is_solved_exactly(power, scale, at):
    trials = (0.01, 0.03, 0.1, 0.3, 1.0)
    target = scale * at**power
    assert crossing(trials, [scale * one**power for one in trials], target) == pytest.approx(at, rel=1e-6)


def test_the_first_crossing_counts_and_zero_has_a_logarithm():
    assert 1 < crossing((1.0, 2.0, 4.0, 8.0), (10.0, 2.0, 6.0, 1.0), 3) < 2
    assert 1 < crossing((1.0, 2.0), (10.0, 0.0), 5) < 2
    assert crossing((1.0, 2.0), (5.0, 0.0), 5) == 1


@pytest.mark.parametrize("target", [50.0, 0.5])
def test_an_l0_out_of_reach_is_refused_with_what_was_reached(target):
    with pytest.raises(InputError, match=rf"L0 {target:g}; L0 is 20 at 0.1, 1 at 1"):
        crossing((0.1, 1.0), (20.0, 1.0), target)


def test_the_coefficient_found_gives_the_l0():
    raw = mixture(n=400, rank=6)
    x = Scaling.of(raw).apply(raw)
    settings = Settings(d_sae=48, steps=100, batch=64, lr=3e-3)
    found = matched_l1(x, 8.0, 7, settings, no_progress)
    assert len(found.trials) == len(GRID) + len(REFINEMENT)
    weights = train(x, [7, 1], settings, l1=[found.l1, found.l1]).weights
    searched, other = (float((encode(weights, i, x, None) > 0).sum()) / len(x) for i in (0, 1))
    assert searched == pytest.approx(8, rel=0.05)
    assert other == pytest.approx(8, rel=0.5)


def test_a_search_from_a_coefficient_nearby_takes_one_training_and_finds_the_same():
    raw = mixture(n=400, rank=6)
    x = Scaling.of(raw).apply(raw)
    settings = Settings(d_sae=48, steps=100, batch=64, lr=3e-3)
    seen = []
    whole = matched_l1(x, 8.0, 7, settings, no_progress)
    near = matched_l1(x, 8.0, 7, settings, lambda *step: seen.append(step[:2]), start=0.8 * whole.l1)
    assert (near.rounds, len(near.trials)) == (1, len(NEAR))
    assert near.l1 == pytest.approx(whole.l1, rel=0.05)
    assert seen == [(step, 100) for step in (25, 50, 75, 100)]


def test_a_search_from_a_coefficient_far_away_goes_on_with_the_whole_grid():
    raw = mixture(n=400, rank=6)
    x = Scaling.of(raw).apply(raw)
    settings = Settings(d_sae=48, steps=100, batch=64, lr=3e-3)
    seen = []
    whole = matched_l1(x, 8.0, 7, settings, no_progress)
    far = matched_l1(x, 8.0, 7, settings, lambda *step: seen.append(step[:2]), start=1e-4)
    assert far.l1 == whole.l1
    assert far.rounds == 3
    assert seen == [(step, 100 if step <= 100 else 300) for step in range(25, 325, 25)]


def test_a_search_whose_training_diverges_says_so():
    raw = mixture(n=400, rank=6)
    x = Scaling.of(raw).apply(raw)
    settings = Settings(d_sae=48, steps=50, batch=64, lr=3e-3)
    with pytest.raises(InputError, match=r"the loss is .*nan"):
        matched_l1(x, 8.0, 7, settings, no_progress, start=1e39)
