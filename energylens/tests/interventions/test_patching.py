import contextlib
import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylens.errors import EnergylensError, InputError
from energylens.interventions import KL, LogitDiff, NextTokenLoss, Patched, logits_at, patch_heads
from energylens.interventions.runners.native import NativeRunner
from energylens.interventions.runners.native_weights import ACTIVATIONS
from energylens.interventions.runners.remembering import runner_for
from energylens.interventions.sweep import Intervention, _together
from energylens.tests.interventions.helpers import (
    ALL,
    N_HEADS,
    N_LAYERS,
    NATIVE,
    bridge,
    head_outputs,
    native,
    padded_pair,
    prompts,
    putting,
    with_hooks,
)

CLEAN, CORRUPTED = prompts()
POS = torch.tensor([7, 3, 5, 7, 6])
FIRST = torch.arange(5)
LOGIT_DIFF = LogitDiff(FIRST, FIRST + 9, POS)
TARGETS = CORRUPTED.roll(-1, 1)
TARGETS[:, -1] = -100
TARGETS[0, :4] = -100
TARGETS[2, 5:] = -100
LOSS = NextTokenLoss(TARGETS)


def logit_diff(logits):
    return logits[FIRST, POS, FIRST] - logits[FIRST, POS, FIRST + 9]


def loss(logits):
    each = torch.nn.functional.cross_entropy(logits.mT, TARGETS, reduction="none", ignore_index=-100)
    return each.sum(1) / (TARGETS != -100).sum(1)


def transformer_lens(sweep, kind, metric):
    import transformer_lens.patching

    with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
        _, cache = bridge(kind).run_with_cache(CLEAN)
        function = getattr(transformer_lens.patching, f"get_act_patch_attn_head_out_{sweep}")
        return function(bridge(kind), CORRUPTED, cache, metric, reduce="none", baseline=True)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(("metric", "reference"), [(LOGIT_DIFF, logit_diff), (LOSS, loss)])
def test_equals_transformer_lens(kind, metric, reference):
    expected = transformer_lens("all_pos", kind, reference)
    ours = patch_heads(bridge(kind), CLEAN, CORRUPTED, metric)
    assert ours.patched.shape == (N_LAYERS, N_HEADS, 5)
    torch.testing.assert_close(ours.patched, expected.values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.base, expected.baseline, atol=1e-5, rtol=1e-5)
    assert ours.change().abs().max() > 0.01
    with torch.no_grad():
        torch.testing.assert_close(ours.source, reference(bridge(kind)(CLEAN)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["rotary", "learned", "attention-only", "gpt2"])
@pytest.mark.parametrize(("metric", "reference"), [(LOGIT_DIFF, logit_diff), (LOSS, loss)])
def test_by_position_equals_transformer_lens(kind, metric, reference):
    expected = transformer_lens("by_pos", kind, reference).values.transpose(1, 2)
    ours = patch_heads(bridge(kind), CLEAN, CORRUPTED, metric, by_pos=True)
    torch.testing.assert_close(ours.patched, expected, atol=1e-5, rtol=1e-5)


def test_the_comparison_rejects_a_wrong_patch():
    expected = transformer_lens("all_pos", "rotary", logit_diff)
    other_run = patch_heads(bridge("rotary"), CLEAN.roll(1, 0), CORRUPTED, LOGIT_DIFF)
    noising = patch_heads(bridge("rotary"), CLEAN, CORRUPTED, LOGIT_DIFF, "noising")
    for wrong in (other_run, noising):
        assert not torch.allclose(wrong.patched, expected.values, atol=1e-3)


@pytest.mark.parametrize("kind", ["rotary", "no-norm", "gpt2"])
@settings(max_examples=6, deadline=None)
@given(limit=st.integers(1, 40), by_pos=st.booleans())
def test_the_batch_limit_changes_nothing(kind, limit, by_pos):
    whole = patch_heads(bridge(kind), CLEAN, CORRUPTED, LOSS, by_pos=by_pos, batch_limit=1000)
    parts = patch_heads(bridge(kind), CLEAN, CORRUPTED, LOSS, by_pos=by_pos, batch_limit=limit)
    for name in ("patched", "clean", "corrupted"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), atol=1e-5, rtol=1e-5)


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(5)))
def test_prompts_do_not_see_each_other(order):
    metric = LogitDiff(FIRST[order], FIRST[order] + 9, POS[order])
    there = patch_heads(bridge("rotary"), CLEAN[order], CORRUPTED[order], metric).patched
    here = patch_heads(bridge("rotary"), CLEAN, CORRUPTED, LOGIT_DIFF).patched
    torch.testing.assert_close(there, here[..., order], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [*NATIVE, "gpt2"])
def test_a_shared_beginning(kind):
    clean, corrupted = prompts(shared=5)
    ours = patch_heads(bridge(kind), clean, corrupted, LOSS, "noising", by_pos=True)
    assert (ours.change()[:, :, :5].abs() < 1e-6).all()
    z, head = head_outputs(bridge(kind), corrupted), (1, 2)
    all_pos = patch_heads(bridge(kind), clean, corrupted, LOSS, "noising", heads=[head]).patched[head]
    expected = loss(with_hooks(bridge(kind), clean, putting(z, {head})))
    torch.testing.assert_close(all_pos, expected, atol=1e-5, rtol=1e-5)


def test_directions_exchange_clean_and_corrupted():
    denoising = patch_heads(bridge("learned"), CLEAN, CORRUPTED, LOGIT_DIFF)
    noising = patch_heads(bridge("learned"), CORRUPTED, CLEAN, LOGIT_DIFF, "noising")
    torch.testing.assert_close(denoising.patched, noising.patched)
    torch.testing.assert_close(denoising.base, noising.base)
    torch.testing.assert_close(denoising.effect(), noising.effect())


def test_positions_add_up_in_a_linear_network():
    linear = native(n_layers=1, attn_only=True, normalization_type=None)
    whole = patch_heads(linear, CLEAN, CORRUPTED, LOGIT_DIFF)
    parts = patch_heads(linear, CLEAN, CORRUPTED, LOGIT_DIFF, by_pos=True)
    torch.testing.assert_close(parts.change().sum(2), whole.change(), atol=1e-5, rtol=1e-4)
    assert (parts.change()[0, 0].abs() > 0).sum(0).eq(1).all()


def test_positions_after_the_read_one_have_no_effect():
    ours = patch_heads(bridge("rotary"), CLEAN, CORRUPTED, LOGIT_DIFF, by_pos=True)
    for row, pos in enumerate(POS):
        assert (ours.change()[:, :, pos + 1 :, row].abs() < 1e-5).all()
        assert (ours.change()[:, :, pos, row].abs() > 1e-5).all()
    assert (ours.change()[-1, :, 0].abs() < 1e-5).all()


def test_effects():
    found = Patched(
        torch.tensor([[[3.0, 2.0]]]), torch.tensor([5.0, 2.0]), torch.tensor([1.0, 2.0]), "denoising"
    )
    assert found.effect()[0, 0, 0] == 0.5
    assert found.effect()[0, 0, 1].isnan()
    assert found.change().tolist() == [[[2.0, 0.0]]]
    back = Patched(found.patched, found.clean, found.corrupted, "noising")
    assert (back.base.tolist(), back.source.tolist()) == ([5.0, 2.0], [1.0, 2.0])
    assert back.effect()[0, 0, 0] == 0.5


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
def test_kl_from_the_clean_run(kind):
    pos = torch.stack([POS, POS - 2], 1)
    reference = logits_at(bridge(kind), CLEAN, pos).log_softmax(-1)
    ours = patch_heads(bridge(kind), CLEAN, CORRUPTED, KL(reference, pos), "noising", heads=[(0, 1), (2, 3)])
    assert ours.clean.abs().max() < 1e-6
    logits = with_hooks(bridge(kind), CLEAN, putting(head_outputs(bridge(kind), CORRUPTED), {(2, 3)}))
    expected = torch.nn.functional.kl_div(
        logits[FIRST[:, None], pos].log_softmax(-1), reference, log_target=True, reduction="none"
    )
    torch.testing.assert_close(ours.patched[2, 3], expected.sum(-1).mean(-1), atol=1e-5, rtol=1e-4)
    measured = ~ours.patched.isnan().all(-1)
    assert measured.nonzero().tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("kind", [*NATIVE, "grouped-keys", "gpt2", "pythia"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(kind, side):
    lengths, ends = (8, 5, 6), torch.tensor([7, 4, 5])
    clean, corrupted, mask = padded_pair(lengths, side)
    pos = torch.full((3,), 7) if side == "left" else ends
    metric = LogitDiff(FIRST[:3], FIRST[:3] + 9, pos)
    ours = patch_heads(bridge(kind), clean, corrupted, metric, mask=mask)
    for row in range(3):
        one, real = slice(row, row + 1), mask[row]
        alone = LogitDiff(FIRST[one], FIRST[one] + 9)
        expected = patch_heads(bridge(kind), clean[one, real], corrupted[one, real], alone)
        torch.testing.assert_close(ours.patched[..., one], expected.patched, atol=1e-5, rtol=1e-4)


def test_float64():
    net = native(positional_embedding_type="standard").double()
    found = patch_heads(net, CLEAN, CORRUPTED, LOGIT_DIFF, heads=[(0, 0)])
    expected = logit_diff(with_hooks(net, CORRUPTED, putting(head_outputs(net, CLEAN), {(0, 0)})))
    assert found.patched.dtype == torch.float64
    torch.testing.assert_close(found.patched[0, 0], expected, atol=1e-12, rtol=1e-12)


def test_which_executor():
    assert all(isinstance(runner_for(bridge(kind)), NativeRunner) == (kind in NATIVE) for kind in ALL)
    with bridge("rotary").hooks(fwd_hooks=[("blocks.0.attn.hook_z", lambda x, hook: 2 * x)]):
        assert not isinstance(runner_for(bridge("rotary")), NativeRunner)


def test_which_interventions_share_a_forward():
    """The range is the first layer's, from the first position that changes in any layer; no change, no forward."""
    changed = [[[2, 4], [1, 5]], [[], [0, 3]]]
    groups = [{(0, 0)}, {(0, 0), (1, 1)}, {(0, 1), (0, 0)}, {(1, 0)}, {(1, 1), (1, 0)}, set(), {(0, 0)}]
    interventions = [Intervention(frozenset(heads)) for heads in groups] + [
        Intervention(frozenset({(1, 1)}), 3)
    ]
    expected = [([0, 6], 0, (2, 5)), ([1], 0, (0, 5)), ([2], 0, (1, 6)), ([4], 1, (0, 4)), ([7], 1, (3, 4))]
    assert _together(interventions, changed, 2) == expected
    assert _together(interventions, changed, 1)[:2] == [([0], 0, (2, 5)), ([6], 0, (2, 5))]


def test_an_executor_that_computes_something_else_is_an_error(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "gelu", torch.nn.functional.relu)
    with pytest.raises(EnergylensError, match="differs from the bridge by"):
        patch_heads(bridge("rotary"), CLEAN, CORRUPTED, LOGIT_DIFF)


@pytest.mark.parametrize("kind", ["rotary", "learned"])
def test_weights_processed_by_transformer_lens(kind):
    net = native(**NATIVE[kind])
    before = patch_heads(net, CLEAN, CORRUPTED, LOGIT_DIFF)
    net.process_weights(fold_ln=True, center_writing_weights=True, center_unembed=True)
    after = patch_heads(net, CLEAN, CORRUPTED, LOGIT_DIFF)
    torch.testing.assert_close(after.patched, before.patched, atol=1e-4, rtol=1e-4)


def test_hooks_attached_by_the_caller_count():
    heads, hook = [(1, 0), (2, 2)], ("blocks.0.attn.hook_z", lambda x, hook: 2 * x)
    with bridge("rotary").hooks(fwd_hooks=[hook]):
        ours = patch_heads(bridge("rotary"), CLEAN, CORRUPTED, LOGIT_DIFF, heads=heads)
        z = head_outputs(bridge("rotary"), CLEAN)
        expected = logit_diff(with_hooks(bridge("rotary"), CORRUPTED, putting(z, {(1, 0)})))
    torch.testing.assert_close(ours.patched[1, 0], expected, atol=1e-5, rtol=1e-5)
    without = patch_heads(bridge("rotary"), CLEAN, CORRUPTED, LOGIT_DIFF, heads=heads)
    assert not torch.allclose(ours.patched[1, 0], without.patched[1, 0], atol=1e-3)


def test_errors():
    net, same = bridge("rotary"), CORRUPTED.clone()
    same[3] = CLEAN[3]

    def refused(message, *args, **kwargs):
        with pytest.raises(InputError, match=message):
            patch_heads(net, *args, **kwargs)

    refused(
        r"head \(3, 0\) is out of range: layers 0 to 2, heads 0 to 3",
        CLEAN,
        CORRUPTED,
        LOGIT_DIFF,
        heads=[(3, 0)],
    )
    refused(r"head \(0, -1\) is out of range", CLEAN, CORRUPTED, LOGIT_DIFF, heads=[(0, -1)])
    refused(r"head \(0, 1\) is given more than once", CLEAN, CORRUPTED, LOGIT_DIFF, heads=[(0, 1), (0, 1)])
    refused("equals the clean one in 1 of 5 rows, first row 3", CLEAN, same, LOGIT_DIFF)
    refused(r"clean prompts are \(5, 8\), corrupted ones \(5, 7\)", CLEAN, CORRUPTED[:, :7], LOGIT_DIFF)
    refused("metric is for 5 prompts, got 4", CLEAN[:4], CORRUPTED[:4], LOGIT_DIFF)
    refused(r"prompts have lengths \[2, 3\]", [[1, 2, 3], [4, 5]], [[1, 2, 4], [4, 6]], LOGIT_DIFF)
    refused("batch_limit must be at least 1, got 0", CLEAN, CORRUPTED, LOGIT_DIFF, batch_limit=0)
    mask = torch.ones_like(CLEAN, dtype=torch.bool)
    mask[1, 2:] = False
    refused("reads prompt 1 at position 3: padding", CLEAN, CORRUPTED, LOGIT_DIFF, mask=mask)
    same[:, 2:] = CORRUPTED[:, 2:]
    same[:, :2] = CLEAN[:, :2]
    refused("equals the clean one in 1 of 5 rows, first row 1", CLEAN, same, LOGIT_DIFF, mask=mask)
