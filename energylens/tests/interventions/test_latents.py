import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from energylens.errors import EnergylensError, InputError
from energylens.interventions import (
    KL,
    HookWithoutEffect,
    LogitDiff,
    NextTokenLoss,
    ablate_latents,
    logits_at,
    padded,
    random_directions,
    shifts,
    steer,
    stream_norm,
)
from energylens.interventions.residual import (
    BridgedResidual,
    NativeResidual,
    check_site,
    residual_runner,
    site_of,
)
from energylens.interventions.shifts import Shifts, sweep_shifts
from energylens.interventions.sweep import Batch
from energylens.tests.interventions.helpers import N_LAYERS, N_VOCAB, bridge, native, prompts, with_hooks

TOKENS, OTHER = prompts()
N, N_POS, D_SAE, D_MODEL = 5, 8, 6, 16
FIRST = torch.arange(N)
POS = torch.tensor([7, 3, 5, 7, 6])
DIFF = LogitDiff(FIRST, FIRST + 9, POS)
TARGETS = TOKENS.roll(-1, 1)
LOSS = NextTokenLoss(TARGETS)
HALF = torch.where(torch.arange(N_POS) < torch.tensor([8, 4, 6, 1, 2])[:, None], TARGETS, -100)
NATIVE_KINDS = ["rotary", "learned", "attention-only", "no-norm", "partly-rotary"]
KINDS = [*NATIVE_KINDS, "grouped-keys", "gpt2"]
SITES = [
    "blocks.0.hook_resid_pre",
    "blocks.0.hook_resid_post",
    "blocks.1.hook_resid_pre",
    "blocks.1.hook_resid_post",
    "blocks.2.hook_resid_post",
]
SAME = {SITES[1]: [SITES[2]], SITES[2]: [SITES[1]]}
CLOSE = dict(atol=1e-5, rtol=1e-5)


def dictionary(seed=0, sparsity=0.75):
    """Activations [prompt, pos, latent], mostly zero, and a decoder of unequal norms; latent 2 never fires."""
    generator = torch.Generator().manual_seed(seed)
    acts = torch.rand(N, N_POS, D_SAE, generator=generator) + 0.5
    acts[torch.rand(acts.shape, generator=generator) < sparsity] = 0
    acts[..., 2] = 0
    return acts, torch.randn(D_SAE, D_MODEL, generator=generator)


ACTS, W_DEC = dictionary()
UNIT = W_DEC / W_DEC.norm(dim=-1, keepdim=True)


def judged(metric, logits):
    """A metric of whole logits [..., prompt, pos, d_vocab]."""
    at = metric.positions(N_POS)
    return metric(logits[..., FIRST[:, None], at, :].reshape(-1, *at.shape, logits.shape[-1]))


def slowly(net, hook_name, acts, W_dec):
    """Logits [latent, prompt, pos, d_vocab], one latent at a time through transformer_lens alone: x - a_f d_f."""
    contributions = acts.movedim(-1, 0)[..., None] * W_dec[:, None, None]
    return torch.stack([with_hooks(net, TOKENS, {hook_name: (-each).add}) for each in contributions])


def stream(net, hook_name, tokens=TOKENS):
    kept = {}
    with_hooks(net, tokens, {hook_name: lambda x: kept.setdefault("x", x)})
    return kept["x"]


@pytest.fixture
def forwards(monkeypatch):
    """Prompts and span of every forward in plain torch."""
    calls, shifted = [], NativeResidual.shifted

    def noted(self, run, rows, added, span):
        calls.append((rows.tolist(), span))
        return shifted(self, run, rows, added, span)

    monkeypatch.setattr(NativeResidual, "shifted", noted)
    return calls


@pytest.mark.parametrize("hook_name", [*SITES[:2], *SITES[3:]])
@pytest.mark.parametrize("kind", KINDS)
def test_ablation_equals_one_latent_at_a_time(kind, hook_name):
    logits = slowly(bridge(kind), hook_name, ACTS, W_DEC)
    for metric in (DIFF, LOSS if kind == "rotary" else NextTokenLoss(HALF)):
        found = ablate_latents(bridge(kind), TOKENS, metric, hook_name, ACTS, W_DEC)
        torch.testing.assert_close(found.ablated, judged(metric, logits), **CLOSE)
        torch.testing.assert_close(found.base, judged(metric, bridge(kind)(TOKENS))[0], **CLOSE)
    assert (found.change().abs().amax(1) > 1e-3).tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize("hook_name", SITES[2:])
def test_the_comparison_rejects_another_edit(hook_name):
    found = ablate_latents(bridge("rotary"), TOKENS, LOSS, hook_name, ACTS, W_DEC)
    corrupted = {
        "sign": (-ACTS, W_DEC),
        "unit norm": (ACTS, UNIT),
        "one position late": (ACTS.roll(1, 1), W_DEC),
        "another latent": (ACTS.roll(1, 2), W_DEC),
        "another prompt": (ACTS.roll(1, 0), W_DEC),
    }
    for acts, W_dec in corrupted.values():
        expected = judged(LOSS, slowly(bridge("rotary"), hook_name, acts, W_dec))
        assert not torch.allclose(found.ablated, expected, atol=1e-3)
    for other in {*SITES} - {hook_name, *SAME.get(hook_name, ())}:
        expected = judged(LOSS, slowly(bridge("rotary"), other, ACTS, W_DEC))
        assert not torch.allclose(found.ablated, expected, atol=1e-3)


@pytest.mark.parametrize("hook_name", [SITES[1], SITES[4]])
@pytest.mark.parametrize("kind", NATIVE_KINDS)
def test_plain_torch_and_hooks_agree(kind, hook_name):
    assert isinstance(residual_runner(bridge(kind), hook_name), NativeResidual)
    found = []
    for executor in (NativeResidual, BridgedResidual):
        runner = executor(bridge(kind), hook_name)
        batch = Batch.of(runner, TOKENS, None, NextTokenLoss(HALF))
        found.append(sweep_shifts(runner, batch, Shifts(W_DEC, -ACTS.movedim(-1, 0)), 64))
    torch.testing.assert_close(found[0].values, found[1].values, **CLOSE)
    torch.testing.assert_close(found[0].base, found[1].base, **CLOSE)
    assert torch.equal(found[0].reached, found[1].reached)


def test_a_dictionary_that_explains_everything():
    # One latent per coordinate, x = sum_f a_f e_f: ablating f is setting coordinate f to zero.
    net, hook_name = bridge("rotary"), "blocks.1.hook_resid_post"
    found = ablate_latents(net, TOKENS, DIFF, hook_name, stream(net, hook_name), torch.eye(D_MODEL))
    for latent in (0, 7):
        keep = (torch.arange(D_MODEL) != latent).float()
        expected = judged(DIFF, with_hooks(net, TOKENS, {hook_name: lambda x, keep=keep: x * keep}))[0]
        torch.testing.assert_close(found.ablated[latent], expected, **CLOSE)


def test_without_a_norm_the_last_stream_is_linear_in_the_latent():
    # logits move by -a_f d_f W_U, exactly, at the position itself.
    net = bridge("no-norm")
    found = ablate_latents(net, TOKENS, DIFF, "blocks.2.hook_resid_post", ACTS, W_DEC)
    written = W_DEC @ (net.W_U[:, FIRST] - net.W_U[:, FIRST + 9])
    expected = -ACTS[FIRST, POS].T * written
    torch.testing.assert_close(found.change(), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(found.reached, (ACTS[FIRST, POS] != 0).T)


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
def test_what_cannot_change_is_not_run(kind):
    acts = torch.zeros(N, N_POS, D_SAE)
    acts[1, 4, 0] = acts[4, 7, 0] = 1.0  # after the positions 3 and 6 that the metric reads
    acts[2, 5, 1] = acts[3, 0, 1] = 1.0
    found = ablate_latents(bridge(kind), TOKENS, DIFF, SITES[1], acts, W_DEC)
    expected = torch.zeros(D_SAE, N, dtype=torch.bool)
    expected[1, 2] = expected[1, 3] = True
    assert torch.equal(found.reached, expected)
    assert torch.equal(found.change() != 0, expected)


def test_silent_latents_cost_no_forward(forwards):
    acts = torch.zeros(N, N_POS, D_SAE)
    acts[1, 4, 0] = acts[2, 5, 1] = acts[3, 0, 1] = 1.0
    ablate_latents(bridge("rotary"), TOKENS, DIFF, SITES[1], acts, W_DEC)
    assert forwards == [([0], (0, 8)), ([2, 3], (0, 6))]  # the check of the site, then the two rows together
    forwards.clear()
    silent = ablate_latents(bridge("rotary"), TOKENS, DIFF, SITES[1], 0 * acts, W_DEC)
    assert len(forwards) == 1
    assert torch.equal(silent.ablated, silent.base.expand(D_SAE, -1))
    assert not silent.reached.any()


def test_rows_share_forwards_within_the_limit(forwards, monkeypatch):
    found = ablate_latents(bridge("rotary"), TOKENS, LOSS, SITES[1], ACTS, W_DEC, batch_limit=7)
    sizes = [len(rows) for rows, _ in forwards[1:]]
    assert sum(sizes) == int(found.reached.sum())
    assert max(sizes) == 7
    assert len(sizes) == math.ceil(sum(sizes) / 7)
    monkeypatch.setattr(shifts, "LOGITS_AT_ONCE", 3 * N_POS * N_VOCAB)
    forwards.clear()
    fewer = ablate_latents(bridge("rotary"), TOKENS, LOSS, SITES[1], ACTS, W_DEC)
    assert max(len(rows) for rows, _ in forwards) == 3
    torch.testing.assert_close(fewer.ablated, found.ablated, **CLOSE)


def test_rows_that_start_together_run_together(forwards):
    acts = torch.zeros(N, N_POS, D_SAE)
    for latent in range(3):
        acts[latent % 2 :, 6 - 2 * latent, latent] = 1.0
    ablate_latents(bridge("rotary"), TOKENS, LOSS, SITES[1], acts, W_DEC, batch_limit=N)
    # All of latent 2; latent 1, which does not fire in prompt 0, with latent 0 there; the rest of latent 0.
    assert forwards[1:] == [([0, 1, 2, 3, 4], (2, 3)), ([0, 1, 2, 3, 4], (4, 7)), ([1, 2, 3, 4], (6, 7))]


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
@pytest.mark.parametrize("limit", [1, 7])
def test_the_batch_limit_changes_nothing(kind, limit):
    for metric in (DIFF, NextTokenLoss(HALF)):
        whole = ablate_latents(bridge(kind), TOKENS, metric, SITES[1], ACTS, W_DEC)
        parts = ablate_latents(bridge(kind), TOKENS, metric, SITES[1], ACTS, W_DEC, batch_limit=limit)
        torch.testing.assert_close(parts.ablated, whole.ablated, **CLOSE)
        torch.testing.assert_close(parts.base, whole.base, **CLOSE)
        assert torch.equal(parts.reached, whole.reached)


@given(
    order=st.permutations(range(N)),
    latents=st.lists(st.integers(0, D_SAE - 1), max_size=4),
    seed=st.integers(0, 99),
)
@hypothesis_settings(max_examples=10, deadline=None)
def test_the_order_of_prompts_and_latents_changes_nothing(order, latents, seed):
    acts, W_dec = dictionary(seed, sparsity=0.6)
    net, order = bridge("learned"), list(order)
    whole = ablate_latents(net, TOKENS, DIFF, SITES[1], acts, W_dec)
    metric = LogitDiff(FIRST[order], FIRST[order] + 9, POS[order])
    some = ablate_latents(net, TOKENS[order], metric, SITES[1], acts[order], W_dec, latents=latents)
    torch.testing.assert_close(some.ablated, whole.ablated[latents][:, order], atol=1e-4, rtol=1e-4)
    assert torch.equal(some.reached, whole.reached[latents][:, order])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["rotary", "learned", "gpt2"])
@pytest.mark.parametrize("hook_name", [SITES[1], SITES[4]])
def test_padding(kind, side, hook_name):
    lengths = (8, 5, 3)
    tokens, mask = padded(
        [row[:length].tolist() for row, length in zip(TOKENS, lengths, strict=False)], 0, side
    )
    at = mask.long().cumsum(1).argmax(1)
    metric = LogitDiff(FIRST[:3], FIRST[:3] + 9, at)
    acts = torch.full((3, N_POS, D_SAE), torch.nan)
    for row, length in enumerate(lengths):
        acts[row, mask[row]] = ACTS[row, :length]
    # Three rows at a time, so that some forwards start late and hold several prompts.
    found = ablate_latents(bridge(kind), tokens, metric, hook_name, acts, W_DEC, mask=mask, batch_limit=3)
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        alone = ablate_latents(
            bridge(kind),
            TOKENS[one, :length],
            LogitDiff(FIRST[one], FIRST[one] + 9),
            hook_name,
            ACTS[one, :length],
            W_DEC,
        )
        torch.testing.assert_close(found.ablated[:, one], alone.ablated, atol=1e-4, rtol=1e-4)
        assert torch.equal(found.reached[:, one], alone.reached)


def test_any_metric_over_logits():
    class Entropy:
        """Not one of the package's own; reads the last two positions."""

        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

        def positions(self, n_pos):
            return torch.tensor([[n_pos - 2, n_pos - 1]]).expand(self.n, -1)

        def rows(self, part):
            return Entropy(len(range(self.n)[part]))

        def __call__(self, logits):
            return torch.distributions.Categorical(logits=logits).entropy().mean(-1)

    net, places = bridge("rotary"), torch.tensor([[3, -1]]).expand(N, -1)
    kl = KL(logits_at(net, TOKENS, places).log_softmax(-1), places)
    for metric in (Entropy(N), kl):
        found = ablate_latents(net, TOKENS, metric, SITES[1], ACTS, W_DEC)
        torch.testing.assert_close(found.ablated, judged(metric, slowly(net, SITES[1], ACTS, W_DEC)), **CLOSE)
    assert found.base.abs().max() < 1e-5
    assert (found.ablated > -1e-6).all()


@pytest.mark.parametrize("hook_name", [SITES[0], SITES[2], SITES[4]])
@pytest.mark.parametrize("kind", ["rotary", "no-norm", "gpt2"])
def test_steering_equals_hooks_one_by_one(kind, hook_name):
    net = bridge(kind)
    positions = torch.zeros(N, N_POS, dtype=torch.bool)
    positions[FIRST, torch.tensor([1, 3, 5, 0, 7])] = (
        True  # prompt 4 is steered after the position that is read
    )
    positions[0, 4] = True
    random = random_directions(3, D_MODEL, torch.Generator().manual_seed(1))
    found = steer(net, TOKENS, DIFF, hook_name, UNIT, -0.7, random=random, positions=positions)
    norm = stream(net, hook_name)[positions].norm(dim=-1).square().mean().sqrt()
    assert found.step == pytest.approx(0.7 * float(norm), rel=1e-5)
    assert stream_norm(net, TOKENS, hook_name, positions=positions) == pytest.approx(float(norm), rel=1e-5)
    for values, directions in ((found.steered, UNIT), (found.random, random)):
        expected = []
        for direction in directions:
            added = -0.7 * norm * positions[..., None] * direction
            expected.append(judged(DIFF, with_hooks(net, TOKENS, {hook_name: added.add}))[0])
        torch.testing.assert_close(values, torch.stack(expected), **CLOSE)
    torch.testing.assert_close(found.base, judged(DIFF, net(TOKENS))[0], **CLOSE)
    seen = [True, True, True, hook_name != SITES[4], False]
    seen[0] = hook_name != SITES[4]
    assert found.reached.tolist() == seen
    for change in (found.change(), found.random_change()):
        assert (change != 0).any(0).tolist() == seen


def test_every_direction_moves_by_the_same_step():
    net, hook_name = bridge("rotary"), SITES[1]
    random = random_directions(50, D_MODEL, torch.Generator().manual_seed(2))
    torch.testing.assert_close(random.norm(dim=-1), torch.ones(50))
    assert torch.equal(random, random_directions(50, D_MODEL, torch.Generator().manual_seed(2)))
    assert not torch.equal(random, random_directions(50, D_MODEL, torch.Generator().manual_seed(3)))
    whole = steer(net, TOKENS, DIFF, hook_name, UNIT, 2.0, random=random)
    x = stream(net, hook_name)
    assert whole.step == pytest.approx(2 * float(x.norm(dim=-1).square().mean().sqrt()), rel=1e-5)
    given_norm = steer(net, TOKENS, DIFF, hook_name, UNIT, 2.0, random=random, norm=whole.step / 2)
    torch.testing.assert_close(given_norm.steered, whole.steered)
    swapped = steer(net, TOKENS, DIFF, hook_name, random, 2.0, random=UNIT)
    torch.testing.assert_close(swapped.random, whole.steered, **CLOSE)
    torch.testing.assert_close(swapped.steered, whole.random, **CLOSE)


def test_a_constant_activation_steered_back_is_its_ablation():
    # a_f = c everywhere: x - c d_f is a step of -c.
    net, acts = bridge("learned"), torch.full((N, N_POS, D_SAE), 0.8)
    ablated = ablate_latents(net, TOKENS, LOSS, SITES[1], acts, UNIT)
    steered = steer(net, TOKENS, LOSS, SITES[1], UNIT, -0.1, random=UNIT[:0], norm=8.0)
    torch.testing.assert_close(steered.steered, ablated.ablated, **CLOSE)
    assert steered.random.shape == (0, N)


def test_the_norm_leaves_padding_out():
    lengths = (8, 5, 3)
    tokens, mask = padded(
        [row[:length].tolist() for row, length in zip(TOKENS, lengths, strict=False)], 0, "right"
    )
    norms = [
        stream(bridge("rotary"), SITES[1], TOKENS[row : row + 1, :length])[0].norm(dim=-1)
        for row, length in enumerate(lengths)
    ]
    expected = float(torch.cat(norms).square().mean().sqrt())
    for limit in (1, 2, 64):
        found = stream_norm(bridge("rotary"), tokens, SITES[1], mask=mask, batch_limit=limit)
        assert found == pytest.approx(expected, rel=1e-5)


def test_aliases_of_a_site():
    for kind in ("rotary", "gpt2"):
        assert [site_of(bridge(kind), name) for name in SITES] == [0, 1, 1, 2, 3]
    names = [name for name, point in bridge("rotary").hook_dict.items() if point.name == "blocks.1.hook_in"]
    assert len(names) > 1
    assert {site_of(bridge("rotary"), name) for name in names} == {1}


def test_attention_to_later_positions():
    net = native(attention_dir="bidirectional", normalization_type="LN", positional_embedding_type="standard")
    early = LogitDiff(FIRST, FIRST + 9, 0)
    assert not torch.equal(net(TOKENS)[:, 0], net(OTHER.where(torch.arange(N_POS) > 0, TOKENS))[:, 0])
    found = ablate_latents(net, TOKENS, early, SITES[1], ACTS, W_DEC)
    torch.testing.assert_close(found.ablated, judged(early, slowly(net, SITES[1], ACTS, W_DEC)), **CLOSE)
    assert torch.equal(found.reached, (ACTS != 0).any(1).T)


def test_in_double_precision():
    net = native(normalization_type="LN", positional_embedding_type="rotary").double()
    found = ablate_latents(net, TOKENS, DIFF, SITES[1], ACTS, W_DEC)
    assert found.ablated.dtype == torch.float64
    expected = judged(DIFF, slowly(net, SITES[1], ACTS.double(), W_DEC.double()))
    torch.testing.assert_close(found.ablated, expected, atol=1e-10, rtol=1e-10)


def test_a_site_that_is_not_read_back():
    net = native(normalization_type="LN", positional_embedding_type="rotary")
    net.unembed.original_component.weight.data.zero_()
    with pytest.raises(HookWithoutEffect, match="the logits stayed the same"):
        ablate_latents(net, TOKENS, DIFF, SITES[1], ACTS, W_DEC)


@pytest.mark.parametrize("executor", [NativeResidual, BridgedResidual])
def test_the_check_rejects_an_executor_of_another_site(executor):
    for hook_name in (SITES[1], SITES[4]):
        right = executor(bridge("rotary"), hook_name)
        check_site(right, TOKENS, None, POS[:, None])
        wrong = executor(bridge("rotary"), hook_name)
        wrong.site = (right.site + 1) % (N_LAYERS + 1)
        with pytest.raises(EnergylensError, match=f"an edit at '{hook_name}' gives logits that differ by"):
            check_site(wrong, TOKENS, None, POS[:, None])


def test_nothing_is_left_behind():
    net = bridge("gpt2")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    ablate_latents(net, TOKENS, DIFF, SITES[1], ACTS, W_DEC)
    assert not any(point.has_hooks() for point in net.hook_dict.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_errors_of_ablation():
    def ablate(hook_name=SITES[1], acts=ACTS, W_dec=W_DEC, tokens=TOKENS, metric=DIFF, **kwargs):
        return ablate_latents(bridge("rotary"), tokens, metric, hook_name, acts, W_dec, **kwargs)

    with pytest.raises(
        InputError, match=r"no hook point 'blocks.1.hook_resid_pots'; the nearest are .*resid_post"
    ):
        ablate("blocks.1.hook_resid_pots")
    with pytest.raises(InputError, match=r"'blocks.1.attn.hook_z' is no residual stream between blocks"):
        ablate("blocks.1.attn.hook_z")
    with pytest.raises(InputError, match=r"L from 0 to 2"):
        ablate("blocks.1.hook_resid_mid")
    with pytest.raises(InputError, match=r"\[5, 8, 6\], got \[5, 7, 6\]"):
        ablate(acts=ACTS[:, :7])
    with pytest.raises(InputError, match=r"\[5, 8, 6\], got \[4, 8, 6\]"):
        ablate(acts=ACTS[:4])
    with pytest.raises(InputError, match=r"\[5, 8, 5\], got \[5, 8, 6\]"):
        ablate(W_dec=W_DEC[:5])
    with pytest.raises(InputError, match=r"a decoder row must have 16 dimensions, got \[6, 15\]"):
        ablate(W_dec=W_DEC[:, :15])
    for latent in (6, -1):
        with pytest.raises(InputError, match=f"latent {latent} is out of range: 0 to 5"):
            ablate(latents=[0, latent])
    acts, W_dec = ACTS.clone(), W_DEC.clone()
    acts[3, 4, 5] = torch.nan
    W_dec[1] = 0
    with pytest.raises(InputError, match=r"the activation of latent 5 at \(3, 4\) is nan"):
        ablate(acts=acts, latents=[0, 5])
    ablate(acts=acts, latents=[0, 4])
    with pytest.raises(InputError, match=r"decoder row 1 has norm 0.0"):
        ablate(W_dec=W_dec)
    with pytest.raises(InputError, match=r"decoder row 4 has norm nan"):
        ablate(W_dec=W_DEC.where(torch.arange(D_SAE)[:, None] != 4, torch.nan), latents=[2, 4])
    with pytest.raises(InputError, match="the metric is for 5 prompts, got 4"):
        ablate(acts=ACTS[:4], tokens=TOKENS[:4])
    with pytest.raises(InputError, match="batch_limit must be at least 1, got 0"):
        ablate(batch_limit=0)


def test_errors_of_steering():
    def steered(directions=UNIT, alpha=1.0, random=UNIT, **kwargs):
        return steer(bridge("rotary"), TOKENS, DIFF, SITES[1], directions, alpha, random=random, **kwargs)

    with pytest.raises(InputError, match=r"^direction 0 has norm \d\.\d+, not 1"):
        steered(W_DEC)
    with pytest.raises(InputError, match="random direction 0 has norm 2, not 1"):
        steered(random=2 * UNIT)
    with pytest.raises(InputError, match="direction 0 has norm nan"):
        steered(UNIT * torch.nan)
    with pytest.raises(InputError, match=r"random direction must have 16 dimensions, got \[6, 15\]"):
        steered(random=UNIT[:, :15])
    with pytest.raises(InputError, match="no directions"):
        steered(UNIT[:0])
    for bad in (dict(alpha=0.0), dict(alpha=math.nan), dict(norm=0.0), dict(norm=math.inf)):
        with pytest.raises(InputError, match="a step of alpha"):
            steered(**bad)
    with pytest.raises(InputError, match=r"positions must be bool \[5, 8\] .* got torch.bool \[5, 7\]"):
        steered(positions=TOKENS[:, :7] >= 0)
    with pytest.raises(InputError, match="positions are all False"):
        steered(positions=TOKENS < 0)
    mask = torch.ones(N, N_POS, dtype=torch.bool)
    mask[2, 0] = False
    with pytest.raises(InputError, match="position 0 of prompt 2 is padding"):
        steered(positions=TOKENS >= 0, mask=mask)
    with pytest.raises(InputError, match="batch_limit must be at least 1, got 0"):
        steered(batch_limit=0)
