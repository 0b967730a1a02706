"""Choice of a bridge's runner; inside `remembered`, a runner that computes its unedited runs once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jaxtyping import Int
from torch import Tensor

from energylens.interventions.prompts import Mask
from energylens.interventions.runners import native_weights
from energylens.interventions.runners.bridged import BridgedRunner
from energylens.interventions.runners.native import NativeRunner
from energylens.interventions.runners.runner import Runner

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

REMEMBERED_BYTES = 2**28
"""About so many bytes of unedited runs are kept inside `remembered`; later ones are computed each time."""


class Remembering:
    """The same runner, except that it runs the same prompts, read at the same positions, only once."""

    def __init__(self, runner: Runner[Any]) -> None:
        self._runner, self._runs, self._bytes = runner, dict[Any, Any](), 0
        self.n_layers, self.n_heads, self.causal = runner.n_layers, runner.n_heads, runner.causal
        self.device = runner.device
        self.edited, self.direct = runner.edited, runner.direct
        self.written, self.received = runner.written, runner.received

    def run(
        self, tokens: Int[Tensor, "prompt pos"], mask: Mask | None, read: Int[Tensor, "prompt read"]
    ) -> Any:
        """The unedited run, computed or remembered."""
        given = [each for each in (tokens, mask, read) if each is not None]
        key = tuple((each.shape, each.cpu().numpy().tobytes()) for each in given)
        if key in self._runs:
            return self._runs[key]
        run = self._runner.run(tokens, mask, read)
        # Residual streams twice, queries, keys, values and z: about 7 times z.
        size = 7 * sum(z.nbytes for z in run.z) + run.logits.nbytes
        if self._bytes + size <= REMEMBERED_BYTES:
            self._runs[key], self._bytes = run, self._bytes + size
        return run


_REMEMBERING: dict[int, Remembering] = {}
"""By the id of each bridge that is inside a `remembered` block."""


@contextmanager
def remembered(bridge: "TransformerBridge") -> Iterator[None]:
    """Inside, all interventions on this bridge share its unedited runs, which are forgotten at the end.

    For several measurements on the same prompts. The bridge's weights and hooks must stay as they are.
    """
    if id(bridge) in _REMEMBERING:
        yield
        return
    _REMEMBERING[id(bridge)] = Remembering(runner_for(bridge))
    try:
        yield
    finally:
        del _REMEMBERING[id(bridge)]


def runner_for(bridge: "TransformerBridge") -> Runner[Any]:
    """The plain-torch executor where it knows the architecture and agrees with the bridge, else the bridge itself."""
    if id(bridge) in _REMEMBERING:
        return _REMEMBERING[id(bridge)]
    return NativeRunner(bridge) if native_weights.is_supported(bridge) else BridgedRunner(bridge)
