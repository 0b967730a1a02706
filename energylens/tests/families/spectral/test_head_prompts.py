import torch

from energylens.families.spectral.head_prompts import head_prompts, ioi_prompts, text_prompts
from energylens.models.tasks.ioi import IOI


def test_padding_and_bos_do_not_count(random_ioi):
    prompts = head_prompts(random_ioi, 0, n=8)
    assert not prompts.counted[:, 0].any()
    assert torch.equal(prompts.counted[:, 1:], prompts.real[:, 1:])
    assert (prompts.clean != prompts.corrupted).any(1).all()
    assert prompts.sign == 1


def test_discovery_and_test_prompts_share_no_pair_of_names(random_ioi):
    def pairs(side):
        metric = ioi_prompts(random_ioi, 0, n=200, pairs=side).metric
        return {
            frozenset(pair) for pair in zip(metric.correct.tolist(), metric.incorrect.tolist(), strict=True)
        }

    train, held_out = pairs("train"), pairs("held-out")
    assert not train & held_out
    allowed = {frozenset(pair.tolist()) for pair in IOI().name_pairs(random_ioi.meta["split_seed"]).held_out}
    assert held_out <= allowed


def test_swapped_names_ask_for_the_other_one(random_ioi):
    abc, swap = (ioi_prompts(random_ioi, 0, n=20, corrupt=kind) for kind in ("abc", "swap"))
    assert torch.equal(abc.clean, swap.clean)
    assert ((swap.corrupted != swap.clean).sum(1) == 1).all()
    assert ((abc.corrupted != abc.clean).sum(1) == 3).all()
    at = (swap.corrupted != swap.clean).int().argmax(1)
    assert torch.equal(swap.corrupted[torch.arange(20), at], swap.metric.correct)


def test_seeds_draw_other_prompts(random_induction):
    first, again, other = (head_prompts(random_induction, seed, n=4).clean for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_text_is_resampled_from_other_documents(text_network):
    network, windows_of = text_network
    prompts = text_prompts(network, 0, n=6)
    assert prompts.sign == -1
    assert prompts.counted.sum(1).unique().tolist() == [prompts.clean.shape[1] - 1]
    for clean, corrupted in zip(prompts.clean, prompts.corrupted, strict=True):
        assert windows_of(clean)
        assert not set(windows_of(clean)) & set(windows_of(corrupted))
