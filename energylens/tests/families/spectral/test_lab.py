import pytest
import torch

from energylens.families.spectral.head_study import study_heads
from energylens.lab import WIRED, Lab
from energylens.store import Store


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return Lab(Store(tmp_path_factory.mktemp("store")))


def test_heads_are_those_of_the_network_and_of_the_seed(lab):
    found = lab.spectral.heads(WIRED, 0)
    torch.testing.assert_close(found.damage, study_heads(lab.network(WIRED, 0), 0).damage)
    assert lab.spectral.heads(WIRED, 0) is found
    assert lab.spectral.heads(WIRED, 1) is not found
