"""The activations that SAEs are trained on, and their split into training and held-out rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.models.network import Network
from energylens.store.recipe import Artifact

if TYPE_CHECKING:
    import energylens.models.tasks.text
    import energylens.sae.recipe

WINDOWS_AT_ONCE = 16
"""Windows of text per forward pass; more are slower, since their activations leave the cache."""


@runtime_checkable
class ReadsText(Protocol):
    """A task on documents that are cut into windows."""

    @property
    def n_ctx(self) -> int:
        """Tokens per window."""

    def windows(self, split: str) -> "energylens.models.tasks.text.Windows":
        """All windows of a split's documents."""


class Split(NamedTuple):
    """Activations to train on, and those that are held out."""

    train: Float[Tensor, "n_train d_in"]
    held_out: Float[Tensor, "n_heldout d_in"]


def training_and_held_out(inputs: Sequence[Artifact], recipe: "energylens.sae.recipe.TrainSAEs") -> Split:
    """What `recipe` trains on and what it keeps back; `inputs` are the artifacts of `recipe.inputs()`."""
    if recipe.data is None:
        return split(activations(inputs[0], recipe), recipe)
    return text_split(Network.from_artifact(inputs[0]), inputs[1], recipe)


def activations(source: Artifact, recipe: "energylens.sae.recipe.TrainSAEs") -> Float[Tensor, "n d_in"]:
    """All activations, in the order of the task's inputs: `recipe.hook_name` of the network at the readout.

    Where no hook is named: the samples of a planted dictionary, or the last layer's `resid_post`.
    """
    if recipe.source.kind == "planted":
        if recipe.hook_name is not None:
            raise InputError(f"planted data have no hook {recipe.hook_name!r}")
        return torch.tensor(source.tensors["x"])
    network = Network.from_artifact(source)
    hook_name = recipe.hook_name or f"blocks.{network.n_layers - 1}.hook_resid_post"
    return network.run([hook_name])[hook_name]


def split(x: Float[Tensor, "n d_in"], recipe: "energylens.sae.recipe.TrainSAEs") -> Split:
    """Training and held-out activations: a random split that `split_seed` and `n_heldout` fix."""
    if recipe.n_heldout >= len(x):
        raise InputError(f"{recipe.n_heldout} held-out activations of {len(x)} leave none for training")
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(recipe.split_seed))
    return Split(x[order[recipe.n_heldout :]], x[order[: recipe.n_heldout]])


def text_split(network: Network, data: Artifact, recipe: "energylens.sae.recipe.TrainSAEs") -> Split:
    """Activations at `recipe.hook_name` of tokens in training documents and in held-out ones, BOS left out.

    Windows are drawn without replacement with `split_seed`; the last one may count in part.
    Errors: InputError for a task without text, no hook name, or more tokens than the documents have.
    """
    task, generator = network.task.with_data(data), torch.Generator().manual_seed(recipe.split_seed)
    if not isinstance(task, ReadsText) or recipe.hook_name is None or recipe.n_train is None:
        raise InputError(
            f"SAEs on text need a network that reads text, a hook name and n_train; received {network.name} with "
            f"the task {network.task.name!r}, {recipe.hook_name!r} and {recipe.n_train!r}"
        )
    found = []
    for documents, n in (("train", recipe.n_train), ("held-out", recipe.n_heldout)):
        windows, per_window = task.windows(documents).tokens, task.n_ctx - 1
        if n > len(windows) * per_window:
            raise InputError(
                f"{documents} documents have {len(windows) * per_window} tokens in windows, asked for {n}"
            )
        chosen = torch.randperm(len(windows), generator=generator)[: -(-n // per_window)]
        x = stream(network, recipe.hook_name, windows[chosen])
        found.append(x[:, 1:].flatten(0, 1)[:n])
    return Split(*found)


@torch.no_grad()
def stream(
    network: Network, hook_name: str, tokens: Int[Tensor, "window pos"]
) -> Float[Tensor, "window pos d_in"]:
    """Activations at a hook of block L, `blocks.L.<...>`; no later block is run.

    Errors: InputError as of `Network.run`, for a hook outside the blocks, or one whose activations are not
    [window, pos, d_in] (patterns, and what has a head axis).
    """
    parts = hook_name.split(".")
    if parts[0] != "blocks" or len(parts) < 3 or not parts[1].isdigit():
        raise InputError(f"a hook of text SAEs lies in a block, blocks.L.<...>, received {hook_name!r}")
    probe = network.run([hook_name], tokens[:1], pos=slice(None))[hook_name]
    if probe.ndim != 3 or probe.shape[1] != tokens.shape[1]:
        raise InputError(f"{hook_name!r} gives {list(probe.shape)}, not [window, pos, d_in]")
    pieces = []
    for chunk in tokens.split(WINDOWS_AT_ONCE):
        _, cache = network.bridge.run_with_cache(
            chunk, names_filter=lambda name: name == hook_name, stop_at_layer=int(parts[1]) + 1
        )
        pieces.append(cache[hook_name].float())
    return torch.cat(pieces)
