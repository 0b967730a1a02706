from dataclasses import replace

import pytest
import torch

from energylens.errors import InputError
from energylens.families.energy.effects import (
    ABLATED,
    FIRST,
    RANDOM,
    SPLITS,
    STEP,
    ablated_latents,
    ablation_against_random,
    ablation_effects,
    first_windows,
    random_shifts,
    steering_against_random,
    steering_shifts,
)
from energylens.interventions import intervening
from energylens.interventions.latents import random_directions
from energylens.metrics.energy import energy_and_gradient
from energylens.sae.activations import stream
from energylens.sae.dictionary import Dictionary, random_dictionary

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


def test_effects_are_kept_document_by_document_from_one_run(network, readings, dictionary):
    reading, latents = readings["confirmation"], torch.tensor([3, 11, 12])
    found = ablation_effects(network, MIDDLE, dictionary, reading, latents)
    assert found.by_document.shape == (3, reading.text.n_documents)
    assert torch.equal(found.by_document.mean(1), found.downstream)
    assert found.by_document.std(1).min() > 0
    first, second = found.halves(seed=0)
    assert first.shape == second.shape == (SPLITS, 3)
    assert torch.equal(first, found.halves(seed=0)[0])
    assert not torch.equal(first, found.halves(seed=1)[0])
    half = reading.text.n_documents // 2
    left_out = found.by_document.sum(1) - half * (first[0] + second[0])
    none_or_one = torch.cat([torch.zeros_like(left_out)[None], found.by_document.T])
    assert (none_or_one - left_out).abs().amax(1).min() < 1e-9


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
    found = steering_against_random(network, MIDDLE, reading, directions, seed=0)
    for values in (found.loss.abs(), found.energy.abs(), found.kl):
        assert values.shape == (3,)
        assert (values > 0).all()
    again, other = (
        steering_against_random(network, MIDDLE, reading, directions[:1], seed) for seed in (0, 1)
    )
    assert torch.allclose(found.random_loss, again.random_loss, atol=1e-6)
    assert not torch.allclose(found.random_loss, other.random_loss, atol=1e-6)
    flat = torch.full((1, 16), 0.25)  # no LayerNorm reads a shift of all coordinates
    still = steering_against_random(network, MIDDLE, reading, flat, seed=0)
    for moved, random in ((still.loss, still.random_loss), (still.energy, still.random_energy)):
        assert float(moved.abs()) < 1e-5 < float(random.abs().min())
    assert float(still.kl) < 1e-5 < float(still.random_kl.min())


def test_shifts_are_changes_of_the_loss(network, readings):
    reading = readings["confirmation"]
    shifts = steering_shifts(network, MIDDLE, reading, torch.eye(16)[:3])
    assert shifts.loss.shape == (3,)
    rows, _ = rows_run(reading)
    tokens, targets = reading.text.tokens[rows[::2]][:, :FIRST], reading.text.targets[rows[::2]][:, :FIRST]
    norm = float(stream(network, MIDDLE, tokens)[:, 1:].square().sum(-1).mean().sqrt())

    def edit(x):
        x = x.clone()
        x[:, 1:, 0] += STEP * norm
        return x

    with torch.no_grad():
        before = network.bridge(tokens)
        with intervening(network.bridge, {MIDDLE: edit}) as through:
            after = through(tokens)
    assert float(shifts.loss[0]) == pytest.approx(divergence(before, after, targets)[0], abs=1e-5)


def test_random_shifts_are_along_directions_of_their_seed(network, readings):
    reading = readings["confirmation"]
    found = random_shifts(network, MIDDLE, reading, seed=3)
    directions = random_directions(RANDOM, 16, rng(3))
    torch.testing.assert_close(found.loss, steering_shifts(network, MIDDLE, reading, directions).loss)
    assert len(found.loss) == RANDOM
    assert not torch.allclose(found.loss, random_shifts(network, MIDDLE, reading, seed=4).loss, atol=1e-6)


def test_steering_at_the_last_site_moves_the_loss_by_what_the_lens_says(network, readings):
    """There the lens is the network's own readout, so that energy and loss are the same thing."""
    reading = readings["confirmation"]
    last = f"blocks.{network.n_layers - 1}.hook_resid_post"
    whole = stream(network, last, reading.text.tokens)[:, 1:].flatten(0, 1)
    energy, _ = energy_and_gradient(reading.lens, whole, reading.targets)
    here = replace(reading, x=whole, energy=energy)
    found = steering_against_random(network, last, here, torch.eye(16)[:2], seed=0)
    assert torch.allclose(found.loss, found.energy, atol=1e-5)
    assert torch.allclose(found.random_loss, found.random_energy, atol=1e-5)


def test_ablation_against_random_is_that_of_the_latents_on_a_fourth_of_the_documents(
    network, readings, dictionary
):
    reading, latents = readings["confirmation"], torch.tensor([3, 11])
    found = ablation_against_random(network, MIDDLE, dictionary, reading, latents, seed=0)
    rows, x = rows_run(reading)
    rows, x = rows[::4], x[::4]
    tokens, targets = reading.text.tokens[rows][:, :FIRST], reading.text.targets[rows][:, :FIRST]
    gone = dictionary.encode(x.flatten(0, 1))[:, 3].reshape(x.shape[:2])[..., None]

    def edit(stream):
        stream = stream.clone()
        stream[:, 1:] -= gone * dictionary.W_dec[3]
        return stream

    with torch.no_grad():
        before = network.bridge(tokens)
        with intervening(network.bridge, {MIDDLE: edit}) as through:
            after = through(tokens)
    change, kl = divergence(before, after, targets)
    assert float(found.loss[0]) == pytest.approx(change, abs=1e-5)
    assert float(found.kl[0]) == pytest.approx(kl, abs=1e-5)
    assert (found.random_kl > 0).all()
    assert not torch.allclose(found.loss, found.random_loss, atol=1e-6)
    assert set(found.medians()) == {
        f"median {name}, {of}"
        for name in ("|change of loss|", "|change of lens energy|", "KL")
        for of in ("features", "random directions")
    }


def divergence(before, after, targets):
    """Change of the loss, and KL(before || after), over all positions but the first."""
    before, after = (logits[:, 1:].log_softmax(-1) for logits in (before, after))
    at = targets[:, 1:, None]
    loss = (before.gather(-1, at) - after.gather(-1, at)).mean()
    return float(loss), float((before.exp() * (before - after)).sum(-1).mean())


def test_a_dictionary_that_never_fires_changes_nothing(network, readings):
    silent = Dictionary(torch.eye(16)[:2], lambda x: torch.zeros(len(x), 2))
    found = ablation_effects(network, MIDDLE, silent, readings["confirmation"], torch.arange(2))
    for values in (found.downstream, found.same_position, found.first_order, found.activity):
        assert torch.equal(values, torch.zeros(2, dtype=torch.float64))
