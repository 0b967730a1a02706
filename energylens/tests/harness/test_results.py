import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens import AtLeast, Gate, Measurement, Unavailable
from energylens.errors import InputError
from energylens.harness.declare.cases import Case, cases_of, gate_cases
from energylens.harness.json_values import plain, write_json
from energylens.harness.judge import judge
from energylens.harness.quiet import quiet
from energylens.harness.results import assemble, claim_word, describe_claim, read_results, write_results
from energylens.harness.run_folder import RunFolder
from energylens.tests.harness.helpers import NOTHING, declare, measured

LARGE = (2.0, 2.1, 1.9, 2.05, 1.95)


def test_numpy_paths_and_non_finite_numbers_survive(tmp_path):
    value = {
        "a": np.float32(0.5),
        "b": np.arange(2),
        "c": Path("x/y"),
        "d": [math.nan, -math.inf],
        "e": {3, 1},
    }
    write_json(tmp_path / "x.json", value)
    found = json.loads((tmp_path / "x.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert found == {"a": 0.5, "b": [0, 1], "c": "x/y", "d": ["NaN", "-Infinity"], "e": [1, 3]}
    assert math.isnan(float(found["d"][0]))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_plain_is_idempotent(value):
    assert plain(plain(value)) == plain(value)


def test_what_is_not_data_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, [1])
    with pytest.raises(TypeError, match="function"):
        write_json(path, [lambda: 0])
    assert json.loads(path.read_text()) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_case_ids_are_typeable_and_in_order():
    claim = declare(variants=["a", "b"], seeds=[3, 1])
    ids = [case.id for case in cases_of(claim, {"dice": (3, 1)})]
    assert ids[:5] == ["dice-a-3", "dice-a-1", "dice-a-nothing-3", "dice-a-nothing-1", "dice-a-verdict"]
    assert len(ids) == len(set(ids)) == 10


def test_a_case_is_measured_once_per_run_by_whoever_comes_first(tmp_path):
    run, calls = RunFolder(tmp_path), []

    def measure():
        calls.append(1)
        return Measurement({"a": 1.5}, arrays={"x": np.eye(2)}, beside={"b": 2}, series={"s": [1]}, note="n")

    case = Case(declare(), "dice", "", 0)
    first = run.measured(case, measure)
    second = RunFolder(tmp_path).measured(case, measure)
    assert len(calls) == 1
    assert (second.value, second.beside, second.note) == (first.value, first.beside, first.note)
    np.testing.assert_array_equal(second.arrays["x"], np.eye(2))


def test_an_exception_is_not_remembered_but_missing_weights_are(tmp_path):
    run, case = RunFolder(tmp_path), Case(declare(), "dice", "", 0)

    def fail():
        raise RuntimeError("boom")

    def missing():
        raise Unavailable("no weights")

    with pytest.raises(RuntimeError):
        run.measured(case, fail)
    assert run.measured(case, lambda: Measurement(1.0)).value == {"value": 1.0}
    other = Case(declare(), "dice", "", 1)
    for measure in (missing, fail):
        with pytest.raises(Unavailable, match="no weights"):
            run.measured(other, measure)


def recorded(tmp_path, *verdicts, errors=()):
    run = RunFolder(tmp_path)
    claim = declare(models=["dice", "cards", "coins"])
    run.record_note("claim", claim.id, describe_claim(claim, Path("/")))
    for index, model in enumerate(claim.models):
        row = dict(claim=claim.id, model=model, variant="", index=index, own_checkpoint=False)
        run.record_note("row", f"{claim.id}/{model}", row)
    for model, values in verdicts:
        run.record_verdict(judge(claim, model, "", measured(*values)))
    for model in errors:
        run.record_note("error", model, {"row": f"{claim.id}/{model}", "message": "boom"})
    return assemble(run, started="now")


def test_every_declared_row_is_counted(tmp_path):
    results = recorded(tmp_path, ("dice", LARGE), errors=["coins"])
    assert [(v["model"], v["word"]) for v in results["verdicts"]] == [
        ("dice", "HOLDS"), ("cards", "NOT RUN"), ("coins", "ERROR"),
    ]  # fmt: skip
    assert results["summary"]["verdicts"] == {"HOLDS": 1, "NOT RUN": 1, "ERROR": 1}
    assert results["summary"]["by_claim"] == {"toy.mean": "ERROR"}


def test_one_refuted_model_refutes_a_claim(tmp_path):
    results = recorded(tmp_path, ("dice", LARGE), ("cards", LARGE), ("coins", (0.0, 0.1, -0.1)))
    assert results["summary"]["claims"] == {"REFUTED": 1}


def test_gates_and_a_users_own_checkpoints_are_no_tests_for_holm_to_correct(tmp_path):
    """Each more would make the smallest p count for more."""
    run = RunFolder(tmp_path)
    for name, model, own in (
        ("toy.mean", "dice", False),
        ("toy.mean", "mine", True),
        ("toy.gate", "dice", False),
    ):
        claim = declare(id=name)
        role = {"role": "gate"} if name == "toy.gate" else {}
        run.record_note("claim", name, describe_claim(claim, Path("/")) | role)
        verdict = replace(judge(claim, model, "", measured(*LARGE)), own_checkpoint=own)
        row = dict(claim=name, model=model, variant="", index=0, own_checkpoint=own)
        run.record_note("row", verdict.key, row)
        run.record_verdict(verdict)
    tested = [v for v in assemble(run, started="now")["verdicts"] if "holm" in v]
    assert [(v["claim"], v["model"]) for v in tested] == [("toy.mean", "dice")]


def test_a_gate_that_rejects_what_it_must_counts_as_holding():
    verdict = dict(claim="g", word="REFUTED", qualifiers=["as it must"])
    assert claim_word("g", [verdict]) == "HOLDS"
    assert claim_word("nobody", [verdict]) == "NOT RUN"


def test_holm_counts_every_tested_verdict(tmp_path):
    results = recorded(tmp_path, ("dice", LARGE), ("cards", (0.5, 1.5, 1.0)), ("coins", (1.2, 1.21, 1.4)))
    holm = {v["model"]: v["holm"] for v in results["verdicts"]}
    assert holm["dice"]["survives"]
    assert holm["cards"] == {"p_value": 1.0, "survives": False}
    assert holm["coins"]["p_value"] < 0.05
    assert not holm["coins"]["survives"]


@pytest.mark.parametrize(("shift", "word"), [(-2.0, "REFUTED"), (0.5, "HOLDS")])
def test_in_holm_a_refutation_pays_for_every_part_and_what_holds_has_its_largest_p(tmp_path, shift, word):
    claim = declare(holds_when={"a": AtLeast(1), "b": AtLeast(1)})
    verdict = judge(claim, "dice", "", measured(*({"a": x + shift, "b": x} for x in LARGE)))
    run = RunFolder(tmp_path)
    run.record_note("claim", claim.id, describe_claim(claim, Path("/")))
    row = dict(claim=claim.id, model="dice", variant="", index=0, own_checkpoint=False)
    run.record_note("row", verdict.key, row)
    run.record_verdict(verdict)
    (found,) = assemble(run, started="now")["verdicts"]
    a, b = (part.p_value for part in verdict.parts)
    assert found["word"] == word
    assert found["holm"]["p_value"] == pytest.approx(2 * a if word == "REFUTED" else max(a, b))


def test_round_trip_and_errors_name_the_file(tmp_path):
    results = recorded(tmp_path / "run", ("dice", LARGE))
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == quiet(results)
    (tmp_path / "old.json").write_text('{"schema": 0}')
    (tmp_path / "broken.json").write_text("{")
    for name in ("old.json", "broken.json", "none.json"):
        with pytest.raises(InputError, match=name):
            read_results(tmp_path / name)


def test_describe_claim_says_how_to_rerun():
    described = describe_claim(declare(controls=[NOTHING]), Path(__file__).parent)
    assert described["file"] == "helpers.py"
    assert described["rerun"] == "pytest helpers.py::nothing"
    assert described["regions"] == {"value": {"low": 1.0, "high": "Infinity", "text": "≥ 1"}}


def test_a_gate_is_checked_at_the_seeds_of_its_claim_on_any_model():
    claim = declare(seeds=range(5), gates=["toy.gate", Gate("toy.planted", on="cards")])
    case = Case(claim, "dice", "", None)
    plain_gate, planted = claim.gates
    on_model = gate_cases(plain_gate, declare(id="toy.gate"), case, (0, 1))
    assert [(each.model, each.seed) for each in on_model] == [("dice", 0), ("dice", 1)]
    on_planted = gate_cases(planted, declare(id="toy.planted", variants=["a", "b"]), case, (0, 1))
    assert [(each.model, each.variant, each.seed) for each in on_planted] == [
        ("cards", "a", 0), ("cards", "a", 1), ("cards", "b", 0), ("cards", "b", 1),
    ]  # fmt: skip
