import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.families.energy.sinks import (
    EPSILON,
    SinkStudy,
    attention_received,
    excess_over_matched,
    sinks,
    study_sinks,
)
from energylens.lenses.held_out import held_out_text
from energylens.lenses.logit import logit_lens
from energylens.metrics.energy import energy_and_gradient


def uniform(n):
    """Every query attends to all it sees alike."""
    return torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]


def on_key(n, key):
    """Every query attends to one key, or to itself before there is one."""
    queries = torch.arange(n)
    return torch.eye(n)[torch.where(queries >= key, key, queries)]


@pytest.fixture(scope="module")
def sharp(make_network, python_text):
    """A network whose heads attend to few keys."""
    network = make_network(python_text, n_ctx=16)
    state = network.bridge.state_dict()
    sharper = {name: 40 * each for name, each in state.items() if ".attn." in name and "weight" in name}
    network.bridge.load_state_dict({**state, **sharper})
    return network


@pytest.fixture(scope="module")
def study(sharp):
    network = sharp
    text = held_out_text(network, "confirmation", seed=0, per_document=1)
    return text, study_sinks(network, text.tokens, text.targets)


class TestAttentionReceived:
    def test_a_key_that_all_attend_to(self):
        received = attention_received(on_key(6, 2))
        assert received.tolist() == pytest.approx([1 / 6, 1 / 5, 1, 0, 0, 0])

    def test_uniform_attention_is_a_harmonic_number(self):
        n = 8
        expected = [sum(1 / (i + 1) for i in range(k, n)) / (n - k) for k in range(n)]
        assert attention_received(uniform(n)).tolist() == pytest.approx(expected)

    def test_each_one_to_itself(self):
        assert attention_received(torch.eye(4)).tolist() == pytest.approx([1 / 4, 1 / 3, 1 / 2, 1])

    @given(st.integers(1, 7), st.integers(0, 100))
    def test_a_slow_loop(self, n, seed):
        scores = torch.randn(2, n, n, generator=torch.Generator().manual_seed(seed))
        pattern = scores.masked_fill(torch.ones(n, n).triu(1) > 0, -math.inf).softmax(-1)
        expected = [[np.mean([float(one[i, k]) for i in range(k, n)]) for k in range(n)] for one in pattern]
        torch.testing.assert_close(attention_received(pattern), torch.tensor(expected).float())

    def test_a_mean_over_all_queries_is_another_number(self):
        """The corrupted version: dividing by T, not by the queries that see the key."""
        pattern = on_key(6, 2)
        assert not torch.allclose(pattern.mean(-2), attention_received(pattern))

    @pytest.mark.parametrize(
        "pattern",
        [
            torch.ones(3, 4),
            torch.full((3, 3), 1 / 3),
            torch.eye(3) * torch.tensor([1.0, math.nan, 1.0]),
        ],
    )
    def test_no_causal_pattern_is_an_error(self, pattern):
        with pytest.raises(InputError, match=r"received another of shape \(3, "):
            attention_received(pattern)


class TestSinks:
    def test_strictly_more_than_epsilon(self):
        assert sinks(torch.tensor([EPSILON, 0.31, 0.1]), 1).tolist() == [False, True, False]

    def test_only_where_enough_queries_see_it(self):
        received = torch.ones(2, 10)
        for least in (1, 4, 10):
            expected = [10 - k >= least for k in range(10)]
            assert sinks(received, least).tolist() == [expected, expected]

    def test_the_last_position_attends_to_itself_and_is_no_sink(self):
        received = attention_received(torch.eye(100))
        assert sinks(received, 1)[-1]
        assert not sinks(received).any()

    @pytest.mark.parametrize(("least", "epsilon"), [(0, 0.3), (6, 0.3), (1, 0.0), (1, 1.0)])
    def test_what_cannot_be_asked_for(self, least, epsilon):
        with pytest.raises(InputError, match=f"received {least} and {epsilon}"):
            sinks(torch.ones(5), least, epsilon)


class TestExcess:
    def test_against_the_same_position_of_other_windows(self):
        energy = torch.tensor([[[9.0, 1, 5], [9, 3, 6], [9, 7, 7]]])
        is_sink = torch.tensor([[[True, True, False], [True, False, False], [True, False, True]]])
        assert excess_over_matched(energy, is_sink).tolist() == [1 - (3 + 7) / 2, 7 - (5 + 6) / 2]

    def test_layers_are_not_compared(self):
        energy = torch.tensor([[[0.0, 1], [0, 3]], [[0, 100], [0, 200]]])
        is_sink = torch.zeros(2, 2, 2, dtype=torch.bool)
        is_sink[0, 0, 1] = True
        assert excess_over_matched(energy, is_sink).tolist() == [-2]

    def test_bos_has_no_match(self):
        is_sink = torch.zeros(1, 3, 4, dtype=torch.bool)
        is_sink[..., 0] = True
        assert len(excess_over_matched(torch.rand(1, 3, 4), is_sink)) == 0

    def test_a_position_that_is_a_sink_everywhere_is_nan(self):
        is_sink = torch.zeros(1, 2, 2, dtype=torch.bool)
        is_sink[..., 1] = True
        assert excess_over_matched(torch.rand(1, 2, 2), is_sink).isnan().all()

    def test_energies_that_nothing_asks_for_do_not_spread(self):
        energy = torch.tensor([[[math.nan, 1, math.nan], [math.nan, 3, math.nan]]])
        is_sink = torch.zeros(1, 2, 3, dtype=torch.bool)
        is_sink[0, 0, 1] = True
        assert excess_over_matched(energy, is_sink).tolist() == [-2]

    @given(st.integers(0, 50), st.floats(-5, 5))
    def test_a_constant_by_position_is_taken_out(self, seed, by):
        generator = torch.Generator().manual_seed(seed)
        energy = torch.rand(2, 5, 4, generator=generator, dtype=torch.float64)
        is_sink = torch.rand(2, 5, 4, generator=generator) < 0.3
        shifted = energy + by * torch.arange(4)
        torch.testing.assert_close(
            excess_over_matched(energy, is_sink), excess_over_matched(shifted, is_sink), equal_nan=True
        )


class TestStudy:
    def test_a_position_counts_once_however_many_heads_it_holds(self):
        received = torch.zeros(1, 2, 3, 4)
        received[0, 0, :, 1] = 0.9
        study = SinkStudy(received, torch.tensor([[[0.0, 1, 0, 0], [0, 5, 0, 0]]]))
        assert study.excess(least_queries=1).tolist() == [-4]

    def test_bos_by_head(self):
        received = torch.zeros(1, 2, 2, 64)
        received[0, :, 0, 0] = torch.tensor([0.4, 0.2])
        study = SinkStudy(received, torch.zeros(1, 2, 64))
        assert study.on_bos.flatten().tolist() == pytest.approx([0.3, 0.0])
        assert study.bos_share == 1 / 4

    def test_besides_bos_a_window_counts_once_and_only_where_enough_queries_see_it(self):
        received = torch.zeros(1, 4, 3, 70)
        received[..., 0] = 0.9  # BOS is left out
        received[0, 0, 1, 2:5] = 0.4
        received[0, 3, 1, 6] = 0.4
        received[0, :, 2, 7:] = 0.5  # fewer than 64 queries see these
        study = SinkStudy(received, torch.zeros(1, 4, 70))
        assert study.share_besides_bos().tolist() == [[0, 0.5, 0]]
        assert study.largest_besides_bos() == pytest.approx(0.4)

    def test_patterns_and_energies_are_the_networks(self, sharp, study):
        network, (text, found) = sharp, study
        names = [
            f"blocks.{layer}.{hook}" for layer in (0, 1) for hook in ("attn.hook_pattern", "hook_resid_pre")
        ]
        ran = network.run(names, text.tokens)
        lens = logit_lens(network)
        for layer in (0, 1):
            pattern = ran[f"blocks.{layer}.attn.hook_pattern"]
            torch.testing.assert_close(found.received[layer], attention_received(pattern))
            expected, _ = energy_and_gradient(lens, ran[f"blocks.{layer}.hook_resid_pre"], text.targets)
            known = ~found.energy[layer].isnan()
            assert known.any()
            torch.testing.assert_close(found.energy[layer][known], expected[known], rtol=1e-4, atol=1e-4)

    def test_every_sink_has_its_energy(self, study):
        _, found = study
        is_sink = found.sinks(least_queries=1).any(2)
        assert is_sink.any()
        assert not found.energy[is_sink].isnan().any()
        assert not found.excess(least_queries=1).isnan().all()
