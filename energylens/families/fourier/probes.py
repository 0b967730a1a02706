"""Behavioural checks of a modular-addition network: can it add, and does it read its own label?"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from energylens.models.network import Network
from energylens.models.recipe import TrainNetwork
from energylens.models.tasks import ModularAddition
from energylens.store.recipe import Recipe


def accuracies(logits: Float[Tensor, "grid p"], task: ModularAddition, recipe: Recipe) -> tuple[float, float]:
    """Accuracy on the training pairs and on the held-out pairs of the recipe's split; logits of all p^2 inputs.

    (NaN, accuracy over all pairs) for a network whose split is not known, as for a user's checkpoint.
    """
    correct = (logits.argmax(-1) == task.labels()).double()
    if not isinstance(recipe, TrainNetwork):
        return math.nan, correct.mean().item()
    a, b = task.operand_positions
    train, test = (
        correct[examples.tokens[:, a] * task.p + examples.tokens[:, b]].mean().item()
        for examples in recipe.task.split(recipe.train_fraction, recipe.seed)
    )
    return train, test


def leak_rates(network: Network, generator: torch.Generator, n: int = 200) -> dict[str, float]:
    """Rates at which the prediction follows a label put in place of a non-operand token, by that token's name.

    For n random inputs, the token is replaced by two labels in turn, both drawn uniformly from the wrong ones; the
    prediction follows when it equals the first and then the second. By coincidence that happens once in p^2
    inputs; a network that copies its label scores 1. The operands' own positions are left alone.
    """
    task = network.modadd
    rows = torch.randperm(task.p**2, generator=generator)[:n]
    tokens, labels = task.inputs()[rows], task.labels()[rows]
    rates = {}
    for position, name in enumerate(task.prompt):
        if position in task.operand_positions:
            continue
        follows = [_follows(network, tokens, labels, position, generator) for _ in range(2)]
        rates[f"leak at {name}"] = (follows[0] & follows[1]).float().mean().item()
    return rates


def _follows(
    network: Network, tokens: Tensor, labels: Tensor, position: int, generator: torch.Generator
) -> Tensor:
    """Whether the prediction becomes the wrong label that stands at `position`, per input."""
    p = network.modadd.p
    wrong = (labels + torch.randint(1, p, labels.shape, generator=generator)) % p
    swapped = tokens.clone()
    swapped[:, position] = wrong
    return network.logits(swapped).argmax(-1) == wrong
