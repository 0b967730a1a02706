import dataclasses

import numpy as np
import pytest
import torch

from energylens.models import recipe as recipe_module
from energylens.models.checkpoint import export_checkpoint, match_checkpoints
from energylens.models.network import Network
from energylens.models.recipe import Optimiser, fastest_autocast
from energylens.store import Store, key_of
from energylens.tests.models.helpers import LEAKY, recipe


def test_the_store_gives_back_the_network_that_was_trained(tmp_path):
    made, store = recipe(LEAKY, n_layers=2, normalization_type="LN"), Store(tmp_path / "store")
    first, again = store.get(made), store.get(made)
    assert all(np.array_equal(first.tensors[key], again.tensors[key]) for key in first.tensors)
    trained = Network.from_artifact(again)
    (found,) = match_checkpoints(f"mine={export_checkpoint(trained, tmp_path / 'mine')}")[1]
    assert torch.equal(Network.from_artifact(store.get(found)).logits(), trained.logits())


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"steps": 21},
        {"batch": None},
        {"threads": 2},
        {"autocast": "bf16"},
        {"train_fraction": 0.7},
        {"optimiser": Optimiser(lr=1e-3)},
        {"task": dataclasses.replace(recipe().task, readout=-2)},
        {"config": dataclasses.replace(recipe().config, act_fn="gelu")},
    ],
)
def test_every_setting_is_in_the_key(changes):
    assert key_of(dataclasses.replace(recipe(), **changes)) != key_of(recipe())


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu avx512f avx512_bf16", "bf16"), ("amx_bf16", "bf16"), ("fpu avx2", "fp32")]
)
def test_autocast_follows_the_processor(flags, expected, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    for variable in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(recipe_module, "Path", lambda _: tmp_path / "cpuinfo")
    assert fastest_autocast.__wrapped__() == expected


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", "bf16"),
        ("ONEDNN_MAX_CPU_ISA", "avx512_core_amx", "bf16"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_FP16", "bf16"),
        ("ONEDNN_MAX_CPU_ISA", "DEFAULT", "bf16"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE", "fp32"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI", "fp32"),
        ("DNNL_MAX_CPU_ISA", "AVX2", "fp32"),
        ("ATEN_CPU_CAPABILITY", "avx512", "bf16"),
        ("ATEN_CPU_CAPABILITY", "avx2", "fp32"),
        ("ATEN_CPU_CAPABILITY", "default", "fp32"),
    ],
)
def test_autocast_heeds_the_variables_that_hide_bf16(variable, value, expected, tmp_path, monkeypatch):
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cpuinfo").write_text("flags : avx512f avx512_bf16 amx_bf16\n")
    monkeypatch.setattr(recipe_module, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setenv(variable, value)
    assert fastest_autocast.__wrapped__() == expected
