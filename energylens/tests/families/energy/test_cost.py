from pathlib import Path

import pytest
import torch

from energylens.errors import InputError
from energylens.families.energy.cost import LENGTHS, exponent, peak_gigabytes, seconds_by_length
from energylens.families.energy.energy_study import EnergyStudy
from energylens.sae.dictionary import random_dictionary


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_its_power(power):
    assert exponent({n: 3.0 * n**power for n in (16, 32, 64, 128)}) == pytest.approx(power)


def test_one_length_has_no_exponent():
    with pytest.raises(InputError, match=r"received \[16\]"):
        exponent({16: 1.0})


def test_every_length_is_timed(readings):
    dictionary = random_dictionary(readings["discovery"].x, 64, 8, torch.Generator().manual_seed(0))
    found = seconds_by_length(EnergyStudy(dictionary, readings, seed=0))
    assert tuple(found) == LENGTHS
    assert min(found.values()) > 0


def test_this_process_takes_up_memory():
    held = torch.ones(100_000_000)  # .4 GB
    assert 2 * held.nbytes / 1e9 < peak_gigabytes() < 100


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can forget a peak")
def test_a_peak_is_told_once():
    held = torch.ones(100_000_000)
    with_it = peak_gigabytes()
    del held
    peak_gigabytes()
    assert peak_gigabytes() < with_it - 0.4
