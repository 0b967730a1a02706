import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div

from energylens.errors import InputError
from energylens.lenses.fit import fit, tuned_lens
from energylens.lenses.logit import logit_lens
from energylens.lenses.tuned import TuneLens
from energylens.models.recipe import ModelConfig, Optimiser, TrainNetwork
from energylens.models.tasks import ModularAddition
from energylens.sae.activations import stream
from energylens.sae.planted import PlantedDictionary
from energylens.store import key_of, no_progress

MIDDLE, LATE = "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"
TRAIN_WINDOWS, DISCOVERY_WINDOWS = 22 + 15 + 24 + 5, 24 + 2 + 1 + 24 + 24
"""Of 4 tokens, in the placed corpus."""

N_DOCUMENTS = 5
"""Training documents of the placed corpus, which come first."""

RECIPE = TuneLens(
    PlantedDictionary(),
    PlantedDictionary(seed=1),
    MIDDLE,
    n_train=3 * TRAIN_WINDOWS,
    steps=40,
    batch=64,
    lr=1e-2,
)
"""`fit` is handed network and corpus themselves: here source and data say only that there are some."""


def slow_kl(network, lens, hook_name, windows):
    """Mean over tokens, BOS left out, of KL(network || lens at the hook) in nats."""
    final = network.bridge(windows)[:, 1:].double().log_softmax(-1)
    read = lens.logits(stream(network, hook_name, windows))[:, 1:].double().log_softmax(-1)
    return float(kl_div(read, final, reduction="none", log_target=True).sum(-1).mean())


def mixed(corpus, documents):
    """The corpus with the tokens of these documents mixed up."""
    tokens, offsets = corpus.tensors["tokens"].copy(), corpus.tensors["offsets"]
    part = slice(offsets[documents.start], offsets[documents.stop])
    tokens[part] = np.random.default_rng(0).permutation(tokens[part])
    return dataclasses.replace(corpus, tensors={**corpus.tensors, "tokens": tokens})


def test_in_the_middle_it_says_more_of_what_the_network_will_say(make_network, as_artifact, python_text):
    """On documents it has not seen; the network's own logits are the reference."""
    network = make_network(python_text, n_ctx=32)
    recipe = dataclasses.replace(RECIPE, n_train=1500, steps=100)
    artifact = fit(recipe, [as_artifact(network), python_text], no_progress)
    before, after = artifact.meta["held_out"]
    assert 0 < after < 0.8 * before
    assert len(artifact.meta["curve"]) == 5
    assert artifact.meta["curve"][-1] < artifact.meta["curve"][0]
    windows = network.task.windows("confirmation").tokens[::20]
    logit, tuned = logit_lens(network), tuned_lens(network, artifact)
    assert slow_kl(network, tuned, MIDDLE, windows) < 0.8 * slow_kl(network, logit, MIDDLE, windows)


def test_what_is_recorded_agrees_with_a_slow_reference(monkeypatch, placed_network, as_artifact, placed):
    """With all windows there are, training ones in the curve and discovery ones in `held_out`."""
    monkeypatch.setattr("energylens.lenses.fit.N_HELD_OUT", DISCOVERY_WINDOWS)
    artifact = fit(RECIPE, [as_artifact(placed_network), placed], no_progress)
    lenses = logit_lens(placed_network), tuned_lens(placed_network, artifact)
    curve = artifact.meta["curve"]
    for split, recorded in (("train", [curve[0], min(curve)]), ("discovery", artifact.meta["held_out"])):
        windows = placed_network.task.windows(split).tokens
        expected = [slow_kl(placed_network, lens, MIDDLE, windows) for lens in lenses]
        assert recorded == pytest.approx(expected, rel=1e-4, abs=1e-7)
        assert expected[0] != pytest.approx(expected[1], rel=1e-2)


def test_at_the_late_site_it_changes_nothing(placed_network, as_artifact, placed):
    recipe = dataclasses.replace(RECIPE, hook_name=LATE)
    artifact = fit(recipe, [as_artifact(placed_network), placed], no_progress)
    assert not artifact.tensors["A"].any()
    assert not artifact.tensors["b"].any()
    assert artifact.meta["curve"] == [0.0] * 5
    assert artifact.meta["held_out"] == [0.0, 0.0]
    x = stream(placed_network, LATE, placed_network.task.windows("confirmation").tokens)
    read = tuned_lens(placed_network, artifact).logits(x)
    assert torch.equal(read, logit_lens(placed_network).logits(x))


def test_a_last_block_that_adds_a_constant_is_undone(make_network, as_artifact, placed):
    """x_final = x + c: b = c and A = 0 read all of it, so next to nothing is left of the KL."""
    network = make_network(placed, 4)
    state = network.bridge.state_dict()
    for name in ("blocks.1.attn.o.weight", "blocks.1.mlp.out.weight"):
        state[name] = torch.zeros_like(state[name])
    state["blocks.1.mlp.out.bias"] = torch.randn(16, generator=torch.Generator().manual_seed(0)) / 2
    network.bridge.load_state_dict(state)
    recipe = dataclasses.replace(RECIPE, steps=400)
    artifact = fit(recipe, [as_artifact(network), placed], no_progress)
    before, after = artifact.meta["held_out"]
    assert before > 0.05
    assert after < 0.05 * before


def test_it_is_fitted_on_training_documents_alone(placed_network, as_artifact, placed):
    source, n = as_artifact(placed_network), len(placed.tensors["n_bytes"])
    assert set(placed.meta["splits"][:N_DOCUMENTS]) == {"train"}
    assert "train" not in placed.meta["splits"][N_DOCUMENTS:]
    one, held_out, training = (
        fit(RECIPE, [source, corpus], no_progress)
        for corpus in (placed, mixed(placed, range(N_DOCUMENTS, n)), mixed(placed, range(N_DOCUMENTS)))
    )
    assert all(np.array_equal(one.tensors[name], held_out.tensors[name]) for name in "Ab")
    assert one.meta["curve"] == held_out.meta["curve"]
    assert one.meta["held_out"] != held_out.meta["held_out"]
    assert not np.array_equal(one.tensors["A"], training.tensors["A"])


def test_the_same_recipe_gives_the_same_lens_and_another_seed_another(placed_network, as_artifact, placed):
    inputs = [as_artifact(placed_network), placed]
    first, again = (RECIPE.build(inputs, no_progress) for _ in range(2))
    other = dataclasses.replace(RECIPE, seed=1).build(inputs, no_progress)
    assert np.array_equal(first.tensors["A"], again.tensors["A"])
    assert first.meta["held_out"] == again.meta["held_out"] != other.meta["held_out"]
    assert not np.array_equal(first.tensors["A"], other.tensors["A"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"n_train": 3 * TRAIN_WINDOWS + 1},
            f"have {TRAIN_WINDOWS} windows, n_train {3 * TRAIN_WINDOWS + 1} needs {TRAIN_WINDOWS + 1}",
        ),
        ({"hook_name": "blocks.0.hook_nothing"}, r"blocks\.0\.hook_nothing"),
        ({"hook_name": "embed.hook_out"}, r"embed\.hook_out"),
    ],
    ids=["windows", "hook", "outside"],
)
def test_what_is_not_there_is_refused_by_name(placed_network, as_artifact, placed, fields, message):
    with pytest.raises(InputError, match=message):
        fit(dataclasses.replace(RECIPE, **fields), [as_artifact(placed_network), placed], no_progress)


def test_a_network_without_text_is_refused(placed):
    task = ModularAddition(p=7)
    config = ModelConfig.for_task(task, n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=32)
    adds = TrainNetwork("adds", task, config, Optimiser(), 0.8, steps=0, batch=8, seed=0)
    with pytest.raises(InputError, match="adds does 'modadd'"):
        fit(RECIPE, [adds.build([], no_progress), placed], no_progress)


# The recipe


@pytest.mark.parametrize(
    "fields",
    [
        {"source": PlantedDictionary(seed=2)},
        {"data": PlantedDictionary(seed=2)},
        {"hook_name": LATE},
        {"n_train": 7},
        {"steps": 41},
        {"batch": 65},
        {"lr": 1e-3},
        {"seed": 1},
        {"threads": 2},
    ],
    ids=str,
)
def test_every_field_changes_the_key(fields):
    assert key_of(dataclasses.replace(RECIPE, **fields)) != key_of(RECIPE)
    assert RECIPE.inputs() == (PlantedDictionary(), PlantedDictionary(seed=1))


def test_the_label_names_network_and_site():
    assert RECIPE.label() == f"tuned lens of {PlantedDictionary().label()} at {MIDDLE}"


@pytest.mark.parametrize("field", ["n_train", "steps", "batch", "threads", "lr"])
def test_nothing_to_fit_is_refused(field):
    with pytest.raises(InputError, match=f"must be positive, received .*{field}=0"):
        dataclasses.replace(RECIPE, **{field: 0.0 if field == "lr" else 0})
