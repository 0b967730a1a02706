import pytest
import torch

from energylens.energy.dictionary import Dictionary, random_dictionary
from energylens.energy.effects import (
    ABLATED,
    FIRST,
    ablated_latents,
    ablation_effects,
    first_windows,
    steering_shifts,
)
from energylens.errors import InputError
from energylens.interventions import intervening
from energylens.metrics.energy import energy_and_gradient

MIDDLE = "blocks.0.hook_resid_post"


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def dictionary(readings):
    return random_dictionary(readings["confirmation"].x, 24, 6, rng())


def rows_run(reading):
    """Windows that are run, and the residuals of their counted tokens, by hand."""
    n_windows, n_pos = reading.text.tokens.shape
    rows = [document * 6 for document in range(reading.text.n_documents)]
    return rows, reading.x.reshape(n_windows, n_pos - 1, -1)[rows, : FIRST - 1]


def losses(bridge, tokens, targets):
    nats = torch.nn.functional.cross_entropy(bridge(tokens).transpose(1, 2), targets, reduction="none")
    return nats[:, 1:].mean(1)


def test_one_window_of_every_document_is_run(readings):
    reading = readings["confirmation"]
    rows = first_windows(reading)
    assert len(rows) == reading.text.n_documents
    assert rows.tolist() == rows_run(reading)[0]


def test_ablation_equals_a_hook_that_subtracts(network, readings, dictionary):
    reading, latents = readings["confirmation"], torch.tensor([3, 11])
    found = ablation_effects(network, MIDDLE, dictionary, reading, latents)
    rows, x = rows_run(reading)
    tokens, targets = reading.text.tokens[rows], reading.text.targets[rows]
    for i, latent in enumerate(latents.tolist()):
        gone = dictionary.encode(x.flatten(0, 1))[:, latent].reshape(x.shape[:2])[..., None]

        def edit(stream, gone=gone, latent=latent):
            stream = stream.clone()
            stream[:, 1:] -= gone * dictionary.W_dec[latent]
            return stream

        with torch.no_grad(), intervening(network.bridge, {MIDDLE: edit}) as through:
            after = losses(through, tokens, targets)
        with torch.no_grad():
            before = losses(network.bridge, tokens, targets)
        assert float(found.downstream[i]) == pytest.approx(float((after - before).mean()), abs=1e-5)
        assert float(found.activity[i]) == pytest.approx(float(gone.mean()), rel=1e-5)


def test_same_position_effects_are_of_the_lens_and_first_order_is_their_tangent(
    network, readings, dictionary
):
    reading, latents = readings["confirmation"], torch.arange(6)
    found = ablation_effects(network, MIDDLE, dictionary, reading, latents)
    rows, x = rows_run(reading)
    x, targets = x.flatten(0, 1).contiguous(), reading.text.targets[rows][:, 1:].flatten()
    acts = dictionary.encode(x)
    before, gradient = energy_and_gradient(reading.lens, x, targets)
    for latent in range(6):
        moved = x - acts[:, latent, None] * dictionary.W_dec[latent]
        after = energy_and_gradient(reading.lens, moved, targets)[0]
        tangent = -(gradient @ dictionary.W_dec[latent]) * acts[:, latent]
        assert float(found.same_position[latent]) == pytest.approx(float((after - before).mean()), abs=1e-5)
        assert float(found.first_order[latent]) == pytest.approx(float(tangent.mean()), abs=1e-6)


def test_without_latents_there_is_nothing_to_ablate(network, readings, dictionary):
    with pytest.raises(InputError, match="got 0 of them"):
        ablation_effects(
            network, MIDDLE, dictionary, readings["confirmation"], torch.empty(0, dtype=torch.long)
        )


def test_latents_to_ablate_fire_often_and_are_drawn_by_the_seed():
    counts = torch.arange(300)
    chosen = ablated_latents(counts, 50, 0)
    assert len(chosen) == ABLATED == len(chosen.unique())
    assert int(chosen.min()) >= 50
    assert torch.equal(chosen, ablated_latents(counts, 50, 0))
    assert not torch.equal(chosen, ablated_latents(counts, 50, 1))
    assert ablated_latents(counts, 290, 0).tolist() == list(range(290, 300))


def test_steering_moves_what_its_direction_says(network, readings):
    reading = readings["confirmation"]
    directions = torch.eye(16)[:3]
    shifts, random = steering_shifts(network, MIDDLE, reading, directions, seed=0)
    assert shifts.shape == (3,)
    assert (shifts > 0).all()
    assert torch.equal(random, steering_shifts(network, MIDDLE, reading, directions[:1], seed=0)[1])
    assert not torch.equal(random, steering_shifts(network, MIDDLE, reading, directions[:1], seed=1)[1])
    flat = torch.full((1, 16), 0.25)  # no LayerNorm reads a shift of all coordinates
    assert float(steering_shifts(network, MIDDLE, reading, flat, seed=0)[0]) < 1e-5 < float(random.min())


def test_a_dictionary_that_never_fires_changes_nothing(network, readings):
    silent = Dictionary(torch.eye(16)[:2], lambda x: torch.zeros(len(x), 2))
    found = ablation_effects(network, MIDDLE, silent, readings["confirmation"], torch.arange(2))
    for values in (found.downstream, found.same_position, found.first_order, found.activity):
        assert torch.equal(values, torch.zeros(2, dtype=torch.float64))
