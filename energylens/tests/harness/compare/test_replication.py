import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.harness import provenance as provenance_module
from energylens.harness.compare.replication import Estimate, estimate_of, replicate, share_beyond, z_value
from energylens.harness.compare.replications import (
    read_replications,
    record_replication,
    replication_line,
    share_notable,
)
from energylens.harness.provenance import INSTRUCTION_LIMITS, machine_of, provenance
from energylens.stats import fisher_z_interval, geometric_interval, t_interval

finite = st.floats(-1e3, 1e3)
errors = st.floats(0.01, 10)


def part(interval, name="value", word="HOLDS"):
    return {
        "part": name, "word": word, "estimate": interval.estimate, "low": interval.low, "high": interval.high,
        "n": interval.n, "se": interval.se, "scale": interval.scale,
    }  # fmt: skip


def run(parts, word="HOLDS", cpu="one", region="≥ 1", role="claim", timed=False, **changes):
    verdict = {
        "claim": "toy.mean", "model": "dice", "variant": "", "word": word, "own_checkpoint": False, "partial": False,
        "parts": parts,
    }  # fmt: skip
    claims = [
        {"id": "toy.mean", "role": role, "timed": timed, "declaration": {"region": region, "measure": cpu}}
    ]
    return {
        "started": "2026-01-02T03:04:05+00:00",
        "provenance": {"cpu": cpu, "commit": "abc", "packages": {"torch": "2"}, "torch_threads": 1},
        "claims": claims,
        "verdicts": [verdict | changes],
    }


@given(finite, errors, finite, errors)
def test_z_is_the_difference_in_standard_errors_and_changes_sign_with_the_sides(a, se_a, b, se_b):
    here, there = Estimate(a, se_a), Estimate(b, se_b)
    assert z_value(here, there) == pytest.approx((b - a) / (se_a**2 + se_b**2) ** 0.5)
    assert z_value(there, here) == pytest.approx(-z_value(here, there))


def test_correlations_and_ratios_are_compared_on_their_own_scale():
    rng = np.random.default_rng(0)
    r, q = np.tanh(rng.normal(1.5, 0.3, (2, 5)))
    expected = (np.arctanh(q).mean() - np.arctanh(r).mean()) / np.hypot(
        *(np.arctanh(x).std(ddof=1) / 5**0.5 for x in (r, q))
    )
    pair = [estimate_of(part(fisher_z_interval(x))) for x in (r, q)]
    assert z_value(*pair) == pytest.approx(expected)
    ratios = [estimate_of(part(geometric_interval(np.exp(x)))) for x in (r, q)]
    assert z_value(*ratios) == pytest.approx(
        (q.mean() - r.mean()) / np.hypot(r.std(ddof=1) / 5**0.5, q.std(ddof=1) / 5**0.5)
    )


@pytest.mark.parametrize(
    ("here", "there", "z"),
    [
        (Estimate(1, 0), Estimate(1, 0), 0.0),
        (Estimate(1, 0), Estimate(1.1, 0), math.inf),
        (Estimate(1, 0), Estimate(0.9, 0), -math.inf),
        (Estimate(1, math.inf), Estimate(2, 1), math.nan),
        (Estimate(math.nan, 1), Estimate(2, 1), math.nan),
        (Estimate(1, math.nan), Estimate(2, 1), math.nan),
        (Estimate(0.5, 1), Estimate(0.6, 1, "fisher z"), math.nan),
    ],
)
def test_z_where_there_is_no_spread_or_nothing_to_compare(here, there, z):
    assert z_value(here, there) == pytest.approx(z, nan_ok=True)


def test_older_results_give_the_standard_error_by_their_interval():
    told = part(t_interval([1.0, 2.0, 4.0, 3.0, 2.5]))
    without = {name: value for name, value in told.items() if name not in ("se", "scale")}
    assert estimate_of(without).se == pytest.approx(told["se"])
    assert math.isinf(estimate_of(without | {"n": 1}).se)


def test_independent_replications_of_the_same_truth_give_normal_z():
    """At many seeds; a share of |z| > 2 of 4.6 % and none beyond 3.3 in every thousand."""
    rng = np.random.default_rng(1)
    z = []
    for _ in range(2000):
        pair = (Estimate(x.mean(), x.std(ddof=1) / 200**0.5) for x in rng.normal(size=(2, 200)))
        z.append(z_value(*pair))
    assert share_beyond(z) == pytest.approx(0.0455, abs=0.014)
    assert share_beyond(z, 3.3) < 0.004


MADE_ON = {
    "cpu": "one (avx2)", "instruction_limits": "", "packages": {"torch": "2.7", "numba": "0.61"}, "torch_threads": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"cpu": "one (avx2, avx512f)"},
        {"instruction_limits": "ATEN_CPU_CAPABILITY=avx2"},
        {"packages": {"torch": "2.8", "numba": "0.61"}},
        {"packages": {"torch": "2.7", "numba": "0.62"}},
        {"torch_threads": 2},
    ],
    ids=str,
)
def test_other_instructions_versions_or_threads_are_another_machine(other):
    assert machine_of(MADE_ON | other) != machine_of(MADE_ON)
    without = {
        name: fact for name, fact in MADE_ON.items() if name not in ("instruction_limits", "torch_threads")
    }
    assert machine_of(without) == machine_of(MADE_ON)  # as older runs tell it


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"])
def test_variables_that_hide_instructions_make_another_machine(variable, tmp_path, monkeypatch):
    for name in INSTRUCTION_LIMITS:
        monkeypatch.delenv(name, raising=False)
    before = machine_of(provenance(tmp_path))
    monkeypatch.setenv(variable, "AVX2")
    assert machine_of(provenance(tmp_path)) == before.replace("; ", f"; {variable}=AVX2; ", 1)


def test_processors_of_one_name_are_told_apart_by_their_instructions(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance_module, "Path", lambda _: tmp_path / "cpuinfo")
    found = []
    for flags in ("fpu avx2", "fpu avx2 avx512f", "fpu avx2 avx512f avx512_bf16"):
        (tmp_path / "cpuinfo").write_text(f"model name : Xeon\nflags : {flags}\n")
        found.append(provenance(tmp_path)["cpu"])
    assert found == ["Xeon (avx2)", "Xeon (avx2, avx512f)", "Xeon (avx2, avx512_bf16, avx512f)"]


def test_runs_compare_where_both_judged_on_the_same_declaration():
    here = run([part(t_interval([2.0, 2.1, 2.2]))])
    there = run([part(t_interval([0.0, 0.1, 0.2]))], "REFUTED", cpu="other")
    found = replicate(here, there)
    assert (found.verdicts, found.same) == (1, 0)
    assert found.machine == "other; torch 2; 1 thread"
    assert found.against == "one; torch 2; 1 thread"
    (only,) = found.not_replicated
    assert only.z == pytest.approx(-2.0 / (2 * 0.01 / 3) ** 0.5, rel=1e-6)
    assert found.differs == (only,)
    assert only.row == "toy.mean/dice"


@pytest.mark.parametrize(
    "other",
    [
        dict(region="≥ 2"), dict(role="gate"), dict(partial=True), dict(own_checkpoint=True), dict(word="NOT RUN"),
        dict(model="coin"), dict(timed=True),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_left_out(other):
    parts = [part(t_interval([2.0, 2.1, 2.2]))]
    here = run(parts, role=other.get("role", "claim"), timed=other.get("timed", False))
    with pytest.raises(InputError, match="share no verdict"):
        replicate(here, run(parts, **other))


def test_a_line_per_machine_is_kept_and_read_back(tmp_path):
    path = tmp_path / "replications.jsonl"
    here = run([part(t_interval([2.0, 2.1, 2.2])), part(t_interval([1.0, 1.0, 1.0]), "exact")])
    there = run([part(t_interval([2.05, 2.1, 2.2])), part(t_interval([2.0, 2.0, 2.0]), "exact")], cpu="other")
    line = replication_line(replicate(here, there))
    record_replication(path, line)
    record_replication(
        path, replication_line(replicate(here, run(there["verdicts"][0]["parts"], cpu="third")))
    )
    record_replication(path, line | {"commit": "def"})
    lines = read_replications(path)
    assert [each["machine"].partition(";")[0] for each in lines] == ["third", "other"]
    assert lines[1] == line | {"commit": "def"}
    assert line["z"] == [pytest.approx(0.254, abs=0.2), "inf"]
    assert [row["row"] for row in line["not_replicated"]] == ["toy.mean/dice: exact"]
    assert share_notable(line) == 0.5
    assert read_replications(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("text", ["{", json.dumps({"at": "now"}), "3"])
def test_a_damaged_line_is_named(tmp_path, text):
    path = tmp_path / "replications.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(InputError, match="line 1 is no"):
        read_replications(path)


def with_cases(found, values, null=""):
    """The run with a value for each seed."""
    cases = [
        {
            "claim": "toy.mean",
            "model": "dice",
            "variant": "",
            "null": null,
            "seed": seed,
            "value": {"value": value},
        }
        for seed, value in values.items()
    ]
    return found | {"cases": found.get("cases", []) + cases}


@pytest.mark.parametrize(
    ("there", "r"),
    [
        ((1.0, 2.0, 3.0, 4.0, 5.0), 1.0),
        ((5.0, 4.0, 3.0, 2.0, 1.0), -1.0),
        ((1.0, 2.0, 3.0, 5.0, 4.0), 0.9),
        ((1.0, 1.0, 1.0, 1.0, 1.0), math.nan),
        ((1.0, 2.0, 3.0, 4.0), math.nan),
        ((1.0, 2.0, 3.0, 4.0, "NaN"), math.nan),
    ],
)
def test_how_much_seeds_agree_between_two_machines_is_told(there, r, tmp_path):
    """Values of controls do not count, nor what is undefined on either machine, nor fewer than five seeds."""
    made = [run([part(t_interval([2.0, 2.1, 2.2]))], cpu=cpu) for cpu in ("one", "other")]
    here, other = (
        with_cases(with_cases(each, dict(enumerate(values))), {0: 9.0, 1: -9.0}, null="chance")
        for each, values in zip(made, ((1.0, 2.0, 3.0, 4.0, 5.0), there), strict=True)
    )
    found = replicate(here, other)
    assert found.correlation == pytest.approx(r, nan_ok=True)
    record_replication(tmp_path / "r.jsonl", replication_line(found))
    (line,) = read_replications(tmp_path / "r.jsonl")
    assert float(line["correlation"]) == pytest.approx(r, nan_ok=True)
