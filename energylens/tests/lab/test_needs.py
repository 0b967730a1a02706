from energylens.lab import Lab, needs_network, needs_saes, needs_text_saes, needs_tuned_lens
from energylens.store import Store


def test_needs_are_the_recipes_that_bodies_ask_for(tmp_path):
    lab = Lab(Store(tmp_path))
    assert needs_network(lab, "modadd-1l", "", 2) == [lab.recipe("modadd-1l", 2)]
    assert needs_network(lab, "pygpt-2l", "", 2) == [lab.recipe("pygpt-2l", 2)]
    assert needs_saes()(lab, "modadd-1l", "relu", 1) == [lab.sae.recipe("modadd-1l", "relu", 1)]
    assert needs_saes("topk")(lab, "modadd-1l", "relu", 1) == [lab.sae.recipe("modadd-1l", "topk", 1)]
    saes = lab.text.sae_recipe("pygpt-2l", 0, "topk-late")
    assert needs_text_saes(lab, "pygpt-2l", "topk-late", 0) == [saes]
    lens = lab.text.tuned_lens_recipe("pygpt-2l", 0, "late")
    assert needs_tuned_lens(lab, "pygpt-2l", "topk-late", 0) == [saes, lens]
