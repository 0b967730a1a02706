"""Prompts as tensors: lengths, padding, clean and corrupted pairs, head indices. Every check names the row."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from energylens.errors import InputError

Head = tuple[int, int]
"""(layer, head_index)."""

Tokens = Tensor | Sequence[Sequence[int]]
"""Token ids [prompt, pos]."""

Mask = Bool[Tensor, "prompt pos"]
"""True at tokens, False at padding."""


def padded(
    prompts: Sequence[Sequence[int]], token: int, side: Literal["left", "right"] = "left"
) -> tuple[Int[Tensor, "prompt pos"], Mask]:
    """Prompts of unequal length as one tensor, filled up with `token` on one side, and its padding mask."""
    if not prompts:
        raise InputError("no prompts to fill up")
    length = max(map(len, prompts))
    rows, masks = [], []
    for prompt in prompts:
        fill, real = [token] * (length - len(prompt)), [True] * len(prompt)
        hidden = [False] * len(fill)
        rows.append([*fill, *prompt] if side == "left" else [*prompt, *fill])
        masks.append([*hidden, *real] if side == "left" else [*real, *hidden])
    return torch.tensor(rows), torch.tensor(masks)


def as_tokens(tokens: Tokens, mask: Tensor | None = None) -> Tensor:
    """Tokens [prompt, pos] as int64. Errors: InputError for unequal lengths, another shape, or a mask of another."""
    if not isinstance(tokens, Tensor):
        lengths = sorted({len(prompt) for prompt in tokens})
        if len(lengths) != 1:
            raise InputError(
                f"prompts have lengths {lengths}; fill them up with `padded` and pass its mask on as mask="
            )
        tokens = torch.tensor(tokens)
    if tokens.ndim != 2 or tokens.is_floating_point() or 0 in tokens.shape:
        raise InputError(f"tokens must be integers [prompt, pos], got {tokens.dtype} {tuple(tokens.shape)}")
    if mask is not None:
        if mask.dtype != torch.bool or mask.shape != tokens.shape:
            raise InputError(
                f"mask must be bool {tuple(tokens.shape)} like the tokens, got {mask.dtype} {tuple(mask.shape)}"
            )
        if not mask.any(1).all():
            raise InputError(f"prompt {int((~mask.any(1)).nonzero()[0])} is padding from end to end")
    return tokens.long()


def as_pair(
    clean: Tokens,
    corrupted: Tokens,
    mask: Tensor | None = None,
) -> tuple[Int[Tensor, "prompt pos"], Int[Tensor, "prompt pos"]]:
    """Clean and corrupted prompts, aligned token by token; one mask holds for both.

    Errors: InputError for shapes that differ, or a corrupted prompt that equals its clean one.
    """
    clean, corrupted = as_tokens(clean, mask), as_tokens(corrupted, mask)
    if clean.shape != corrupted.shape:
        raise InputError(
            f"clean prompts are {tuple(clean.shape)}, corrupted ones {tuple(corrupted.shape)}: patching needs "
            "pairs of equal length, token beside token"
        )
    same = ~(clean != corrupted if mask is None else (clean != corrupted) & mask).any(1)
    if same.any():
        rows = same.nonzero().flatten().tolist()
        raise InputError(
            f"the corrupted prompt equals the clean one in {len(rows)} of {len(same)} rows, first row {rows[0]}"
        )
    return clean, corrupted


def check_heads(heads: Iterable[Head], n_layers: int, n_heads: int) -> list[Head]:
    """(layer, head) pairs. Errors: InputError for an index out of range, or one given twice."""
    chosen = [(int(layer), int(head)) for layer, head in heads]
    for layer, head in chosen:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise InputError(
                f"head {(layer, head)} is out of range: layers 0 to {n_layers - 1}, heads 0 to {n_heads - 1}"
            )
    if len(set(chosen)) < len(chosen):
        twice = next(head for head in chosen if chosen.count(head) > 1)
        raise InputError(f"head {twice} is given more than once")
    return chosen


def all_heads(n_layers: int, n_heads: int) -> list[Head]:
    """Every (layer, head), layer by layer."""
    return [(layer, head) for layer in range(n_layers) for head in range(n_heads)]


def check_read(positions: Int[Tensor, "prompt read"], mask: Tensor | None) -> None:
    """Errors: InputError where a metric reads a padded position."""
    if mask is None:
        return
    hidden = ~mask.gather(1, positions.to(mask.device))
    if hidden.any():
        row, column = hidden.nonzero()[0].tolist()
        raise InputError(f"the metric reads prompt {row} at position {int(positions[row, column])}: padding")
