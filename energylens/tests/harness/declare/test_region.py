import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import DeclarationError
from energylens.harness.declare.region import AtLeast, AtMost, Equivalent, Region, Within

finite = st.floats(-1e6, 1e6)


@given(finite, finite, finite)
def test_an_interval_never_holds_and_refutes_at_once(bound, first, second):
    low, high = sorted([first, second])
    for region in (AtLeast(bound), AtMost(bound), Equivalent(bound, 1.0)):
        assert not (region.holds(low, high) and region.refutes(low, high))


@given(finite, finite, finite)
def test_holding_means_that_every_value_is_contained(bound, first, second):
    low, high = sorted([first, second])
    region = AtLeast(bound)
    assert region.holds(low, high) == (region.contains(low) and region.contains(high))


@given(finite, st.floats(1e-3, 1e3), finite, finite)
def test_regions_mirror(target, margin, first, second):
    low, high = sorted([first, second])
    region, mirrored = Equivalent(target, margin), Equivalent(-target, margin)
    assert region.holds(low, high) == mirrored.holds(-high, -low)
    assert AtLeast(target).refutes(low, high) == AtMost(-target).refutes(-high, -low)


def test_the_boundary_belongs_to_the_region():
    assert AtLeast(1).holds(1, 2)
    assert AtMost(1).holds(0, 1)
    assert not AtLeast(1).refutes(0, 1)
    assert Within(0, 1).holds(0, 1)


def test_text_reads_like_the_declaration():
    texts = [str(region) for region in (AtLeast(0.93), AtMost(0.05), Within(0.21, 0.31), Equivalent(0, 0.01))]
    assert texts == ["≥ 0.93", "≤ 0.05", "0.21 … 0.31", "0 ± 0.01"]


@pytest.mark.parametrize(
    ("low", "high"), [(1, 1), (2, 1), (math.nan, 1), (0, math.nan), (-math.inf, math.inf)]
)
def test_what_is_no_interval_is_refused_with_its_ends(low, high):
    with pytest.raises(DeclarationError, match=r"low|can't be refuted"):
        Region(low, high)


@pytest.mark.parametrize("margin", [0, -0.1, math.nan])
def test_an_equivalence_margin_is_positive(margin):
    with pytest.raises(DeclarationError, match=str(margin)):
        Equivalent(0, margin)


def test_nan_lies_nowhere():
    assert not AtLeast(0).contains(math.nan)
    assert not AtLeast(0).holds(math.nan, math.nan)
    assert not AtLeast(0).refutes(math.nan, math.nan)
