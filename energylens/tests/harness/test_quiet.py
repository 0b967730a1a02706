import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens.harness.compare.ledger import short
from energylens.harness.compare.revision import results_of
from energylens.harness.json_values import plain, write_json
from energylens.harness.quiet import CONTROL_DIGITS, DIGITS, SHOWN, TIMED, in_order, quiet, rounded
from energylens.harness.results import read_results, write_results
from energylens.harness.timings import TIMINGS, read_times
from energylens.tests.report.helpers.example import example_results

HOST = {"commit": "abc", "dirty": False, "packages": {}, "cpu": "one", "cores": 2}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run as it is in memory at its end."""
    found = example_results(tmp_path_factory.mktemp("run"))
    return found | {"started": "2026-01-02T03:04:05+00:00", "seconds": 9.5, "provenance": dict(HOST)}


def keys(value, name=""):
    """(place, keys) of every object, in the order in which they stand."""
    if isinstance(value, dict):
        yield name, list(value)
        for key, item in value.items():
            yield from keys(item, f"{name}.{key}")
    for item in value if isinstance(value, list) else ():
        yield from keys(item, name)


def test_keys_are_sorted_in_the_file_and_parts_keep_their_order(results, tmp_path):
    write_results(tmp_path / "results.json", results)
    found = json.loads((tmp_path / "results.json").read_text())
    assert all(names == sorted(names) for _, names in keys(found))
    parts = {claim["id"]: claim["parts"] for claim in found["claims"]}
    assert parts == {claim["id"]: list(claim["regions"]) for claim in results["claims"]}
    assert (
        any(names != sorted(names) for names in map(list, ([*c["regions"]] for c in results["claims"])))
        or parts
    )


def test_cases_stand_in_the_order_of_declaration_however_they_finished(results):
    told = [case["seed"] for case in quiet(results)["cases"] if case["claim"] == "stability.pwmcc-level"]
    assert told[:5] == [42, 123, 456, 789, 1011]
    shuffled = results | {"cases": results["cases"][::-1]}
    assert quiet(shuffled) == quiet(results)
    first, *_ = quiet(results)["cases"]
    assert first["claim"] == results["claims"][0]["id"]
    nulls = list(
        dict.fromkeys(c["null"] for c in quiet(results)["cases"] if c["claim"] == "fourier.grokked-circuit")
    )
    assert nulls == ["", "untrained", "non-key"]


def test_cases_that_no_claim_declares_come_last_and_in_one_order():
    cases = [dict(claim=name, model="m", variant="", null="", seed=seed) for name in "ba" for seed in (10, 2)]
    assert in_order(cases, [], []) == in_order(cases[::-1], [], [])


def test_times_and_what_tells_of_the_machine_alone_are_beside(results, tmp_path):
    path = tmp_path / "results.json"
    write_results(path, results)
    committed, timings = path.read_text(), json.loads((tmp_path / TIMINGS).read_text())
    assert '"seconds"' not in committed
    assert '"started"' not in committed
    assert '"cores"' not in committed
    assert timings["run"] == {
        "started": results["started"],
        "seconds": 9.5,
        "cores": 2,
        "commit": "abc",
        "dirty": False,
    }
    assert len(timings["cases"]) == sum("seconds" in case for case in results["cases"])
    assert all(seconds >= 0 for seconds in timings["cases"].values())


def test_readers_take_the_times_from_beside_and_do_without(results, tmp_path):
    path = tmp_path / "results.json"
    write_results(path, results)
    assert results_of(str(path))["started"] == results["started"]
    path.write_text(path.read_text() + "\n")  # another file: its times are unknown
    assert read_times(path) == {}
    assert "started" not in results_of(str(path))
    (tmp_path / TIMINGS).unlink()
    assert read_times(path) == {}


def test_the_same_results_leave_the_file_and_its_commit(results, tmp_path):
    path = tmp_path / "results.json"
    write_results(path, results)
    before = path.read_bytes()
    later = results | {"started": "2027", "seconds": 1.0, "provenance": HOST | {"commit": "def", "cores": 64}}
    assert write_results(path, later)["provenance"]["commit"] == "abc"
    assert path.read_bytes() == before
    assert read_times(path)["started"] == "2027"
    other = copy.deepcopy(later)
    other["verdicts"][0]["parts"][0]["estimate"] += 1e-12
    assert write_results(path, other)["provenance"]["commit"] == "def"


@pytest.mark.parametrize(
    ("first", "then", "commit"), [(True, True, "abc"), (True, False, "def"), (False, True, "abc")]
)
def test_a_clean_checkout_takes_the_place_of_one_that_was_edited(results, tmp_path, first, then, commit):
    for name, dirty in (("abc", first), ("def", then)):
        found = write_results(
            tmp_path / "r.json", results | {"provenance": HOST | {"commit": name, "dirty": dirty}}
        )
    assert found["provenance"]["commit"] == commit


def test_numbers_of_what_is_timed_are_beside_and_its_word_stays(results, tmp_path):
    name = "stability.decoupled"
    timed = copy.deepcopy(results)
    for claim in timed["claims"]:
        claim["timed"] = claim["id"] == name
    write_results(tmp_path / "results.json", timed)
    found = read_results(tmp_path / "results.json")
    verdicts = [verdict for verdict in found["verdicts"] if verdict["claim"] == name]
    assert [v["word"] for v in verdicts] == [v["word"] for v in results["verdicts"] if v["claim"] == name]
    numbers = {
        part[end] for v in verdicts for part in v["parts"] for end in ("estimate", "low", "high", "se")
    }
    assert numbers == {"NaN"}
    assert all(v["reason"] == TIMED for v in verdicts if v["word"] == "INCONCLUSIVE")
    assert {x for c in found["cases"] if c["claim"] == name for x in c["value"].values()} <= {"NaN"}
    kept = json.loads((tmp_path / TIMINGS).read_text())["timed"]
    assert kept["verdicts"][f"{name}/modadd-1l"]["parts"][0]["estimate"] == pytest.approx(0.95, abs=0.05)
    again = copy.deepcopy(timed)
    for each in [v for v in again["verdicts"] if v["claim"] == name]:
        each["parts"][0]["estimate"] *= 1.1
    for each in [c for c in again["cases"] if c["claim"] == name]:
        each["beside"] = dict.fromkeys(each["beside"], 7.0)
    assert quiet(again) == quiet(timed)


def test_what_is_quiet_stays_as_it_is_and_so_does_an_older_file(results, tmp_path):
    once = quiet(results)
    assert quiet(once) == once == json.loads(json.dumps(once))
    path = tmp_path / "results.json"
    write_json(path, results)  # as files were written before
    assert quiet(read_results(path)) == once
    write_results(path, read_results(path))
    assert read_results(path) == once


def test_what_decides_keeps_all_digits_and_the_rest_what_is_read(results):
    found = quiet(results)
    pairs = [(a, b) for a, b in zip(results["verdicts"], found["verdicts"], strict=True) if a["parts"]]
    for before, after in pairs:
        for part, kept in zip(before["parts"], after["parts"], strict=True):
            assert [kept[end] for end in ("estimate", "low", "high", "se")] == [
                part[end] for end in ("estimate", "low", "high", "se")
            ]
    values = [x for case in found["cases"] for x in case.get("value", {}).values() if isinstance(x, float)]
    assert sum(x == float(f"{x:.6g}") for x in values) > 0.95 * len(values)
    assert len(json.dumps(found)) < len(json.dumps(results))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_six_digits_of_a_control_are_those_of_the_number_itself(x):
    assert short(rounded(x, CONTROL_DIGITS)) == short(x)
    assert f"{rounded(x, DIGITS):.{SHOWN}g}" == f"{x:.{SHOWN}g}"


def test_exact_tells_bits_that_rounding_hides(results):
    other = copy.deepcopy(results)
    case = next(c for c in other["cases"] if c["claim"] == "fourier.grokked-circuit" and not c["null"])
    case["value"]["value"] = math.nextafter(case["value"]["value"], 2)
    first, second = quiet(results), quiet(other)
    assert first["cases"] == second["cases"]
    assert [v["claim"] for v, w in zip(first["verdicts"], second["verdicts"], strict=True) if v != w] == [
        "fourier.grokked-circuit"
    ]


def test_a_drawn_sample_is_kept_in_the_order_of_size():
    claim = {"id": "a.b", "figure": {"kind": "distribution"}, "regions": {}}
    case = dict(claim="a.b", model="m", variant="", null="", seed=0, value={}, beside={}, as_published={})
    case["series"] = {"x": [3.14159, "NaN", -2.0]}
    found = quiet({"claims": [claim], "verdicts": [], "cases": [case]})
    assert found["cases"][0]["series"] == {"x": [-2.0, 3.14, "NaN"]}


def test_the_file_has_an_object_or_list_without_others_on_one_line(results, tmp_path):
    write_results(tmp_path / "results.json", results)
    lines = (tmp_path / "results.json").read_text().splitlines()
    assert any('"parts": ["explained_variance", "pwmcc"]' in line for line in lines)
    assert json.loads("\n".join(lines)) == plain(quiet(results))
