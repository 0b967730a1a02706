import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from energylens.errors import InputError
from energylens.models.tasks import IGNORED, task_from_json
from energylens.models.tasks.induction import Induction

seeds = st.integers(0, 2**31)


@st.composite
def tasks(draw):
    least = draw(st.integers(5, 9))
    most = draw(st.integers(least, 12))
    n_ctx, d_vocab = draw(st.integers(2 * most, 40)), draw(st.integers(most + 1, 40))
    return Induction(d_vocab, n_ctx, least, most, n_test=16)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def looked_up(tokens: torch.Tensor, offset: int = 1) -> torch.Tensor:
    """Logits that bet 30 on what stood `offset` after the last earlier occurrence of the token: a slow loop."""
    logits = torch.zeros(*tokens.shape, 64)
    for row, sequence in enumerate(tokens.tolist()):
        for pos, token in enumerate(sequence):
            earlier = [place for place in range(pos) if sequence[place] == token]
            if earlier:
                logits[row, pos, sequence[earlier[-1] + offset]] = 30.0
    return logits


@given(tasks(), seeds)
def test_a_segment_repeats_and_holds_no_token_twice(task, seed):
    tokens, period = task.sequences(8, generator(seed))
    assert tokens.shape == (8, task.n_ctx)
    for sequence, length in zip(tokens.tolist(), period.tolist(), strict=True):
        assert task.min_period <= length <= task.max_period
        assert len(set(sequence[:length])) == length
        assert sequence[length:] == sequence[:-length]
        assert set(sequence) <= set(range(task.d_vocab))


def test_periods_and_tokens_are_uniform():
    tokens, period = Induction().sequences(20_000, generator(0))
    counts = torch.bincount(period, minlength=33)[8:]
    assert len(counts) == 25
    # Five standard deviations of a binomial count with n = 20000 and p = 1/25 or 1/64.
    assert (counts - 800).abs().max() < 5 * math.sqrt(800)
    assert (torch.bincount(tokens[:, 0], minlength=64) - 312.5).abs().max() < 5 * math.sqrt(312.5)


@given(tasks(), seeds)
def test_repeats_are_the_places_with_one_earlier_successor(task, seed):
    tokens, period = task.sequences(4, generator(seed))
    marked = task.repeats(period)
    for row, sequence in enumerate(tokens.tolist()):
        for pos in range(task.n_ctx):
            in_second = period[row] <= pos and pos + 1 < 2 * period[row]
            assert bool(marked[row, pos]) == in_second
            if in_second:
                (earlier,) = [place for place in range(pos) if sequence[place] == sequence[pos]]
                assert sequence[earlier + 1] == sequence[pos + 1]


def test_looking_up_is_perfect_and_guessing_costs_the_log_of_the_vocabulary():
    task = Induction(n_test=8)
    _, held_out = task.split(1.0, 0)
    assert task.scores(looked_up, None, held_out) == pytest.approx(
        {"test_loss_nats": task.loss(looked_up(held_out.tokens), held_out).item()}
        | {"repeat_loss_nats": 0.0, "test_accuracy": 1.0},
        abs=1e-6,
    )
    guessed = task.scores(lambda tokens: torch.zeros(*tokens.shape, 64), None, held_out)
    assert guessed["test_loss_nats"] == pytest.approx(math.log(64))
    assert guessed["repeat_loss_nats"] == pytest.approx(math.log(64))


def test_looking_one_place_off_is_wrong():
    _, held_out = (task := Induction(n_test=8)).split(1.0, 0)
    off = task.scores(lambda tokens: looked_up(tokens, offset=0), None, held_out)
    assert off["test_accuracy"] == 0
    assert off["repeat_loss_nats"] > 25


def test_the_loss_is_the_mean_over_every_next_token():
    task = Induction()
    examples = task.batch(None, 3, generator(1))
    logits = torch.randn(3, 64, 64, generator=generator(2))
    assert (examples.targets[:, -1] == IGNORED).all()
    one_by_one = [
        -logits[row, pos].log_softmax(0)[examples.tokens[row, pos + 1]]
        for row in range(3)
        for pos in range(63)
    ]
    assert torch.allclose(task.loss(logits, examples), torch.stack(one_by_one).mean())


@settings(deadline=None)
@given(tasks(), seeds, st.sampled_from(["value", "key"]))
def test_pairs_ask_for_the_successor_that_each_prompt_shows(task, seed, corrupt):
    for clean, corrupted, answer, wrong, pos in zip(
        *(column.tolist() for column in task.pairs(8, generator(seed), corrupt)), strict=True
    ):
        changed = [place for place in range(task.n_ctx) if clean[place] != corrupted[place]]
        assert clean[pos:] == corrupted[pos:]
        for prompt, asked in ((clean, answer), (corrupted, wrong)):
            (earlier,) = [place for place in range(pos) if prompt[place] == clean[pos]]
            assert prompt[earlier + 1] == asked != (wrong if asked == answer else answer)
        query = clean.index(clean[pos])
        assert task.min_period <= pos <= 2 * task.max_period - 2
        if corrupt == "value":
            assert changed == [query + 1]
            assert wrong not in clean
        else:
            assert len(changed) == 2
            assert query in changed
            assert sorted(clean) == sorted(corrupted)
            assert {clean[place] for place in changed}.isdisjoint({answer, wrong})


def test_the_held_out_sequences_are_fixed_and_not_those_of_the_training_stream():
    task = Induction(n_test=64)
    first, again, other = (task.split(0.5, seed)[1].tokens for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    stream = generator(3)
    trained = {tuple(row) for _ in range(50) for row in task.batch(None, 64, stream).tokens.tolist()}
    assert len(trained) == 50 * 64
    assert trained.isdisjoint(map(tuple, first.tolist()))


@given(tasks())
def test_json_round_trip(task):
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"min_period": 1}, "'min_period': 1"),
        ({"min_period": 20, "max_period": 10}, "'max_period': 10"),
        ({"max_period": 33}, "'max_period': 33"),
        ({"d_vocab": 32}, "'d_vocab': 32"),
        ({"n_ctx": 64.0}, "64.0"),
        ({"n_test": 0}, "got 0"),
        ({"period": 8}, "no field period"),
    ],
)
def test_a_task_that_could_not_be_drawn_is_refused(fields, named):
    with pytest.raises((InputError, TypeCheckError), match=named):
        Induction.from_json({"name": "induction", **fields})


def test_requests_that_mean_nothing_are_refused():
    task = Induction(min_period=4)
    with pytest.raises(InputError, match="None"):
        task.batch(None, None, generator(0))
    with pytest.raises(InputError, match="got 0"):
        task.sequences(0, generator(0))
    with pytest.raises((InputError, TypeCheckError), match="'query'"):
        task.pairs(2, generator(0), "query")
    with pytest.raises(InputError, match="got 4"):
        task.pairs(2, generator(0), "key")
