"""A trained network as claims see it: a transformer_lens bridge with its task, read at the task's readout."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.models.recipe import SNAPSHOTS
from energylens.models.tasks.base import Task
from energylens.models.tasks.table import task_from_json
from energylens.store.recipe import Artifact

if TYPE_CHECKING:
    import transformer_lens.model_bridge

    import energylens.models.tasks.modadd

# Hook points whose activations carry a head axis before the query position.
PER_HEAD = ("hook_pattern", "hook_attn_scores")


def boot(config: Mapping[str, Any]) -> "transformer_lens.model_bridge.TransformerBridge":
    """A freshly initialised bridge of this config, float32 on the CPU. The first call imports for seconds."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    # A seed makes the bridge fork the global generator instead of drawing from the caller's.
    made = TransformerBridgeConfig(**{"seed": 0, **config})
    return TransformerBridge.boot_native(made)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Network:
    """A network with its task. `meta` is what its artifact recorded: config, curves, seconds.

    Everything runs without gradients, in float32 or, where the bridge was made so, float64.
    """

    name: str
    seed: int
    bridge: "transformer_lens.model_bridge.TransformerBridge"
    task: Task
    meta: Mapping[str, Any]

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> "Network":
        """The network that TrainNetwork or LoadCheckpoint stored."""
        meta = artifact.meta
        bridge = boot(meta["config"])
        weights = {name: array for name, array in artifact.tensors.items() if not name.startswith(SNAPSHOTS)}
        _load(bridge, weights)
        return cls(meta["name"], meta["seed"], bridge, task_from_json(meta["task"]), meta)

    @classmethod
    def snapshots_from(cls, artifact: Artifact) -> "Iterator[tuple[int, Network]]":
        """(step, network) for each step that its recipe kept, in order; nothing where none were kept.

        All share one bridge, which holds the weights of the step that was yielded last.
        """
        meta, bridge = artifact.meta, boot(artifact.meta["config"])
        for step in sorted(meta.get("snapshots", [])):
            prefix = f"{SNAPSHOTS}{step}/"
            _load(
                bridge,
                {k.removeprefix(prefix): v for k, v in artifact.tensors.items() if k.startswith(prefix)},
            )
            yield step, cls(meta["name"], meta["seed"], bridge, task_from_json(meta["task"]), meta)

    @property
    def modadd(self) -> "energylens.models.tasks.modadd.ModularAddition":
        """The task of a network that adds. Errors: InputError for a network with another task."""
        if (
            self.task.name != "modadd"
        ):  # asked by name: its module is no part of the keys of what has another task
            raise InputError(f"{self.name} was trained on {self.task.name!r}, not on modular addition")
        return cast("energylens.models.tasks.modadd.ModularAddition", self.task)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.bridge.cfg.d_model

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.bridge.cfg.n_layers

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:  # noqa: N802
        """Token embedding; rows 0 .. p-1 are the numbers."""
        return self._weight("embed.weight")

    def W_L(self, layer: int = -1) -> Float[Tensor, "d_mlp p"]:  # noqa: N802
        """Neurons to the logits of the p numbers: W_out W_U of one layer, the direct path.

        A final LayerNorm's centring and gain are folded in (its scale, which differs by input, is not):
        W_out's rows are centred over d_model and multiplied by the gain. Source: Nanda et al. 2023
        (arXiv:2301.05217).
        """
        if self.bridge.cfg.attn_only:
            raise InputError(f"{self.name} has no MLP (attn_only), so no map from neurons to logits")
        layer = range(self.n_layers)[layer]
        w_out = self._weight(f"blocks.{layer}.mlp.out.weight").T
        kind = (self.bridge.cfg.normalization_type or "none").upper()
        if kind in ("LN", "LNPRE") and not self.bridge.cfg.final_rms:
            w_out = w_out - w_out.mean(dim=1, keepdim=True)
        state = self.bridge.state_dict()
        w_out = w_out * state["ln_final.weight"] if "ln_final.weight" in state else w_out
        return torch.einsum("nd,vd->nv", w_out, self._weight("unembed.weight")[: self.modadd.p])

    @torch.no_grad()
    def run(
        self,
        hook_names: Sequence[str],
        inputs: Int[Tensor, "batch pos"] | None = None,
        pos: int | slice | None = None,
        batch: int = 512,
    ) -> dict[str, Float[Tensor, "batch ..."]]:
        """Activations at `hook_names` (transformer_lens names) for `inputs`, by default every input there is.

        `pos` is the (query) position, by default the task's readout; slice(None) keeps all positions, as does a task
        without a readout. Only modular addition has a list of all inputs, so other tasks need `inputs`.
        Errors: InputError for a name that matches no hook point, or one that never fires in this network.
        """
        names, tokens = list(hook_names), self.modadd.inputs() if inputs is None else inputs
        self._check_names(names)
        pieces: dict[str, list[Tensor]] = {name: [] for name in names}
        if pos is None:
            pos = slice(None) if self.task.readout is None else self.task.readout
        for chunk in tokens.split(batch):
            _, cache = self.bridge.run_with_cache(chunk, names_filter=lambda name: name in pieces)
            for name in names:
                if name not in cache:
                    raise InputError(f"hook {name!r} exists but does not fire in {self.name}")
                pieces[name].append(_widened(_at(cache[name], name, pos)))
        return {name: torch.cat(parts) for name, parts in pieces.items()}

    @torch.no_grad()
    def logits(
        self, inputs: Int[Tensor, "batch pos"] | None = None, batch: int = 512
    ) -> Float[Tensor, "batch p"]:
        """Logits of the p numbers at the readout, by default for every input of the task (row a * p + b)."""
        task = self.modadd
        tokens = task.inputs() if inputs is None else inputs
        read = [self.bridge(chunk)[:, task.readout, : task.p] for chunk in tokens.split(batch)]
        return torch.cat(read).float()

    def accuracy(self) -> float:
        """Share of all p^2 inputs whose largest number logit is the label."""
        return (self.logits().argmax(-1) == self.modadd.labels()).float().mean().item()

    def _weight(self, key: str) -> Tensor:
        return self.bridge.state_dict()[key].detach().float()

    def _check_names(self, names: Sequence[str]) -> None:
        known = list(self.bridge.hook_dict)
        for name in names:
            if name not in self.bridge.hook_dict:
                near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))
                raise InputError(f"{self.name} has no hook point {name!r}; the nearest are {near}")


def _load(
    bridge: "transformer_lens.model_bridge.TransformerBridge", weights: Mapping[str, np.ndarray]
) -> None:
    bridge.load_state_dict({name: torch.tensor(array) for name, array in weights.items()}, strict=True)
    bridge.eval().requires_grad_(False)


def _widened(activations: Tensor) -> Tensor:
    """float64 as it is, everything else as float32."""
    return activations if activations.dtype == torch.float64 else activations.float()


def _at(activations: Tensor, hook_name: str, pos: int | slice) -> Tensor:
    return activations[:, :, pos] if hook_name.endswith(PER_HEAD) else activations[:, pos]
