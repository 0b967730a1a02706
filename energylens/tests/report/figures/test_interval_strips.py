import math

import pytest

from energylens.report.figures.interval_strips import NULL, Mark, Strip, draw_strips, limits
from energylens.report.figures.style import COLOURS, MARKERS, encode, shorten, styled

HOLDS = Mark("m", "HOLDS", 0.95, 0.94, 0.96, dots=(0.93, 0.97))


def strip(*marks: Mark, low: float = 0.9, high: float = math.inf) -> Strip:
    return Strip("a claim", "holds when", low, high, marks)


def test_the_axis_shows_estimate_seeds_interval_and_boundary() -> None:
    low, high = limits(strip(HOLDS))
    assert low < 0.9
    assert high > 0.97


def test_a_distant_null_does_not_squeeze_the_decision() -> None:
    assert limits(strip(HOLDS, Mark("n", NULL, 0.01))) == limits(strip(HOLDS))
    low, _ = limits(strip(HOLDS, Mark("n", NULL, 0.87)))
    assert low < 0.87


def test_an_interval_of_two_seeds_does_not_either() -> None:
    low, high = limits(strip(Mark("m", "INCONCLUSIVE", 0.95, -40, 42)))
    assert high - low < 1


@pytest.mark.parametrize(
    "mark",
    [
        Mark("m", "NOT RUN"),
        Mark("m", "INCONCLUSIVE", math.nan, math.nan, math.nan),
        Mark("m", "INCONCLUSIVE", 0.9, -math.inf, math.inf),
        Mark("m", "REFUTED", 0.0, 0.0, 0.0),
        Mark("$x_{2$ \N{SNOWMAN WITHOUT SNOW} 界", "ERROR"),
    ],
)
def test_limits_are_finite_and_the_strip_can_be_drawn(mark: Mark) -> None:
    one = strip(mark, low=-math.inf, high=0.0)
    low, high = limits(one)
    assert math.isfinite(low)
    assert low < 0 < high
    with styled():
        assert encode(draw_strips([one]))["png"].startswith(b"\x89PNG")


def test_every_verdict_has_its_own_marker_and_colour() -> None:
    words = ["HOLDS", "REFUTED", "INCONCLUSIVE", "INVALID"]
    assert len({MARKERS[word] for word in words}) == len({COLOURS[word] for word in words}) == 4


def test_the_users_settings_change_nothing() -> None:
    import matplotlib

    with styled():
        plain = encode(draw_strips([strip(HOLDS)]))
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        with styled():
            assert encode(draw_strips([strip(HOLDS)])) == plain
        assert matplotlib.rcParams["font.size"] == 20


def test_a_cut_is_marked() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"
