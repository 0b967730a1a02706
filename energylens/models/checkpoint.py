"""A user's own networks: folders with model.safetensors and config.json, found for `--model` and written.

config.json = {"model": {fields of transformer_lens' TransformerBridgeConfig}, "task": {"name": "modadd", "p":
113}}. Weights are a bridge's state dict, or an older property-style one of TransformerLens
(`blocks.0.attn.W_Q`), which is converted. A "split_seed" in it says which inputs were held out of training. Importing
this module does not import torch: files are found and hashed and their config checked first, weights when built.
"""

from __future__ import annotations

import glob
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from energylens.errors import InputError
from energylens.models.loading import (
    CONFIG,
    WEIGHTS,
    LoadCheckpoint,
    UntrainedCheckpoint,
    read_config,
    sha256_of,
)
from energylens.models.zoo import ZOO_NAMES

if TYPE_CHECKING:
    from energylens.models.network import Network

__all__ = ["LoadCheckpoint", "UntrainedCheckpoint", "export_checkpoint", "match_checkpoints", "read_config"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".ckpt")


def match_checkpoints(option: str) -> tuple[str, list[LoadCheckpoint]]:
    """`NAME=PATTERN`: the checkpoints whose folder (or model.safetensors) matches, sorted; each is a seed.

    Errors: InputError if the option is malformed, NAME belongs to the zoo, nothing matches, or a match is no
    checkpoint.
    """
    name, equals, pattern = option.partition("=")
    if not equals or not pattern or not NAME.fullmatch(name):
        raise InputError(
            f"--model wants NAME=PATTERN, NAME of letters, digits, '.', '_' and '-'; got {option!r}"
        )
    if name in ZOO_NAMES:
        raise InputError(f"{name!r} is a network of the zoo; give your checkpoints another name")
    folders = sorted(
        {_folder(Path(path)) for path in glob.glob(str(Path(pattern).expanduser()), recursive=True)}
    )
    if not folders:
        raise InputError(f"no checkpoint matches {pattern!r}: expected folders with {WEIGHTS} and {CONFIG}")
    return name, [_recipe(name, seed, folder) for seed, folder in enumerate(folders)]


def export_checkpoint(network: Network, folder: Path | str) -> Path:
    """Write a network as a checkpoint folder that `match_checkpoints` reads; returns the folder."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: tensor.contiguous() for key, tensor in network.bridge.state_dict().items()}, folder / WEIGHTS
    )
    document = {"model": dict(network.meta["config"]), "task": network.task.to_json()}
    if "split_seed" in network.meta:
        document["split_seed"] = network.meta["split_seed"]
    (folder / CONFIG).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return folder


def _folder(match: Path) -> Path:
    if match.suffix in PICKLES:
        raise InputError(
            f"{match} is a pickle, which can run code when it is read; save its state dict with "
            f"safetensors.torch.save_file as {WEIGHTS} beside a {CONFIG}"
        )
    return match if match.is_dir() else match.parent


def _recipe(name: str, seed: int, folder: Path) -> LoadCheckpoint:
    for file in (WEIGHTS, CONFIG):
        if not (folder / file).is_file():
            present = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
            raise InputError(f"{folder / file} is missing; the folder holds {present}")
    _, task = read_config(folder)
    return LoadCheckpoint(
        name, seed, sha256_of(folder / WEIGHTS), sha256_of(folder / CONFIG), task, str(folder)
    )
