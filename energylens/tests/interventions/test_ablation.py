import pytest
import torch

from energylens.errors import InputError
from energylens.interventions import (
    LogitDiff,
    Mean,
    NextTokenLoss,
    Resample,
    Zero,
    ablate_groups,
    ablate_heads,
    all_heads,
    mean_z,
    padded,
    patch_heads,
)
from energylens.tests.interventions.helpers import (
    N_HEADS,
    N_LAYERS,
    bridge,
    head_outputs,
    native,
    prompts,
    putting,
    with_hooks,
)

TOKENS, OTHER = prompts()
FIRST = torch.arange(5)
POS = torch.tensor([7, 3, 5, 7, 6])
METRIC = LogitDiff(FIRST, FIRST + 9, POS)
GROUPS = [{(0, 1)}, {(0, 0), (2, 3)}, {(1, 0), (1, 1), (1, 2), (1, 3)}, set(), {(2, 2), (0, 3), (1, 1)}]
KINDS = ["rotary", "learned", "attention-only", "no-norm", "grouped-keys", "gpt2", "pythia"]


def by_hooks(kind, z, group):
    logits = with_hooks(bridge(kind), TOKENS, putting(z, group))
    return logits[FIRST, POS, FIRST] - logits[FIRST, POS, FIRST + 9]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
def test_groups_equal_hooks_one_by_one(kind, how):
    other = head_outputs(bridge(kind), OTHER)
    z, ablation = {
        "zero": ([torch.zeros_like(each) for each in other], Zero()),
        "mean": (
            [each.mean(0, keepdim=True).expand_as(each) for each in other],
            Mean(mean_z(bridge(kind), OTHER)),
        ),
        "resample": (other, Resample(OTHER)),
    }[how]
    found = ablate_groups(bridge(kind), TOKENS, METRIC, GROUPS, ablation)
    expected = torch.stack([by_hooks(kind, z, group) for group in GROUPS])
    torch.testing.assert_close(found.ablated, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.base, by_hooks(kind, z, set()), atol=1e-5, rtol=1e-5)
    assert (found.change()[3] == 0).all()
    assert (found.change().abs().amax(1) > 1e-3).tolist() == [True, True, True, False, True]


def test_the_comparison_rejects_another_group():
    found = ablate_groups(bridge("rotary"), TOKENS, METRIC, GROUPS, Zero())
    zeros = [torch.zeros_like(z) for z in head_outputs(bridge("rotary"), TOKENS)]
    for wrong in ({(0, 0)}, {(0, 1), (2, 2)}):
        assert not torch.allclose(found.ablated[0], by_hooks("rotary", zeros, wrong), atol=1e-3)


def test_single_heads_are_groups_of_one():
    table = ablate_heads(bridge("rotary"), TOKENS, METRIC, Zero())
    groups = [{head} for head in all_heads(N_LAYERS, N_HEADS)]
    found = ablate_groups(bridge("rotary"), TOKENS, METRIC, groups, Zero())
    assert table.ablated.shape == (N_LAYERS, N_HEADS, 5)
    torch.testing.assert_close(table.ablated.flatten(0, 1), found.ablated)
    some = ablate_heads(bridge("rotary"), TOKENS, METRIC, Zero(), heads=[(1, 2)])
    torch.testing.assert_close(some.ablated[1, 2], table.ablated[1, 2], atol=1e-5, rtol=1e-5)
    assert some.ablated.isnan().all(-1).sum() == N_LAYERS * N_HEADS - 1


def test_resampling_from_the_corrupted_prompt_is_noising():
    patched = patch_heads(bridge("gpt2"), TOKENS, OTHER, METRIC, "noising")
    found = ablate_heads(bridge("gpt2"), TOKENS, METRIC, Resample(OTHER))
    torch.testing.assert_close(found.ablated, patched.patched)
    torch.testing.assert_close(found.base, patched.clean)


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
def test_the_batch_limit_changes_nothing(limit):
    targets = TOKENS.roll(-1, 1)
    targets[:3, 4:] = -100
    for ablation in (Zero(), Resample(OTHER)):
        whole = ablate_groups(bridge("rotary"), TOKENS, NextTokenLoss(targets), GROUPS, ablation)
        parts = ablate_groups(
            bridge("rotary"), TOKENS, NextTokenLoss(targets), GROUPS, ablation, batch_limit=limit
        )
        torch.testing.assert_close(parts.ablated, whole.ablated, atol=1e-5, rtol=1e-5)
    few = mean_z(bridge("rotary"), TOKENS, batch_limit=limit)
    torch.testing.assert_close(few, mean_z(bridge("rotary"), TOKENS), atol=1e-5, rtol=1e-5)


def test_random_draws_follow_the_generator_and_never_draw_the_prompt_itself():
    def drawn(seed, reference=TOKENS):
        generator = torch.Generator().manual_seed(seed)
        return ablate_heads(bridge("rotary"), TOKENS, METRIC, Resample(reference, generator)).change()

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.allclose(drawn(0), drawn(1), atol=1e-3)
    assert all((drawn(seed).abs().amax((0, 1)) > 1e-3).all() for seed in range(4))
    with pytest.raises(InputError, match="every reference prompt equals prompt 2"):
        drawn(0, TOKENS[2:3])


def test_all_heads_from_the_clean_run_leave_only_the_embeddings():
    # Attention only, the last token shared: the direct path of the read token is all that is left, and it is clean's.
    net = native(attn_only=True, normalization_type="LN", positional_embedding_type="standard")
    clean, corrupted = prompts()
    corrupted[:, -1] = clean[:, -1]
    every = [set(all_heads(N_LAYERS, N_HEADS))]
    last = LogitDiff(FIRST, FIRST + 9)
    found = ablate_groups(net, corrupted, last, every, Resample(clean))
    expected = ablate_groups(net, clean, last, [set()], Zero()).base
    torch.testing.assert_close(found.ablated[0], expected, atol=1e-5, rtol=1e-5)
    partial = ablate_groups(net, corrupted, last, [every[0] - {(0, 0)}], Resample(clean))
    assert not torch.allclose(partial.ablated[0], expected, atol=1e-4)


def test_the_mean_of_one_prompt_is_that_prompt():
    one = OTHER[:1]
    by_mean = ablate_heads(bridge("learned"), TOKENS, METRIC, Mean(mean_z(bridge("learned"), one)))
    by_prompt = ablate_heads(bridge("learned"), TOKENS, METRIC, Resample(one.expand(5, -1)))
    torch.testing.assert_close(by_mean.ablated, by_prompt.ablated, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
def test_means_leave_padding_out(kind):
    tokens, mask = padded(
        [row[:n].tolist() for row, n in zip(OTHER, (8, 5, 6, 8, 4), strict=True)], 0, "right"
    )
    means = mean_z(bridge(kind), tokens, mask=mask)
    z = head_outputs(bridge(kind), tokens)[1]
    expected = torch.stack([z[mask[:, pos], pos].mean(0) for pos in range(8)])
    torch.testing.assert_close(means[1], expected, atol=1e-5, rtol=1e-5)
    none = mean_z(bridge(kind), tokens[2:3], mask=mask[2:3])
    assert none[:, 6:].isnan().all()
    assert not none[:, :6].isnan().any()
    with pytest.raises(InputError, match="the mean at position 6 is NaN"):
        ablate_heads(bridge(kind), TOKENS, METRIC, Mean(none))
    with pytest.raises(InputError, match="the mean at position 6 is NaN"):
        ablate_heads(bridge(kind), tokens[:3], METRIC.rows(slice(0, 3)), Mean(none), mask=mask[:3])
    found = ablate_heads(bridge(kind), tokens[2:3], METRIC.rows(slice(2, 3)), Mean(none), mask=mask[2:3])
    assert found.change().abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
def test_undefined_means_at_padding_do_no_harm(kind):
    tokens, mask = TOKENS[:3], torch.ones(3, 8, dtype=torch.bool)
    mask[:, :2] = False
    means, last = mean_z(bridge(kind), OTHER[:3], mask=mask), LogitDiff(FIRST[:3], FIRST[:3] + 9)
    assert means[:, :2].isnan().all()
    padded_ones = ablate_heads(bridge(kind), tokens, last, Mean(means), mask=mask)
    expected = ablate_heads(bridge(kind), tokens[:, 2:], last, Mean(mean_z(bridge(kind), OTHER[:3, 2:])))
    torch.testing.assert_close(padded_ones.ablated, expected.ablated, atol=1e-5, rtol=1e-4)


def test_a_permanent_copy_of_the_network_is_untouched():
    before = {name: tensor.clone() for name, tensor in bridge("rotary").state_dict().items()}
    ablate_heads(bridge("rotary"), TOKENS, METRIC, Zero())
    assert all(torch.equal(tensor, before[name]) for name, tensor in bridge("rotary").state_dict().items())


def test_errors():
    net = bridge("rotary")
    with pytest.raises(InputError, match=r"head \(0, 4\) is out of range"):
        ablate_groups(net, TOKENS, METRIC, [{(0, 4)}], Zero())
    with pytest.raises(InputError, match="equals the clean one in 5 of 5 rows"):
        ablate_heads(net, TOKENS, METRIC, Resample(TOKENS))
    with pytest.raises(InputError, match="reference prompts have 7 positions, the prompts 8"):
        ablate_heads(net, TOKENS, METRIC, Resample(OTHER[:, :7]))
    with pytest.raises(InputError, match=r"means must be \[3, 8, 4, d_head\]"):
        ablate_heads(net, TOKENS, METRIC, Mean(mean_z(net, TOKENS[:, :7])))
    mask = torch.ones_like(TOKENS, dtype=torch.bool)
    with pytest.raises(InputError, match="give no generator"):
        ablate_heads(net, TOKENS, METRIC, Resample(OTHER, torch.Generator()), mask=mask)
