import pytest
import torch

from energylens.families.spectral.changed_head import GAPS, attribution
from energylens.families.spectral.head_study import HeadStudy


@pytest.mark.parametrize("seed", range(3))
def test_all_numbers_point_to_the_head_that_was_changed_and_to_no_other(random_ioi, random_induction, seed):
    for network in (random_ioi, random_induction):
        before = {name: value.clone() for name, value in network.bridge.state_dict().items()}
        assert attribution(network, seed) == dict.fromkeys((*GAPS, "damage"), 1.0)
        assert attribution(network, seed, further=1) == dict.fromkeys((*GAPS, "damage"), 0.0)
        assert all(torch.equal(value, before[name]) for name, value in network.bridge.state_dict().items())


def test_a_measure_of_the_wrong_head_is_seen(random_ioi, monkeypatch):
    gap = HeadStudy.gap
    monkeypatch.setattr(HeadStudy, "gap", lambda study, name: gap(study, name).roll(1))
    assert attribution(random_ioi, 0) == {"a": 0.0, "a-prime": 0.0, "damage": 1.0}


def test_a_measure_that_never_changes_is_seen(random_ioi, monkeypatch):
    monkeypatch.setattr(HeadStudy, "gap", lambda study, name: torch.ones(4))
    monkeypatch.setattr(HeadStudy, "damage", torch.ones(4))
    assert set(attribution(random_ioi, 0).values()) == {0.0}
