"""Recipes of a user's own networks: a checkpoint folder becomes an artifact like those of the zoo's networks.

Importing this module does not import torch: the config is read and checked first, weights when built.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from energylens.errors import InputError
from energylens.models.tasks.base import Task
from energylens.models.tasks.table import task_from_json
from energylens.store.recipe import Artifact, Progress, Recipe

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG = "model.safetensors", "config.json"
REQUIRED = ("d_model", "d_head", "n_heads", "n_layers", "n_ctx", "d_vocab")


@dataclass(frozen=True)
class LoadCheckpoint(Recipe):
    """One checkpoint folder. Its key covers the hashes of its two files and the code of the task in its config.

    The path of the folder does not enter the key.
    """

    kind: ClassVar[str] = "network"
    name: str
    seed: int
    weights_sha256: str
    config_sha256: str
    task: Task
    folder: str = field(metadata={"key": False})

    @property
    def task_name(self) -> str:
        """Name of the task that the checkpoint's config states."""
        return self.task.name

    def label(self) -> str:
        """The short name shown while it loads."""
        return f"{self.name} checkpoint {self.seed}"

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Read, convert and check the weights. Errors: InputError naming file, key, expected and received."""
        folder = Path(self.folder)
        for file, expected in ((WEIGHTS, self.weights_sha256), (CONFIG, self.config_sha256)):
            if sha256_of(folder / file) != expected:
                raise InputError(f"{folder / file} has changed since it was matched; start again")
        config, task = read_config(folder)
        tensors = _load_weights(folder / WEIGHTS, config)
        document = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        split = {"split_seed": document["split_seed"]} if "split_seed" in document else {}
        meta = {"name": self.name, "seed": self.seed, "config": config, "task": task.to_json()} | split
        return Artifact({key: tensor.numpy() for key, tensor in tensors.items()}, meta)


@dataclass(frozen=True)
class UntrainedCheckpoint(Recipe):
    """The twin of a checkpoint at initialisation: transformer_lens' own, of the same config, with its seed."""

    kind: ClassVar[str] = "network"
    checkpoint: LoadCheckpoint

    def label(self) -> str:
        """The short name shown while it is made."""
        return f"{self.checkpoint.label()} untrained"

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Draw the weights; config and task are the checkpoint's."""
        from energylens.models.network import boot

        meta = inputs[0].meta
        state = boot({**meta["config"], "seed": self.checkpoint.seed}).state_dict()
        return Artifact({key: tensor.numpy() for key, tensor in state.items()}, meta)


def read_config(folder: Path) -> tuple[dict[str, Any], Task]:
    """The model's config fields and the task of a checkpoint folder, checked against each other."""
    file = folder / CONFIG
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not JSON: {error}") from error
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), dict) for key in ("model", "task")
    ):
        raise InputError(
            f'{file} must be {{"model": {{...}}, "task": {{"name": "modadd", "p": 113}}}}, got {document!r}'
        )
    config = document["model"]
    try:
        task = task_from_json(document["task"])
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    for key in REQUIRED:
        if isinstance(config.get(key), bool) or not isinstance(config.get(key), int) or config[key] < 1:
            raise InputError(f"{file}: model.{key} must be a positive integer, got {config.get(key)!r}")
    for key, needed in (("n_ctx", task.n_ctx), ("d_vocab", task.d_vocab)):
        if config[key] < needed:
            raise InputError(f"{file}: the task needs model.{key} >= {needed}, got {config[key]}")
    d_vocab_out = config.get("d_vocab_out", -1)
    if not isinstance(d_vocab_out, int) or 0 < d_vocab_out < task.n_answers:
        raise InputError(f"{file}: the task needs model.d_vocab_out >= {task.n_answers}, got {d_vocab_out!r}")
    return config, task


def sha256_of(file: Path) -> str:
    """sha256 of a file, as hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _load_weights(file: Path, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise InputError(f"{file} is not a safetensors file: {error}") from error
    bridge_config, expected = _expected_weights(file, config)
    if any(key.endswith(("W_E", "W_U")) for key in tensors):
        tensors = _convert(file, tensors, bridge_config)
    # Native bridges give the unembedding a bias of zeros; a network without one leaves the key out.
    tensors.setdefault("unembed.bias", expected["unembed.bias"])
    _check_weights(file, tensors, expected)
    return {key: tensor.float().contiguous() for key, tensor in tensors.items()}


def _expected_weights(file: Path, config: Mapping[str, Any]) -> tuple[Any, dict[str, torch.Tensor]]:
    """The config as transformer_lens resolves it and the state dict of a bridge made from it."""
    from energylens.models.network import boot

    try:
        bridge = boot(config)
    except (TypeError, ValueError, RuntimeError, NotImplementedError, AssertionError) as error:
        raise InputError(f"{file.parent / CONFIG}: transformer_lens refuses this model: {error}") from error
    return bridge.cfg, dict(bridge.state_dict())


def _convert(file: Path, tensors: dict[str, torch.Tensor], bridge_config: Any) -> dict[str, torch.Tensor]:
    from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

    try:
        return convert_tl_checkpoint(tensors, bridge_config)
    except (ValueError, AttributeError) as error:
        raise InputError(f"{file}: {error}") from error


def _check_weights(
    file: Path, tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    missing, unknown = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or unknown:
        raise InputError(
            f"{file}: missing keys {missing}, unknown keys {unknown}; the config asks for other weights"
        )
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            raise InputError(
                f"{file}: {key} should be {tuple(expected[key].shape)}, got {tuple(tensor.shape)}"
            )
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise InputError(
                f"{file}: {key} must hold finite floats, got {tensor.dtype} with NaN, infinity or integers"
            )
