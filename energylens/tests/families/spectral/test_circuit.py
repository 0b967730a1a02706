import math

import pytest
import torch

from energylens.errors import InputError
from energylens.families.spectral.circuit import (
    discover,
    heads_of,
    kept,
    random_circuits,
    removal_costs,
    share_beaten,
)
from energylens.families.spectral.circuit_graph import circuit_graph
from energylens.families.spectral.head_prompts import head_prompts, induction_prompts, ioi_prompts
from energylens.families.spectral.head_study import study_heads


def test_all_heads_keep_everything_and_none_nothing(random_ioi):
    prompts = head_prompts(random_ioi, 0, n=8)
    shares = kept(random_ioi, prompts, [heads_of(random_ioi), []])
    assert shares.tolist() == pytest.approx([1, 0], abs=1e-6)


def test_a_study_keeps_what_circuits_keep(random_ioi, monkeypatch):
    study = study_heads(random_ioi, 0)
    circuits = [[(0, 1), (1, 0)], [(1, 1)], [(1, 0), (0, 1)]]
    expected = kept(random_ioi, ioi_prompts(random_ioi, 0, pairs="held-out"), circuits)
    assert torch.equal(study.kept(circuits), expected)
    monkeypatch.setattr("energylens.families.spectral.head_study.kept", None)
    assert torch.equal(study.kept(circuits[::-1]), expected.flip(0))


def test_the_wired_circuit_is_found_and_nothing_else(wired, circuit):
    prompts = induction_prompts(wired, 0, 16)
    assert discover(wired, prompts) == circuit
    shares = kept(wired, prompts, [circuit, set(heads_of(wired)) - circuit])
    assert shares.tolist() == pytest.approx([1, 0], abs=0.02)
    assert (removal_costs(wired, prompts, sorted(circuit)) > 0.9).all()


def test_a_corruption_without_effect_is_refused(wired, monkeypatch):
    prompts = induction_prompts(wired, 0, 4)
    monkeypatch.setattr(
        "energylens.families.spectral.circuit.kept",
        lambda network, prompts, circuits: torch.full((len(circuits),), math.nan),
    )
    with pytest.raises(InputError, match="induction-wired"):
        discover(wired, prompts)


def test_random_circuits_are_all_the_others_where_there_are_few():
    heads = [(0, 0), (0, 1), (1, 0), (1, 1)]
    own = frozenset(heads[:2])
    found = random_circuits(heads, own, 100, seed=0)
    assert len(found) == len(set(found)) == 5
    assert own not in found
    some = random_circuits(heads, own, 3, seed=0)
    assert len(some) == 3
    assert some == random_circuits(heads, own, 3, seed=0) != random_circuits(heads, own, 3, seed=1)
    assert all(len(one) == 2 and one != own for one in some)


def test_the_share_of_circuits_that_are_less_faithful():
    others = torch.tensor([0.5, 1.4, 0.9, 1.1])
    assert share_beaten(1.2, others) == 0.5
    assert share_beaten(0.75, torch.tensor([0.5, 1.25, 0.75, 1.0])) == 0.5  # better, worse, two ties
    assert share_beaten(5.0, others) == 0
    assert math.isnan(share_beaten(1.0, torch.tensor([])))


def test_the_graph_of_the_wired_circuit(wired, circuit):
    first, second = sorted(circuit)
    costs = {first: 1.0, second: 1.0}
    graph = circuit_graph(wired, induction_prompts(wired, 0, 16), circuit, costs)
    names = [f"{layer}.{head}" for layer, head in (first, second)]
    assert graph["nodes"] == [*names, "logits"]
    weights = {(start, end): weight for start, end, weight in graph["edges"]}
    assert weights[names[0], names[1]] > 0.5  # K-composition
    assert abs(weights[names[0], "logits"]) < 0.01
    assert weights[names[1], "logits"] == pytest.approx(1, abs=0.02)
    assert graph["y"] == [0, 1, 2]
