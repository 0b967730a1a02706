"""The complete, frozen description of one trained network: every field decides its weights.

Importing this module does not import torch; `TrainNetwork.build` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from energylens.errors import InputError
from energylens.models.tasks.base import Task
from energylens.store.recipe import Artifact, Progress, Recipe

Autocast = Literal["bf16", "fp32"]

SNAPSHOTS = "snapshots/"
"""Weights of step 300 are stored under `snapshots/300/<name>`."""


_BF16_FLAGS = ("avx512_bf16", "amx_bf16")
_BF16_LEVEL = re.compile(r"AVX512_CORE_(BF16|FP16|AMX.*)|AVX10.*|ALL|DEFAULT")
"""Values of oneDNN's variable up to which it may multiply bf16 in hardware."""


@cache
def fastest_autocast() -> Autocast:
    """bf16 where the processor multiplies it in hardware (avx512_bf16 or amx_bf16) and is allowed to, else fp32.

    ONEDNN_MAX_CPU_ISA (also DNNL_MAX_CPU_ISA) and ATEN_CPU_CAPABILITY can forbid it; bf16 would then be emulated, at
    six times the time of fp32 and more.
    """
    level = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "DEFAULT"
    kernels = os.environ.get("ATEN_CPU_CAPABILITY") or "avx512"
    if not _BF16_LEVEL.fullmatch(level.upper()) or not kernels.lower().startswith(("avx512", "amx")):
        return "fp32"
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    return "bf16" if any(flag in flags for flag in _BF16_FLAGS) else "fp32"


@dataclass(frozen=True)
class ModelConfig:
    """The fields of transformer_lens' TransformerBridgeConfig that the trainer varies, under its names."""

    n_layers: int
    d_vocab: int
    n_ctx: int
    d_model: int = 128
    n_heads: int = 4
    d_head: int = 32
    d_mlp: int = 512
    act_fn: str = "relu"
    normalization_type: str | None = None
    attn_only: bool = False
    positional_embedding_type: Literal["standard", "rotary"] = "standard"

    @classmethod
    def for_task(cls, task: Task, **fields: Any) -> ModelConfig:
        """A config whose vocabulary and context are the task's."""
        return cls(d_vocab=task.d_vocab, n_ctx=task.n_ctx, **fields)


@dataclass(frozen=True)
class Optimiser:
    """AdamW with linear warm-up and a linear decay to 0 over the last `decay_fraction` of the steps.

    clip: largest norm of the gradient, over all parameters; None does not clip.
    """

    lr: float = 3e-3
    weight_decay: float = 2.0
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_steps: int = 10
    decay_fraction: float = 0.5
    clip: float | None = None

    def lr_factor(self, step: int, steps: int) -> float:
        """The multiple of `lr` that step 0 .. steps - 1 uses."""
        decay_steps = max(1, round(self.decay_fraction * steps))
        return min(1.0, (step + 1) / max(1, self.warmup_steps), (steps - step) / decay_steps)


@dataclass(frozen=True)
class Muon:
    """Muon on the matrices of the blocks; `rest` on everything else, with its schedule and clipping for both.

    Source: Jordan et al. 2024, as torch.optim.Muon implements it.
    """

    rest: Optimiser
    lr: float = 0.02
    momentum: float = 0.95


@dataclass(frozen=True)
class TrainNetwork(Recipe):
    """One network trained from scratch. `batch` None is full batch; `steps` 0 leaves the initialisation.

    The seed fixes initialisation, split and batches. The same recipe on the same machine gives the same bits.
    data: makes what the task reads, if it does not make its own inputs. snapshots: steps whose weights are kept
    as well (0 is the initialisation).
    """

    kind: ClassVar[str] = "network"
    name: str
    task: Task
    config: ModelConfig
    optimiser: Optimiser | Muon
    train_fraction: float
    steps: int
    batch: int | None
    seed: int
    threads: int = 1
    autocast: Autocast = "fp32"
    data: Recipe | None = None
    snapshots: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.steps < 0 or self.seed < 0 or self.threads < 1 or (self.batch is not None and self.batch < 1):
            raise InputError(f"steps and seed must be >= 0, threads and batch >= 1, got {self!r}")
        if any(not 0 <= step <= self.steps for step in self.snapshots):
            raise InputError(f"snapshots must be steps 0 .. {self.steps}, got {self.snapshots!r}")

    def label(self) -> str:
        """The short name shown while it trains."""
        return f"{self.name} seed {self.seed}" + ("" if self.steps else " untrained")

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Train it; see `energylens.models.train`."""
        from energylens.models.train import train

        return train(self, inputs[0] if inputs else None, progress)
