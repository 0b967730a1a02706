import dataclasses

import numpy as np
import pytest
import torch

from energylens.errors import InputError
from energylens.sae.activations import split
from energylens.sae.methods.matched_relu import GRID, REFINEMENT
from energylens.sae.planted import PlantedDictionary
from energylens.sae.recipe import TrainSAEs
from energylens.sae.sae import SAEs
from energylens.sae.variants import MatchedReLU, ReLU, TopK
from energylens.store import Artifact, Store, no_progress
from energylens.tests.sae.helpers import mixture, slow_acts, slow_explained_variance

RECIPE = TrainSAEs(
    PlantedDictionary(),
    variant=TopK(3),
    d_sae=24,
    steps=60,
    batch=64,
    lr=3e-3,
    seeds=(5, 6),
    n_heldout=100,
    autocast="fp32",
)
SOURCE = Artifact({"x": mixture(n=500, mean=3.0).numpy()})


@pytest.mark.parametrize("variant", [TopK(3), ReLU(0.05)], ids=["topk", "relu"])
def test_what_is_recorded_agrees_with_a_slow_reference(variant):
    recipe = dataclasses.replace(RECIPE, variant=variant)
    saes = SAEs.from_artifact(recipe.build([SOURCE], no_progress))
    train_x, heldout_x = split(torch.tensor(SOURCE.tensors["x"]), recipe)
    weights = saes.weights
    for i, seed in enumerate(saes.seeds):
        encoder = weights.W_enc[i], weights.b_enc[i], weights.b_dec[i], getattr(variant, "k", None)
        acts = slow_acts(heldout_x, *encoder)
        x_hat = acts @ weights.W_dec[i].double() + weights.b_dec[i].double()
        torch.testing.assert_close(saes.reconstruct(heldout_x, seed).double(), x_hat, atol=1e-4, rtol=1e-4)
        expected = slow_explained_variance(heldout_x, x_hat)
        assert saes.meta["explained_variance"][i] == pytest.approx(expected, abs=1e-5)
        assert expected > 0.5
        assert saes.meta["l0"][i] == pytest.approx(float((acts > 0).sum()) / len(acts), abs=0.02)
        dead = (slow_acts(train_x, *encoder) > 0).any(0).logical_not().double().mean()
        assert saes.meta["dead_fraction"][i] == pytest.approx(float(dead), abs=0.01)


def test_topk_l0_is_k_on_held_out_activations():
    assert RECIPE.build([SOURCE], no_progress).meta["l0"] == [3.0, 3.0]


def test_through_the_store_and_back(tmp_path):
    recipe = dataclasses.replace(RECIPE, source=PlantedDictionary(n=400))
    stored = SAEs.from_artifact(Store(tmp_path).get(recipe))
    again = SAEs.from_artifact(Store(tmp_path).get(recipe))
    assert stored.seeds == (5, 6)
    assert stored.method == TopK(3)
    assert torch.equal(stored.decoder(6), again.decoder(6))
    assert stored.encoder(5).shape == (64, 24)
    assert not torch.equal(stored.decoder(5), stored.initial_decoder(5))
    with pytest.raises(InputError, match="no SAE of seed 7; seeds are 5, 6"):
        stored.decoder(7)


def test_threads_are_pinned_and_put_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = RECIPE.build([SOURCE], no_progress)
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        again = RECIPE.build([SOURCE], no_progress)
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(first.tensors[name], again.tensors[name]) for name in first.tensors)


def test_a_matched_relu_records_its_search_and_counts_all_steps():
    seen = []
    recipe = dataclasses.replace(RECIPE, variant=MatchedReLU(4.0), steps=100)
    meta = recipe.build([SOURCE], lambda step, total, numbers: seen.append((step, total))).meta
    assert seen == [(step, 300) for step in range(25, 301, 25)]
    assert len(meta["search"]) == len(GRID) + len(REFINEMENT)
    assert meta["l0_train"] == pytest.approx([4.0, 4.0], abs=1.2)
    assert meta["l1"][0] == meta["l1"][1] > 0


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "NaN"), (None, "do not vary")])
def test_activations_that_cannot_be_learned_are_refused(value, message):
    x = np.ones((500, 16), dtype=np.float32)
    x[:, 2] = 1.0 if value is None else value
    with pytest.raises(InputError, match=message):
        RECIPE.build([Artifact({"x": x})], no_progress)
