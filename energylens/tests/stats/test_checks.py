"""What no statistic can be made of is refused by place and value; everything else comes back as it was."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from energylens.errors import InputError
from energylens.stats.checks import checked_confidence, finite_array

FINITE = st.floats(-1e300, 1e300)
ARRAYS = hnp.arrays(float, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), elements=FINITE)


@given(ARRAYS)
def test_finite_arrays_come_back_unchanged_and_only_in_their_own_rank(array):
    found = finite_array(array.tolist(), "values", array.ndim) if array.size else array
    assert found.dtype == float
    assert np.array_equal(found, array)
    assert np.array_equal(finite_array(array, "values", array.ndim), array)
    for ndim in {0, 1, 2, 3} - {array.ndim}:
        with pytest.raises(InputError, match=rf"values must have {ndim} dimension\(s\), got shape"):
            finite_array(array, "values", ndim)


@given(
    ARRAYS.filter(lambda array: array.size > 0), st.data(), st.sampled_from([math.nan, math.inf, -math.inf])
)
def test_the_first_place_that_is_no_number_is_named(array, data, bad):
    places = st.tuples(*(st.integers(0, side - 1) for side in array.shape))
    chosen = data.draw(st.lists(places, min_size=1, max_size=3))
    for place in chosen:
        array[place] = bad
    with pytest.raises(InputError) as refused:
        finite_array(array, "ratios", array.ndim)
    assert str(refused.value).endswith(f"got ratios[{', '.join(map(str, min(chosen)))}] = {bad}")


def test_whole_numbers_become_floats_and_words_are_no_numbers():
    assert finite_array([1, 2], "values", 1).dtype == float
    with pytest.raises(ValueError, match="could not convert"):
        finite_array(["many"], "values", 1)


@given(st.floats(allow_nan=True))
def test_a_confidence_lies_strictly_between_0_and_1(confidence):
    if 0 < confidence < 1:
        assert checked_confidence(confidence) is None
    else:
        with pytest.raises(InputError, match="between 0 and 1, got"):
            checked_confidence(confidence)


@pytest.mark.parametrize("confidence", [0, 1, 0.0, 1.0, 90])
def test_the_ends_are_no_confidence(confidence):
    with pytest.raises(InputError, match=f"got {confidence}"):
        checked_confidence(confidence)
