"""Which kernel trains SAEs, and what is said where it can't."""

import dataclasses
import sys

import pytest
import torch

from energylens.errors import InputError
from energylens.sae import kernels
from energylens.sae.kernels import fastest_kernel
from energylens.sae.train import Dense, _trainer, train
from energylens.sae.weights import Settings, initial_weights
from energylens.tests.sae.helpers import mixture

SPARSE = Settings(d_sae=32, steps=2, batch=64, kernel="sparse")


def test_without_numba_dense_products_are_the_default_and_the_sparse_kernel_is_refused(monkeypatch):
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    assert fastest_kernel() == "dense"
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "energylens.sae.sparse", raising=False)
    with pytest.raises(
        InputError, match=r"needs numba, which can't be imported .*pip install 'energylens\[fast\]'"
    ):
        train(mixture(), [1], SPARSE, 4)


def test_relu_in_bfloat16_trains_by_dense_products():
    initial = initial_weights(8, 32, [torch.Generator().manual_seed(0)])
    rounded = dataclasses.replace(SPARSE, dtype=torch.bfloat16)
    assert isinstance(_trainer(initial, rounded, None, torch.zeros(1)), Dense)
