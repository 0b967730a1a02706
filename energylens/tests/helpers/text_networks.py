"""Small real networks on text. They are so small that threads only wait for each other."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from energylens.lab import Lab
from energylens.lenses.held_out import held_out_text
from energylens.lenses.logit import logit_lens
from energylens.lenses.reading import read
from energylens.models.checkpoint import export_checkpoint, match_checkpoints
from energylens.models.corpus import PythonText
from energylens.models.network import Network, boot
from energylens.models.recipe import ModelConfig
from energylens.models.tasks import Text
from energylens.store import Artifact, Store

LENGTHS = {
    "train": [90, 3, 60, 99, 21],
    "discovery": [99, 8, 7, 99, 98],
    "confirmation": [7, 13, 40, 12],
}
"""Tokens of the placed corpus's documents."""

MIDDLE = "blocks.0.hook_resid_post"


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def placed(python_text) -> Artifact:
    """A corpus whose token 100 * document + place + 1 stands at that place."""
    sizes = [size for lengths in LENGTHS.values() for size in lengths]
    tokens = [100 * document + place + 1 for document, size in enumerate(sizes) for place in range(size)]
    tensors = {
        "tokens": np.array(tokens, dtype=np.int32),
        "offsets": np.cumsum([0, *sizes], dtype=np.int64),
        "n_bytes": np.array(sizes, dtype=np.int64),
    }
    splits = [split for split, lengths in LENGTHS.items() for _ in lengths]
    names = [f"topic:{i}" for i in range(len(sizes))]
    return Artifact(tensors, {**python_text.meta, "names": names, "splits": splits})


@pytest.fixture(scope="package")
def make_network():
    """Makes a network at initialisation on a corpus; gain, bias and b_U of the readout are drawn as well."""

    def make(corpus: Artifact, n_ctx: int, seed: int = 0, **changes) -> Network:
        task = Text(n_ctx)
        sizes = ModelConfig.for_task(task, n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=32)
        settings = {**vars(sizes), "normalization_type": "LN", "seed": seed, **changes}
        bridge = boot(settings).eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        state = bridge.state_dict()
        for name in ("ln_final.weight", "ln_final.bias", "unembed.bias"):
            if name not in state:
                continue
            state[name] = state[name] + torch.randn(state[name].shape, generator=generator) / 3
        bridge.load_state_dict(state)
        meta = {"name": "tiny", "seed": seed, "config": settings, "task": task.to_json()}
        return Network("tiny", seed, bridge, task.with_data(corpus), meta)

    return make


@pytest.fixture(scope="package")
def network(make_network, python_text) -> Network:
    return make_network(python_text, n_ctx=16)


@pytest.fixture(scope="package")
def placed_network(make_network, placed) -> Network:
    return make_network(placed, n_ctx=4)


@pytest.fixture(scope="package")
def readings(network):
    """The logit lens at the middle of the network on the documents of either split."""
    corpus, lens = network.task.corpus, logit_lens(network)
    return {
        split: read(network, corpus, MIDDLE, held_out_text(network, split, seed=0, per_document=6), lens)
        for split in ("discovery", "confirmation")
    }


@pytest.fixture
def as_artifact():
    """The artifact of a network."""

    def write(network: Network) -> Artifact:
        tensors = {name: tensor.numpy() for name, tensor in network.bridge.state_dict().items()}
        return Artifact(tensors, network.meta)

    return write


@pytest.fixture(scope="package")
def lab(tmp_path_factory, network, python_text):
    """A lab whose one network is a checkpoint of the random one; its store has the corpus already."""
    folder = tmp_path_factory.mktemp("lab")
    store = Store(folder / "store")
    store.put(PythonText(), python_text)
    name, found = match_checkpoints(f"mine={export_checkpoint(network, folder / 'mine')}")
    return Lab(store, {name: tuple(found)})
