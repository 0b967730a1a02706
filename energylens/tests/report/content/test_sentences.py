from typing import Any

import pytest

from energylens.report.content.entries import chance, entries, part_of
from energylens.report.content.sentences import (
    expected_errors,
    holds_when,
    refuted_when,
    seeds_text,
    why,
)
from energylens.tests.report.helpers.example import only


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.93, "Infinity", "The whole 90 % interval (mean) lies below 0.93."),
        ("-Infinity", 0.05, "The whole 90 % interval (mean) lies above 0.05."),
        (0.1, 0.2, "The whole 90 % interval (mean) lies below 0.1, or the whole interval above 0.2."),
    ],
)
def test_what_would_refute_follows_from_the_region(low: Any, high: Any, text: str) -> None:
    region = {"low": low, "high": high, "text": ""}
    claim = {"role": "claim", "regions": {"value": region}, "statistics": {"value": "mean"}}
    assert refuted_when(claim) == [text]


def test_parts_are_named_in_what_would_refute(results: dict[str, Any]) -> None:
    claim = next(c for c in results["claims"] if c["id"] == "stability.decoupled")
    assert [text.partition(":")[0] for text in refuted_when(claim)] == ["explained_variance", "pwmcc"]
    assert holds_when(claim) == "explained_variance ≥ 0.92; pwmcc ≤ 0.35"


def test_a_gate_says_what_it_must_reject(results: dict[str, Any]) -> None:
    claim = next(c for c in results["claims"] if c["id"] == "fourier.groks")
    (text,) = refuted_when(claim)
    assert "more than a fifth of the seeds lie below 0.99" in text
    assert "must reject every seed of modadd-memorised" in text


def test_expected_errors_count_tested_boundaries_and_no_gates(results: dict[str, Any]) -> None:
    two_ends = entries(only(results, "stability.pwmcc-level", "fourier.groks"))
    assert expected_errors(two_ends) == (2, 4, pytest.approx(0.2))
    two_parts = entries(only(results, "stability.decoupled"))
    assert expected_errors(two_parts) == (2, 4, pytest.approx(0.2))


def test_chance_is_the_null_closest_to_the_claim() -> None:
    def null(name: str, estimate: float, low: float, high: float, qualifies: bool = True) -> dict[str, Any]:
        part = {"part": "value", "estimate": estimate, "region_low": low, "region_high": high}
        return {"name": name, "qualifies": qualifies, "parts": [part]}

    def closest(low: Any, high: Any) -> str:
        values = {"small": 0.1, "large": 0.6, "nan": "NaN"}
        nulls = [null(name, x, low, high) for name, x in values.items()]
        found = chance({"nulls": [*nulls, null("beside", 0.3, low, high, qualifies=False)]}, "value")
        assert found is not None
        return found[0]

    assert closest(0.5, "Infinity") == "large"
    assert closest("-Infinity", 0.5) == "small"
    assert closest(0.1, 0.3) == "small"
    assert chance({"nulls": []}, "value") is None


def test_seeds_and_reasons(results: dict[str, Any]) -> None:
    by_key = {(v["claim"], v["model"]): v for v in results["verdicts"]}
    assert seeds_text(by_key["fourier.grokked-circuit", "modadd-2l"]) == "4 (1 excluded)"
    assert seeds_text({"seeds": [1, 2], "excluded": [], "partial": True}) == "2, partial"
    parts = [{"undefined": [1]}, {"undefined": [1, 3]}]
    assert (
        seeds_text({"seeds": [1, 2, 3], "excluded": [], "parts": parts, "partial": False})
        == "1 (2 undefined)"
    )
    assert seeds_text({"seeds": []}) == "–"
    assert "would decide" in why(by_key["fourier.grokked-circuit", "modadd-2l"])
    assert why(by_key["fourier.grokked-circuit", "modadd-1l"]) == ""
    assert part_of([], "value") is None
