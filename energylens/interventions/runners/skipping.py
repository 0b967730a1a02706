"""Short-circuits for blocks whose output is not needed, removed however the run ends."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


@contextmanager
def skipping(
    bridge: "TransformerBridge", layers: Iterable[int], returns_tuple: Mapping[int, bool]
) -> Iterator[None]:
    """These blocks hand on what they are given. For runs that start at a later block, which has its own input."""
    before: list[tuple[Any, Any]] = []
    try:
        for layer in layers:
            component = bridge.blocks[layer].original_component
            before.append((component, component.__dict__.get("forward")))
            component.forward = partial(_passed_on, returns_tuple[layer])
        yield
    finally:
        for component, forward in before:
            del component.forward
            if forward is not None:
                component.forward = forward


@contextmanager
def watching(bridge: "TransformerBridge") -> Iterator[dict[int, bool]]:
    """Notes of each block whether it returns its residual stream in a tuple."""
    seen: dict[int, bool] = {}

    def note(layer: int, module: object, given: object, output: object) -> None:
        seen[layer] = isinstance(output, tuple)

    handles = [
        block.original_component.register_forward_hook(partial(note, layer))
        for layer, block in enumerate(bridge.blocks)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _passed_on(in_tuple: bool, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor]:
    return (hidden_states,) if in_tuple else hidden_states
