"""What the claims on the grokked circuit measure where a network has key frequencies, and where it has none."""

import math
from types import SimpleNamespace

import pytest
import torch

from energylens.lab import Grid
from energylens.metrics import fourier
from energylens.tests.helpers.claims import CLAIMS, measured, shipped

P = 43
"""With 21 frequencies, so that each can hold less than 5 % of the power."""

OF_KEY_FREQUENCIES = ["fourier.grokked-circuit", "fourier.logits", "fourier.causal", "fourier.sets-differ"]

pytestmark = pytest.mark.skipif(not CLAIMS.is_dir(), reason="an installed copy has no claims")


def waves(k, t, p=P):
    return torch.cos(2 * torch.pi * k * t / p)


def lab_with(power, p=P):
    """A lab of one network: neuron n carries frequency n + 1 into W_L with this power, and the logits its first."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    neurons = torch.stack([waves(k, a + b, p) for k in range(1, len(power) + 1)], dim=1)
    W_L = torch.stack([share**0.5 * waves(k, torch.arange(p), p) for k, share in enumerate(power, start=1)])
    logits = 9 * waves(1, (a + b)[:, None] - torch.arange(p), p)
    network = SimpleNamespace(W_L=lambda: W_L, modadd=SimpleNamespace(p=p, labels=lambda: (a + b) % p))
    return SimpleNamespace(
        network=lambda *of: network, fourier=SimpleNamespace(grid=lambda *of: Grid(logits, neurons))
    )


def test_the_share_of_the_strongest_frequency_says_whether_there_are_key_frequencies():
    declared = shipped()["fourier.key-frequencies"]
    found = declared.body("modadd-1l", 0, lab_with([0.6, 0.37, 0.03]))
    assert found.value["value"] == pytest.approx(0.6)
    assert found.beside["key frequencies"] == 2
    region = declared.claim.regions["value"]
    flat = declared.body("modadd-1l", 0, lab_with([1 / 21] * 21))
    assert flat.value["value"] == pytest.approx(1 / 21, rel=1e-4)
    assert flat.beside["key frequencies"] == 0
    assert [region.contains(share) for share in (1 / 21, 0.049, 0.051, 0.6)] == [False, False, True, True]


@pytest.mark.parametrize("claim_id", OF_KEY_FREQUENCIES)
def test_without_key_frequencies_what_is_said_of_them_is_undefined_and_says_why(claim_id):
    declared = shipped()[claim_id]
    found = declared.body("modadd-1l", 0, lab_with([1 / 21] * 21))
    assert all(math.isnan(value) for value in found.value.values())
    assert set(found.value) == set(declared.claim.parts)
    assert found.note == "no frequency holds more than 5 % of W_L's Fourier power"
    there = declared.body("modadd-1l", 0, lab_with([0.6, 0.4]))
    assert not any(math.isnan(value) for value in there.value.values())
    assert there.note == ""


def test_the_share_of_random_sets_is_a_mean_over_many():
    """One key frequency of three holds everything: a set of one has it in a third of the draws."""
    lab = lab_with([1.0], p=7)
    assert float(fourier.logit_shares(lab.fourier.grid().logits)[0]) == pytest.approx(1)
    found = measured("fourier.logits", "random-sets", "modadd-1l", 0, lab).value["value"]
    assert found == pytest.approx(1 / 3, abs=0.15)
