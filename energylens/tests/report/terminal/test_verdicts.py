import re
from typing import Any

import pytest

from energylens.report import terminal_table


@pytest.mark.parametrize("width", [80, 100, 200])
def test_fits_the_terminal_and_shows_every_verdict(results: dict[str, Any], width: int) -> None:
    shown = terminal_table(results, width=width)
    assert max(map(len, shown.splitlines())) <= width
    for claim in results["claims"]:
        assert claim["id"] in shown
    for word in ("HOLDS", "REFUTED", "INCONCLUSIVE", "INVALID", "NOT RUN", "ERROR"):
        assert word in shown


def test_rows_read_in_one_line(results: dict[str, Any]) -> None:
    shown = terminal_table(results, width=120)
    assert re.search(r"modadd-1l +HOLDS +0\.9\d+ \[0\.9\d+, 0\.9\d+\] +≥ 0\.93 +0\.1\d+", shown)
    assert re.search(r"modadd-leaky, topk +HOLDS, by chance too", shown)
    assert "as published: HOLDS, 0.00" in shown
    assert "As published: 2 hold, 3 by chance too" in shown.splitlines()[-5]


def test_colour_only_when_asked(results: dict[str, Any]) -> None:
    assert "\x1b" not in terminal_table(results)
    coloured = terminal_table(results, color=True)
    assert "\x1b[32mHOLDS" in coloured
    assert "\x1b[31mREFUTED" in coloured
    assert "\x1b[32mREFUTED, as it" in coloured
