"""`--model` with one checkpoint and with several, in real pytest runs; claims about their data, no torch anywhere."""

import json

import pytest

from energylens.report import write_badges
from energylens.tests.plugin.test_plugin import results, words
from energylens.tests.report.helpers.example import whole_report

pytest_plugins = "pytester"

CONFTEST = """
import pytest

def pytest_energylens_models():
    return {"adder": "modadd", "copier": "induction"}

class Lab:
    def __init__(self, network=None):
        self.network = network
    def swapped(self, network):
        return Lab(network)

@pytest.fixture(scope="session")
def lab():
    return Lab()
"""

CLAIMS = """
import numpy as np
from energylens import AtLeast, AtMost, Measurement, Null, Pairs, claim, gate

COMMON = dict(source="us", models=["adder", "copier"], seeds=range(4),
              controls=[Null("swapped", "another", swap={"network": "x"})])

def drawn(model, seed, lab):
    return Measurement(0.0 if lab.network else 5 + seed / 10)

@claim("data.large", says="Numbers are large.", holds_when=AtLeast(1), **COMMON)
def test_large(model, seed, lab):
    return drawn(model, seed, lab)

@claim("data.small", says="Numbers are small.", holds_when=AtMost(1), **COMMON)
def test_small(model, seed, lab):
    return drawn(model, seed, lab)

def product(first, second):
    return float(first["x"] @ second["x"])

@claim("data.apart", says="Networks differ.", holds_when=AtMost(1), statistic=Pairs(product), **COMMON)
def test_apart(model, seed, lab):
    return Measurement(arrays={"x": np.full(2, float(seed))})

@gate("data.able", says="It can.", source="us", passes_when=AtLeast(1), models=["adder", "copier"], seeds=range(4),
      rejects=[Null("swapped", "another", swap={"network": "x"})], competence=True)
def test_able(model, seed, lab):
    return Measurement(0.0 if lab.network or seed == 4 else 2.0)

@claim("data.gated", says="Able networks have large numbers.", holds_when=AtLeast(1), gates=["data.able"], **COMMON)
def test_gated(model, seed, lab):
    return drawn(model, seed, lab)
"""

SIZES = dict(d_model=4, d_head=2, n_heads=2, n_layers=1, n_ctx=64, d_vocab=114)


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    pytester.makeini("[pytest]")
    pytester.makeconftest(CONFTEST)
    (pytester.mkdir("claims") / "test_data.py").write_text(CLAIMS)
    for name, task, n in (("adds", "modadd", 1), ("copies", "induction", 1), ("many", "induction", 2)):
        for i in range(n):
            folder = pytester.path / "runs" / name / str(i)
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_bytes(bytes([i]))
            (folder / "config.json").write_text(json.dumps({"model": SIZES, "task": {"name": task}}))
    return pytester


def run(project, *names, options=()):
    given = [f"--model=mine-{name}=runs/{name}/*" for name in names]
    return project.runpytest("claims", *given, "--report-dir=out", *options)


def shield(project, name="badge"):
    return json.loads((project.path / "out" / f"{name}.json").read_text())


def report(project):
    return whole_report(project.path / "out")


def test_one_network_is_judged_over_samples_of_its_data(project):
    done = run(project, "copies", options=["-v"])
    assert done.ret == 0
    found = results(project, "out")
    assert words(found) == {
        "data.large/mine-copies": "HOLDS",
        "data.small/mine-copies": "REFUTED",
        "data.apart/mine-copies": "NOT RUN",
        "data.able/mine-copies": "REFUTED",
        "data.gated/mine-copies": "INVALID",
    }
    by_claim = {verdict["claim"]: verdict for verdict in found["verdicts"]}
    assert by_claim["data.large"]["seeds"] == [0, 1, 2, 3, 4]
    assert by_claim["data.large"]["unit"] == "sample of data"
    assert by_claim["data.apart"]["reason"] == "asks for several networks; one was given"
    assert by_claim["data.gated"]["reason"] == "this network is not competent: data.able"
    assert not any("holm" in verdict for verdict in found["verdicts"])
    done.stdout.fnmatch_lines(
        [
            "*test_large*mine-copies-4* MEASURED*",
            "*test_large*mine-copies-verdict* HOLDS for this network  *",
            "*test_small*mine-copies-verdict* REFUTED for this network  *",
            "*test_apart*mine-copies-verdict* NOT RUN*",
            "*  mine-copies  *HOLDS for this network  *5.20 *",
            "*One network: 1 holds, 1 refuted, 1 invalid, 1 not run; 1 broken gate",
            "4 claims on its task; 0 of 1 gate do what they must",
            "One network was checked, mine-copies; *over 5 disjoint samples *",
            "*intervals are over these samples.",
        ]
    )
    assert "1 holds for this network" in done.stdout.lines[-1]


def test_of_one_network_report_and_badges_look_like_no_finding(project):
    run(project, "copies")
    assert shield(project)["label"] == "one network"
    assert shield(project)["message"].startswith("1 holds, 1 refuted")
    assert shield(project)["color"] == "blue"
    write_badges(results(project, "out"), project.path / "out" / "badges")
    large, small = (shield(project, f"badges/data.{name}") for name in ("large", "small"))
    assert (large["message"], large["color"]) == ("holds for one network", "blue")
    assert (small["message"], small["color"]) == ("refuted for one network", "blue")
    text = report(project)
    assert "**One network: 1 holds, 1 refuted" in text
    assert "One network was checked, mine-copies; its verdicts are about this network alone" in text
    assert "over training seeds" not in text
    assert "**HOLDS for this network**" in text
    assert "| 5 samples |" in text
    assert "Measured on 5 samples of the data of mine-copies; declared seeds: 0, 1, 2, 3" in text


def test_where_all_inputs_are_measured_the_value_decides(project):
    assert run(project, "adds").ret == 0
    found = results(project, "out")
    by_claim = {verdict["claim"]: verdict for verdict in found["verdicts"]}
    assert {claim: (verdict["word"], verdict["seeds"]) for claim, verdict in by_claim.items()} == {
        "data.large": ("HOLDS", [0]),
        "data.small": ("REFUTED", [0]),
        "data.apart": ("NOT RUN", []),
        "data.able": ("HOLDS", [0]),
        "data.gated": ("HOLDS", [0]),
    }
    assert by_claim["data.large"]["unit"] == "all inputs"
    text = report(project)
    assert "all its inputs were measured, so its numbers are exact" in text
    assert "| 5, exact" in text
    assert "| all inputs |" in text


def test_several_networks_are_the_seeds_as_ever(project):
    done = run(project, "many", options=["-v"])
    found = results(project, "out")
    by_claim = {verdict["claim"]: verdict for verdict in found["verdicts"]}
    assert {verdict["unit"] for verdict in by_claim.values()} == {"network"}
    assert (
        found["complete"] is False
    )  # every verdict was reached, but no declared one: not for reports/ or the ledger
    assert by_claim["data.large"]["seeds"] == [0, 1]
    assert by_claim["data.apart"]["word"] != "NOT RUN"
    assert "for this network" not in done.stdout.str() + report(project)
    assert "own checkpoint" in report(project)
    assert shield(project)["label"] == "as published"


def test_one_network_beside_several_is_told_apart(project):
    run(project, "many", "copies")
    message = shield(project)["message"]
    assert "one network" not in message
    found = results(project, "out")
    assert found["summary"]["by_claim"]["data.gated"] != "INVALID"


@pytest.mark.parametrize("mode", ["check", "strict", "update"])
def test_one_network_is_never_red_and_never_recorded(project, mode):
    done = run(project, "copies", options=[f"--ledger={mode}"])
    assert done.ret == 0
    ledger = project.path / "claims" / "ledger.toml"
    assert not ledger.exists() or "mine" not in ledger.read_text()
