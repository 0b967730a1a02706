import pytest
import torch

from energylens.errors import InputError
from energylens.lab import TEXT_SAE_SEEDS, TEXT_VARIANTS


def test_random_directions_stand_in_for_an_sae_and_differ_by_variant(lab):
    swapped = lab.swapped(dictionary="covariance")
    studies = {variant: swapped.energy.study("mine", 0, variant) for variant in TEXT_VARIANTS}
    for variant, study in studies.items():
        site = variant.partition("-")[2]
        assert study.readings["discovery"] is lab.text.reading("mine", 0, site, "discovery")
        assert study.readings["confirmation"] is lab.text.reading("mine", 0, site, "confirmation")
        assert study.dictionary.W_dec.shape == (1024, 16)
        acts = study.dictionary.acts(study.readings["confirmation"].x)
        assert ((acts != 0).sum(1) <= 32).all()
    assert not torch.equal(studies["topk-middle"].dictionary.W_dec, studies["relu-middle"].dictionary.W_dec)
    assert swapped.energy.study("mine", 0, "topk-late") is studies["topk-late"]


def test_a_study_is_of_the_first_sae_unless_said_otherwise(lab):
    swapped = lab.swapped(dictionary="covariance")
    first = swapped.energy.study("mine", 0, "relu-late")
    assert swapped.energy.study("mine", 0, "relu-late", TEXT_SAE_SEEDS[0]) is first
    assert swapped.energy.study("mine", 0, "relu-late", TEXT_SAE_SEEDS[1]) is not first


def test_no_other_dictionary_stands_in_on_text(lab):
    with pytest.raises(InputError, match="by the name of 'isotropic'"):
        lab.swapped(dictionary="isotropic").energy.study("mine", 0, "topk-middle")
