import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.interventions import KL, LogitDiff, NextTokenLoss
from energylens.interventions.metric import TOKENS_AT_ONCE


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two_prompts():
    targets = torch.tensor([[3, -100, 1, -100], [-100, 2, 0, 4]])
    return NextTokenLoss(targets), targets


class TestLogitDiff:
    def test_known_answer(self):
        metric = LogitDiff(torch.tensor([0, 2]), torch.tensor([1, 0]))
        logits = torch.tensor([[[[5.0, 3.0, 1.0]], [[1.0, 2.0, 7.0]]]])
        assert metric(logits).tolist() == [[2.0, 6.0]]

    def test_positions_count_from_either_end(self):
        ones = torch.ones(3, dtype=torch.long)
        assert LogitDiff(ones, ones).positions(6).tolist() == [[5], [5], [5]]
        assert LogitDiff(ones, ones, torch.tensor([0, -2, 3])).positions(6).tolist() == [[0], [4], [3]]
        with pytest.raises(InputError, match=r"position \[6\] of prompt 0 lies outside 6 tokens"):
            LogitDiff(ones, ones, 6).positions(6)

    def test_rows(self):
        metric = LogitDiff(torch.arange(3), torch.arange(3) + 1, torch.tensor([1, 2, 3]))
        logits = drawn(2, 3, 1, 9)
        assert torch.equal(metric.rows(slice(1, 3))(logits[:, 1:]), metric(logits)[:, 1:])
        assert metric.rows(slice(1, 3)).positions(5).tolist() == [[2], [3]]

    def test_sizes(self):
        with pytest.raises(InputError, match=r"got sizes \[2, 3\]"):
            LogitDiff(torch.ones(3, dtype=torch.long), torch.ones(2, dtype=torch.long))


class TestNextTokenLoss:
    def test_uniform_logits_cost_the_log_of_the_vocabulary(self):
        metric, _ = two_prompts()
        assert metric(torch.zeros(3, 2, 3, 7)).flatten().tolist() == pytest.approx([math.log(7)] * 6)

    def test_a_slow_loop(self):
        metric, targets = two_prompts()
        everywhere = drawn(5, 2, 4, 6)
        read = metric.positions(4)
        logits = everywhere[:, torch.arange(2)[:, None], read]
        for run in range(5):
            for prompt in range(2):
                asked = [(pos, token) for pos, token in enumerate(targets[prompt].tolist()) if token != -100]
                losses = [
                    -math.log(everywhere[run, prompt, pos].double().softmax(0)[token]) for pos, token in asked
                ]
                expected = sum(losses) / len(losses)
                assert metric(logits)[run, prompt].item() == pytest.approx(expected, rel=1e-5)

    def test_reads_only_positions_with_targets(self):
        metric, _ = two_prompts()
        assert metric.positions(4).tolist() == [[0, 2, 0], [1, 2, 3]]
        assert metric.rows(slice(0, 1)).positions(4).tolist() == [[0, 2]]
        with pytest.raises(InputError, match="targets are for 4 positions, the prompts have 5"):
            metric.positions(5)

    def test_a_prompt_without_targets_has_none(self):
        metric = NextTokenLoss(torch.tensor([[-100, -100], [1, -100]]))
        values = metric(drawn(1, 2, 1, 4))
        assert values[0, 0].isnan()
        assert values[0, 1] > 0

    @settings(max_examples=20, deadline=None)
    @given(shift=st.floats(-30, 30), n=st.integers(1, 5))
    def test_a_constant_added_to_the_logits_changes_nothing(self, shift, n):
        metric, _ = two_prompts()
        logits = drawn(n, 2, 3, 7)
        torch.testing.assert_close(metric(logits + shift), metric(logits), atol=1e-4, rtol=1e-4)

    def test_slices_do_not_matter(self):
        runs, n_pos = 2 * TOKENS_AT_ONCE // 40 + 1, 40
        metric = NextTokenLoss(torch.randint(9, (2, n_pos), generator=torch.Generator().manual_seed(0)))
        logits = drawn(runs, 2, n_pos, 9)
        torch.testing.assert_close(metric(logits)[-1:], metric(logits[-1:]))


class TestKL:
    reference = drawn(2, 3, 8).log_softmax(-1)
    pos = torch.tensor([[0, 1, 2], [3, 1, -1]])

    def test_nothing_from_itself_and_never_negative(self):
        metric = KL(self.reference, self.pos)
        assert metric(self.reference[None]).abs().max() < 1e-6
        assert (metric(drawn(4, 2, 3, 8, seed=1)) > 0).all()
        assert metric.positions(5).tolist() == [[0, 1, 2], [3, 1, 4]]

    def test_known_answer(self):
        fair, loaded = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
        metric = KL(fair.log()[None, None], torch.zeros(1, 1, dtype=torch.long))
        expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
        assert metric(loaded.log()[None, None, None]).item() == pytest.approx(expected)

    def test_the_direction_is_from_the_reference(self):
        logits = drawn(1, 2, 3, 8, seed=2)
        reverse = KL(logits[0].log_softmax(-1), self.pos)(self.reference[None])
        assert not torch.allclose(KL(self.reference, self.pos)(logits), reverse, atol=1e-2)

    def test_errors(self):
        with pytest.raises(InputError, match="must hold log-probabilities"):
            KL(drawn(2, 3, 8), self.pos)
        with pytest.raises(InputError, match="do not match"):
            KL(self.reference, self.pos[:, :2])
