"""Hooks that can't fail silently: a hook without effect is an error.

In transformer_lens some hook points never fire in a given model, and writes to others are thrown away (native
models read nothing back from `hook_attn_scores`). A patch through such a point measures nothing and looks like
"no effect", so here it is an error.
"""

import difflib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from energylens.errors import EnergylensError, InputError

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

HookFunction = Callable[[Tensor], Tensor]
"""An activation -> what takes its place: a new tensor, never the given one changed in place."""


class HookWithoutEffect(EnergylensError):
    """A hook that never fired, returned what it was given, or changed its activation and not the logits."""


@contextmanager
def intervening(
    bridge: "TransformerBridge", hooks: Mapping[str, HookFunction]
) -> Iterator[Callable[..., Tensor]]:
    """Gives a `run(tokens, **kwargs) -> logits` that runs the bridge with these hooks.

    Sentinel: the first call runs the bridge also without hooks and, if there are several, with each alone
    (1 + len(hooks) forwards beyond the call itself), and raises unless every hook fired, changed its activation,
    and changed the logits by itself. Logits are compared bit by bit: one that is thrown away leaves them equal.
    Hooks are attached during `run` only and are removed however it ends.
    Errors: HookWithoutEffect, also for a block that ran nothing; InputError for a name that the bridge does not
    have (with the nearest ones) and for a hook that changes its activation in place.
    """
    for name in hooks:
        canonical(bridge, name)
    ran = False

    def run(tokens: Tensor, **kwargs: Any) -> Tensor:
        nonlocal ran
        logits, seen = _forward(bridge, hooks, tokens, kwargs)
        if not ran:
            with torch.no_grad():
                _watch(bridge, hooks, (logits, seen), tokens, kwargs)
        ran = True
        return logits

    yield run
    if not ran:
        raise HookWithoutEffect(
            f"nothing ran inside the block, so {', '.join(hooks) or 'no hook'} did nothing"
        )


def canonical(bridge: "TransformerBridge", name: str) -> str:
    """The hook point's own name, for any of its aliases: under an alias, compatibility mode calls a hook twice.

    Errors: InputError for a name that is no hook point of the bridge; it lists the nearest.
    """
    known = bridge.hook_dict
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))
        raise InputError(f"the bridge has no hook point {name!r}; the nearest are {near}")
    return known[name].name or name


def _watch(
    bridge: "TransformerBridge",
    hooks: Mapping[str, HookFunction],
    together: tuple[Tensor, dict[str, str]],
    tokens: Tensor,
    kwargs: dict[str, Any],
) -> None:
    untouched, _ = _forward(bridge, {}, tokens, kwargs)
    for name, hook in hooks.items():
        logits, seen = together if len(hooks) == 1 else _forward(bridge, {name: hook}, tokens, kwargs)
        if name not in seen:
            raise HookWithoutEffect(f"hook {name!r} exists but never fired")
        if seen[name] == "same":
            raise HookWithoutEffect(f"hook {name!r} returned the activation that it was given")
        if torch.equal(logits, untouched):
            raise HookWithoutEffect(
                f"hook {name!r} changed its activation, and the logits stayed the same: this model does not "
                "read back what is written there"
            )


def _forward(
    bridge: "TransformerBridge", hooks: Mapping[str, HookFunction], tokens: Tensor, kwargs: dict[str, Any]
) -> tuple[Tensor, dict[str, str]]:
    seen: dict[str, str] = {}
    attached: list[Any] = [
        (canonical(bridge, name), partial(_observed, name, hook, seen)) for name, hook in hooks.items()
    ]
    with warnings.catch_warnings():
        # transformer_lens warns of some discarded edits; here they are errors.
        warnings.filterwarnings("ignore", message=r"(?s).*edit is discarded")
        try:
            return bridge.run_with_hooks(tokens, fwd_hooks=attached, **kwargs), seen
        except ValueError as error:
            if "Cannot add hook" in str(error):
                raise HookWithoutEffect(str(error)) from error
            raise


def _observed(
    name: str, function: HookFunction, seen: dict[str, str], activation: Tensor, hook: object
) -> Tensor:
    before = None if activation.is_inference() else activation._version
    patched = function(activation)
    if before is not None and activation._version != before:
        raise InputError(f"hook {name!r} changed its activation in place; return a new tensor")
    if patched.shape != activation.shape:
        raise InputError(
            f"hook {name!r} returned shape {tuple(patched.shape)} for an activation of {tuple(activation.shape)}"
        )
    changed = not (patched is activation or torch.equal(patched, activation))
    if changed or name not in seen:
        seen[name] = "changed" if changed else "same"
    return patched
