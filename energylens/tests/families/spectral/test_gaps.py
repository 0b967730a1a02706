import dataclasses

import torch

from energylens.families.spectral.gaps import head_gaps
from energylens.families.spectral.gauge_test import gauge_test, gauge_violation
from energylens.families.spectral.head_prompts import head_prompts
from energylens.metrics import spectral
from energylens.models.network import boot


def test_gaps_are_those_of_each_heads_own_activations(random_ioi):
    prompts = head_prompts(random_ioi, 0, n=6)
    found = head_gaps(random_ioi, prompts.clean, prompts.counted)
    assert set(found.gaps) == set(spectral.GAPS)
    assert all(table.shape == (2, 2) and table.dtype == torch.float64 for table in found.gaps.values())
    names = ["blocks.1.attn.hook_q", "blocks.1.attn.hook_k"]
    q, k = random_ioi.run(names, prompts.clean, pos=slice(None)).values()
    rows = [
        float(1 - torch.div(*torch.linalg.svdvals(a @ (b - b.mean(0)).T)[[1, 0]]))
        for one_q, one_k, counted in zip(
            q[:, :, 1].double(), k[:, :, 1].double(), prompts.counted, strict=True
        )
        for a, b in [(one_q[counted], one_k[counted])]
    ]
    assert torch.isclose(
        found.gaps["a-prime"][1, 1], torch.tensor(rows, dtype=torch.float64).mean(), atol=1e-6
    )
    assert not torch.isclose(found.gaps["a-prime"][1, 1], found.gaps["a-prime"][1, 0], atol=1e-3)


def test_the_gain_of_a_norm_belongs_to_the_weights_that_read_it(random_induction):
    """Moving the gain of ln1 into q and k leaves the network, and so definition c, as it is."""
    network = random_induction
    prompts = head_prompts(network, 0, n=4)
    gain = torch.linspace(0.5, 2, network.d_model)
    inside, outside = (dict(network.bridge.state_dict()) for _ in range(2))
    inside["blocks.0.ln1.weight"] = gain
    for name in "qkv":
        key = f"blocks.0.attn.{name}.weight"
        outside[key] = inside[key] * gain
    twins = []
    for state in (inside, outside):
        bridge = boot(network.meta["config"])
        bridge.load_state_dict(state)
        twins.append(dataclasses.replace(network, bridge=bridge.eval().requires_grad_(False)))
    first, second = (head_gaps(twin, prompts.clean, prompts.counted).gaps for twin in twins)
    plain = head_gaps(network, prompts.clean, prompts.counted).gaps
    for name in ("a", "a-prime", "b", "c", "d"):
        assert torch.allclose(first[name], second[name], atol=1e-5), name
    assert not torch.allclose(first["c"], plain["c"], atol=1e-3)


def test_padding_does_not_count(random_ioi):
    prompts = head_prompts(random_ioi, 0, n=6)
    end = int(prompts.real.sum(1).max())
    cut = head_gaps(random_ioi, prompts.clean[:, :end], prompts.counted[:, :end]).gaps
    whole = head_gaps(random_ioi, prompts.clean, prompts.counted).gaps
    everything = head_gaps(random_ioi, prompts.clean, torch.ones_like(prompts.counted)).gaps
    for name in ("a", "a-prime", "b"):
        assert torch.allclose(cut[name], whole[name], atol=1e-6)
        assert not torch.allclose(everything[name], whole[name], atol=1e-3)


def test_the_gauge_test_passes_and_notices_a_wrong_map(random_induction, generator):
    prompts = head_prompts(random_induction, 0, n=4)
    found = gauge_test(random_induction, prompts, generator)
    assert gauge_violation(found["right"]) <= 1
    assert gauge_violation(found["wrong"]) > 1e6


def test_an_unchanged_key_gap_is_a_violation():
    assert gauge_violation({"logits": 0.0, "a-prime": 0.0, "a changed": 0.0}) == float("inf")
    assert gauge_violation({"logits": 2e-8, "a-prime": 0.0, "a changed": 1.0}) == 2
