import dataclasses

import pytest
import torch

from energylens.errors import InputError
from energylens.lab import TEXT_SAE_SEEDS, TEXT_VARIANTS, Lab
from energylens.lenses.held_out import held_out_text
from energylens.lenses.logit import logit_lens
from energylens.lenses.reading import read
from energylens.models.corpus import PythonText
from energylens.models.samples import sampled
from energylens.sae.variants import ReLU, TopK
from energylens.store import Store, key_of
from energylens.tests.helpers.text_networks import lab, make_network, network, one_thread

__all__ = ["lab", "make_network", "network", "one_thread"]

MIDDLE, LATE = "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"


@pytest.mark.parametrize("variant", TEXT_VARIANTS)
def test_a_variant_says_kind_and_site(lab, variant):
    recipe = lab.text.sae_recipe("mine", 0, variant)
    assert isinstance(recipe.variant, TopK if variant.startswith("topk") else ReLU)
    assert recipe.hook_name == (MIDDLE if variant.endswith("middle") else LATE)
    assert recipe.data == PythonText()
    assert recipe.decoder == "trained"
    assert lab.swapped(dictionary="frozen").text.sae_recipe("mine", 0, variant).decoder == "frozen"
    assert lab.text.tuned_lens_recipe("mine", 0, variant.partition("-")[2]).hook_name == recipe.hook_name


def test_sites_of_the_zoo_need_no_network(tmp_path):
    lab = Lab(Store(tmp_path))
    hooks = [lab.text.site_hook("pygpt-4l", 0, site) for site in ("middle", "late")]
    assert hooks == ["blocks.1.hook_resid_post", "blocks.3.hook_resid_post"]
    keys = {key_of(lab.text.sae_recipe("pygpt-4l", 0, variant)) for variant in TEXT_VARIANTS}
    assert len(keys) == len(TEXT_VARIANTS)
    assert Store(tmp_path).ls() == []


def test_readings_of_the_lab_are_those_of_its_network_on_one_sample(lab, network):
    reading = lab.text.reading("mine", 0, "late", "discovery")
    text = held_out_text(dataclasses.replace(network, task=sampled(network.task, 0)), "discovery", 0)
    expected = read(network, network.task.corpus, LATE, text, logit_lens(network))
    assert torch.equal(reading.text.tokens, text.tokens)
    torch.testing.assert_close(reading.energy, expected.energy)
    assert lab.text.reading("mine", 0, "late", "discovery") is reading
    assert not torch.equal(lab.text.reading("mine", 0, "middle", "discovery").x, reading.x)


def test_samples_share_no_document_and_what_is_trained(lab):
    documents = [
        set(lab.text.reading("mine", i, "late", "discovery").text.documents.tolist()) for i in (0, 1)
    ]
    assert len(documents[0]) > 2
    assert not documents[0] & documents[1]
    for made in (lab.text.sae_recipe("mine", 0, "topk-late"), lab.text.tuned_lens_recipe("mine", 0, "late")):
        again = (lab.text.sae_recipe("mine", 1, "topk-late"), lab.text.tuned_lens_recipe("mine", 1, "late"))
        assert made in again


def test_every_network_has_three_saes_as_one_batch_and_a_control_one(lab):
    assert lab.text.sae_recipe("mine", 0, "topk-late").seeds == TEXT_SAE_SEEDS
    for swap in ({"dictionary": "frozen"}, {"network": "untrained"}):
        assert lab.swapped(**swap).text.sae_recipe("mine", 0, "topk-late").seeds == TEXT_SAE_SEEDS[:1]


def test_what_there_is_not_is_refused_by_name(lab):
    with pytest.raises(InputError, match=r"topk-middle, .* received 'topk'"):
        lab.text.sae_recipe("mine", 0, "topk")
    with pytest.raises(InputError, match="received 'early'"):
        lab.text.reading("mine", 0, "early", "discovery")
