import dataclasses

import pytest
import torch

from energylens.models.network import Network
from energylens.models.recipe import ModelConfig, Optimiser, TrainNetwork
from energylens.models.tasks import IOI, Induction, Text
from energylens.models.train import train
from energylens.models.wired import WireInduction
from energylens.store.recipe import no_progress


def random_network(task, seed=0, **shape) -> Network:
    """A network at initialisation, with larger weights so that heads differ."""
    sizes = {"n_layers": 2, "d_model": 32, "n_heads": 2, "d_head": 8, "attn_only": True}
    config = ModelConfig.for_task(task, **(sizes | {"normalization_type": "LN"} | shape))
    recipe = TrainNetwork("random", task, config, Optimiser(), 0.84, 0, 8, seed)
    network = Network.from_artifact(train(recipe, None, no_progress))
    state = {
        name: 2 * value if ".attn." in name else value for name, value in network.bridge.state_dict().items()
    }
    network.bridge.load_state_dict(state)
    return network


@pytest.fixture(scope="package")
def wired() -> Network:
    return Network.from_artifact(WireInduction(3).build([], no_progress))


@pytest.fixture(scope="package")
def circuit() -> frozenset[tuple[int, int]]:
    return frozenset(WireInduction(3).circuit)


@pytest.fixture(scope="package")
def random_ioi() -> Network:
    return random_network(IOI(n_test=16))


@pytest.fixture(scope="package")
def random_induction() -> Network:
    return random_network(Induction(d_vocab=20, n_ctx=24, min_period=6, max_period=10, n_test=8))


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.fixture(scope="package")
def text_network(python_text):
    """A random network on text, and the name of the document that a window stands in."""
    task = Text(n_ctx=32).with_data(python_text)
    config = ModelConfig.for_task(task, n_layers=1, d_model=16, n_heads=2, d_head=8, attn_only=True)
    recipe = TrainNetwork("random", Text(n_ctx=32), config, Optimiser(), 1.0, 0, 8, 0)
    network = Network.from_artifact(train(recipe, python_text, no_progress))
    corpus = task.corpus
    texts = {corpus.names[i]: corpus.document(i).tobytes() for i in corpus.indices("held-out")}

    def document_of(window):
        asked = window[1:].numpy().astype(corpus.tokens.dtype).tobytes()
        return [name for name, text in texts.items() if asked in text]

    return dataclasses.replace(network, task=task), document_of
