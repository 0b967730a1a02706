import pytest
import torch

from energylens.errors import InputError
from energylens.interventions import (
    LogitDiff,
    NextTokenLoss,
    Resample,
    ablate_groups,
    attribution_patch,
    patch_heads,
)
from energylens.tests.interventions.helpers import (
    ALL,
    N_HEADS,
    N_LAYERS,
    NATIVE,
    bridge,
    native,
    padded_pair,
    pretrained,
    prompts,
)

CLEAN, CORRUPTED = prompts()
FIRST = torch.arange(5)
METRIC = LogitDiff(FIRST, FIRST + 9, torch.tensor([7, 3, 5, 7, 6]))
LAYERS = [{(layer, head) for head in range(N_HEADS)} for layer in range(N_LAYERS)]


def linear(n_layers=2):
    """Uniform attention, no norm, no MLP: logits are linear in every z."""
    net = native(
        n_layers=n_layers, attn_only=True, normalization_type=None, positional_embedding_type="standard"
    )
    for name, parameter in net.named_parameters():
        if ".q." in name or ".k." in name:
            parameter.data.zero_()
    return net


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_exact_in_a_linear_network(steps, direction):
    net = linear()
    exact = patch_heads(net, CLEAN, CORRUPTED, METRIC, direction)
    found = attribution_patch(net, CLEAN, CORRUPTED, METRIC, direction, steps=steps)
    torch.testing.assert_close(found.patched, exact.patched, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.clean, exact.clean)
    torch.testing.assert_close(found.corrupted, exact.corrupted)


@pytest.mark.parametrize("kind", ["rotary", "no-norm", "gpt2", "pythia"])
def test_second_order_error_for_small_differences(kind):
    """Halving the difference of two tokens' embeddings quarters the error of the estimate."""
    net = (native(**NATIVE[kind]) if kind in NATIVE else pretrained(kind)).double()
    embedding = net.embed.original_component.weight
    clean, _ = prompts(2, shared=0)
    clean = clean.clamp(max=27)
    corrupted = clean.clone()
    clean[:, 2], corrupted[:, 2] = 28, 29
    last, errors = LogitDiff(FIRST[:2], FIRST[:2] + 9), []
    direction = torch.randn(
        embedding.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    for size in (2e-3, 1e-3):
        embedding[29] = embedding[28] + size * direction
        exact = patch_heads(net, clean, corrupted, last).change()
        found = attribution_patch(net, clean, corrupted, last).change()
        errors.append((found - exact).abs().sum())
        assert errors[-1] < 0.05 * exact.abs().sum()
    assert 3 < errors[0] / errors[1] < 5


@pytest.mark.parametrize("kind", ["rotary", "attention-only", "gpt2"])
def test_many_steps_add_up_to_the_layer(kind):
    """Completeness of integrated gradients: a layer's scores sum to the change of patching all its heads at once."""
    together = ablate_groups(bridge(kind), CORRUPTED, METRIC, LAYERS, Resample(CLEAN)).change()
    errors = []
    for steps in (1, 10, 20):
        scores = attribution_patch(bridge(kind), CLEAN, CORRUPTED, METRIC, steps=steps).change().sum(1)
        errors.append(((scores - together).abs().sum() / together.abs().sum()).item())
    assert errors[1] < 0.05 * errors[0]
    assert errors[2] < 0.4 * errors[1]  # midpoints: a quarter


@pytest.mark.parametrize("kind", ALL)
def test_the_gradient_is_that_of_the_bridge(kind):
    """One step against autograd through transformer_lens' own hooks."""
    found = attribution_patch(bridge(kind), CLEAN, CORRUPTED, METRIC).change()
    points = [f"blocks.{layer}.attn.hook_z" for layer in range(N_LAYERS)]
    shifts, kept = {}, {}

    def shifted(z, hook, name):
        shifts[name] = torch.zeros_like(z, requires_grad=True)
        kept[name] = z.detach()
        return z + shifts[name]

    def hooked(name):
        return name, lambda z, hook: shifted(z, hook, name)

    clean = {}
    with torch.no_grad():
        bridge(kind).run_with_hooks(
            CLEAN, fwd_hooks=[(name, lambda z, hook, name=name: clean.setdefault(name, z)) for name in points]
        )
    logits = bridge(kind).run_with_hooks(CORRUPTED, fwd_hooks=[hooked(name) for name in points])
    METRIC(logits[FIRST, METRIC.pos][None, :, None]).sum().backward()
    for layer, name in enumerate(points):
        expected = (shifts[name].grad * (clean[name] - kept[name])).sum((1, 3)).T
        torch.testing.assert_close(found[layer], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_batch_limit_changes_nothing(kind, steps):
    targets = CORRUPTED.roll(-1, 1)
    targets[:2, 3:] = -100
    loss = NextTokenLoss(targets)
    whole = attribution_patch(bridge(kind), CLEAN, CORRUPTED, loss, steps=steps)
    for limit in (1, 3, 10):
        parts = attribution_patch(bridge(kind), CLEAN, CORRUPTED, loss, steps=steps, batch_limit=limit)
        torch.testing.assert_close(parts.patched, whole.patched, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
@pytest.mark.parametrize("steps", [1, 2])
def test_padding_changes_nothing(kind, steps):
    clean, corrupted, mask = padded_pair((8, 5, 6))
    last = LogitDiff(FIRST[:3], FIRST[:3] + 9)
    found = attribution_patch(bridge(kind), clean, corrupted, last, mask=mask, steps=steps)
    for row in range(3):
        one, real = slice(row, row + 1), mask[row]
        expected = attribution_patch(
            bridge(kind), clean[one, real], corrupted[one, real], last.rows(one), steps=steps
        )
        torch.testing.assert_close(found.patched[..., one], expected.patched, atol=1e-5, rtol=1e-4)


def test_works_without_gradients_around_it():
    with torch.no_grad():
        inside = attribution_patch(bridge("rotary"), CLEAN, CORRUPTED, METRIC)
    outside = attribution_patch(bridge("rotary"), CLEAN, CORRUPTED, METRIC)
    assert torch.equal(inside.patched, outside.patched)
    assert not outside.patched.requires_grad


def test_steps():
    with pytest.raises(InputError, match="steps must be at least 1, got 0"):
        attribution_patch(bridge("rotary"), CLEAN, CORRUPTED, METRIC, steps=0)
