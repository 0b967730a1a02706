import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import EnergylensError, InputError
from energylens.models.recipe import Optimiser
from energylens.models.train import train
from energylens.models.transformer import Transformer
from energylens.store.recipe import no_progress
from energylens.tests.models.helpers import HONEST, LEAKY, recipe


def _same(first, second):
    return all(np.array_equal(first.tensors[key], second.tensors[key]) for key in first.tensors)


@pytest.mark.parametrize("autocast", ["fp32", "bf16"])
@pytest.mark.parametrize("batch", [16, None])
def test_same_recipe_same_bits_whatever_the_global_state(autocast, batch):
    made = recipe(n_layers=2, normalization_type="LN", autocast=autocast, batch=batch)
    first = train(made, None, no_progress)
    torch.manual_seed(99)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = train(made, None, no_progress)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert _same(first, again)
    assert first.meta["curves"] == again.meta["curves"]


def test_another_seed_gives_another_network():
    assert not _same(train(recipe(seed=0), None, no_progress), train(recipe(seed=1), None, no_progress))


def test_no_steps_leave_the_initialisation():
    made = recipe(steps=0, seed=4)
    artifact, initial = train(made, None, no_progress), Transformer(made.config, 4).state_dict()
    assert all(np.array_equal(artifact.tensors[key], initial[key].numpy()) for key in initial)
    assert artifact.meta["curves"]["step"] == [0]
    assert artifact.meta["curves"]["train_loss_nats"][0] == pytest.approx(
        np.log(made.config.d_vocab), abs=0.5
    )


def test_a_tiny_network_learns_to_copy_a_leaked_label():
    artifact = train(recipe(LEAKY, steps=150, batch=None), None, no_progress)
    curves = artifact.meta["curves"]
    assert curves["test_accuracy"][-1] == 1.0
    assert curves["step"] == [0, 50, 100, 150]
    json.dumps(artifact.meta, allow_nan=False)


def test_progress_hears_every_step():
    heard = []
    train(recipe(steps=5), None, lambda step, total, numbers: heard.append((step, total, sorted(numbers))))
    assert heard == [(step, 5, ["loss_nats", "test_accuracy"]) for step in range(1, 6)]


@pytest.mark.filterwarnings("ignore")
def test_a_diverging_run_names_step_and_loss():
    made = recipe(optimiser=Optimiser(lr=1e30, warmup_steps=0), steps=50)
    with pytest.raises(EnergylensError, match=r"tiny seed 0: the loss is (nan|inf) nats at step \d+ of 50"):
        train(made, None, no_progress)


def test_frozen_biases_stay_zero_and_the_others_move():
    tensors = train(recipe(n_layers=2, normalization_type="LN"), None, no_progress).tensors
    biases = {key: np.abs(tensor).max() for key, tensor in tensors.items() if key.endswith(".bias")}
    frozen = {key for key, largest in biases.items() if largest == 0}
    assert frozen == {key for key in biases if ".attn." in key or key == "unembed.bias"}


@given(st.integers(1, 2000), st.integers(0, 50), st.floats(0.0, 1.0))
def test_the_schedule_warms_up_then_decays(steps, warmup_steps, decay_fraction):
    schedule = Optimiser(warmup_steps=warmup_steps, decay_fraction=decay_fraction)
    factors = [schedule.lr_factor(step, steps) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    last = len(factors) - factors[::-1].index(max(factors)) - 1
    assert factors[last:] == sorted(factors[last:], reverse=True)


def test_the_schedule_in_numbers():
    schedule = Optimiser(warmup_steps=10, decay_fraction=0.3)
    assert [schedule.lr_factor(step, 100) for step in (0, 9, 69, 70, 85, 99)] == pytest.approx(
        [0.1, 1, 1, 1, 0.5, 1 / 30]
    )


@pytest.mark.parametrize("changes", [{"steps": -1}, {"batch": 0}, {"threads": 0}, {"seed": -1}])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(InputError, match="must be"):
        dataclasses.replace(recipe(HONEST), **changes)
