import pytest
import torch

from energylens.interventions import LogitDiff, ablate_heads, attribution_patch, patch_heads, remembered
from energylens.interventions.ablation import Zero
from energylens.interventions.runners import remembering
from energylens.interventions.runners.remembering import Remembering, runner_for
from energylens.tests.interventions.helpers import ALL, bridge, padded_pair, prompts

CLEAN, CORRUPTED = prompts()
FIRST = torch.arange(5)
METRIC = LogitDiff(FIRST, FIRST + 9)


def measured(kind):
    net = bridge(kind)
    return torch.stack(
        [
            patch_heads(net, CLEAN, CORRUPTED, METRIC, "noising").patched,
            patch_heads(net, CLEAN, CORRUPTED, METRIC, "denoising").patched,
            attribution_patch(net, CLEAN, CORRUPTED, METRIC, steps=2).patched,
            ablate_heads(net, CLEAN, METRIC, Zero(), batch_limit=2).ablated,
        ]
    )


def counted(monkeypatch, kind):
    """Every unedited run of the network's executor, as the number of its prompts."""
    runs, kind_of_runner = [], type(runner_for(bridge(kind)))
    run = kind_of_runner.run

    def noted(self, tokens, mask, read):
        runs.append(len(tokens))
        return run(self, tokens, mask, read)

    monkeypatch.setattr(kind_of_runner, "run", noted)
    return runs


@pytest.mark.parametrize("kind", ALL)
def test_the_same_numbers_from_fewer_runs(kind, monkeypatch):
    runs = counted(monkeypatch, kind)
    plain = measured(kind)
    assert len(runs) == 9
    runs.clear()
    with remembered(bridge(kind)):
        assert torch.equal(measured(kind), plain)
        assert torch.equal(measured(kind), plain)
    # Clean and corrupted prompts, and the clean ones again in parts of 2.
    assert runs == [5, 5, 2, 2, 1]


def test_runs_are_forgotten_at_the_end_of_the_outermost_block():
    net = bridge("rotary")
    with remembered(net):
        with remembered(net):
            inner = runner_for(net)
        assert runner_for(net) is inner
    assert not isinstance(runner_for(net), Remembering)


def test_another_padding_or_another_position_is_another_run():
    net = bridge("rotary")
    tokens, _, mask = padded_pair([8, 5, 3])
    read = torch.full((len(tokens), 1), tokens.shape[1] - 1)
    with remembered(net):
        first = runner_for(net).run(tokens, mask, read)
        assert runner_for(net).run(tokens.clone(), mask.clone(), read.clone()) is first
        assert runner_for(net).run(tokens, None, read) is not first
        assert runner_for(net).run(tokens, mask, read - 1) is not first


def test_what_does_not_fit_is_run_again(monkeypatch):
    monkeypatch.setattr(remembering, "REMEMBERED_BYTES", 0)
    net, read = bridge("rotary"), torch.zeros(5, 1, dtype=torch.int64)
    with remembered(net):
        first, second = (runner_for(net).run(CLEAN, None, read) for _ in range(2))
    assert first is not second
    assert torch.equal(first.logits, second.logits)
