import json
import shutil

import numpy as np
import pytest
import torch
from einops import rearrange
from safetensors.torch import load_file, save_file

from energylens.errors import InputError
from energylens.models.checkpoint import LoadCheckpoint, export_checkpoint, match_checkpoints
from energylens.models.network import Network
from energylens.store.key import key_of
from energylens.store.recipe import no_progress
from energylens.tests.models.helpers import LEAKY, network

NAMES = {"q": "Q", "k": "K", "v": "V", "o": "O"}


@pytest.fixture(scope="module")
def trained():
    return network(LEAKY, n_layers=2, normalization_type="LN")


@pytest.fixture
def folder(trained, tmp_path):
    return export_checkpoint(trained, tmp_path / "run-0")


def load(pattern):
    (found,) = match_checkpoints(f"mine={pattern}")[1]
    return Network.from_artifact(found.build((), no_progress))


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    save_file(change(dict(tensors)), folder / "model.safetensors")


def reconfigure(folder, part, **changes):
    document = json.loads((folder / "config.json").read_text())
    document[part] |= changes
    (folder / "config.json").write_text(json.dumps(document))


def as_properties(tensors, n_heads=2):
    """A bridge's state dict under the names and shapes of TransformerLens before version 4, with masks."""
    old = {}
    for key, tensor in tensors.items():
        stem, letter, kind = ("", *key.rsplit(".", 2)[-2:]) if ".attn." not in key else key.rsplit(".", 2)
        if ".attn." in key and kind == "weight":
            pattern = "m (h d) -> h d m" if letter == "o" else "(h d) m -> h m d"
            old[f"{stem}.W_{NAMES[letter]}"] = rearrange(tensor, pattern, h=n_heads)
        elif ".attn." in key:
            old[f"{stem}.b_{NAMES[letter]}"] = (
                tensor if letter == "o" else rearrange(tensor, "(h d) -> h d", h=n_heads)
            )
        elif ".mlp." in key:
            prefix = key.rsplit(".", 2)[0]
            old[f"{prefix}.{'W' if kind == 'weight' else 'b'}_{letter}"] = (
                tensor.T if kind == "weight" else tensor
            )
        elif key.startswith("unembed"):
            old[f"unembed.{'W_U' if kind == 'weight' else 'b_U'}"] = tensor.T if kind == "weight" else tensor
        elif ".ln" in key or key.startswith("ln_final"):
            old[key.removesuffix("weight").removesuffix("bias") + ("w" if kind == "weight" else "b")] = tensor
        else:
            old[key.replace("pos_embed.weight", "pos_embed.W_pos").replace("embed.weight", "embed.W_E")] = (
                tensor
            )
    old |= {f"blocks.{layer}.attn.mask": torch.ones(7, 7, dtype=torch.bool) for layer in range(2)}
    return {key: tensor.contiguous() for key, tensor in old.items()}


def test_export_and_import_give_the_same_network(trained, folder):
    loaded = load(folder)
    assert torch.equal(loaded.logits(), trained.logits())
    assert loaded.task == LEAKY
    assert (loaded.name, loaded.seed) == ("mine", 0)


def test_a_property_style_state_dict_gives_the_same_network(trained, folder):
    rewrite(folder, as_properties)
    assert "blocks.0.attn.W_Q" in load_file(folder / "model.safetensors")
    assert torch.equal(load(folder).logits(), trained.logits())


def test_a_property_style_state_dict_with_other_heads_is_refused(folder):
    rewrite(folder, lambda tensors: as_properties(tensors, n_heads=4))
    with pytest.raises(InputError, match=r"model.safetensors.*W_.*\(4, 16, 4\).*\(2, 16, 8\)"):
        load(folder)


def test_half_precision_is_read_as_float32(trained, folder):
    rewrite(folder, lambda tensors: {key: tensor.bfloat16() for key, tensor in tensors.items()})
    assert torch.allclose(load(folder).logits(), trained.logits(), atol=0.2)


def test_an_unembedding_without_bias_is_welcome(trained, folder):
    rewrite(folder, lambda tensors: {key: tensor for key, tensor in tensors.items() if key != "unembed.bias"})
    assert torch.equal(load(folder).logits(), trained.logits())


def test_matches_are_sorted_and_numbered(folder):
    for i in (2, 1):
        shutil.copytree(folder, folder.parent / f"run-{i}")
    for pattern in ("run-*", "run-*/model.safetensors", "run-*/*"):
        name, found = match_checkpoints(f"mine={folder.parent / pattern}")
        assert name == "mine"
        assert [(made.seed, made.folder[-5:]) for made in found] == [(0, "run-0"), (1, "run-1"), (2, "run-2")]
        assert all(isinstance(made, LoadCheckpoint) for made in found)


def test_the_key_is_the_content_not_the_place(folder):
    moved = shutil.copytree(folder, folder.parent / "elsewhere")
    (first,), (second,) = (match_checkpoints(f"mine={place}")[1] for place in (folder, moved))
    assert key_of(first) == key_of(second)
    rewrite(moved, lambda tensors: tensors | {"embed.weight": tensors["embed.weight"] + 1})
    assert key_of(first) != key_of(match_checkpoints(f"mine={moved}")[1][0])


@pytest.mark.parametrize(
    "option", ["mine", "=x", "mine=", "my model=x", "../up=x", "modadd-1l=x", "mine=nowhere-*"]
)
def test_a_malformed_option_is_refused(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        match_checkpoints(option)


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "pytorch_model.bin"])
def test_a_pickle_is_refused_with_the_way_out(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x80\x02.")
    with pytest.raises(InputError, match=r"is a pickle.*safetensors\.torch\.save_file"):
        match_checkpoints(f"mine={tmp_path / name}")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing; the folder holds"):
        match_checkpoints(f"mine={folder}")


@pytest.mark.parametrize("text", ["{", "[]", '{"model": {}}', '{"model": {}, "task": 3}', "\xff"])
def test_a_config_of_another_form_is_refused(folder, text):
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"config\.json"):
        match_checkpoints(f"mine={folder}")


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("task", {"p": 9}, "prime p, got p = 9"),
        ("task", {"name": "sorting"}, "unknown task"),
        ("task", {"p": 1009}, r"d_vocab >= 1013, got 15"),
        ("model", {"n_ctx": 3}, r"n_ctx >= 7, got 3"),
        ("model", {"d_model": "16"}, r"d_model must be a positive integer, got '16'"),
        ("model", {"d_vocab_out": 5}, r"d_vocab_out >= 11, got 5"),
    ],
)
def test_a_config_that_does_not_fit_its_task_is_refused_at_once(folder, part, changes, message):
    reconfigure(folder, part, **changes)
    with pytest.raises(InputError, match=rf"config\.json: .*{message}"):
        match_checkpoints(f"mine={folder}")


@pytest.mark.parametrize("changes", [{"colour": "red"}, {"act_fn": "sigmoid"}, {"n_heads": 3}])
def test_a_model_that_cannot_be_built_is_refused(folder, changes):
    reconfigure(folder, "model", **changes)
    with pytest.raises(InputError):
        load(folder)


def _without(key):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("embed.weight"), r"missing keys \['embed.weight'\]"),
        (lambda tensors: tensors | {"extra": torch.zeros(2)}, r"unknown keys \['extra'\]"),
        (
            lambda tensors: tensors | {"embed.weight": torch.zeros(3, 16)},
            r"embed.weight should be \(15, 16\), got \(3, 16\)",
        ),
        (
            lambda tensors: tensors | {"embed.weight": torch.full((15, 16), torch.nan)},
            r"embed.weight must hold finite",
        ),
        (
            lambda tensors: tensors | {"embed.weight": torch.zeros(15, 16, dtype=torch.int64)},
            r"embed.weight .* torch.int64",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(InputError, match=rf"model\.safetensors: .*{message}"):
        load(folder)


def test_a_truncated_file_is_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match="is not a safetensors file"):
        load(folder)


def test_a_file_that_changes_after_matching_is_refused(folder):
    (found,) = match_checkpoints(f"mine={folder}")[1]
    reconfigure(folder, "task", readout=-1)
    with pytest.raises(InputError, match=r"config\.json has changed"):
        found.build((), no_progress)


def test_the_artifact_is_float32_numpy(folder):
    (found,) = match_checkpoints(f"mine={folder}")[1]
    artifact = found.build((), no_progress)
    assert {array.dtype for array in artifact.tensors.values()} == {np.dtype(np.float32)}
    json.dumps(artifact.meta, allow_nan=False)


def test_what_was_held_out_travels_with_an_exported_network(tmp_path):
    exported = export_checkpoint(network(seed=4), tmp_path / "one")
    _, (recipe,) = match_checkpoints(f"mine={exported}")
    assert recipe.seed == 0
    assert recipe.build([], no_progress).meta["split_seed"] == 4
    document = json.loads((exported / "config.json").read_text())
    del document["split_seed"]
    (exported / "config.json").write_text(json.dumps(document))
    _, (recipe,) = match_checkpoints(f"mine={exported}")
    assert "split_seed" not in recipe.build([], no_progress).meta
