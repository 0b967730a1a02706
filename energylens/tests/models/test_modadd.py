import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.models.tasks import ModularAddition, task_from_json

PRIMES = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31]
PROMPTS = [("a", "b", "="), ("BOS", "a", "+", "b", "=", "c", "EOS"), ("=", "b", "=", "a", "?")]


def test_the_leaky_prompt_is_laid_out_as_written():
    task = ModularAddition(p=5, prompt=("BOS", "a", "+", "b", "=", "c", "EOS"), readout=-2)
    assert task.specials == {"BOS": 5, "+": 6, "=": 7, "EOS": 8}
    assert (task.d_vocab, task.n_ctx, task.operand_positions, task.label_position) == (9, 7, (1, 3), 5)
    assert task.inputs()[3 * 5 + 4].tolist() == [5, 3, 6, 4, 7, 2, 8]


def test_the_honest_prompt_has_no_label():
    task = ModularAddition()
    assert (task.p, task.d_vocab, task.n_ctx, task.label_position) == (113, 114, 3, None)


@given(st.sampled_from(PRIMES), st.sampled_from(PROMPTS))
def test_every_row_adds_up(p, prompt):
    task = ModularAddition(p, prompt)
    inputs, labels = task.inputs(), task.labels()
    at_a, at_b = task.operand_positions
    for row, (tokens, label) in enumerate(zip(inputs.tolist(), labels.tolist(), strict=True)):
        a, b = divmod(row, p)
        assert (tokens[at_a], tokens[at_b], label) == (a, b, (a + b) % p)
        assert task.label_position is None or tokens[task.label_position] == label
    assert int(inputs.max()) == task.d_vocab - 1


@given(st.integers(-5, 400).filter(lambda n: n < 3 or any(n % k == 0 for k in range(2, n))))
def test_a_modulus_that_is_no_odd_prime_is_refused_by_name(p):
    with pytest.raises(InputError, match=f"got p = {p}$"):
        ModularAddition(p)


@pytest.mark.parametrize("p", [7.0, "7", True, None])
def test_a_modulus_that_is_no_integer_is_refused(p):
    with pytest.raises(InputError, match="prime"):
        task_from_json({"name": "modadd", "p": p})


@pytest.mark.parametrize("prompt", [("a", "="), ("a", "a", "b"), ("a", "b", "c", "c"), ()])
def test_a_prompt_without_both_operands_once_is_refused(prompt):
    with pytest.raises(InputError, match="prompt"):
        ModularAddition(7, prompt)


@pytest.mark.parametrize("readout", [0, 2, -4])
def test_a_readout_outside_the_prompt_is_refused(readout):
    with pytest.raises(InputError, match=f"got {readout}"):
        ModularAddition(7, readout=readout)


@given(st.sampled_from(PRIMES), st.sampled_from(PROMPTS), st.sampled_from([-1, -2, -3]))
def test_json_round_trip(p, prompt, readout):
    task = ModularAddition(p, prompt, readout)
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize("fields", [{}, {"name": "sorting"}, {"name": "modadd", "q": 3}, None, [1]])
def test_json_that_names_no_task_is_refused(fields):
    with pytest.raises(InputError):
        task_from_json(fields)


@given(st.sampled_from(PRIMES), st.floats(0.2, 0.8), st.integers(0, 1000))
def test_a_split_keeps_every_pair_once(p, train_fraction, seed):
    task = ModularAddition(p)
    train, test = task.split(train_fraction, seed)
    pairs = torch.cat([train.tokens, test.tokens])[:, :2]
    assert len(train.tokens) == round(train_fraction * p * p)
    assert {tuple(pair) for pair in pairs.tolist()} == {(a, b) for a in range(p) for b in range(p)}
    assert torch.equal(torch.cat([train.targets, test.targets]), pairs.sum(1) % p)


def test_seeds_split_differently_and_repeatably():
    task = ModularAddition(13)
    first, again, other = (task.split(0.5, seed)[0].tokens for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("train_fraction", [0.0, 1.0, -0.5, 1.5, 1e-9])
def test_a_split_with_an_empty_side_is_refused(train_fraction):
    with pytest.raises(InputError, match="train_fraction"):
        ModularAddition(7).split(train_fraction, 0)


def test_a_batch_draws_distinct_training_rows():
    task = ModularAddition(13)
    train, _ = task.split(0.5, 0)
    tokens, targets = task.batch(train, 40, torch.Generator().manual_seed(1))
    assert len({tuple(row) for row in tokens.tolist()}) == 40
    assert torch.equal(tokens[:, :2].sum(1) % 13, targets)
    assert task.batch(train, None, torch.Generator()) is train
