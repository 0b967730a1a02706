"""SAEs on text, on a corpus whose tokens say where they stand and at a hook whose rows say which token they are of."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from energylens.errors import InputError
from energylens.models.network import Network
from energylens.models.recipe import ModelConfig, Optimiser, TrainNetwork
from energylens.models.tasks import ModularAddition, Text
from energylens.sae.activations import WINDOWS_AT_ONCE, stream, text_split, training_and_held_out
from energylens.sae.recipe import TrainSAEs
from energylens.sae.sae import SAEs
from energylens.sae.variants import TopK
from energylens.store import Artifact, no_progress
from energylens.tests.sae.helpers import slow_acts, slow_explained_variance

N_CTX = 4
LENGTHS = {"train": [30, 3, 9, 97, 50], "discovery": [4, 40, 2, 11], "confirmation": [9, 90]}
SPLITS = [split for split, lengths in LENGTHS.items() for _ in lengths]
SIZES = [length for lengths in LENGTHS.values() for length in lengths]
TRAIN, HELD_OUT = range(5), range(5, 11)
N_TRAIN, N_HELD_OUT = 3 * (7 + 2 + 24 + 12), 3 * (1 + 10 + 2 + 2 + 22)
"""Tokens in windows: N_CTX - 1 of each N_CTX, since BOS takes the place of the last."""

EMBEDDED = "blocks.0.hook_resid_pre"


@pytest.fixture(scope="module")
def corpus(python_text):
    """Token 100 * document + place + 1 stands at that place."""
    tokens = [100 * document + place + 1 for document, size in enumerate(SIZES) for place in range(size)]
    tensors = {
        "tokens": np.array(tokens, dtype=np.int32),
        "offsets": np.cumsum([0, *SIZES], dtype=np.int64),
        "n_bytes": np.array(SIZES, dtype=np.int64),
    }
    names = [f"topic:{i}" for i in range(len(SIZES))]
    return Artifact(tensors, {**python_text.meta, "names": names, "splits": SPLITS})


def initialised(task, share=1.0) -> TrainNetwork:
    config = ModelConfig.for_task(task, n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=24)
    return TrainNetwork("tiny", task, config, Optimiser(), share, steps=0, batch=8, seed=0)


@pytest.fixture(scope="module")
def source(corpus):
    return initialised(Text(N_CTX)).build([corpus], no_progress)


@pytest.fixture(scope="module")
def network(source):
    return Network.from_artifact(source)


def text_saes(hook_name=EMBEDDED, n_train=60, n_heldout=30, **fields):
    # text_split is handed the corpus itself: here `data` says only that there is one
    recipe = {"variant": TopK(3), "d_sae": 24, "steps": 30, "batch": 32, "seeds": (5, 6), "autocast": "fp32"}
    data = initialised(Text(N_CTX))
    return TrainSAEs(data, hook_name, n_train=n_train, n_heldout=n_heldout, data=data, **(recipe | fields))


def who_and_where(network, rows):
    """(token, position in its window) of every row at EMBEDDED, the sum of a token's and a position's embedding."""
    state = network.bridge.state_dict()
    table = state["embed.weight"][:, None] + state["pos_embed.weight"]
    distance, found = torch.cdist(rows.double(), table.flatten(0, 1).double()).min(1)
    assert distance.max() < 1e-5
    return [divmod(row, N_CTX) for row in found.tolist()]


def places(network, rows):
    """(document, place) of the token under every row; it must not be BOS, and its window begins where windows do."""
    found = []
    for token, position in who_and_where(network, rows):
        assert token > 0
        assert position > 0
        document, place = divmod(token - 1, 100)
        assert (place + 1 - position) % N_CTX == 0
        found.append((document, place))
    return found


# Which tokens


@pytest.mark.parametrize(("n_train", "n_heldout"), [(60, 30), (61, 1), (N_TRAIN, N_HELD_OUT)])
def test_rows_are_tokens_of_the_splits_own_documents_and_never_bos(network, corpus, n_train, n_heldout):
    found = text_split(network, corpus, text_saes(n_train=n_train, n_heldout=n_heldout))
    for rows, n, documents in ((found.train, n_train, TRAIN), (found.held_out, n_heldout, HELD_OUT)):
        tokens = places(network, rows)
        assert len(tokens) == len(set(tokens)) == n
        assert {document for document, _ in tokens} <= set(documents)


def test_all_tokens_are_those_that_windows_hold_as_inputs(network, corpus):
    found = text_split(network, corpus, text_saes(n_train=N_TRAIN, n_heldout=N_HELD_OUT))
    for rows, documents in ((found.train, TRAIN), (found.held_out, HELD_OUT)):
        expected = {
            (document, place)
            for document in documents
            for place in range(SIZES[document] // N_CTX * N_CTX)
            if place % N_CTX != N_CTX - 1
        }
        assert set(places(network, rows)) == expected


def test_bos_would_be_noticed(network, corpus):
    windows = network.task.with_data(corpus).windows("train").tokens
    rows = stream(network, EMBEDDED, windows).flatten(0, 1)
    assert who_and_where(network, rows)[0] == (0, 0)
    with pytest.raises(AssertionError):
        places(network, rows)


def test_the_same_recipe_gives_the_same_rows_and_another_seed_others(network, corpus):
    first, again = (text_split(network, corpus, text_saes()) for _ in range(2))
    assert torch.equal(first.train, again.train)
    assert torch.equal(first.held_out, again.held_out)
    other = text_split(network, corpus, text_saes(split_seed=1))
    assert set(places(network, first.train)) != set(places(network, other.train))
    assert set(places(network, first.held_out)) != set(places(network, other.held_out))


def test_windows_are_drawn_from_all_documents_alike(network, corpus):
    """3 of 45 windows, 75 times: the 24 of document 3 come 120 times, give or take 7.5."""
    drawn = [
        text_split(network, corpus, text_saes(n_train=9, split_seed=seed)).train[::3] for seed in range(75)
    ]
    counts = np.bincount([document for document, _ in places(network, torch.cat(drawn))], minlength=5)
    assert counts[1] == 0
    assert np.abs(counts - 5 * np.array([7, 0, 2, 24, 12])).max() < 25


# What is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_train": N_TRAIN + 1}, f"train documents have {N_TRAIN} tokens .* asked for {N_TRAIN + 1}"),
        ({"n_heldout": 999}, f"held-out documents have {N_HELD_OUT} tokens .* asked for 999"),
        ({"hook_name": None}, "a hook name .* None"),
        ({"hook_name": "blocks.0.hook_nothing"}, r"blocks\.0\.hook_nothing"),
        ({"hook_name": "blocks.2.hook_resid_post"}, r"blocks\.2\.hook_resid_post"),
        ({"hook_name": "blocks.-1.hook_resid_post"}, r"blocks\.-1\.hook_resid_post"),
        ({"hook_name": "blocks.0"}, "received 'blocks.0'"),
        ({"hook_name": "embed.hook_out"}, r"lies in a block.*embed\.hook_out"),
        ({"hook_name": "ln_final.hook_normalized"}, r"lies in a block.*ln_final\.hook_normalized"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_by_name(network, corpus, fields, message):
    with pytest.raises(InputError, match=message):
        text_split(network, corpus, text_saes(**fields))


def test_a_network_without_text_is_refused(corpus):
    artifact = initialised(ModularAddition(p=7), 0.8).build([], no_progress)
    with pytest.raises(InputError, match=r"tiny .*'modadd'"):
        training_and_held_out([artifact, corpus], text_saes())


# The stream


@pytest.mark.parametrize(
    "hook_name",
    [
        EMBEDDED,
        "blocks.0.hook_resid_post",
        "blocks.1.hook_resid_mid",
        "blocks.1.hook_resid_post",
        "blocks.1.hook_mlp_out",
    ],
)
def test_the_stream_is_what_the_network_computes(network, corpus, hook_name):
    windows = network.task.with_data(corpus).windows("train").tokens[: 2 * WINDOWS_AT_ONCE + 3]
    expected = network.run([hook_name], windows, pos=slice(None))[hook_name]
    torch.testing.assert_close(stream(network, hook_name, windows), expected, rtol=1e-5, atol=1e-6)


def test_later_blocks_are_not_run(network, corpus, request):
    """But for one window, by which the hook's name is checked."""
    seen = {layer: [] for layer in range(2)}
    for layer in seen:
        count = seen[layer].append
        hooked = network.bridge.blocks[layer].attn.register_forward_pre_hook(lambda *_, count=count: count(1))
        request.addfinalizer(hooked.remove)
    stream(network, "blocks.0.hook_resid_post", network.task.with_data(corpus).windows("train").tokens)
    assert [len(seen[layer]) for layer in range(2)] == [1 + math.ceil(45 / WINDOWS_AT_ONCE), 1]


# The build


def test_saes_are_trained_on_one_side_and_measured_on_the_other(source, network, corpus):
    recipe = text_saes("blocks.0.hook_resid_post", n_train=N_TRAIN, n_heldout=N_HELD_OUT, steps=200)
    artifact = recipe.build([source, corpus], no_progress)
    saes, (train_x, heldout_x) = SAEs.from_artifact(artifact), text_split(network, corpus, recipe)
    for i, seed in enumerate(saes.seeds):
        weights = [getattr(saes.weights, name)[i] for name in ("W_enc", "b_enc", "b_dec")]
        acts = slow_acts(heldout_x, *weights, recipe.variant.k)
        x_hat = acts @ saes.decoder(seed).double() + saes.weights.b_dec[i].double()
        expected = slow_explained_variance(heldout_x, x_hat)
        assert saes.meta["explained_variance"][i] == pytest.approx(expected, abs=1e-5)
        assert saes.meta["l0"][i] == pytest.approx(float((acts > 0).sum()) / N_HELD_OUT, abs=0.02)
        fired = slow_acts(train_x, *weights, recipe.variant.k) > 0
        assert saes.meta["l0_train"][i] == pytest.approx(float(fired.sum()) / N_TRAIN, abs=0.02)
        assert saes.meta["dead_fraction"][i] == pytest.approx(
            float((~fired.any(0)).double().mean()), abs=0.01
        )


def test_held_out_text_changes_no_weight(source, corpus):
    """The words of held-out documents are mixed up: what was learned is the same, what was measured is not."""
    tokens = corpus.tensors["tokens"].copy()
    first = corpus.tensors["offsets"][len(TRAIN)]
    tokens[first:] = np.random.default_rng(0).permutation(tokens[first:])
    mixed = dataclasses.replace(corpus, tensors={**corpus.tensors, "tokens": tokens})
    recipe = text_saes("blocks.0.hook_resid_post")
    one, other = (recipe.build([source, data], no_progress) for data in (corpus, mixed))
    assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert one.meta["explained_variance"] != other.meta["explained_variance"]
    assert one.meta["l0_train"] == other.meta["l0_train"]


@pytest.mark.parametrize("hook_name", ["blocks.0.attn.hook_pattern", "blocks.0.attn.hook_z"])
def test_a_hook_with_another_shape_is_refused(network, hook_name):
    with pytest.raises(InputError, match=r"gives .* not \[window, pos, d_in\]"):
        stream(network, hook_name, torch.ones(2, 4, dtype=torch.long))
